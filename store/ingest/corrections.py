"""Stored corrections and reversals of transactions, read before more are added. Begins no transaction."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl
from psycopg.errors import UniqueViolation
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.store.audit.history import CORRECTION
from fivefold.store.levels.bulk_reads import read_rows
from fivefold.store.sql.arrays import among
from fivefold.store.sql.bulk import write_rows
from fivefold.store.tables.entities import COUNTS_FROM, Correction, Entity, Transaction

COLUMNS = (*CORRECTION, "organisation_id", "recorded_us", "batch")


class CorrectedTransaction(NamedTuple):
    """The entity of a stored transaction that a correction names."""

    entity_id: int
    external_id: str
    type_id: int


def transactions_named(
    session: Session, organisation_id: int, numbers: Sequence[str]
) -> dict[str, CorrectedTransaction]:
    """Find transactions by their numbers, and lock them until the transaction ends."""
    statement = (
        select(Transaction.transaction_id, Entity.id, Entity.external_id, Entity.type_id)
        .join(Entity, Entity.id == Transaction.entity_id)
        .where(
            Transaction.organisation_id == organisation_id,
            among(session, Transaction.transaction_id, numbers),
            Entity.erased_us.is_(None),
        )
        .order_by(Transaction.transaction_id)
        .with_for_update(of=Transaction)
    )
    return {row[0]: CorrectedTransaction(row[1], row[2], row[3]) for row in session.execute(statement)}


def corrections_named(session: Session, organisation_id: int, numbers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Find corrections by their own numbers: `store.audit.history.CORRECTION`, each by its number."""
    columns = [getattr(Correction, name) for name in CORRECTION]
    statement = select(*columns).where(
        Correction.organisation_id == organisation_id, among(session, Correction.external_id, numbers)
    )
    return {row["external_id"]: dict(row) for row in session.execute(statement).mappings()}


def correction_kinds(session: Session, entity_ids: Sequence[int]) -> list[tuple[str, int, str]]:
    """List the corrections of entities' transactions: transaction, from when it counts, kind; by arrival."""
    frame = read_rows(
        session,
        f"SELECT transaction_id, {COUNTS_FROM}, kind FROM corrections WHERE entity_id IN :ids ORDER BY id",  # noqa: S608 (our own words)
        list(entity_ids),
        {"transaction_id": pl.String, "known_us": pl.Int64, "kind": pl.String},
    )
    return frame.rows()


def add_corrections(session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
    """Add corrections, `COLUMNS`; ConflictError if a concurrent transaction took one of the numbers."""
    try:
        write_rows(session, "corrections", COLUMNS, rows)
    except UniqueViolation as error:
        raise ConflictError("another call stored the same at this moment; look, and send it again") from error
