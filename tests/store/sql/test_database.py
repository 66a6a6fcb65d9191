"""The database: opened by its address, brought forward by migrations that make exactly the tables."""

import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, event, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, PendingRollbackError

from fivefold.domain.errors import ConfigError, FivefoldError, LockedError, StoreError, UnknownOutcomeError
from fivefold.store import migrations
from fivefold.store.sql import database
from fivefold.store.sql.database import (
    BUSY_SECONDS,
    SchemaWatch,
    bring_forward,
    empty_write_ahead_log,
    open_database,
    reading,
    require_current,
    upgrade,
    writing,
)
from fivefold.store.sql.migrating import SchemaVersionError
from fivefold.store.sql.statements import write_rows
from fivefold.store.tables.accounts import Base
from tests.depth import some
from tests.store import databases

SECRET = "a-secret-word"
FAR_BELOW_FOR_EVER_SECONDS = 60
ANYONE = text("INSERT INTO organisations (name, created_us) VALUES ('anyone', 1)")
TOKEN = text(
    "INSERT INTO tokens (organisation_id, sha256, label, role, plan, created_us) VALUES (:of, '', '', :role, '', 1)"
)

NEWEST = max(path.name[:4] for path in Path(migrations.__file__).parent.glob("versions/0*.py"))
"""The revision that this program needs."""


def described(engine: Engine) -> dict[str, Any]:
    """Everything that a database knows about its tables, Alembic's own left out."""
    found = inspect(engine)
    parts: dict[str, Callable[[str], Any]] = {
        "columns": lambda table: [
            (column["name"], str(column["type"]), column["nullable"], column["default"])
            for column in found.get_columns(table)
        ],
        "key": found.get_pk_constraint,
        "references": found.get_foreign_keys,
        "uniques": found.get_unique_constraints,
        "checks": found.get_check_constraints,
        "indexes": lambda table: [
            index | {"dialect_options": {name: str(value) for name, value in index.get("dialect_options", {}).items()}}
            for index in found.get_indexes(table)
        ],
    }
    return {
        table: {name: _sorted(describe(table)) for name, describe in parts.items()}
        for table in sorted(set(found.get_table_names()) - {"alembic_version"})
    }


def _sorted(found: Any) -> Any:
    return sorted(found, key=str) if isinstance(found, list) else found


def set_version(engine: Engine, version: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})


def test_alembic_sees_no_difference_between_migrations_and_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_neither_does_the_database_in_anything_that_alembic_does_not_compare(
    kind: str, engine: Engine, tmp_path: Path
) -> None:
    with databases.opened(databases.new_url(kind, tmp_path, migrated=False)) as made_at_once:
        Base.metadata.create_all(made_at_once)
        expected = described(made_at_once)
    assert described(engine) == expected
    assert set(expected) == set(Base.metadata.tables)


def test_every_constraint_has_a_name(engine: Engine) -> None:
    for table, found in described(engine).items():
        named = [*found["references"], *found["uniques"], *found["checks"], *found["indexes"]]
        counted = engine.dialect.name == "sqlite" and Base.metadata.tables[table].dialect_options["sqlite"].get(
            "autoincrement"
        )
        named += [] if counted else [found["key"]]  # SQLite counts by a key that stands with its column, without a name
        assert all(constraint["name"] for constraint in named), table


def test_an_upgrade_can_be_repeated_and_loses_nothing(blank: Engine) -> None:
    upgrade(blank)
    with blank.begin() as connection:
        connection.execute(ANYONE)
    upgrade(blank)
    require_current(blank)
    with blank.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM organisations")) == 1


@pytest.mark.parametrize("attempt", some(range(4), 4))
def test_programs_that_upgrade_at_once_do_not_disturb_each_other(kind: str, tmp_path: Path, attempt: int) -> None:
    """Nor when they open a new file together; that failed now and then."""
    url = databases.new_url(kind, tmp_path, migrated=False)
    together, failed = threading.Barrier(6), []

    def start() -> None:
        with databases.opened(url) as engine:
            together.wait()
            try:
                upgrade(engine)
                require_current(engine)
            except StoreError as error:
                failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_migration_that_fails_half_way_leaves_nothing_behind(blank: Engine) -> None:
    with blank.begin() as connection:
        connection.execute(text('CREATE TABLE "usage" (somebody_elses INTEGER)'))
    with pytest.raises(StoreError, match="already exists"):
        upgrade(blank)
    assert set(inspect(blank).get_table_names()) <= {"usage"}
    with blank.begin() as connection:
        connection.execute(text('DROP TABLE "usage"'))
    upgrade(blank)
    require_current(blank)


def test_no_schema_is_not_the_current_one(blank: Engine) -> None:
    with pytest.raises(
        StoreError, match=f"the database has schema none, and this program needs {NEWEST}: run `fivefold"
    ):
        require_current(blank)


@pytest.mark.parametrize("version", ["0000", "9999"])
def test_an_older_or_newer_schema_is_refused(blank: Engine, version: str) -> None:
    upgrade(blank)
    require_current(blank)
    set_version(blank, version)
    with pytest.raises(StoreError, match=f"has schema {version}, and this program needs {NEWEST}"):
        require_current(blank)
    refusal = (
        f"^the database has schema {version}, which this program does not know; it needs {NEWEST}. A later release "
    )
    with pytest.raises(SchemaVersionError, match=refusal):
        upgrade(blank)


def test_references_and_checks_hold(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(ANYONE)
    for values in ({"of": 99, "role": "app"}, {"of": 1, "role": "owner"}):
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(TOKEN, values)


def test_a_sqlite_file_is_made_with_its_folder_and_writes_ahead(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "not" / "yet" / "fivefold.db"
    engine = open_database(f"sqlite:///{path}")  # as the program does, which waits for the disk
    request.addfinalizer(engine.dispose)
    upgrade(engine)
    assert path.is_file()
    with engine.connect() as connection:
        asked = ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        assert [connection.execute(text(f"PRAGMA {name}")).scalar() for name in asked] == [
            "wal",
            1,
            1000 * BUSY_SECONDS,
            1,
        ]


def test_readers_do_not_wait_for_the_writer_on_sqlite(tmp_path: Path) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine, engine.begin() as writer:
        writer.execute(ANYONE)
        with engine.connect() as reader:
            assert reader.scalar(text("SELECT count(*) FROM organisations")) == 0


def test_a_full_disk_is_not_taken_for_a_database_out_of_reach(tmp_path: Path) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count=1"))
        rows = [{"name": str(number), "created_us": 1} for number in range(10_000)]
        with pytest.raises(StoreError) as refused, writing(engine) as session:
            session.execute(Base.metadata.tables["organisations"].insert(), rows)
        file = engine.url.database
        assert str(refused.value) == f"the disk of the database's file is full, or the file may not grow: {file}"


def test_a_file_that_cannot_be_opened_any_more_is_named_where_its_log_is_emptied(tmp_path: Path) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        file = Path(str(engine.url.database))
        engine.dispose()
        file.unlink()
        file.mkdir()
        with pytest.raises(StoreError, match=f"^the database cannot be reached: {file} is a folder$"):
            empty_write_ahead_log(engine)


def test_a_database_that_may_only_be_read_says_so(kind: str, tmp_path: Path) -> None:
    with databases.opened(databases.new_url(kind, tmp_path)) as engine:
        read_only = {"sqlite": "PRAGMA query_only=ON", "postgresql": "SET default_transaction_read_only = on"}[kind]

        def prepare(connection: Any, _: Any) -> None:
            connection.execute(read_only)
            connection.commit()

        event.listen(engine, "connect", prepare)
        with pytest.raises(StoreError, match=r"can only be read, and not written($|: /)"), writing(engine) as session:
            session.execute(ANYONE)


def test_who_waits_for_the_writer_on_sqlite_asks_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself asks ever less often: beside one who writes without pauses, a turn came after seconds."""
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        asked: list[str] = []
        with engine.connect() as holder:
            holder.exec_driver_sql("BEGIN IMMEDIATE")
            event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
            monkeypatch.setattr(database, "BUSY_SECONDS", 1)
            with pytest.raises(StoreError, match="another program wrote to the database"), writing(engine):
                pass
        assert asked.count("BEGIN IMMEDIATE") > 5
        with writing(engine) as session:
            waits_ms = session.connection().exec_driver_sql("PRAGMA busy_timeout").scalar_one()
        assert waits_ms == 1000, "everything else waits as long as ever"


def test_who_waits_for_others_as_long_as_was_asked_leaves_no_limit_behind(kind: str, tmp_path: Path) -> None:
    with databases.opened(databases.new_url(kind, tmp_path)) as engine:
        with engine.begin() as holder:
            holder.execute(ANYONE)
            with (
                pytest.raises(StoreError, match="for longer than the limit"),
                writing(engine, busy_seconds=0.2) as session,
            ):
                session.execute(ANYONE)
        limit = {"sqlite": "PRAGMA busy_timeout", "postgresql": "SHOW lock_timeout"}[kind]
        with writing(engine) as session:
            assert session.connection().exec_driver_sql(limit).scalar_one() in (30_000, "30s")
        with reading(engine) as session:
            assert session.connection().exec_driver_sql(limit).scalar_one() in (30_000, "0")


def test_who_waits_for_an_answer_only_so_long_learns_that_another_transaction_was_in_the_way(
    kind: str, tmp_path: Path
) -> None:
    url = databases.new_url(kind, tmp_path)
    reason = {"sqlite": "another program wrote to the database", "postgresql": "another transaction held a lock"}[kind]
    with databases.opened(url) as engine:
        hurried = open_database(url, answer_seconds=1.0)
        with engine.begin() as holder:
            holder.execute(ANYONE)
            start = monotonic()
            with pytest.raises(LockedError, match=reason), writing(hurried) as session:
                session.execute(ANYONE)
            assert monotonic() - start < 10, "and not the limit of the file, which no caller waits for"
        hurried.dispose()


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_writer_that_is_frozen_holds_up_others_for_a_while_only(
    goes_on: bool, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "sqlite":
        pytest.skip("its file cannot end another process's transaction")
    url = databases.new_url(kind, tmp_path)
    monkeypatch.setattr(database, "IDLE_SECONDS", 0.1)

    def write_slowly(engine: Engine, other: Engine) -> None:
        with writing(engine) as session:
            session.execute(ANYONE)
            with writing(other) as faster:  # it waits for the same name
                faster.execute(ANYONE)
            if goes_on:
                session.execute(ANYONE)

    with databases.opened(url) as engine, databases.opened(url) as other:
        with pytest.raises(StoreError, match="did nothing for longer than its limit") as caught:
            write_slowly(engine, other)
        assert not isinstance(caught.value, UnknownOutcomeError), "nothing was stored"
        with reading(engine) as session:
            assert session.scalar(text("SELECT count(*) FROM organisations")) == 1


@pytest.mark.parametrize(("of_server", "used"), [("0", "4s"), ("1s", "1s"), ("20s", "4s")])
def test_the_shorter_limit_for_locks_holds_the_operators_or_the_programs(
    of_server: str, used: str, kind: str, tmp_path: Path
) -> None:
    if kind == "sqlite":
        pytest.skip("it has one limit")
    url = databases.new_url(kind, tmp_path)
    with databases.opened(url):
        of_operator = make_url(url).update_query_dict({"options": f"-c lock_timeout={of_server}"})
        engine = open_database(of_operator.render_as_string(hide_password=False), answer_seconds=5.0)
        asked: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
        for _ in range(2):
            with writing(engine) as session:
                assert session.connection().exec_driver_sql("SHOW lock_timeout").scalar_one() == used
        assert sum("pg_settings" in each for each in asked) == 1, "once in the life of a connection"
        engine.dispose()


@pytest.mark.parametrize(
    "address",
    [
        f"mysql://user:{SECRET}@host/name",
        f"postgres://user:{SECRET}@host/name",
        f"postgresql://user:{SECRET}@host:port/name",
        f"{SECRET}",
        "",
    ],
)
def test_an_address_that_is_none_is_told_with_examples(address: str) -> None:
    with pytest.raises(ConfigError, match=r"FIVEFOLD_DATABASE_URL .*must be sqlite:///FILE or postgresql:") as caught:
        open_database(address)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg2", "postgresql+asyncpg"])
def test_any_address_of_postgresql_is_opened_with_the_driver_that_is_there(driver: str) -> None:
    with databases.opened(f"{driver}://user:{SECRET}@host/name") as engine:
        assert engine.driver == "psycopg"
        assert SECRET not in repr(engine)


@pytest.mark.parametrize("use", [upgrade, require_current])
@pytest.mark.parametrize(
    ("address", "what"),
    [
        (f"postgresql://user:{SECRET}@127.0.0.1:1/name", "cannot be reached: connection failed"),
        (f"postgresql://user:{SECRET}@127.0.0.1/name?flavour=sweet", "cannot be used: invalid connection option"),
        ("sqlite:///{file}", "cannot be used: file is not a database: {file}$"),
        ("sqlite:///{folder}", "cannot be reached: unable to open database file: {folder} is a folder$"),
    ],
)
def test_a_database_that_cannot_be_used_is_a_readable_error(
    use: Callable[[Engine], None], address: str, what: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a database, but longer than the header of one" * 10, encoding="utf-8")
    places = {"file": tmp_path / "file", "folder": tmp_path}
    with databases.opened(address.format(**places)) as engine:
        with pytest.raises(StoreError, match=f"the database {what.format(**places)}") as caught:
            use(engine)
        assert SECRET not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_a_readable_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"folder .*file/deeper cannot be made: Not a directory"):
        open_database(f"sqlite:///{tmp_path / 'file' / 'deeper' / 'fivefold.db'}")


@pytest.mark.parametrize("of_the_operator", some(["?connect_timeout=2", ""], 2))
def test_a_postgresql_that_says_nothing_is_not_waited_for_without_end(
    of_the_operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with databases.opened(f"postgresql://user@127.0.0.1:{port}/name{of_the_operator}") as engine:
            begun = monotonic()
            with pytest.raises(StoreError, match="timeout"):
                require_current(engine)
            assert monotonic() - begun < FAR_BELOW_FOR_EVER_SECONDS


def test_connections_that_postgresql_dropped_are_opened_again(tmp_path: Path) -> None:
    others = "datname = current_database() AND pid <> :pid"
    ended = text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    own = text("SELECT pg_backend_pid()")
    url = databases.new_url("postgresql", tmp_path)
    with databases.opened(url) as engine, databases.opened(url) as administrator:
        with engine.connect() as connection:
            before = connection.scalar(own)
        with administrator.begin() as connection:
            connection.execute(ended, {"pid": connection.scalar(own)})
        with engine.connect() as connection:
            assert connection.scalar(own) != before


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_postgresql_in_another_encoding_is_refused_by_its_name(encoding: str) -> None:
    """On one in SQL_ASCII SQLAlchemy failed with a TypeError, as all text is bytes there."""
    refusal = rf"^the database is in the encoding {encoding}, and must be in UTF8: make another one"
    uses: tuple[Callable[[Engine], object], ...] = (upgrade, require_current, Engine.connect)
    with databases.opened(databases.postgresql_in(encoding)) as engine:
        for use in uses:
            with pytest.raises(StoreError, match=refusal):
                use(engine)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "UTF8"])
def test_the_encoding_is_asked_for_where_a_pooler_does_not_report_it(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "parameter_status", lambda *_: None)
    refused = pytest.raises(StoreError, match=f"in the encoding {encoding}, .* --locale=C.UTF-8")
    outcome = nullcontext() if encoding == "UTF8" else refused
    with databases.opened(databases.postgresql_in(encoding)) as engine, outcome:
        upgrade(engine)


def test_all_errors_are_of_the_one_tree() -> None:
    assert issubclass(StoreError, FivefoldError)


def test_a_running_process_stays_through_a_forward_migration(blank: Engine) -> None:
    upgrade(blank)
    running, started_later = SchemaWatch(blank), SchemaWatch(blank)
    running.require_usable()
    set_version(blank, "9999")
    running.require_usable()
    with pytest.raises(StoreError, match="has schema 9999"):
        started_later.require_usable()
    set_version(blank, "0000")
    with pytest.raises(StoreError, match="has schema 0000"):
        running.require_usable()


def test_a_process_that_nobody_asked_before_the_migration_stays_too(blank: Engine) -> None:
    started_before_its_tables = SchemaWatch(blank)
    started_before_its_tables.look()
    upgrade(blank)
    running = SchemaWatch(blank)
    running.look()
    set_version(blank, "9999")
    running.require_usable()
    with pytest.raises(StoreError, match="has schema 9999"):
        started_before_its_tables.require_usable()


def test_a_program_brings_a_database_forward_only_where_that_is_needed(kind: str, tmp_path: Path) -> None:
    url = databases.new_url(kind, tmp_path, migrated=False)
    bring_forward(url)
    with databases.opened(url) as engine:
        require_current(engine)
        bring_forward(url)  # a second process
        set_version(engine, "9999")
        with pytest.raises(StoreError, match="does not know"):
            bring_forward(url)
        with pytest.raises(SchemaVersionError, match="has schema 9999"):
            require_current(engine)


@pytest.mark.parametrize("deep", [1, 2, 3])
@pytest.mark.parametrize("by_driver", [False, True])
def test_a_full_disk_is_named_inside_a_savepoint_too(tmp_path: Path, by_driver: bool, deep: int) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        rows = [{"name": str(number), "created_us": 1} for number in range(10_000)]
        with writing(engine) as session:
            session.connection().exec_driver_sql("PRAGMA max_page_count=1")
            session.execute(ANYONE)

            def fill() -> None:
                with ExitStack() as savepoints:
                    for _ in range(deep):
                        savepoints.enter_context(session.begin_nested())
                    if by_driver:
                        write_rows(session, "organisations", list(rows[0]), (tuple(row.values()) for row in rows))
                    else:
                        session.execute(Base.metadata.tables["organisations"].insert(), rows)

            with pytest.raises((DBAPIError, sqlite3.Error), match="disk is full"):
                fill()
            with pytest.raises(PendingRollbackError):  # what came before is undone too
                session.execute(ANYONE)
            session.rollback()
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM organisations")) == 0
