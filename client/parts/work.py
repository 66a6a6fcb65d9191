"""Decisions on transactions, the queue of items that wait for a person, and rulesets."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from fivefold.client.answers.work import (
    Decision,
    DecisionLine,
    QueueCount,
    QueueItem,
    Ruleset,
    RulesetVersion,
    RulesetVersionLine,
)
from fivefold.client.calls import Call, Repeat
from fivefold.client.connection import Connection, Pages
from fivefold.client.parts.entities import Moment
from fivefold.client.parts.levels import Freshness

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
            external_id: of the entity of the transaction.
            transaction: its fields, with its `transaction_id` where it has one: a stored one of that number is then
                not counted beside it.
            type_: of the entity.
            decision_key: the caller's own name of the decision, by default the `transaction_id`; a repeated call
                returns the first one, with `repeated`.
            freshness: of the level, as in `Levels.get`; with `stored` an override that began or ended since is not
                seen.
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
        query = {"kind": [*kind], "assigned": assigned or None, "type": type_, "level": [*level], "flow": flow}
        return self._connection.pages(QUEUE, None, {**query, "since": since, "order": order}, limit)

    def counts(self) -> "Sequence[QueueCount]":
        """Count the waiting items by kind and by due date."""
        return self._connection.ask(COUNTS)

    def change(
        self, item: str, revision: int, *, assigned_to: int | None = None, done: bool = False, reason: str = ""
    ) -> QueueItem | None:
        """Assign an item to a member, or complete a rise or a review; None if the item leaves the queue by that.

        Args:
            item: its name.
            revision: of the item as it was read; another person's change since then is a conflict.
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
