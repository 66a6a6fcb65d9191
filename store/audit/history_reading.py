"""Reading sealed history: the lines of each batch, in the order of the batches' numbers. Begins no transaction."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, cast

import polars as pl
from sqlalchemy import ColumnElement, Connection, TextClause, select, text
from sqlalchemy.orm import Session

from fivefold.store.audit.bound_rows import OF_ENTITY
from fivefold.store.audit.history import (
    ASSESSMENT,
    CORRECTION,
    TRANSACTION,
    assessment_lines,
    content_digest,
    correction_lines,
    settled_lines,
    transaction_lines,
)
from fivefold.store.levels.layouts import layout_in
from fivefold.store.sql.arrays import among, array_text
from fivefold.store.tables.audit import AuditEntry, AuditHead
from fivefold.store.tables.entities import Correction, Transaction

ROWS_AT_A_TIME = 1_000
ADDED, CORRECTED, SEALED = "transactions.added", "transactions.corrected", "transactions.sealed"
"""Actions that seal transactions, or corrections: when they are added, and again after others of their batch are
erased.
"""

_AS_ADDED = ", ".join(
    "CASE WHEN settled_batch IS NULL THEN state ELSE 'PENDING' END AS state" if name == "state" else name
    for name in TRANSACTION
)
_ADDED = "SELECT organisation_id, batch, {columns} FROM transactions WHERE batch {which}{of} ORDER BY batch"
_SETTLED = (
    "SELECT organisation_id, settled_batch AS batch, transaction_id, state FROM transactions"
    " WHERE settled_batch {which}{of} ORDER BY settled_batch"
)
_CORRECTED = (
    f"SELECT organisation_id, batch, {', '.join(CORRECTION)} FROM corrections"  # noqa: S608 (our own words)
    " WHERE batch {which}{of} ORDER BY batch"
)
_OF_BATCHES = (_ADDED, _SETTLED, _CORRECTED)
_ASSESSED = (
    "SELECT a.organisation_id, a.batch, a.entity_id, a.number, a.as_of_us, a.version_id, a.source, a.status, a.level,"
    " a.rules_level, a.floor, a.score, a.engine, a.breakdown, i.content, i.salt, i.sha256 AS content_sha256,"
    " i.removed_by,"
    " CASE WHEN t.entity_id IS NOT NULL THEN coalesce(t.from_level, 0) END AS moved_from,"
    " CASE WHEN t.entity_id IS NOT NULL THEN coalesce(t.to_level, 0) END AS moved_to,"
    " t.at_us AS moved_us, t.source AS moved_source, t.organisation_id AS moved_of, e.erased_us FROM assessments a"
    " LEFT JOIN assessment_inputs i ON i.entity_id = a.entity_id AND i.number = a.number"
    " LEFT JOIN transitions t ON t.entity_id = a.entity_id AND t.number = a.number"
    " LEFT JOIN entities e ON e.id = a.entity_id"
    " WHERE a.batch IS NOT NULL{of} ORDER BY a.batch, a.entity_id, a.number"
)

_UNSEALED = {
    "transaction": "SELECT organisation_id, transaction_id AS name FROM transactions",
    "assessment": "SELECT organisation_id, entity_id || '.' || number AS name FROM assessments",
}
_OF_ASSESSMENTS: Mapping[str, str] = {"transitions": "r.organisation_id", "assessment_inputs": OF_ENTITY}
"""The tables whose rows each belong to an assessment, and the organisation of a row *r*."""
_ALONE = (
    "SELECT {organisation} AS organisation_id, r.entity_id, r.number FROM {table} r WHERE NOT EXISTS"
    " (SELECT 1 FROM assessments a WHERE a.entity_id = r.entity_id AND a.number = r.number){of}"
)

Batch = tuple[int, set[int], list[str]]
"""The number of a batch, the organisations of its rows, and its lines as `store.audit.history` writes them."""
Row = Mapping[str, Any]


def transaction_batches(connection: Connection, organisation_id: int | None) -> Iterator[Batch]:
    """Stream the batches of transactions, each as when it was added; one batch is in memory at a time."""
    of = _only(organisation_id, "organisation_id")
    queries = [each.format(columns=_AS_ADDED, which="IS NOT NULL", of=of) for each in _OF_BATCHES]
    yield from _merge_batches([_streamed(connection, text(each)) for each in queries])


def lines_of_batches(
    session: Session, batches: Sequence[int], without: Sequence[int] = ()
) -> Iterator[tuple[int, list[str]]]:
    """Stream the lines of batches of transactions, as stored now; those of some entities are left out.

    One batch is in memory at a time; a batch with no lines left is skipped.
    """
    if not batches:
        return
    if session.get_bind().dialect.name == "sqlite":
        which, of = "IN (SELECT value FROM json_each(:batches))", "NOT IN (SELECT value FROM json_each(:entities))"
        parameters = {"batches": json.dumps(list(batches)), "entities": json.dumps(list(without))}
    else:  # arrays that the planner can read: it uses the index of the batches if these are few
        which, of = "= ANY(CAST(:batches AS BIGINT[]))", "<> ALL(CAST(:entities AS BIGINT[]))"
        parameters = {"batches": array_text(batches), "entities": array_text(without)}
    queries = [each.format(columns=_AS_ADDED, which=which, of=f" AND entity_id {of}") for each in _OF_BATCHES]
    streams = [_streamed(session.connection(), text(each).bindparams(**parameters)) for each in queries]
    yield from ((batch, lines) for batch, _, lines in _merge_batches(streams))


def _merge_batches(streams: Sequence[Iterator[Row]]) -> Iterator[Batch]:
    """Combine the rows that each batch added, settled and corrected; each stream is in the order of the batches."""
    groups = [groupby(rows, key=itemgetter("batch")) for rows in streams]
    heads = [next(group, None) for group in groups]
    while any(head is not None for head in heads):
        batch = min(head[0] for head in heads if head is not None)
        sides: list[Sequence[Row]] = [[] for _ in streams]
        for side, head in enumerate(heads):
            if head is not None and head[0] == batch:
                sides[side] = list(head[1])
                heads[side] = next(groups[side], None)
        yield batch, {row["organisation_id"] for rows in sides for row in rows}, _lines(*sides)


def _lines(added_rows: Sequence[Row], settled_rows: Sequence[Row], corrected_rows: Sequence[Row]) -> list[str]:
    settlements = settled_lines((row["transaction_id"], row["state"]) for row in settled_rows)
    corrections = correction_lines(_framed(corrected_rows, CORRECTION))
    return transaction_lines(_framed(added_rows, TRANSACTION)) + settlements + corrections


def _framed(rows: Sequence[Row], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Convert rows to the sealed columns; a column whose type was tampered with is read as far as possible."""
    read = itemgetter(*schema)
    return pl.DataFrame([read(row) for row in rows], schema=dict(schema), orient="row", strict=False)


def assessment_batches(
    connection: Connection, organisation_id: int | None
) -> Iterator[tuple[int, set[int], list[str], list[str]]]:
    """Stream the batches of assessments: number, organisations, lines, and problems with the content of some."""
    there = {(row["organisation_id"], row["name"]) for row in layouts(connection, organisation_id)}
    rows = _streamed(connection, text(_ASSESSED.format(of=_only(organisation_id, "a.organisation_id"))))
    yield from _assessed(rows, there)


def _assessed(
    rows: Iterator[Row], there: Collection[tuple[int, str]]
) -> Iterator[tuple[int, set[int], list[str], list[str]]]:
    """Compare the assessments of each batch; *there* are the stored layouts."""
    for batch, group in groupby(rows, key=itemgetter("batch")):
        rows_of_batch = list(group)
        wrong = [problem for row in rows_of_batch for problem in _wrong_content(row, there)]
        yield (
            batch,
            {row["organisation_id"] for row in rows_of_batch},
            assessment_lines(_framed(rows_of_batch, ASSESSMENT)),
            wrong,
        )


def _wrong_content(row: Row, there: Collection[tuple[int, str]]) -> Iterator[str]:
    """Describe the problems with the content of an assessment and with its transition."""
    name = f"assessment {row['entity_id']}.{row['number']}"
    if row["moved_from"] is not None and (row["moved_us"], row["moved_source"]) != (row["as_of_us"], row["source"]):
        yield f"the transition of {name} has another moment or source than the assessment"
    if row["moved_from"] is not None and row["moved_of"] != row["organisation_id"]:
        yield f"the transition of {name} is in organisation {row['moved_of']}, and the assessment is not"
    if row["erased_us"] is not None:
        if any(row[column] is not None for column in ("content", "salt", "breakdown")):
            yield f"the inputs or the breakdown of {name} are there, and the entity was erased"
        return
    if row["removed_by"] is not None:  # it is compared with the runs of the retention policy
        return
    if row["salt"] is None:
        yield f"the inputs of {name} are missing, and the entity was not erased"
    elif content_digest(row["salt"], row["content"], row["breakdown"]) != row["content_sha256"]:
        yield f"the inputs or the breakdown of {name} were changed"
    layout = layout_in(row["content"] or "")
    if layout is not None and (row["organisation_id"], layout) not in there:
        yield f"the layout of the inputs of {name} is missing: {layout}"


def layouts(connection: Connection, organisation_id: int | None) -> Iterator[Row]:
    """Stream the layouts of inputs."""
    of = _only(organisation_id, "organisation_id")
    query = f"SELECT organisation_id, name, content FROM input_layouts WHERE TRUE{of}"  # noqa: S608 (our own words)
    yield from _streamed(connection, text(query))


def unsealed_rows(connection: Connection, kind: str, organisation_id: int | None) -> Iterator[Row]:
    """Stream the transactions or the assessments that no call sealed: organisation and name."""
    which = f"batch IS NULL{_only(organisation_id, 'organisation_id')} ORDER BY organisation_id"
    yield from _streamed(connection, text(f"{_UNSEALED[kind]} WHERE {which}"))


def rows_alone(connection: Connection, organisation_id: int | None) -> Iterator[tuple[str, Row]]:
    """Stream the rows without their assessment, each with its table: organisation, entity and number."""
    for table, organisation in _OF_ASSESSMENTS.items():
        query = _ALONE.format(table=table, organisation=organisation, of=_only(organisation_id, organisation))
        for row in _streamed(connection, text(query)):
            yield table, row


def decisions(connection: Connection, organisation_id: int | None) -> Iterator[Row]:
    """Stream decisions by their numbers, each with whether its entity was erased."""
    query = (
        "SELECT d.*, e.erased_us FROM decisions d"
        " LEFT JOIN entities e ON e.id = d.entity_id WHERE TRUE{of} ORDER BY d.id"
    )
    yield from _streamed(connection, text(query.format(of=_only(organisation_id, "d.organisation_id"))))


def list_versions(connection: Connection, organisation_id: int | None) -> Iterator[Row]:
    """Stream the versions of lists."""
    query = "SELECT * FROM list_versions WHERE TRUE{of}"
    yield from _streamed(connection, text(query.format(of=_only(organisation_id, "organisation_id"))))


def rate_tables(connection: Connection, organisation_id: int | None) -> Iterator[Row]:
    """Stream the tables of rates."""
    query = "SELECT * FROM rate_tables WHERE TRUE{of}"
    yield from _streamed(connection, text(query.format(of=_only(organisation_id, "organisation_id"))))


def overrides(connection: Connection, organisation_id: int | None) -> Iterator[Row]:
    """Stream overrides, each with whether its entity was erased."""
    query = "SELECT o.*, e.erased_us FROM overrides o LEFT JOIN entities e ON e.id = o.entity_id WHERE TRUE{of}"
    yield from _streamed(connection, text(query.format(of=_only(organisation_id, "o.organisation_id"))))


def _only(organisation_id: int | None, column: str) -> str:
    return "" if organisation_id is None else f" AND {column} = {organisation_id:d}"


def _streamed(connection: Connection, query: TextClause) -> Iterator[Row]:
    with connection.execute(query, execution_options={"yield_per": ROWS_AT_A_TIME}) as rows:
        yield from cast("Iterator[Row]", rows.mappings())


def batches_of(session: Session, entity_ids: Sequence[int]) -> list[int]:
    """List the batches that have transactions of some entities, or corrections of them."""
    batches: set[int] = set()
    for table, column in (
        (Transaction, Transaction.batch),
        (Transaction, Transaction.settled_batch),
        (Correction, Correction.batch),
    ):
        query = table.__table__.select().with_only_columns(column).distinct()
        of = among(session, table.entity_id, entity_ids)
        batches.update(session.scalars(query.where(of, column.is_not(None))))
    return sorted(batches)


def added_us(session: Session, organisation_id: int, batch: int, since_us: int) -> int | None:
    """Return when the call of a batch of transactions was recorded, if that was after a moment; otherwise None."""
    return session.scalar(
        select(AuditEntry.at_us).where(*_of_batch(organisation_id, batch), AuditEntry.at_us > since_us)
    )


def _of_batch(organisation_id: int, batch: int) -> tuple[ColumnElement[bool], ...]:
    """Find the entry of the call that wrote a batch of transactions: new ones, and states of pending ones."""
    return (
        AuditEntry.organisation_id == organisation_id,
        AuditEntry.action == ADDED,
        AuditEntry.details.contains(f'"batch":{batch},'),
    )


def last_number(session: Session, organisation_id: int) -> int:
    """Return the number of the last entry of an organisation; 0 without one."""
    return session.scalar(select(AuditHead.number).where(AuditHead.organisation_id == organisation_id)) or 0


def sealing_entries(session: Session, organisation_id: int, after: int) -> Iterator[tuple[int, str]]:
    """Stream the entries after a number that sealed transactions or corrections: number, details."""
    columns = cast("Any", AuditEntry.__table__).c
    query = AuditEntry.__table__.select().with_only_columns(columns.number, columns.details)
    of_actions = query.where(
        columns.organisation_id == organisation_id,
        columns.number > after,
        columns.action.in_((ADDED, CORRECTED, SEALED)),
    )
    for row in session.execute(of_actions.execution_options(yield_per=ROWS_AT_A_TIME)):
        yield row.number, row.details


def senders(session: Session, organisation_id: int, batches: Mapping[int, int]) -> dict[int, str]:
    """Find who added transactions, by batch, as their audit entries say; a batch without an entry is left out.

    *batches* has the moment when the rows of each were recorded. The entry was written just after it, so the search
    begins there; a repair after a fast clock may have moved that moment.
    """
    names: dict[int, str] = {}
    for batch, recorded_us in batches.items():
        of_batch = select(AuditEntry.actor).where(*_of_batch(organisation_id, batch))
        after = of_batch.where(AuditEntry.at_us >= recorded_us).order_by(AuditEntry.at_us, AuditEntry.number)
        before = of_batch.where(AuditEntry.at_us < recorded_us)
        before = before.order_by(AuditEntry.at_us.desc(), AuditEntry.number.desc())
        sender = session.scalar(after.limit(1)) or session.scalar(before.limit(1))
        if sender is not None:
            names[batch] = sender
    return names
