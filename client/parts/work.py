"""Decisions on transactions, the queue of items that wait for a person, and rulesets."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from fivefold.client.answers import Answer, InputSeen, Version
from fivefold.client.calls import Call, Moment, Repeat
from fivefold.client.connection import Connection, Pages
from fivefold.client.parts.levels import Freshness


class RuleReference(Answer):
    """A rule of a policy."""

    rule: str
    title: str


class PolicyRuleOutcome(Answer):
    """A rule that held, was suppressed, or could not be evaluated, with the inputs that it read."""

    title: str
    rationale: str | None
    outcome: str
    action: str | None
    values: tuple[InputSeen, ...]


class DecisionReasons(Answer):
    """The reasons of a decision: the level, the value, the transaction, and the rules."""

    line: str
    level: dict[str, Any]
    value: dict[str, Any] | None
    transaction: dict[str, Any]
    rules: tuple[PolicyRuleOutcome, ...]


class Decision(Answer):
    """A decision on a transaction.

    A program's token sees the fields before `actor`; a publisher's sees all. Hidden fields are not in
    `model_fields_set`.

    Attributes:
        decision: the number of the decision.
        repeated: whether the decision was made earlier, under the same `decision_key`.
        unknown: rules that could not be evaluated; None if the token may not see them.
        status: the status of the level, as `Level.status`; None after it was erased.
        refreshing: whether the level was being recomputed because of newer events, or could not be for the decision;
            None after it was erased.
        answer: the whole answer with every version involved.
    """

    decision: int
    repeated: bool
    action: str
    policy: Version
    at: datetime
    decided_by: RuleReference | None
    unknown: tuple[RuleReference, ...] | None
    level: str | None
    status: str | None
    stale_rates_days: int | None
    refreshing: bool | None
    actor: str | None = None
    reasons: DecisionReasons | None = None
    answer: dict[str, Any] | None = None


class DecisionLine(Answer):
    """A decision in a list; `line` is empty after it was erased."""

    decision: int
    at: datetime
    action: str
    policy: Version
    actor: str
    line: str


class QueueItem(Answer):
    """An item that waits for a person.

    Attributes:
        version: the number of a version of a policy, a group, a ruleset or a flow that waits.
        run: the run that asks a question or requested a review; a question is answered with it (`flows.answer`).
        asks: the role whose members may answer a question.
    """

    item: str
    kind: str
    type: str | None
    external_id: str | None
    level: str | None
    from_level: str | None
    to_level: str | None
    reason: str
    about: str
    version: int | None = None
    assessment: str | None
    asked_by: str | None
    run: int | None = None
    asks: str | None = None
    since: datetime
    due: datetime
    assigned_to: int | None
    assigned_name: str | None
    has_left: bool
    sees_no_more: bool
    revision: int


class QueueCount(Answer):
    """The number of waiting items of a kind; `today` within 24 hours, `capped` if more wait than are counted."""

    kind: str
    overdue: int
    today: int
    later: int
    capped: bool


class Ruleset(Answer):
    """A ruleset and its versions; the first in order that applies to an entity decides."""

    name: str
    entity_type: str
    position: int
    enabled: bool
    active: int | None
    newest: int | None
    draft_revision: int | None


class RulesetVersionLine(Answer):
    """A committed version."""

    number: int
    content_hash: str
    active: bool
    editors: tuple[str, ...]
    committed_by: str
    committed_at: datetime


class RulesetVersion(RulesetVersionLine):
    """A committed version with its text and the results of its examples."""

    purpose: str
    document: str
    tests: dict[str, Any]


DECIDE: Final[Call[Decision]] = Call(
    "POST",
    "/v1/decisions",
    Decision,
    body=("policy", "type", "external_id", "transaction", "decision_key", "freshness"),
    repeat=Repeat.BY_KEY,
)
DECISION: Final[Call[Decision]] = Call("GET", "/v1/decisions/{decision}", Decision)
DECISIONS: Final[Call[DecisionLine]] = Call(
    "GET", "/v1/entities/{type}/{external_id}/decisions", DecisionLine, query=("limit",), has_pages=True
)
_FILTERS: Final = ("kind", "assigned", "type", "level", "flow", "since")
QUEUE: Final[Call[QueueItem]] = Call("GET", "/v1/queue", QueueItem, query=(*_FILTERS, "order", "limit"), has_pages=True)
COUNTS: Final[Call[list[QueueCount]]] = Call("GET", "/v1/queue/count", list[QueueCount], query=_FILTERS)
CHANGE: Final[Call[QueueItem | None]] = Call(
    "PUT",
    "/v1/queue/{item}",
    QueueItem | None,
    body=("revision", "assigned_to", "done", "reason"),
    repeat=Repeat.BY_KEY,
)
RULESETS: Final[Call[Ruleset]] = Call("GET", "/v1/rulesets", Ruleset, query=("type", "limit"), has_pages=True)
VERSIONS: Final[Call[RulesetVersionLine]] = Call(
    "GET", "/v1/rulesets/{family}/versions", RulesetVersionLine, query=("limit",), has_pages=True
)
VERSION: Final[Call[RulesetVersion]] = Call("GET", "/v1/rulesets/{family}/versions/{number}", RulesetVersion)


class Decisions:
    """Decisions on transactions."""

    def __init__(self, connection: Connection) -> None:
        """Call over *connection*."""
        self._connection = connection

    def decide(
        self,
        policy: str,
        external_id: str,
        transaction: Mapping[str, object],
        *,
        type_: str = "customer",
        decision_key: str | None = None,
        freshness: Freshness = "refresh",
    ) -> Decision:
        """Decide on a transaction by the level, the value and the transaction itself, and store the decision.

        Args:
            policy: the policy that decides.
            external_id: the identifier of the transaction's entity.
            transaction: its fields, with its `transaction_id` if it has one: a stored transaction of that number is
                then not counted beside it.
            type_: the type of the entity.
            decision_key: the caller's own name of the decision, by default the `transaction_id`; a repeated call
                returns the first one, with `repeated`.
            freshness: the freshness of the level, as in `Levels.get`; `stored` ignores an override that began or ended
                since.
        """
        body: dict[str, Any] = {"policy": policy, "type": type_, "external_id": external_id}
        body |= {"transaction": dict(transaction), "decision_key": decision_key, "freshness": freshness}
        return self._connection.ask(DECIDE, body=body)

    def get(self, decision: int) -> Decision:
        """Show a decision."""
        return self._connection.ask(DECISION, {"decision": decision})

    def of(self, type_: str, external_id: str, *, limit: int | None = None) -> Pages[DecisionLine]:
        """List the decisions on an entity's transactions, the latest first."""
        return self._connection.pages(DECISIONS, {"type": type_, "external_id": external_id}, limit=limit)


class Queue:
    """Items that wait for a person, as far as the token's role sees them."""

    def __init__(self, connection: Connection) -> None:
        """Call over *connection*."""
        self._connection = connection

    def list(
        self,
        *,
        kind: Sequence[str] = (),
        assigned: str = "",
        type_: str | None = None,
        level: Sequence[str] = (),
        flow: str | None = None,
        since: Moment | None = None,
        order: Literal["due", "newest"] = "due",
        limit: int | None = None,
    ) -> Pages[QueueItem]:
        """List waiting items, by due date or newest first.

        Kinds are override, change, policy, group, ruleset, flow, token, validation, material (a change), challenge,
        question (of a run of a flow), flow_review, failure, quarantine, rise and review, as far as the token's role
        sees them. *flow* is a flow that asks a question or requests a review.
        """
        query = {"kind": kind, "assigned": assigned or None, "type": type_, "level": level, "flow": flow}
        return self._connection.pages(QUEUE, None, {**query, "since": since, "order": order}, limit)

    def counts(self) -> "Sequence[QueueCount]":
        """Count the waiting items by kind and by due date."""
        return self._connection.ask(COUNTS)

    def change(
        self, item: str, revision: int, *, assigned_to: int | None = None, done: bool = False, reason: str = ""
    ) -> QueueItem | None:
        """Assign an item to a member, or complete a rise or a review; None if the item then leaves the queue.

        Args:
            item: the name of the item.
            revision: the revision of the item as it was read; another person's change since then is a conflict.
            assigned_to: the number of the member; None for no one.
            done: whether the item is completed.
            reason: why a review by a flow counts as done.
        """
        body = {"revision": revision, "assigned_to": assigned_to, "done": done, "reason": reason}
        return self._connection.ask(CHANGE, {"item": item}, body=body)


class Rulesets:
    """The rulesets that decide, read-only: changes need four eyes."""

    def __init__(self, connection: Connection) -> None:
        """Call over *connection*."""
        self._connection = connection

    def list(self, type_: str | None = None, *, limit: int | None = None) -> Pages[Ruleset]:
        """List rulesets, by type in the order in which they are tried."""
        return self._connection.pages(RULESETS, None, {"type": type_}, limit)

    def versions(self, ruleset: str, *, limit: int | None = None) -> Pages[RulesetVersionLine]:
        """List the versions of a ruleset, the newest first."""
        return self._connection.pages(VERSIONS, {"family": ruleset}, limit=limit)

    def version(self, ruleset: str, number: int) -> RulesetVersion:
        """Show a version with its text and the results of its examples."""
        return self._connection.ask(VERSION, {"family": ruleset, "number": number})
