"""Entities and what is known of them."""

from datetime import datetime
from typing import Any

from fivefold.client.answers.base import Answer, RowProblem
from fivefold.client.answers.levels import Level


class EntityLine(Answer):
    """An entity as it is listed."""

    id: int
    external_id: str
    level: str | None
    status: str | None


class EntityFound(Answer):
    """An entity that was found, in which of its words, and where it stands."""

    external_id: str
    name: str
    found_in: str | None
    level: str | None
    status: str | None
    segment: str | None
    expected_value: float | None
    currency: str | None


class Related(Answer):
    """An entity that owns another, or is owned by it."""

    type: str
    external_id: str
    since: datetime | None
    until: datetime | None
    level: str | None
    status: str | None


class Profile(Answer):
    """An entity: its attributes, what it owns, and where it stands."""

    type: str
    external_id: str
    owners: tuple[Related, ...]
    owns: tuple[Related, ...]
    attributes: dict[str, Any]
    created_at: datetime
    known_at: datetime | None
    erased_at: datetime | None
    risk: Level


class Tag(Answer):
    """A tag that an entity has, or had."""

    tag: str
    since: datetime
    until: datetime | None
    set_by: str


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
    """A transaction as it was sent, in its own currency: a deposit is positive."""

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


class TransactionsTaken(Answer):
    """How many transactions were new, changed their state, and had been taken before."""

    new: int
    changed: int
    repeated: int
    corrections: int
    without_rate: int
    refused: int
    errors: tuple[RowProblem, ...]
