"""Decisions on transactions, the queue of what waits for a person, and rulesets to read."""

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
from fivefold.client.connection import Connection
from fivefold.client.pages import Pages
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
    """What is to be done with transactions."""

    def __init__(self, connection: Connection) -> None:
        """Ask over *connection*."""
        self._connection = connection

    def decide(
        self,
        policy: str,
        external_id: str,
        transaction: Mapping[str, object],
        *,
        type_: str = "customer",
        decision_key: str | None = None,
        freshness: Freshness = "stored",
    ) -> Decision:
        """Decide on a transaction by level, value and the transaction itself, and have it written down.

        Args:
            policy: which one decides.
            external_id: whose transaction it is.
            transaction: its fields, without its identifier.
            type_: of the entity.
            decision_key: the caller's own name of the decision: asked again, the first one comes back with `repeated`.
            freshness: of the level, as `Levels.get` has it.
        """
        body: dict[str, Any] = {"policy": policy, "type": type_, "external_id": external_id}
        body |= {"transaction": dict(transaction), "decision_key": decision_key, "freshness": freshness}
        return self._connection.ask(DECIDE, body=body)

    def get(self, decision: int) -> Decision:
        """Show a decision as it was made."""
        return self._connection.ask(DECISION, {"decision": decision})

    def of(self, type_: str, external_id: str, *, limit: int | None = None) -> Pages[DecisionLine]:
        """List the decisions on an entity's transactions, the latest first."""
        return self._connection.pages(DECISIONS, {"type": type_, "external_id": external_id}, limit=limit)


class Queue:
    """What waits for a person, as far as the token's role sees it."""

    def __init__(self, connection: Connection) -> None:
        """Ask over *connection*."""
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
        """List what waits: what is due first, or what came last.

        Kinds are override, change, challenge, question (of a run of a flow), flow_review, failure, quarantine, rise
        and review, as far as the token's role sees them. *flow* is one that asks a question, or for a review.
        """
        query = {"kind": [*kind], "assigned": assigned, "type": type_, "level": [*level], "flow": flow}
        return self._connection.pages(QUEUE, None, {**query, "since": since, "order": order}, limit)

    def counts(self) -> "Sequence[QueueCount]":
        """Count what waits, by kind and by when it is due."""
        return self._connection.ask(COUNTS)

    def change(
        self, item: str, revision: int, *, assigned_to: int | None = None, done: bool = False, reason: str = ""
    ) -> QueueItem | None:
        """Assign an item to a member, or be done with a rise or a review; None where it left the queue by that.

        Args:
            item: its name.
            revision: of the item as it was read; another person's change since then is a conflict.
            assigned_to: the number of the member; None for nobody.
            done: put it away.
            reason: why a review by a flow counts as done.
        """
        body = {"revision": revision, "assigned_to": assigned_to, "done": done, "reason": reason}
        return self._connection.ask(CHANGE, {"item": item}, body=body)


class Rulesets:
    """The rulesets that decide, to be read: they change under four eyes."""

    def __init__(self, connection: Connection) -> None:
        """Ask over *connection*."""
        self._connection = connection

    def list(self, type_: str | None = None, *, limit: int | None = None) -> Pages[Ruleset]:
        """List rulesets, by type in the order in which they are tried."""
        return self._connection.pages(RULESETS, None, {"type": type_}, limit)

    def versions(self, ruleset: str, *, limit: int | None = None) -> Pages[RulesetVersionLine]:
        """List the versions of a ruleset, the newest first."""
        return self._connection.pages(VERSIONS, {"family": ruleset}, limit=limit)

    def version(self, ruleset: str, number: int) -> RulesetVersion:
        """Show a version as it was written, and the results of its examples."""
        return self._connection.ask(VERSION, {"family": ruleset, "number": number})
