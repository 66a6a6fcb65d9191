"""What a PostgreSQL refuses is named in our own words, by a real server and without its names."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from psycopg import errors
from sqlalchemy import Connection, Engine, create_engine, make_url, text

from fivefold.domain.errors import StoreError, UnknownOutcomeError
from fivefold.store.sql.database import raise_if_out_of_reach, reachable, writing
from tests.pace import until
from tests.store import databases

SECRET = "a-secret-word"
SERVER = create_engine(f"postgresql+psycopg://role:{SECRET}@host/{SECRET}")
NO_CONNECTION_LEFT = "the database has no connection left"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return databases.new_url("postgresql", tmp_path)


@pytest.fixture
def owner(url: str) -> Iterator[Engine]:
    with databases.opened(url) as engine:
        yield engine


def as_administrator(engine: Engine, *statements: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(text(statement))


def reason(use: Callable[[], object]) -> str:
    with pytest.raises(StoreError) as refused, reachable(SERVER):
        use()
    assert SECRET not in str(refused.value)
    return str(refused.value)


def reason_at_connect(url: str, **parts: str) -> str:
    with databases.opened(make_url(url).set(**parts).render_as_string(hide_password=False)) as engine:  # type: ignore[arg-type]  # the parts that are text
        return reason(engine.connect)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.DiskFull(f"could not extend file of {SECRET}"), "the disk of the database is full"),
        (errors.AdminShutdown(f"by {SECRET}"), "the database cannot be reached"),
        (
            errors.OperationalError(f"host {SECRET}: FATAL:  sorry, too many clients already"),
            NO_CONNECTION_LEFT,
        ),
        (errors.OperationalError("FATAL:  remaining connection slots are reserved for"), NO_CONNECTION_LEFT),
        (
            errors.OperationalError("FATAL:  the database system is shutting down"),
            "the database does not take connections yet, or any more",
        ),
        (
            errors.OperationalError(f'FATAL:  password authentication failed for user "{SECRET}"'),
            "the database does not take the password",
        ),
    ],
)
def test_what_a_server_says_is_given_in_words_without_its_names(error: Exception, words: str) -> None:
    """What the server of these tests cannot be brought to say without harm to the other tests."""

    def fail() -> None:
        raise error

    assert reason(fail) == words


def test_a_connection_that_the_server_refuses_says_why(url: str, owner: Engine) -> None:
    closed = databases.new_url("postgresql", Path(), migrated=False)
    assert reason_at_connect(url, database=SECRET) == "the database's server has no database of that name"
    assert reason_at_connect(url, username=SECRET) == "the database does not let this role in"
    as_administrator(owner, f'CREATE ROLE "{SECRET}" LOGIN CONNECTION LIMIT 0')
    try:
        assert reason_at_connect(url, username=SECRET) == NO_CONNECTION_LEFT
    finally:
        as_administrator(owner, f'DROP ROLE "{SECRET}"')
    name = make_url(closed).database
    as_administrator(owner, f'ALTER DATABASE "{name}" CONNECTION LIMIT 0', f'CREATE ROLE "{SECRET}" LOGIN')
    try:
        assert reason_at_connect(closed, username=SECRET) == NO_CONNECTION_LEFT
        as_administrator(owner, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        assert reason_at_connect(closed) == "the database does not take connections yet, or any more"
    finally:
        as_administrator(owner, f'DROP ROLE "{SECRET}"')


def test_limits_of_statements_and_locks_say_so(owner: Engine) -> None:
    def run(*statements: str) -> Callable[[], None]:
        def use() -> None:
            with owner.begin() as connection:
                for statement in statements:
                    connection.execute(text(statement))

        return use

    broken_off = run("SET LOCAL statement_timeout = 50", "SELECT pg_sleep(20)")
    assert reason(broken_off) == (
        "the database broke off a statement that took longer than its limit, or that an operator ended"
    )
    with owner.begin() as holder:
        holder.execute(text("LOCK TABLE tokens"))
        waits = run("SET LOCAL lock_timeout = 50", "SELECT * FROM tokens")
        assert reason(waits) == "another transaction held a lock of the database for longer than the limit"


def test_transactions_that_wait_for_each_other_say_so(owner: Engine) -> None:
    def lock(connection: Connection, table: str) -> None:
        connection.execute(text(f"LOCK TABLE {table}"))

    with owner.connect() as one, owner.connect() as other:
        one.execute(text("SET deadlock_timeout = '20s'"))
        other.execute(text("SET deadlock_timeout = '10ms'"))  # it notices
        lock(one, "tokens")
        lock(other, "members")
        waiting = Thread(target=lock, args=(one, "members"))
        waiting.start()
        until(lambda: databases.waits_for_a_lock(owner))
        assert reason(lambda: lock(other, "tokens")) == (
            "the database undid this because it and another transaction waited for each other"
        )
        other.rollback()
        waiting.join()


def test_a_role_without_a_right_says_so(url: str) -> None:
    with databases.with_least_rights(url) as engine, databases.opened(url) as owner:
        as_administrator(owner, "REVOKE SELECT ON tokens FROM fivefold_service")

        def read() -> None:
            with engine.connect() as connection:
                connection.execute(text("SELECT * FROM tokens"))

        assert reason(read) == "the role of the database lacks a right that is needed here"


def test_a_commit_that_the_server_broke_off_was_not_done(owner: Engine) -> None:
    """Of class 57 as a shutdown is, after which it may have been done."""
    deferred = "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION"
    says = "'BEGIN RAISE EXCEPTION USING ERRCODE = ''query_canceled''; END'"

    def write() -> None:
        with writing(owner) as session:
            for statement in (
                "CREATE TEMP TABLE broken_off (number integer)",
                f"CREATE FUNCTION pg_temp.break_off() RETURNS trigger LANGUAGE plpgsql AS {says}",
                f"CREATE CONSTRAINT TRIGGER at_the_end AFTER INSERT ON broken_off {deferred} pg_temp.break_off()",
                "INSERT INTO broken_off VALUES (1)",
            ):
                session.execute(text(statement))

    with pytest.raises(StoreError, match="broke off") as refused:
        write()
    assert not isinstance(refused.value, UnknownOutcomeError)


def test_an_error_of_a_statement_has_none() -> None:
    raise_if_out_of_reach(errors.UndefinedColumn("no such column"), SERVER)
