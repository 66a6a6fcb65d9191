"""Transactions and their corrections, added in bulk if their number is new. Begins and ends no transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import polars as pl
from psycopg.errors import UniqueViolation
from sqlalchemy import Row, TextClause, bindparam, exists, select, text, true
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.store.audit.history import CORRECTION, new_batch, settled_lines, transaction_lines
from fivefold.store.levels.bulk_reads import read_rows
from fivefold.store.sql.arrays import among, among_parameter, array_text
from fivefold.store.sql.statements import write_frame, write_rows
from fivefold.store.tables.entities import COUNTS_FROM, Correction, Entity, Transaction

COLUMNS = (
    "transaction_id",
    "entity_id",
    "at_us",
    "amount",
    "currency",
    "state",
    "balance",
    "category",
    "account_created_us",
    "content",
)
_ALL = ", ".join(COLUMNS)
_STAGED = {
    "sqlite": "CREATE TEMP TABLE IF NOT EXISTS staged (transaction_id TEXT, entity_id INTEGER, at_us INTEGER,"
    " amount REAL, currency TEXT, state TEXT, balance REAL, category TEXT, account_created_us INTEGER, content TEXT)",
    "postgresql": "CREATE TEMP TABLE IF NOT EXISTS staged (transaction_id text, entity_id bigint, at_us bigint,"
    " amount double precision, currency text, state text, balance double precision, category text,"
    " account_created_us bigint, content text) ON COMMIT DELETE ROWS",
}
"""The table of a call's rows; PostgreSQL empties it after each transaction."""
_EMPTY = text("DELETE FROM staged")
_FACTS = ("entity_id", "at_us", "amount", "currency", "balance", "category", "account_created_us", "content")
_JOINED = "organisation_id = :of AND transactions.transaction_id = staged.transaction_id"
LOOKED_FOR = 50
"""About this many of a call's numbers are looked up before it is copied: that finds retries, which repeat a whole call.
A look-up of all would take as long as the index does; if another number is already stored, the copy is rolled back.
"""
_KNOWN = text(
    "SELECT EXISTS (SELECT 1 FROM transactions"
    " WHERE organisation_id = :of AND transaction_id = ANY(CAST(:ids AS text[])))"
)
CORRECTION_COLUMNS = (*CORRECTION, "organisation_id", "recorded_us", "batch")


def _add(order: str) -> TextClause:
    """Build the insert, in one fixed order: concurrent calls with the same transactions would deadlock otherwise."""
    return text(
        f"INSERT INTO transactions (organisation_id, recorded_us, batch, {_ALL})"  # noqa: S608 (our own words)
        f" SELECT :of, :now, :batch, {_ALL} FROM staged WHERE true ORDER BY transaction_id {order}"
        " ON CONFLICT (organisation_id, transaction_id) DO NOTHING RETURNING entity_id, transaction_id"
    )


_ADD = {"sqlite": _add(""), "postgresql": _add('COLLATE "C"')}


def _statements(differs: str) -> tuple[TextClause, TextClause]:
    """Build, with the dialect's null-safe inequality, the query for conflicts and the update of states."""
    state = f"transactions.state {differs} staged.state"
    # A pending row that arrives after the settled one is late, and changes nothing.
    final = f"{state} AND 'PENDING' NOT IN (coalesce(transactions.state, ''), coalesce(staged.state, ''))"
    other = {name: f"transactions.{name} {differs} staged.{name}" for name in _FACTS} | {"state": f"({final})"}
    contents = {"stored_content": "transactions.content", "sent_content": "staged.content"}
    columns = ", ".join(f"{value} AS {name}" for name, value in {**other, **contents}.items())
    contradicts = (
        f"SELECT staged.transaction_id, {columns}"  # noqa: S608 (our own words)
        f" FROM staged JOIN transactions ON {_JOINED} WHERE {' OR '.join(other.values())}"
    )
    change = (
        "UPDATE transactions SET state = staged.state, settled_batch = :batch FROM staged"  # noqa: S608 (as above)
        f" WHERE {_JOINED} AND transactions.state = 'PENDING' AND {state}"
        " RETURNING transactions.entity_id, transactions.transaction_id, transactions.state, transactions.batch,"
        " transactions.recorded_us"
    )
    return text(contradicts), text(change)


_LATER = {"sqlite": _statements("IS NOT"), "postgresql": _statements("IS DISTINCT FROM")}


@dataclass(frozen=True, kw_only=True)
class AddedTransactions:
    """The result of adding staged rows.

    Attributes:
        new: how many were added.
        changed: how many changed their state.
        touched: the entities of added and changed rows.
        conflicts: numbers that were stored before with other content, and the columns that differ, own fields by
            their names; the transaction must then be rolled back.
        batch: the number that identifies the added and changed rows.
        lines: the added and changed rows, as `store.audit.history` seals them.
        added: the new rows.
        settled: `entity_id` and `transaction_id` of those that changed their state, and `batch` and `recorded_us` of
            the call that added each.
    """

    new: int
    changed: int
    touched: set[int]
    conflicts: Mapping[str, Sequence[str]]
    batch: int = field(default=0, compare=False)
    lines: list[str] = field(default_factory=list, compare=False)
    added: pl.DataFrame = field(default_factory=pl.DataFrame, compare=False)
    settled: pl.DataFrame = field(default_factory=pl.DataFrame, compare=False)


def _copied(session: Session, organisation_id: int, staged: pl.DataFrame, now_us: int, batch: int) -> bool:
    """Copy transactions straight into the table, in half the time; False if a number was already stored."""
    rows = staged.select(COLUMNS).sort("transaction_id")
    some = rows["transaction_id"].gather_every(max(1, len(rows) // LOOKED_FOR)).to_list()
    if session.scalar(_KNOWN, {"of": organisation_id, "ids": array_text(some)}):
        return False
    of, now = pl.lit(organisation_id).alias("organisation_id"), pl.lit(now_us).alias("recorded_us")
    in_batch = pl.lit(batch).alias("batch")
    try:
        with session.begin_nested():
            write_frame(session, "transactions", rows.with_columns(of, now, in_batch))
    except UniqueViolation:  # a concurrent call added it
        return False
    return True


def add_transactions(session: Session, organisation_id: int, staged: pl.DataFrame, now_us: int) -> AddedTransactions:
    """Add transactions whose numbers are new, and update the state of those that were pending.

    Args:
        session: in the transaction of the use case.
        organisation_id: their organisation.
        staged: `COLUMNS`, each number once.
        now_us: when they were recorded.
    """
    dialect = session.get_bind().dialect.name
    batch = new_batch()
    if dialect == "postgresql" and _copied(session, organisation_id, staged, now_us, batch):
        return AddedTransactions(
            new=len(staged),
            changed=0,
            touched=set(staged["entity_id"].unique().to_list()),
            conflicts={},
            batch=batch,
            lines=transaction_lines(staged),
            added=staged,
        )
    session.execute(text(_STAGED[dialect]))
    if dialect == "sqlite":
        session.execute(_EMPTY)
    write_frame(session, "staged", staged[[*COLUMNS]])
    of = {"of": organisation_id}
    new = session.execute(_ADD[dialect], {**of, "now": now_us, "batch": batch}).all()
    if len(new) == len(staged):
        return AddedTransactions(
            new=len(new),
            changed=0,
            touched={row.entity_id for row in new},
            conflicts={},
            batch=batch,
            lines=transaction_lines(staged),
            added=staged,
        )
    contradicts, change = _LATER[dialect]
    # The update comes first: it waits for a concurrent call that settles the same one, which then shows as a conflict.
    settled_rows = session.execute(change, {**of, "batch": batch}).all()
    conflicts = {row.transaction_id: _differing(row) for row in session.execute(contradicts, of)}
    new_rows = staged.filter(staged["transaction_id"].is_in([row.transaction_id for row in new]))
    settled_columns = ("entity_id", "transaction_id", "batch", "recorded_us")
    lines = transaction_lines(new_rows) + settled_lines((row.transaction_id, row.state) for row in settled_rows)
    touched_ids = {row.entity_id for row in (*new, *settled_rows)}
    return AddedTransactions(
        new=len(new),
        changed=len(settled_rows),
        touched=touched_ids,
        conflicts=conflicts,
        batch=batch,
        lines=lines,
        added=new_rows,
        settled=pl.DataFrame({name: [getattr(row, name) for row in settled_rows] for name in settled_columns}),
    )


def _differing(row: Row[Any]) -> list[str]:
    """Return the columns in which a staged row differs from the stored one; for `content`, the names of its fields."""
    columns = [name for name in (*_FACTS, "state") if name != "content" and getattr(row, name)]
    before, after = (json.loads(each or "{}") for each in (row.stored_content, row.sent_content))
    own = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [*columns, *own] or ["content"]


def numbers_taken(session: Session, organisation_id: int, numbers: Sequence[str]) -> set[str]:
    """Return which of some numbers are already stored."""
    of = (Transaction.organisation_id == organisation_id, among(session, Transaction.transaction_id, numbers))
    return set(session.scalars(select(Transaction.transaction_id).where(*of)))


def add_new(session: Session, organisation_id: int, staged: pl.DataFrame, now_us: int) -> None:
    """Add transactions whose numbers are new, with `COLUMNS` and the `batch` of each.

    ConflictError if a concurrent transaction took one of the numbers; the transaction must then be rolled back.
    """
    of, now = pl.lit(organisation_id).alias("organisation_id"), pl.lit(now_us).alias("recorded_us")
    try:
        write_frame(
            session, "transactions", staged.select(*COLUMNS, "batch").sort("transaction_id").with_columns(of, now)
        )
    except UniqueViolation as error:
        raise ConflictError("another call stored the same at this moment; check, and send it again") from error


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


_CORRECTIONS: Final = {
    dialect: select(*(getattr(Correction, name) for name in CORRECTION)).where(
        Correction.organisation_id == bindparam("of"), among_parameter(dialect, Correction.external_id, "numbers")
    )
    for dialect in ("sqlite", "postgresql")
}
"""Built once, as each call that adds transactions runs it."""


def corrections_named(session: Session, organisation_id: int, numbers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Find corrections by their own numbers: `store.audit.history.CORRECTION`, each by its number."""
    statement = _CORRECTIONS[session.get_bind().dialect.name]
    rows = session.execute(statement, {"of": organisation_id, "numbers": numbers}).mappings()
    return {row["external_id"]: dict(row) for row in rows}


def correction_kinds(session: Session, entity_ids: Sequence[int]) -> list[tuple[str, int, str]]:
    """List the corrections of entities' transactions: transaction, from when it counts, kind; in order of arrival."""
    frame = read_rows(
        session,
        f"SELECT transaction_id, {COUNTS_FROM}, kind FROM corrections WHERE entity_id IN :ids ORDER BY id",  # noqa: S608 (our own words)
        list(entity_ids),
        {"transaction_id": pl.String, "known_us": pl.Int64, "kind": pl.String},
    )
    return frame.rows()


def add_corrections(session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
    """Add corrections, `CORRECTION_COLUMNS`; ConflictError if a concurrent transaction took one of the numbers."""
    try:
        write_rows(session, "corrections", CORRECTION_COLUMNS, rows)
    except UniqueViolation as error:
        raise ConflictError("another call stored the same at this moment; check, and send it again") from error


def has_other_currency(
    session: Session, entity_ids: Sequence[int], currency: str, after_us: int | None, until_us: int
) -> bool:
    """Return whether a transaction that counts by a moment is not in *currency*, or was corrected to another one.

    Args:
        session: to read with.
        entity_ids: the entities of the transactions.
        currency: the expected currency.
        after_us: only later transactions count, but all corrections; None for all.
        until_us: the moment.
    """
    rows = exists().where(
        among(session, Transaction.entity_id, entity_ids),
        Transaction.currency != currency,
        Transaction.at_us <= until_us,
        true() if after_us is None else Transaction.at_us > after_us,
    )
    corrections = exists().where(
        among(session, Correction.entity_id, entity_ids),
        Correction.currency != currency,
        Correction.counts_from_us <= until_us,
    )
    return bool(session.scalar(select(rows | corrections)))
