"""Runs of flows, why they came to their ends, and what stands because of them."""

from datetime import datetime
from typing import Any

from fivefold.client.answers.base import Answer


class ActionTaken(Answer):
    """An action that a run took; with more of it for people than for programs."""

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
    """A run, in short."""

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
    """What a run asks a person; `role` says who may answer."""

    step: str
    question: str
    role: str
    answers: tuple[str, ...]


class FlowRun(Answer):
    """Where a run came to.

    A program's token sees what stands before `why`; what it may not see is not in `model_fields_set`.

    Attributes:
        state: ended, failed, waiting (for a person), queued, running, or quarantined: given up after a fault of the
            machine that stayed.
        at: the step where it is.
        error: what went wrong; of a run that is queued, why it is tried again. A program sees it in short.
        taken: its actions.
        why: every step that it passed with what it saw, and the actions that follow.
        question: what it waits for.
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


class FlowTried(Answer):
    """Where one entity would come to by a version or a draft; nobody was asked, and nothing is done or stored.

    Attributes:
        version: None for a draft.
        why: every step that it passed with what it saw, and the actions that would follow.
        answered: the steps at which it went on by an answer that is kept of a run before.
        supposed: the steps at which it went on by what the request supposed.
        not_asked: the step at which a person or another system would be asked; None where none would.
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
    """Where runs of one cause came to by the version that acts and by its shadow, and how many did."""

    acting_at: str
    acting_state: str
    shadow_at: str
    shadow_state: str
    comparable: bool
    same_actions: bool
    runs: int


class ShadowPair(Answer):
    """Two runs of one cause that came to different ends."""

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
    """A limit that stands; `sets` is its amount in words, and `action` the number of the action that set it."""

    limit: str
    amount_minor: int
    sets: str
    action: int


class Standing(Answer):
    """What stands about an entity because of flows.

    Attributes:
        status: the one that counts; None for none.
        status_action: the number of the action that gave it.
        limits: one of each name.
        reviews: by when a person is to look at the entity, the first one first.
    """

    status: str | None
    status_action: int | None
    limits: tuple[Limit, ...]
    reviews: tuple[datetime, ...]


class FlowReplay(Answer):
    """A replay of a version over history.

    Attributes:
        state: queued, running, done, failed, cancelled or quarantined.
        done: of `total`, in the words of `part`.
        base_version: the version that it is compared with; None for none.
        report: counts by outcome and how many come to something else; None until it is done.
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
    """Whom a replayed version treats otherwise; `before_…` is what the version that it is compared with comes to."""

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
