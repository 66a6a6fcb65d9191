"""Runs of flows, why they ended as they did, and their lasting effects."""

from datetime import datetime
from typing import Any

from pydantic import Field

from fivefold.client.answers.base import Answer


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
        state: ended, failed, waiting (for a person), queued, running, or quarantined: given up after a fault of the
            machine that stayed.
        at: the current step.
        error: what went wrong; of a run that is queued, why it is tried again. A program sees it in short.
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
    """What is wrong or doubtful in a text: where, and what, and its line and column where these are known."""

    where: str
    problem: str
    line: int | None
    column: int | None


class FlowImported(Answer):
    """The text of a flow that decides as a graph of JDM does; nothing is stored.

    Attributes:
        inputs: the fields of the flow that are inputs of the graph, by their names there.
        notes: what means something else in JDM, and what stands where.
        errors: what keeps the text from being committed.
        warnings: what is committed for a reason alone.
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
        status: the one that counts; None for none.
        status_action: the number of the action that gave it.
        limits: one of each name.
        reviews: the due times of pending reviews of the entity, earliest first.
        erased_at: when what was personal of it was erased.
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
        done: of `total`, in the words of `part`.
        base_version: the version that it is compared with; None for none.
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
