"""What a fixture stores is stored once; each later test gets a copy of it, which takes a fraction of the time."""

import functools
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, text

Filled = TypeVar("Filled")


def filled_once(fill: Callable[[Engine], Filled]) -> Callable[[Engine], Filled]:
    """Let a fixture run once for each kind of database; afterwards give a copy of what it stored and returned.

    The fixture must depend on the database alone, which has all tables and no rows: on no clock and nothing random.
    """
    kept: dict[str, tuple[Any, Engine, Filled]] = {}

    @functools.wraps(fill)
    def filled(engine: Engine) -> Filled:
        kind = engine.dialect.name
        if kind in kept:
            _WRITERS[kind](engine, kept[kind][0])
        else:
            made = fill(engine)
            kept[kind] = _READERS[kind](engine), engine, made
        _, of, made = kept[kind]
        return deepcopy(made, {id(of): engine})

    return filled


def _read_file(engine: Engine) -> bytes:
    engine.dispose()  # closes the last connection: everything is in the one file then
    return Path(engine.url.database or "").read_bytes()


def _write_file(engine: Engine, content: bytes) -> None:
    engine.dispose()
    Path(engine.url.database or "").write_bytes(content)


Rows = tuple[dict[str, bytes], str]
"""What each table has, as PostgreSQL copies it; and the statement that brings its counters to where they were."""
_TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
_COUNTERS = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL"


def read_rows(engine: Engine) -> Rows:
    """Read all that a PostgreSQL has, to be written into another one."""
    rows = {}
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        for table in connection.scalars(text(_TABLES)).all():
            with cursor.copy(f'COPY "{table}" TO STDOUT') as copying:  # type: ignore[attr-defined]  # psycopg's own
                rows[table] = b"".join(copying)
        counters = [f"setval('{name}', {value})" for name, value in connection.execute(text(_COUNTERS))]
    del rows["alembic_version"]
    return {table: content for table, content in rows.items() if content}, "SELECT " + ", ".join(counters)


def write_rows(engine: Engine, kept: Rows) -> None:
    """Write what was read into a PostgreSQL with all tables and no rows."""
    rows, counters = kept  # which obeyed guards and references when they were stored
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        cursor = connection.connection.cursor()
        for table, content in rows.items():
            with cursor.copy(f'COPY "{table}" FROM STDIN') as copying:  # type: ignore[attr-defined]  # psycopg's own
                copying.write(content)
        connection.execute(text(counters))


_READERS: dict[str, Callable[[Engine], Any]] = {"sqlite": _read_file, "postgresql": read_rows}
_WRITERS: dict[str, Callable[[Engine, Any], None]] = {"sqlite": _write_file, "postgresql": write_rows}
