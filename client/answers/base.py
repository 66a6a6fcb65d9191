"""What all answers have in common, and the few that several calls give."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """An answer, or a part of one: these fields, read once and not changed."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Version(Answer):
    """A version of a ruleset or a policy."""

    name: str
    version: int


class ValueSeen(Answer):
    """What a rule looked at, in words; the formula, with its numbers, where it is calculated."""

    name: str
    value: str
    formula: str | None = None


class RowProblem(Answer):
    """What is wrong with one field of one row, counted from 0."""

    row: int
    field: str
    problem: str
    allowed: str


class Taken(Answer):
    """How many rows were new, changed, or known already."""

    new: int
    changed: int
    same: int


class RowsTaken(Taken):
    """The same of many rows; `refused` were not taken, and `errors` say why."""

    refused: int
    errors: tuple[RowProblem, ...]


class Proposal(Answer):
    """A change that another person has to approve: where a fact would lower a level, it is proposed and not stored."""

    id: int
    kind: str
    subject: str
    content: dict[str, Any]
    reason: str
    proposed_by: str
    proposed_at: datetime
    state: str
