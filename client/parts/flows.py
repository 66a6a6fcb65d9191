"""Flows: run for an entity in the same request, and runs to read."""

from collections.abc import Mapping
from typing import Any, Final

from fivefold.client.answers.flows import ActionTaken, EndsOfBoth, FlowRun, FlowRunLine, ShadowPair
from fivefold.client.calls import Call, Repeat
from fivefold.client.connection import Connection
from fivefold.client.pages import Pages
from fivefold.client.parts.entities import Moment

RUN: Final[Call[FlowRun]] = Call(
    "POST",
    "/v1/flows/{flow}/run",
    FlowRun,
    body=("type", "external_id", "transaction", "run_key"),
    repeat=Repeat.BY_KEY,
)
RUNS: Final[Call[FlowRunLine]] = Call(
    "GET",
    "/v1/flow-runs",
    FlowRunLine,
    query=("flow", "state", "at", "type", "external_id", "since", "until", "limit"),
    has_pages=True,
)
GET_RUN: Final[Call[FlowRun]] = Call("GET", "/v1/flow-runs/{run}", FlowRun)


ANSWER: Final[Call[FlowRun]] = Call(
    "POST", "/v1/flow-runs/{run}/answer", FlowRun, body=("answer", "reason"), repeat=Repeat.BY_KEY
)
REVIEWED: Final[Call[ActionTaken]] = Call(
    "POST", "/v1/flow-actions/{action}/reviewed", ActionTaken, body=("reason",), repeat=Repeat.BY_KEY
)
SHADOW: Final[Call[list[EndsOfBoth]]] = Call("GET", "/v1/flows/{flow}/shadow", list[EndsOfBoth])
PAIRS: Final[Call[ShadowPair]] = Call(
    "GET", "/v1/flows/{flow}/shadow/pairs", ShadowPair, query=("acting_at", "shadow_at", "limit"), has_pages=True
)


class Flows:
    """Decision flows that are active, and their runs."""

    def __init__(self, connection: Connection) -> None:
        """Ask over *connection*."""
        self._connection = connection

    def run(
        self,
        flow: str,
        external_id: str,
        transaction: Mapping[str, object] | None = None,
        *,
        type_: str = "customer",
        run_key: str | None = None,
    ) -> FlowRun:
        """Run a flow for an entity at once, with what it does; a run that asks a person waits.

        Args:
            flow: its name; the active version is run.
            external_id: for whom.
            transaction: that is looked at; it is not stored.
            type_: of the entity.
            run_key: the caller's own name of this run: called again under it, the flow gives the run that there was.
        """
        body: dict[str, Any] = {"type": type_, "external_id": external_id, "run_key": run_key}
        body["transaction"] = None if transaction is None else dict(transaction)
        return self._connection.ask(RUN, {"flow": flow}, body=body)

    def runs(
        self,
        *,
        flow: str | None = None,
        state: str | None = None,
        at: str | None = None,
        type_: str = "customer",
        external_id: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        limit: int | None = None,
    ) -> Pages[FlowRunLine]:
        """List runs, the latest first: of a flow, in a state, at a step, of an entity; *since* until before *until*."""
        query = {"flow": flow, "state": state, "at": at, "type": type_, "external_id": external_id}
        return self._connection.pages(RUNS, None, {**query, "since": since, "until": until}, limit)

    def get_run(self, run: int) -> FlowRun:
        """Show a run; people see its why."""
        return self._connection.ask(GET_RUN, {"run": run})

    def answer(self, run: int, answer: str, reason: str) -> FlowRun:
        """Answer what a run asks, with a reason; it goes on in the same request. Who called it cannot answer it."""
        return self._connection.ask(ANSWER, {"run": run}, body={"answer": answer, "reason": reason})

    def finish_review(self, action: int, reason: str) -> ActionTaken:
        """Record that a review which a run asked for was done, and what it came to."""
        return self._connection.ask(REVIEWED, {"action": action}, body={"reason": reason})

    def shadow(self, flow: str) -> list[EndsOfBoth]:
        """Count where the version that acts and its shadow came to for the same causes, the most first."""
        return self._connection.ask(SHADOW, {"flow": flow})

    def shadow_pairs(
        self, flow: str, *, acting_at: str | None = None, shadow_at: str | None = None, limit: int | None = None
    ) -> Pages[ShadowPair]:
        """List for whom the two versions came to different ends, the latest first: of two ends where they are given."""
        query = {"acting_at": acting_at, "shadow_at": shadow_at}
        return self._connection.pages(PAIRS, {"flow": flow}, query, limit)
