"""Reads whole chains to verify them: from one consistent snapshot of the database, a few rows at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, select

from fivefold.store.sql.database import reachable
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.audit import AuditEntry, AuditHead, AuditValues

ROWS_AT_A_TIME = 1_000

_ENTRIES = cast("Table", AuditEntry.__table__)
_VALUES = cast("Table", AuditValues.__table__)
_OF_VALUES = (_VALUES.c.organisation_id == _ENTRIES.c.organisation_id) & (_VALUES.c.number == _ENTRIES.c.number)
_CHAINS = (
    select(
        _ENTRIES,
        _VALUES.c.number.label("values_number"),
        _VALUES.c.salt,
        _VALUES.c.before,
        _VALUES.c.after,
        _VALUES.c.erased_us,
    )
    .outerjoin(_VALUES, _OF_VALUES)
    .order_by(_ENTRIES.c.organisation_id, _ENTRIES.c.number)
)
_STRAY = (
    select(_VALUES.c.organisation_id, _VALUES.c.number)
    .outerjoin(_ENTRIES, _OF_VALUES)
    .where(_ENTRIES.c.number.is_(None))
    .order_by(_VALUES.c.organisation_id, _VALUES.c.number)
)


@dataclass(frozen=True)
class Head:
    """The last entry of an organisation's chain."""

    organisation_id: int
    organisation: str
    number: int
    hash: str


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Open a connection to a snapshot of the database, which concurrent writes do not change."""
    with reachable(engine), engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            with _any_text(connection):
                connection.exec_driver_sql("BEGIN")
                yield connection
                connection.rollback()
        else:
            yield connection.execution_options(isolation_level="REPEATABLE READ")


@contextmanager
def _any_text(connection: Connection) -> Iterator[None]:
    """Also read text that is not UTF-8: SQLite stores such bytes, and a log that was tampered with may have them."""
    driver = cast("Any", connection.connection.driver_connection)
    driver.text_factory = lambda read: read.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = str


def chains(connection: Connection, organisation_id: int | None = None) -> Iterator[Mapping[str, Any]]:
    """Stream entries with their values, organisation by organisation, in the order of their numbers.

    Each has the entry's columns, `values_number` (None without a row of values), and that row's columns.
    """
    query = _CHAINS if organisation_id is None else _CHAINS.where(_ENTRIES.c.organisation_id == organisation_id)
    yield from _streamed(connection, query)


def stray_values(connection: Connection, organisation_id: int | None = None) -> Iterator[Mapping[str, Any]]:
    """Stream the organisation and number of each row of values without an entry."""
    query = _STRAY if organisation_id is None else _STRAY.where(_VALUES.c.organisation_id == organisation_id)
    yield from _streamed(connection, query)


def _streamed(connection: Connection, query: Any) -> Iterator[Mapping[str, Any]]:
    with connection.execute(query, execution_options={"yield_per": ROWS_AT_A_TIME}) as rows:
        yield from cast("Iterator[Mapping[str, Any]]", rows.mappings())


def heads(connection: Connection) -> list[Head]:
    """Read the heads of all organisations that have one."""
    query = select(AuditHead.organisation_id, Organisation.name, AuditHead.number, AuditHead.hash)
    with_organisation = query.join(Organisation, Organisation.id == AuditHead.organisation_id)
    return [Head(*row) for row in connection.execute(with_organisation.order_by(AuditHead.organisation_id))]


def names(connection: Connection) -> dict[int, str]:
    """Read the names of all organisations by their numbers."""
    return {row.id: row.name for row in connection.execute(select(Organisation.id, Organisation.name))}
