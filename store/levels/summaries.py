"""Summaries of entities' transactions: the few that represent all up to a moment. Begins and ends no transaction.

Workers make them to reduce reading: without one, everything is read. A call that stores or corrects transactions in the
time that a summary covers deletes it, after it marked the entity due. So either the worker that makes a summary waits
for that mark and then sees another revision than it claimed, or the call waits for the worker and then finds the
summary.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl
from sqlalchemy.orm import Session

from fivefold.store.levels.bulk_reads import read_rows, transaction_columns
from fivefold.store.levels.leases import LeasedBatch
from fivefold.store.sql.arrays import array_text
from fivefold.store.sql.statements import delete_rows_of, write_rows

_COLUMNS = ("entity_id", "transaction_id", "organisation_id", "until_us")
_UNTIL: Mapping[str, Any] = {"entity": pl.Int64, "until_us": pl.Int64}
_REVISIONS: Mapping[str, Any] = {"entity": pl.Int64, "revision": pl.Int64}
_FORGET = {
    "sqlite": "DELETE FROM summary_transactions WHERE entity_id = ? AND until_us >= ?",
    "postgresql": (
        "DELETE FROM summary_transactions s USING unnest(%s::bigint[], %s::bigint[]) AS given(entity_id, at_us)"
        " WHERE s.entity_id = given.entity_id AND s.until_us >= given.at_us"
    ),
}
BEFORE_ALL = -(2**63)
"""Earlier than any moment: the moment of a fact that may be at any time."""


def summaries(session: Session, ids: Sequence[int]) -> pl.DataFrame:
    """Return the moments up to which there are summaries: `entity`, `until_us`."""
    query = "SELECT DISTINCT entity_id, until_us FROM summary_transactions WHERE entity_id IN :ids"
    return read_rows(session, query, ids, _UNTIL)


def summary_transactions(session: Session, ids: Sequence[int], *, for_value: bool) -> pl.DataFrame:
    """Read the transactions of summaries, in the columns of `store.levels.bulk_reads.transactions`, unordered."""
    schema = transaction_columns(for_value=for_value)
    columns = ", ".join(f"t.{name}" for name in schema if name != "entity")
    query = (
        f"SELECT t.entity_id, {columns} FROM summary_transactions s JOIN transactions t"  # noqa: S608 (our own words)
        " ON t.organisation_id = s.organisation_id AND t.transaction_id = s.transaction_id WHERE s.entity_id IN :ids"
    )
    return read_rows(session, query, ids, schema)


def store_summaries(session: Session, batch: LeasedBatch, chosen: pl.DataFrame) -> None:
    """Replace summaries of leased entities with new ones, only for entities to which nothing happened since.

    Args:
        session: in the transaction that locked the marks.
        batch: the claimed entities.
        chosen: `entity`, `transaction_id`, `until_us`.
    """
    ids = chosen["entity"].unique().to_list()
    if not ids:
        return
    same = unchanged_entities(session, batch, ids)
    delete_rows_of(session, "summary_transactions", same.intersection(ids))
    rows = [
        (entity, transaction, batch.organisation_id, until_us)
        for entity, transaction, until_us in chosen.select("entity", "transaction_id", "until_us").iter_rows()
        if entity in same
    ]
    write_rows(session, "summary_transactions", _COLUMNS, rows)


def unchanged_entities(session: Session, batch: LeasedBatch, ids: Sequence[int]) -> set[int]:
    """Return which of some entities did not change since they were claimed; the caller has locked their marks."""
    query = "SELECT entity_id, revision FROM due_marks WHERE entity_id IN :ids"
    now = dict(read_rows(session, query, ids, _REVISIONS).iter_rows()) if ids else {}
    return {claim.entity_id for claim in batch.claims if now.get(claim.entity_id) == claim.revision}


def forget_summaries(session: Session, earliest: Mapping[int, int] | Collection[int]) -> None:
    """Delete summaries that cover a changed moment; the entities were marked due before.

    Args:
        session: in the transaction that marked them.
        earliest: the moment by entity, in microseconds; for entities without a moment all summaries are deleted.
    """
    moments = earliest if isinstance(earliest, Mapping) else dict.fromkeys(earliest, BEFORE_ALL)
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_FORGET["sqlite"], list(moments.items())) if moments else None
        return
    arrays = (array_text(moments), array_text(moments.values()))
    connection.exec_driver_sql(_FORGET["postgresql"], arrays)
