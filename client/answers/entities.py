"""Entities and their data."""

from datetime import datetime
from typing import Any

from fivefold.client.answers.base import Answer, RowProblem
from fivefold.client.answers.levels import Level


class EntityLine(Answer):
    """An entity in a list."""

    id: int
    external_id: str
    level: str | None
    status: str | None


class EntityMatch(Answer):
    """An entity that a search found, the words that matched, and its level."""

    external_id: str
    name: str
    found_in: str | None
    level: str | None
    status: str | None
    failing: bool
    segment: str | None
    expected_value: float | None
    currency: str | None


class RelatedEntity(Answer):
    """An entity that owns another, or is owned by it."""

    type: str
    external_id: str
    since: datetime | None
    until: datetime | None
    level: str | None
    status: str | None
    failing: bool


class Profile(Answer):
    """An entity: its attributes, owners, owned entities and level."""

    type: str
    external_id: str
    owners: tuple[RelatedEntity, ...]
    owns: tuple[RelatedEntity, ...]
    attributes: dict[str, Any]
    created_at: datetime
    known_at: datetime | None
    erased_at: datetime | None
    risk: Level


class Tag(Answer):
    """A tag that an entity has or had."""

    tag: str
    since: datetime
    until: datetime | None
    set_by: str
    set_reason: str | None = None
    set_proposed_by: str | None = None
    ended_by: str | None = None
    end_reason: str | None = None
    end_proposed_by: str | None = None
    goes_on: bool | None = None


class Correction(Answer):
    """A later correction of a transaction."""

    number: str
    kind: str
    known_at: datetime
    recorded_at: datetime
    reason: str
    set_by: str
    changes: dict[str, Any]


class Transaction(Answer):
    """A transaction as it was sent, in its own currency; a deposit is positive."""

    type: str
    external_id: str
    transaction_id: str
    at: datetime
    amount: float
    currency: str
    state: str | None
    balance: float | None
    category: str | None
    recorded_at: datetime
    fields: dict[str, Any]
    corrections: tuple[Correction, ...]


class TransactionsWriteResult(Answer):
    """The numbers of transactions that were new, changed their state, and were already stored."""

    new: int
    changed: int
    repeated: int
    corrections: int
    without_rate: int
    refused: int
    errors: tuple[RowProblem, ...]
