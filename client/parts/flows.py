"""Flows: runs on request, and past runs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import Field

from fivefold.client.answers import Answer
from fivefold.client.calls import Call, Moment, Repeat
from fivefold.client.connection import Connection, Pages


class ActionTaken(Answer):
    """An action that a run took; people's tokens see more of it than programs' tokens."""

    number: int
    action: str
    kind: str
    content: dict[str, Any]
    reversible: bool | None = None
    at: datetime | None = None
    taken_back_at: datetime | None = None
    done_at: datetime | None = None
    done_by: str | None = None
    done_reason: str | None = None


class FlowRunLine(Answer):
    """A run in a list."""

    run: int
    flow: str
    version: int
    type: str
    external_id: str
    cause: str
    state: str
    at: str | None
    acting: bool
    actor: str
    begun_at: datetime
    due_at: datetime | None
    ended_at: datetime | None
    error: str | None


class Question(Answer):
    """A question that a run asks a person since `asked_at`. Members with `role` may answer it; a shadow asks no one.

    `irreversible` maps an answer to the titles of the actions that may follow it and cannot be taken back.
    """

    step: str
    question: str
    role: str
    answers: tuple[str, ...]
    irreversible: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    asked_at: datetime | None


class FlowRun(Answer):
    """The state of a run.

    A program's token sees the fields before `why`; fields that it may not see are not in `model_fields_set`.

    Attributes:
        state: ended, failed, waiting (for a person), queued, running, or quarantined: given up after a lasting fault of
            the machine.
        at: the current step.
        error: what went wrong; for a queued run, why it is tried again. A program sees it in short.
        taken: its actions.
        why: every step of its path with the values it read, and the actions that follow.
        question: the question that it waits for.
    """

    run: int
    flow: str
    version: int
    cause: str
    state: str
    at: str | None
    due_at: datetime | None
    error: str | None
    taken: tuple[ActionTaken, ...]
    why: dict[str, Any] | None = None
    question: Question | None = None
    external_id: str | None = None
    gone: str | None = None


class FlowTrial(Answer):
    """The outcome of a trial run for one entity; no question is asked, and nothing is done or stored.

    Attributes:
        version: None for a draft.
        why: every step of its path with the values it read, and the actions that would follow.
        answered: the steps that used a stored answer of an earlier run.
        supposed: the steps that used an answer supposed by the request.
        not_asked: the step that would ask a person or another system; None if none would.
    """

    flow: str
    version: int | None
    entity_type: str
    external_id: str
    transaction: str | None
    as_of: datetime
    why: dict[str, Any]
    answered: tuple[str, ...]
    supposed: tuple[str, ...]
    not_asked: str | None


class TextPlace(Answer):
    """An error or a warning about a text: its place, the problem, and line and column if they are known."""

    where: str
    problem: str
    line: int | None
    column: int | None


class FlowImported(Answer):
    """The text of a flow that decides as a graph of JDM does; nothing is stored.

    Attributes:
        inputs: the fields of the flow that are inputs of the graph, by their names there.
        notes: the parts that mean something else in JDM, renamed inputs, and the answer of each end.
        errors: the problems that keep the text from being committed.
        warnings: the problems that need a reason to be committed.
    """

    flow: str
    content_hash: str
    steps: int
    document: str
    inputs: dict[str, str]
    notes: tuple[str, ...]
    errors: tuple[TextPlace, ...]
    warnings: tuple[TextPlace, ...]


class EndsOfBoth(Answer):
    """The ends that runs of the same cause reached in the acting version and in its shadow, and their number."""

    acting_at: str
    acting_state: str
    shadow_at: str
    shadow_state: str
    comparable: bool
    same_actions: bool
    runs: int


class ShadowPair(Answer):
    """Two runs of the same cause with different ends."""

    type: str
    external_id: str
    cause: str
    begun_at: datetime
    acting_run: int
    acting_at: str | None
    acting_actions: str | None
    shadow_run: int
    shadow_at: str | None
    shadow_actions: str | None


class Limit(Answer):
    """A limit in force; `sets` is its amount in words, and `action` the number of the action that set it."""

    limit: str
    amount_minor: int
    sets: str
    action: int


class Standing(Answer):
    """The effects of flows that are in force for an entity.

    Attributes:
        status: the status in force, or None.
        status_action: the number of the action that gave the status.
        limits: one limit of each name.
        reviews: the due times of pending reviews of the entity, earliest first.
        erased_at: when the entity's personal data was erased.
    """

    status: str | None
    status_action: int | None
    limits: tuple[Limit, ...]
    reviews: tuple[datetime, ...]
    erased_at: datetime | None


class FlowReplay(Answer):
    """A replay of a version over history.

    Attributes:
        state: queued, running, done, failed, cancelled or quarantined.
        done: how much of `total` is done, in the unit that `part` names.
        base_version: the version that it is compared with, or None.
        report: counts by outcome, and the number of changed outcomes; None until it is done.
    """

    id: int
    flow: str
    version: int
    base_version: int | None
    state: str
    part: str | None
    done: int
    total: int
    error: str | None
    report: dict[str, Any] | None
    report_hash: str | None


class ReplayPerson(Answer):
    """An entity that a replayed version treats differently; `before_…` is the outcome of the base version."""

    entity_type: str
    external_id: str
    cause: str
    at: datetime
    before_state: str
    before_at: str
    before_actions: str
    state: str
    stopped_at: str
    actions: str


RUN: Final[Call[FlowRun]] = Call(
    "POST",
    "/v1/flows/{flow}/run",
    FlowRun,
    body=("type", "external_id", "transaction", "run_key"),
    repeat=Repeat.BY_KEY,
)
TRY: Final[Call[FlowTrial]] = Call(
    "POST",
    "/v1/flows/{flow}/try",
    FlowTrial,
    body=("external_id", "version", "document", "transaction", "answers", "outcomes"),
)
IMPORT: Final[Call[FlowImported]] = Call(
    "POST", "/v1/flows/import", FlowImported, body=("flow", "content", "entity_type", "names", "kinds")
)
RUNS: Final[Call[FlowRunLine]] = Call(
    "GET",
    "/v1/flow-runs",
    FlowRunLine,
    query=("flow", "state", "at", "type", "external_id", "acting", "since", "until", "limit"),
    has_pages=True,
)
GET_RUN: Final[Call[FlowRun]] = Call("GET", "/v1/flow-runs/{run}", FlowRun)
ANSWER: Final[Call[FlowRun]] = Call(
    "POST",
    "/v1/flow-runs/{run}/answer",
    FlowRun,
    body=("answer", "reason", "expected_asked_at"),
    repeat=Repeat.BY_KEY,
)
RETRY: Final[Call[FlowRun]] = Call("POST", "/v1/flow-runs/{run}/retry", FlowRun, repeat=Repeat.BY_KEY)
REVIEWED: Final[Call[ActionTaken]] = Call(
    "POST", "/v1/flow-actions/{action}/reviewed", ActionTaken, body=("reason",), repeat=Repeat.BY_KEY
)
STANDING: Final[Call[Standing]] = Call("GET", "/v1/entities/{type}/{external_id}/flow-actions", Standing)
TAKE_BACK: Final[Call[ActionTaken]] = Call(
    "POST", "/v1/flow-actions/{action}/take-back", ActionTaken, body=("reason",), repeat=Repeat.BY_KEY
)
SHADOW: Final[Call[list[EndsOfBoth]]] = Call("GET", "/v1/flows/{flow}/shadow", list[EndsOfBoth])
PAIRS: Final[Call[ShadowPair]] = Call(
    "GET", "/v1/flows/{flow}/shadow/pairs", ShadowPair, query=("acting_at", "shadow_at", "limit"), has_pages=True
)
REPLAY: Final[Call[FlowReplay]] = Call(
    "POST",
    "/v1/flows/{flow}/replays",
    FlowReplay,
    body=("version", "base_version", "alone", "as_of", "from", "until"),
    repeat=Repeat.BY_KEY,
)
REPLAYS: Final[Call[FlowReplay]] = Call("GET", "/v1/flows/{flow}/replays", FlowReplay, query=("limit",), has_pages=True)
GET_REPLAY: Final[Call[FlowReplay]] = Call("GET", "/v1/flow-replays/{replay}", FlowReplay)
REPLAY_PEOPLE: Final[Call[ReplayPerson]] = Call(
    "GET",
    "/v1/flow-replays/{replay}/people",
    ReplayPerson,
    query=("before_at", "stopped_at", "limit"),
    has_pages=True,
)
CANCEL_REPLAY: Final[Call[FlowReplay]] = Call(
    "POST", "/v1/flow-replays/{replay}/cancel", FlowReplay, body=("reason",), repeat=Repeat.BY_KEY
)


class Flows:
    """Decision flows: their runs, their lasting effects, and replays over history."""

    def __init__(self, connection: Connection) -> None:
        """Call over *connection*."""
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
        """Run a flow for an entity at once and carry out its actions; a run that asks a person waits.

        Args:
            flow: the name of the flow, whose active version is run.
            external_id: the identifier of the entity.
            transaction: the transaction to consider; it is not stored.
            type_: the type of the entity.
            run_key: the caller's own name of this run; a repeated call with the same key returns the existing run.
        """
        body: dict[str, Any] = {"type": type_, "external_id": external_id, "run_key": run_key}
        body["transaction"] = None if transaction is None else dict(transaction)
        return self._connection.ask(RUN, {"flow": flow}, body=body)

    def try_one(
        self,
        flow: str,
        external_id: str,
        *,
        version: int | None = None,
        document: str | None = None,
        transaction: str | None = None,
        answers: Mapping[str, str] | None = None,
        outcomes: Mapping[str, Mapping[str, object] | str] | None = None,
    ) -> FlowTrial:
        """Run one entity through a version or a draft and explain each step; it asks no person and takes no action.

        Args:
            flow: the name of the flow.
            external_id: the identifier of an entity of the flow's type.
            version: a committed version; without it the saved draft.
            document: an unsaved text of the flow, in place of the draft.
            transaction: the number of a stored transaction to consider.
            answers: supposed answers of persons, by step; `nobody` for no answer in time.
            outcomes: supposed results of outside calls, by step: values by name, or `failed`.
        """
        about = {"version": version, "document": document, "transaction": transaction}
        selection = {name: value for name, value in about.items() if value is not None}
        assumptions = {"answers": dict(answers or {}), "outcomes": dict(outcomes or {})}
        return self._connection.ask(TRY, {"flow": flow}, body={"external_id": external_id, **selection, **assumptions})

    def import_graph(
        self,
        flow: str,
        graph: str,
        *,
        type_: str = "customer",
        names: Mapping[str, str] | None = None,
        kinds: Mapping[str, str] | None = None,
    ) -> FlowImported:
        """Return the text of a flow that decides as a graph of JDM does; a graph that flows cannot match is refused.

        Args:
            flow: the name for the flow.
            graph: the text of the graph's file, which is JSON.
            type_: the type of entity that the flow decides about.
            names: by input of the graph, the field that it is here, or the input as in the header of a decision table.
            kinds: the kinds of inputs whose use does not show them: number, text or flag.
        """
        meanings = {"names": dict(names or {}), "kinds": dict(kinds or {})}
        return self._connection.ask(IMPORT, body={"flow": flow, "content": graph, "entity_type": type_, **meanings})

    def runs(
        self,
        *,
        flow: str | None = None,
        state: str | None = None,
        at: str | None = None,
        type_: str = "customer",
        external_id: str | None = None,
        acting: bool | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        limit: int | None = None,
    ) -> Pages[FlowRunLine]:
        """List runs, the latest first, by flow, state, step or entity, from *since* until before *until*.

        *acting* is false for runs of shadows, true for runs whose actions are carried out.
        """
        query = {"flow": flow, "state": state, "at": at, "type": type_, "external_id": external_id, "acting": acting}
        return self._connection.pages(RUNS, None, {**query, "since": since, "until": until}, limit)

    def get_run(self, run: int) -> FlowRun:
        """Show a run; people's tokens see why."""
        return self._connection.ask(GET_RUN, {"run": run})

    def answer(self, run: int, answer: str, reason: str, *, asked_at: Moment) -> FlowRun:
        """Answer a run's question, with a reason; the run continues in the same request. Its caller may not answer.

        *asked_at* is that of the question that was looked at: if the run asks another one now, the answer is refused.
        """
        body = {"answer": answer, "reason": reason, "expected_asked_at": asked_at}
        return self._connection.ask(ANSWER, {"run": run}, body=body)

    def retry(self, run: int) -> FlowRun:
        """Let the next worker retry a quarantined run; a run in another state is refused."""
        return self._connection.ask(RETRY, {"run": run})

    def finish_review(self, action: int, reason: str) -> ActionTaken:
        """Record that a review requested by a run was done, and its result."""
        return self._connection.ask(REVIEWED, {"action": action}, body={"reason": reason})

    def standing(self, type_: str, external_id: str) -> Standing:
        """Return the status, the limits and the reviews that flows put in force for an entity."""
        return self._connection.ask(STANDING, {"type": type_, "external_id": external_id})

    def take_back(self, action: int, reason: str) -> ActionTaken:
        """Undo an action of a run, with a reason; an action that cannot be undone is refused."""
        return self._connection.ask(TAKE_BACK, {"action": action}, body={"reason": reason})

    def shadow(self, flow: str) -> list[EndsOfBoth]:
        """Count the ends that the acting version and its shadow reached for the same causes, most frequent first."""
        return self._connection.ask(SHADOW, {"flow": flow})

    def shadow_pairs(
        self, flow: str, *, acting_at: str | None = None, shadow_at: str | None = None, limit: int | None = None
    ) -> Pages[ShadowPair]:
        """List entities for which the two versions reached different ends, the latest first, or two given ends."""
        query = {"acting_at": acting_at, "shadow_at": shadow_at}
        return self._connection.pages(PAIRS, {"flow": flow}, query, limit)

    def request_replay(
        self,
        flow: str,
        *,
        version: int | None = None,
        base_version: int | None = None,
        alone: bool = False,
        as_of: Moment | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> FlowReplay:
        """Request a replay of a version over history, which a worker makes; it carries out no actions.

        Args:
            flow: the name of the flow.
            version: the version to replay; the newest by default.
            base_version: the version to compare with; the acting one by default.
            alone: compare with no version.
            as_of: run every entity on the facts of that moment, by default now.
            since: replay the events from then until before *until* instead of running every entity.
            until: see *since*.
        """
        versions = {"version": version, "base_version": base_version, "alone": alone or None}
        moments = {"as_of": as_of, "from": since, "until": until}
        selection = {name: value for name, value in {**versions, **moments}.items() if value is not None}
        return self._connection.ask(REPLAY, {"flow": flow}, body=selection)

    def replays(self, flow: str, *, limit: int | None = None) -> Pages[FlowReplay]:
        """List the replays of a flow, the newest first."""
        return self._connection.pages(REPLAYS, {"flow": flow}, limit=limit)

    def get_replay(self, replay: int) -> FlowReplay:
        """Show a replay's progress and its result."""
        return self._connection.ask(GET_REPLAY, {"replay": replay})

    def replay_people(
        self, replay: int, *, before_at: str | None = None, stopped_at: str | None = None, limit: int | None = None
    ) -> Pages[ReplayPerson]:
        """List entities that a replayed version treats differently, by where they stopped before, or stop now."""
        query = {"before_at": before_at, "stopped_at": stopped_at}
        return self._connection.pages(REPLAY_PEOPLE, {"replay": replay}, query, limit)

    def cancel_replay(self, replay: int, reason: str) -> FlowReplay:
        """Cancel a waiting or running replay."""
        return self._connection.ask(CANCEL_REPLAY, {"replay": replay}, body={"reason": reason})
