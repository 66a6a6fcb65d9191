"""Binding what a migration meets: the audit log has from then on the digest of each row, as it is then.

Transactions and assessments without a batch, which were written before calls sealed what they write, are sealed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.store.audit.bound_rows import BoundTable, stored
from fivefold.store.audit.chain import Entry, digest_of
from fivefold.store.audit.history import content_digest, new_batch, new_salts, seal
from fivefold.store.audit.history_reading import ASSESSMENTS_BOUND, BOUND, lines_of_assessments, lines_of_batch
from fivefold.store.audit.log import append

SALT: Final = {
    "sqlite": "lower(hex(randomblob(16)))",
    "postgresql": "replace(CAST(gen_random_uuid() AS text), '-', '')",
}
"""Draws a salt, in SQL, for each row of an UPDATE."""
_PAGE = 5_000


def bind(connection: Connection, tables: Iterable[BoundTable]) -> None:
    """Bind all rows of tables, which have their salts, by entries `rows.bound` of up to 5,000 of them."""
    for table in tables:
        waiting: defaultdict[int, dict[str, str | None]] = defaultdict(dict)
        for of, name, digest in stored(connection, table):
            waiting[of][name] = digest
            if len(waiting[of]) == _PAGE:
                _record(connection, of, table.name, waiting.pop(of))
        for of, rows in sorted(waiting.items()):
            _record(connection, of, table.name, rows)


def _record(connection: Connection, organisation_id: int, table: str, rows: dict[str, str | None]) -> None:
    said = {table: rows}
    about: dict[str, Any] = {"details": {"table": table}, "after": {"rows": said}, "bulk_digest": digest_of([said])}
    with Session(connection) as session:
        _append(session, organisation_id, ("rows.bound", "row"), len(rows), about)


def _append(
    session: Session, organisation_id: int, what: tuple[str, str], count: int, about: Mapping[str, Any]
) -> None:
    action, kind = what
    fixed: dict[str, Any] = {"organisation_id": organisation_id, "at_us": now_microseconds(), "actor": "system"}
    append(session, Entry(**fixed, action=action, subject_kind=kind, bulk_count=count, **about))


@contextmanager
def guards_asleep(connection: Connection, *tables: str) -> Iterator[None]:
    """Let a migration change what triggers guard; they are as they were afterwards."""
    if connection.dialect.name == "postgresql":
        for table in tables:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        yield
        for table in tables:
            connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))
        return
    wanted = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN :tables")
    guards = connection.execute(wanted.bindparams(bindparam("tables", tables, expanding=True))).all()
    for name, _ in guards:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    yield
    for _, written in guards:
        connection.exec_driver_sql(written)


def seal_unsealed(connection: Connection) -> None:
    """Give a batch to transactions and assessments that have none, up to 5,000 at a time, and seal each."""
    tables = ("transactions", "assessments", "assessment_inputs")
    asked = "SELECT DISTINCT organisation_id FROM {} WHERE batch IS NULL ORDER BY 1"
    found = {table: connection.scalars(text(asked.format(table))).all() for table in tables[:2]}
    if not any(found.values()):
        return
    with guards_asleep(connection, *tables), Session(connection) as session:
        for of in found["transactions"]:
            while batch := _batch_given(session, "transactions", ("transaction_id",), of):
                _seal(session, of, (BOUND, "transaction", batch), lines_of_batch(session, batch))
        for of in found["assessments"]:
            while batch := _batch_given(session, "assessments", ("entity_id", "number"), of):
                _bind_contents(session, batch)
                _seal(session, of, (ASSESSMENTS_BOUND, "assessment", batch), lines_of_assessments(session, batch))


def _batch_given(session: Session, table: str, key: tuple[str, ...], organisation_id: int) -> int | None:
    """Give some rows without a batch a new one; None where there are none any more."""
    batch, names = new_batch(), ", ".join(key)
    chosen = f"SELECT {names} FROM {table} WHERE organisation_id = :of AND batch IS NULL ORDER BY {names} LIMIT {_PAGE}"  # noqa: S608 (our own words)
    given = f"UPDATE {table} SET batch = :batch WHERE organisation_id = :of AND ({names}) IN ({chosen})"  # noqa: S608 (our own words)
    done: Any = session.execute(text(given), {"of": organisation_id, "batch": batch})
    return batch if done.rowcount else None


def _bind_contents(session: Session, batch: int) -> None:
    """Hash what assessments were made from, where nothing did; what was erased stays as it is."""
    rows = session.execute(
        text(
            "SELECT a.entity_id, a.number, i.content, a.breakdown FROM assessments a JOIN assessment_inputs i"
            " ON i.entity_id = a.entity_id AND i.number = a.number JOIN entities e ON e.id = a.entity_id"
            " WHERE a.batch = :batch AND i.salt IS NULL AND e.erased_us IS NULL"
        ),
        {"batch": batch},
    ).all()
    hashed = "UPDATE assessment_inputs SET salt = :salt, sha256 = :made WHERE entity_id = :entity AND number = :number"
    for (entity, number, content, breakdown), salt in zip(rows, new_salts(len(rows)), strict=True):
        made = content_digest(salt, content, breakdown)
        session.execute(text(hashed), {"salt": salt, "made": made, "entity": entity, "number": number})


def _seal(session: Session, organisation_id: int, what: tuple[str, str, int], lines: Sequence[str]) -> None:
    action, kind, batch = what
    made = seal(lines, new_salts(1)[0])
    about = {
        "details": {"batch": batch},
        "after": {"salt": made.salt, "marks": made.marks},
        "bulk_digest": made.digest,
    }
    _append(session, organisation_id, (action, kind), len(lines), about)
