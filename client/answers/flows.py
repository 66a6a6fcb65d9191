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
        state: ended, failed, waiting (for a person), queued or running.
        at: the step where it is.
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
    taken: tuple[ActionTaken, ...]
    why: dict[str, Any] | None = None
    question: Question | None = None
    external_id: str | None = None
    error: str | None = None
    gone: str | None = None


class EndsOfBoth(Answer):
    """Where runs of one cause came to by the version that acts and by its shadow, and how many did."""

    acting_at: str
    acting_state: str
    shadow_at: str
    shadow_state: str
    comparable: bool
    runs: int


class ShadowPair(Answer):
    """Two runs of one cause that came to different ends."""

    type: str
    external_id: str
    cause: str
    begun_at: datetime
    acting_run: int
    acting_at: str | None
    shadow_run: int
    shadow_at: str | None
