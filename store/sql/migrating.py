"""The migrations: which are due, whether the schema is the one that they start from, and their execution."""

from importlib import import_module
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from fivefold.domain.errors import StoreError
from fivefold.store.tables.accounts import Base

_MIGRATIONS: Final = Path(__file__).parents[1] / "migrations"
_FIRST: Final = "0001"
_LAST_FOLDED: Final = "0015"
"""The last migration that was folded into the first one before the first release; later ones follow it.

So each number means one schema, and a database with the number of a folded one is never taken for a newer program's.
"""
_UPGRADING: Final = 5_550_001
"""The number of PostgreSQL's lock that lets one program at a time change the schema; any number would do."""
LOCK_SECONDS: Final = 0.4
"""How long a migration waits for a table on PostgreSQL; until then all others that need the table wait behind it.

Two such waits are shorter than PostgreSQL's `deadlock_timeout` of 1 s, after which it would end a worker that waits for
the migration while the migration waits for the worker.
"""
PAUSE_SECONDS: Final = 1.0
"""How long others go on before the migration is tried again."""
PATIENCE_SECONDS: Final = 180.0
"""A migration is given up after this time without success."""
_HELD: Final = (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable)
_NAMED: Final = 3
"""How many columns or guards that differ an error names."""
_COLUMNS: Final = {
    "sqlite": "SELECT m.name, c.name FROM sqlite_master m, pragma_table_xinfo(m.name) c WHERE m.type = 'table'",
    "postgresql": (
        "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped"
        " AND pg_table_is_visible(pg_class.oid)"
    ),
}
_TRIGGERS: Final = {
    "sqlite": "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": (
        "SELECT relname, tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
        " WHERE NOT tgisinternal AND pg_table_is_visible(pg_class.oid)"
    ),
}
_ON_SQLITE_ALONE: Final = "_history_insert"
"""The end of the names of triggers that only SQLite has."""
_Part = tuple[str, str]
"""A column or a guard: its table, and its name."""


class SchemaVersionError(StoreError):
    """The database has another schema than this program needs; the message names both and no address."""


def newest() -> str:
    """Return the number of the schema that this program knows."""
    return _scripts().get_current_head() or ""


def revision_of(connection: Connection) -> str | None:
    """Return the number of a database's schema; None without one."""
    return MigrationContext.configure(connection).get_current_revision()


def is_newer(revision: str) -> bool:
    """Return whether a number is that of a later schema than this program knows."""
    return revision > max(newest(), _LAST_FOLDED)


def require_unfolded(revision: str) -> None:
    """Raise SchemaVersionError for the number of a migration that was folded into the first one."""
    if _FIRST < revision <= _LAST_FOLDED:
        raise SchemaVersionError(
            f"the database has schema {revision} of a program from before the first release, whose migrations are"
            f" folded into {_FIRST} since then. Nothing was changed. Make the database anew, and import its data again"
        )


def steps(connection: Connection) -> list[str]:
    """List the numbers of the migrations that are due, in order.

    Raises:
        SchemaVersionError: the schema is that of a migration that was folded into the first one, or unknown.
    """
    scripts, present = _scripts(), revision_of(connection) or "base"
    require_unfolded(present)
    try:
        scripts.get_revision(present)
    except CommandError:
        raise SchemaVersionError(
            f"the database has schema {present}, which this program does not know; it needs {newest()}. A later"
            " release made the database, or a program from before the first release. Nothing was changed. Use the"
            " release that made it; where there is none, make the database anew, and import its data again"
        ) from None
    return [script.revision for script in scripts.iterate_revisions("head", present)][::-1]


def migrate(connection: Connection, revision: str = "head") -> None:
    """Run the migrations up to a number in the transaction of a connection."""
    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def migrate_in_steps(engine: Engine, due: list[str]) -> None:
    """Run the migrations that are due on PostgreSQL, each in a transaction of its own; StoreError if one is given up.

    Each locks few tables, for a short time. Workers may lock them in another order: the migration then gives way, and
    is tried again. Migrations that another program ran meanwhile are skipped.
    """
    with engine.begin() as connection:
        _wait_for_others(connection)
        require_shape(connection)
    for revision in due:
        until = monotonic() + PATIENCE_SECONDS
        while not _is_done(engine, revision):
            if monotonic() > until:
                raise StoreError(
                    f"the schema was not brought forward to {revision}: for {PATIENCE_SECONDS:.0f} s other programs"
                    " held a table that this changes. What was done before is kept; end transactions that take long, or"
                    " stop workers and services of the release before, and start this again"
                )
            sleep(PAUSE_SECONDS)


def _is_done(engine: Engine, revision: str) -> bool:
    """Run a migration unless another program did; False if other programs held its table, and nothing was changed."""
    try:
        with engine.begin() as connection:
            _wait_for_others(connection)
            if revision in steps(connection):
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
                migrate(connection, revision)
    except DBAPIError as error:
        if isinstance(error.orig, _HELD):
            return False
        raise
    return True


def _wait_for_others(connection: Connection) -> None:
    """Wait until this transaction is the only one that changes PostgreSQL's schema."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADING})")


def require_shape(connection: Connection) -> None:
    """Raise SchemaVersionError unless tables have the columns and guards of the migrations up to the schema's number.

    Before the first release migrations were changed: a database from then may have the number without the columns.
    Additional columns of the operator are allowed.
    """
    revision = revision_of(connection)
    if revision is not None:
        _require(connection, revision, *_as_migrated(revision))


def require_columns(connection: Connection) -> None:
    """Raise SchemaVersionError unless tables have the columns that this program knows: the check at each start.

    Guards are not compared, as in `require_shape`: to know them, all migrations must run, for most of a second.
    """
    import_module("fivefold.store.tables.all")  # so that Base has all tables
    columns = {(table.name, column.name) for table in Base.metadata.tables.values() for column in table.columns}
    _require(connection, newest(), columns, set())


def _require(connection: Connection, revision: str, columns: set[_Part], guards: set[_Part]) -> None:
    present = _columns(connection, {table for table, _ in columns})
    absent = sorted(columns - present) + sorted(guards - _guards(connection))
    if absent:
        unknown = sorted(present - columns)
        differences = [f"{what} {_listed(names)}" for what, names in (("without", absent), ("with", unknown)) if names]
        raise SchemaVersionError(
            f"the database has schema {revision} {' and '.join(differences)}: a program from before the first release"
            " made it, or its tables were changed by other means. Nothing was changed. Take back the change, or make"
            " the database anew and import its data again if it is from before the first release"
        )


def _as_migrated(revision: str) -> tuple[set[_Part], set[_Part]]:
    """Return the columns and the guards that the migrations up to a number make, with their tables."""
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            migrate(connection, revision)
            guards = {guard for guard in _guards(connection) if not guard[1].endswith(_ON_SQLITE_ALONE)}
            return _columns(connection, set(inspect(connection).get_table_names())), guards
    finally:
        engine.dispose()


def _columns(connection: Connection, tables: set[str]) -> set[_Part]:
    rows = connection.execute(text(_COLUMNS[connection.dialect.name]))
    return {(table, column) for table, column in rows if table in tables}


def _guards(connection: Connection) -> set[_Part]:
    return {(table, name) for table, name in connection.execute(text(_TRIGGERS[connection.dialect.name]))}


def _listed(names: list[_Part]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(".".join(name) for name in names[:_NAMED]) + more


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic())


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
