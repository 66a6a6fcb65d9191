"""The base of all answers, and the types that several calls return.

Fields that a newer service adds are ignored, so they break nothing.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """An answer, or a part of one; its fields cannot be changed."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Version(Answer):
    """A version of a ruleset or a policy."""

    name: str
    version: int


class InputSeen(Answer):
    """An input of a rule, in words; for a calculated input, also its formula with the numbers."""

    name: str
    value: str
    formula: str | None = None


class RowProblem(Answer):
    """A problem with one field of one row; rows count from 0."""

    row: int
    field: str
    problem: str
    allowed: str


class WriteResult(Answer):
    """The numbers of rows that were new, changed, and already known."""

    new: int
    changed: int
    same: int


class BatchWriteResult(WriteResult):
    """The same for many rows; `refused` rows were not stored, and `errors` say why."""

    refused: int
    errors: tuple[RowProblem, ...]


class Proposal(Answer):
    """A change that another person has to approve: a fact that would lower a level is proposed instead of stored.

    Attributes:
        entity_type: the type of the entity that it is about; None, as is `external_id`, if it is about more than one.
    """

    id: int
    kind: str
    subject: str
    entity_type: str | None = None
    external_id: str | None = None
    content: dict[str, Any]
    reason: str
    proposed_by: str
    proposed_at: datetime
    state: str
