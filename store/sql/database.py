"""The database: a SQLite file by default, PostgreSQL by one setting; the same code for both."""

import re
import sqlite3
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import ceil, inf
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors
from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from fivefold.domain.clock import SECOND_US
from fivefold.domain.errors import ConfigError, ConflictError, LockedError, StoreError, UnknownOutcomeError
from fivefold.domain.files import make_private_folder
from fivefold.domain.settings import Settings
from fivefold.store.accounts import idempotency
from fivefold.store.sql import clocks, migrating
from fivefold.store.sql.connections import give_up_after, keep_first_error
from fivefold.store.sql.migrating import SchemaVersionError
from fivefold.store.sql.reasons import READ_ONLY, file_in_question, is_locked, note_damage, reason_of
from fivefold.store.tables.accounts import Base

BUSY_SECONDS = 30
"""How long a write waits for others before it gives up, unless its engine limits the time for an answer."""
IDLE_SECONDS = 2 * BUSY_SECONDS
"""PostgreSQL ends a transaction that writes after this time without a statement: its process is frozen, or gone."""
AGAIN_MILLISECONDS = 3
"""SQLite's busy timeout: SQLite retries the writer's lock after 1 and 2 ms; then `_become_writer` starts over."""
CONNECT_SECONDS = 10
"""How long to wait for a silent PostgreSQL, unless its address sets `connect_timeout`."""
LOCK_SHARE: Final = 0.8
"""The share of an engine's time limit for an answer that a write may wait for others."""
_LOCK_SECONDS: Final = "fivefold_lock_seconds"
"""The option of an engine with the resulting time."""
_LIMITS: Final = "fivefold_limits"
"""The key under which a connection keeps the server's own limits."""
_SETTINGS: Final = text("SELECT name, CAST(setting AS bigint) FROM pg_settings WHERE name = ANY(:names)")
_IDLE: Final = "idle_in_transaction_session_timeout"
_READ: Final = "fivefold_read"
"""The key under which a session of one moment keeps the results of `read_once`."""
Value = TypeVar("Value")
MAY_BE_DONE = (
    "the connection to the database was lost while this was stored: it may have been done,"
    " so check before you send it again"
)
_MAY_BE_DONE_IN_FILE = (
    "the database's file could not be read or written while this was stored: it may have been done,"
    " so check before you send it again"
)
_EXAMPLES = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME"
_PASSWORD_WITH_AT: Final = re.compile(r"postgresql[^@]*@(?:[^?]*|[^=]*)@[^@?]*/")  # not the @ of a name or option
KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""With these the system notices within half a minute that a host is unreachable; the address may set others."""


def open_database(
    url: str, clock_tolerance_seconds: int = clocks.TOLERANCE_SECONDS, answer_seconds: float | None = None
) -> Engine:
    """Open a database; ConfigError if the address is not supported. Connects at first use.

    Args:
        url: an address of SQLite or PostgreSQL.
        clock_tolerance_seconds: how far this machine's clock may be off the database's; beyond that nothing is written.
        answer_seconds: how long to wait for one answer of PostgreSQL, before another connection is tried. On both
            databases a write waits for others for `LOCK_SHARE` of it, so that its caller learns why nothing was stored.
    """
    options: dict[str, Any] = {**clocks.options(clock_tolerance_seconds)}
    if answer_seconds is not None:
        options[_LOCK_SECONDS] = LOCK_SHARE * answer_seconds
    try:
        address = None if _PASSWORD_WITH_AT.match(url) else make_url(url)
    except (ArgumentError, ValueError):  # the second for a port that is not a number
        raise ConfigError(f"FIVEFOLD_DATABASE_URL cannot be read; it must be {_EXAMPLES}") from None
    if address is None or "@" in (address.host or ""):  # errors would show it as the name of the host
        raise ConfigError("FIVEFOLD_DATABASE_URL has several @; one in a name or a password is written as %40")
    if address.get_backend_name() == "postgresql":
        timeouts = {"connect_timeout": min(CONNECT_SECONDS, ceil(answer_seconds or CONNECT_SECONDS)), **KEEPALIVE}
        engine = create_engine(
            address.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            max_overflow=15,
            connect_args={name: value for name, value in timeouts.items() if name not in address.query},
            execution_options=options,
            hide_parameters=True,  # they are customers' values: no error, and so no log, shows them
        )
        if answer_seconds is not None:
            give_up_after(engine, answer_seconds)
        event.listen(engine, "connect", clocks.clock_of(engine).look)
        event.listen(engine, "connect", _require_utf8, insert=True)  # before SQLAlchemy asks for the version
        return engine
    if address.get_backend_name() != "sqlite":
        raise ConfigError(f"FIVEFOLD_DATABASE_URL names {address.get_backend_name()!r}; it must be {_EXAMPLES}")
    if address.database:
        try:
            make_private_folder(folder := Path(address.database).parent)
        except OSError as error:
            raise StoreError(f"the database's folder {folder} cannot be made: {error.strerror}") from None
    engine = create_engine(
        address, connect_args={"timeout": BUSY_SECONDS}, execution_options=options, hide_parameters=True
    )
    event.listen(engine, "connect", _prepare_sqlite)
    keep_first_error(engine)
    return engine


def open_again(engine: Engine, answer_seconds: float) -> Engine:
    """Open the database of an engine a second time, with a time limit for each answer."""
    tolerance_seconds = clocks.clock_of(engine).tolerance_us // SECOND_US
    return open_database(engine.url.render_as_string(hide_password=False), tolerance_seconds, answer_seconds)


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest version; migrations only go forward and lose nothing.

    All run in one transaction on SQLite, and each in its own on PostgreSQL.

    Raises:
        StoreError: the database cannot be used, its tables lack what its migrations make, or other programs hold a
            table of a migration for too long.
    """
    with _readable_errors(engine):
        with engine.connect() as connection:
            due = migrating.steps(connection)
            if not due:
                migrating.require_columns(connection)
        if due and engine.dialect.name == "sqlite":
            with engine.connect() as connection, _references_checked_at_the_end(connection):
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                migrating.require_shape(connection)
                migrating.migrate(connection)
        elif due:
            migrating.migrate_in_steps(engine, due)


def open_current(settings: Settings) -> Engine:
    """Open the database of the settings, and bring its schema to the newest version."""
    settings.protect_var()
    engine = open_database(settings.database, settings.clock_tolerance_seconds)
    try:
        upgrade(engine)
    except StoreError:
        engine.dispose()
        raise
    return engine


def bring_forward(url: str, clock_tolerance_seconds: int = clocks.TOLERANCE_SECONDS) -> None:
    """Bring the schema of the database at *url* to the newest version if it is older; StoreError if that fails.

    On a connection of its own: a migration may take longer than the time that a service waits for an answer.
    """
    engine = open_database(url, clock_tolerance_seconds)
    try:
        upgrade(engine)
    finally:
        engine.dispose()


def require_current(engine: Engine) -> None:
    """Raise SchemaVersionError unless the schema is exactly the one that this program knows."""
    newest = migrating.newest()
    with _readable_errors(engine), engine.connect() as connection:
        revision = migrating.revision_of(connection)
    if revision != newest:
        migrating.require_unfolded(revision or "")
        raise SchemaVersionError(
            f"the database has schema {revision or 'none'}, and this program needs {newest}: run `fivefold serve`"
            " or `fivefold tokens` of the matching version once to bring it forward"
        )


class SchemaWatch:
    """Decides whether a running process may use the database: its own schema first, and any newer one after that.

    Migrations go forward and keep what older programs read and write, so a rolling upgrade needs no pause.
    """

    def __init__(self, engine: Engine) -> None:
        """Check nothing yet."""
        self._engine = engine
        self._was_current = False

    def require_usable(self) -> None:
        """Raise StoreError unless the schema is that of this program, or was until it was brought forward."""
        try:
            require_current(self._engine)
            if not self._was_current:
                with _readable_errors(self._engine), self._engine.connect() as connection:
                    migrating.require_columns(connection)
        except SchemaVersionError:
            if not (self._was_current and self._is_newer()):
                raise
        self._was_current = True

    def look(self) -> None:
        """Note at the start whether the schema is this program's, in case an upgrade comes before the first request."""
        with suppress(StoreError):  # checked again with every request
            self.require_usable()

    def _is_newer(self) -> bool:
        with _readable_errors(self._engine), self._engine.connect() as connection:
            revision = migrating.revision_of(connection)
        return revision is not None and migrating.is_newer(revision)


@contextmanager
def _readable_errors(engine: Engine) -> Iterator[None]:
    """Turn a driver's error into a StoreError: our words, a colon, and the driver's, which name host and role."""
    try:
        yield
    except DBAPIError as error:
        file = file_in_question(error, engine.url)
        raise StoreError(f"{reason_of(error) or 'the database cannot be used'}: {error.orig}{file}") from error
    except PoolTimeout as error:
        raise StoreError(f"{reason_of(error)}: all connections wait for its answer") from error


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """Open the session of a use case that changes nothing; StoreError if the database is out of reach."""
    with reachable(engine), Session(engine) as session:
        yield session


@contextmanager
def reading_at_one_moment(engine: Engine) -> Iterator[Session]:
    """Open a session that changes nothing, and whose statements all see the same snapshot of the database.

    It keeps each row that it read, so that no row is read twice by its key, and the results of `read_once`.
    """
    rows: list[object] = []
    with reachable(engine), Session(engine, autoflush=False, info={_READ: {}}) as session:
        event.listen(session, "loaded_as_persistent", lambda _, row: rows.append(row))
        if engine.dialect.name == "sqlite":
            session.connection().exec_driver_sql("BEGIN")
        else:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            session.connection(execution_options=options)
        yield session


def read_once(session: Session, key: Hashable, read: Callable[[], Value]) -> Value:
    """Return the earlier result under a key if the session sees one snapshot; otherwise read it.

    The result must not be changed, since callers share it. Errors are not kept.
    """
    present: dict[Hashable, Any] | None = session.info.get(_READ)
    if present is None:
        return read()
    if key not in present:
        present[key] = read()
    value: Value = present[key]
    return value


@contextmanager
def writing(engine: Engine, busy_seconds: float | None = None) -> Iterator[Session]:
    """Open the transaction of a use case that changes something; it ends with the block, and any error rolls it back.

    On SQLite it is the only writer from the beginning: a transaction that read first and then wrote would be refused if
    another had written in between. It waits *busy_seconds* for that, or on PostgreSQL for each lock; None for
    `BUSY_SECONDS`, or for what the engine (`open_database`) allows. PostgreSQL ends it after `IDLE_SECONDS` without a
    statement, so that a process that is frozen holds up no other; see `await_other_system`. The server's own limits
    hold where they are shorter.

    Raises:
        StoreError: the database is out of reach.
        LockedError: another transaction held what is needed for longer than that.
        UnknownOutcomeError: the connection was lost during the commit.
        UntrustedClockError: this machine's clock is off, so times that it stored would be wrong.
    """
    with reachable(engine), Session(engine) as session:  # rolls back at its end if it was not committed
        _begin_write(session, engine, busy_seconds)
        yield session
        session.flush()
        idempotency.mark_stored(session)
        try:
            session.commit()
        except DBAPIError as error:
            raise_if_may_be_kept(error)
            raise


def _begin_write(session: Session, engine: Engine, busy_seconds: float | None) -> None:
    """Begin a transaction that writes, after a check of the clock.

    The clock's `at_first_write` is committed separately, as others may wait for its locks. Threads that begin at the
    same moment may each call it.
    """
    clock = clocks.clock_of(engine)
    options = engine.get_execution_options()
    lock_seconds = options.get(_LOCK_SECONDS, BUSY_SECONDS) if busy_seconds is None else busy_seconds
    while True:
        connection = session.connection()
        if connection.dialect.name == "sqlite":
            _become_writer(connection, lock_seconds)
        else:
            _limit_transaction(connection, {"lock_timeout": lock_seconds, _IDLE: IDLE_SECONDS})
        server = clock.compare(connection)
        if clock.at_first_write is None or clock.done_on == server:
            return
        clock.at_first_write(connection)
        session.commit()
        clock.done_on = server


def _limit_transaction(connection: Connection, limits: Mapping[str, float]) -> None:
    """Set PostgreSQL's limits of a transaction, by name, in seconds; shorter limits of the server stay in force."""
    if _LIMITS not in connection.info:  # asked once in the life of a connection
        settings = connection.execute(_SETTINGS, {"names": list(limits)})
        connection.info[_LIMITS] = {name: milliseconds / 1000 or inf for name, milliseconds in settings}  # 0 for none
    of_server: Mapping[str, float] = connection.info[_LIMITS]
    shorter = {name: f"{seconds}s" for name, seconds in limits.items() if seconds < of_server[name]}
    if shorter:
        connection.execute(select(*(func.set_config(name, limit, True) for name, limit in shorter.items())))


def await_other_system(session: Session) -> None:
    """Let a transaction that writes be idle for longer than `IDLE_SECONDS`, while it waits for another system.

    That may take minutes to answer, and what it did cannot be undone. The server's own limit still holds.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SET LOCAL {_IDLE} TO DEFAULT"))


def require_writable(engine: Engine) -> None:
    """Raise StoreError unless something can be stored now: as `writing` does, and for a standby, which only reads."""
    with writing(engine) as session:
        if engine.dialect.name == "postgresql" and session.scalar(text("SHOW transaction_read_only")) == "on":
            raise StoreError(READ_ONLY)


def _become_writer(connection: Connection, busy_seconds: float) -> None:
    """Begin as SQLite's only writer, once the others have ended; waits at most *busy_seconds*.

    SQLite's own wait retries less and less often, at last ten times a second: beside a program that writes without
    pauses it finds the moment between two of its transactions only after seconds.
    """
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA busy_timeout={AGAIN_MILLISECONDS}")
    until = monotonic() + busy_seconds
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except DBAPIError as error:
                is_busy = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or monotonic() > until:
                    raise
            else:
                return
    finally:
        driver.execute(f"PRAGMA busy_timeout={1000 * BUSY_SECONDS}")


def empty_write_ahead_log(engine: Engine) -> bool:
    """Copy SQLite's write-ahead log into its file, and empty it: what was overwritten is then in neither.

    Returns:
        Whether it is empty: False if another connection still reads from it after `BUSY_SECONDS`. True on PostgreSQL,
        which has its own log.
    """
    if engine.dialect.name != "sqlite":
        return True
    with reachable(engine), engine.connect() as connection:
        is_busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    return not is_busy


def add_alone(session: Session, row: Base) -> None:
    """Add a row whose key was free; wait for a concurrent transaction, and raise ConflictError if that took it."""
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        if isinstance(error.orig, UniqueViolation):
            raise ConflictError("another call stored the same at this moment; check, and send it again") from error
        raise


def raise_if_may_be_kept(error: BaseException) -> None:
    """Raise UnknownOutcomeError for the error, SQLAlchemy's or the driver's, of a commit that may be carried out."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if _may_be_kept(cause):
        raise UnknownOutcomeError(_MAY_BE_DONE_IN_FILE if isinstance(cause, sqlite3.Error) else MAY_BE_DONE) from error


def _may_be_kept(error: BaseException | None) -> bool:
    """Return whether a failed commit may have been carried out: the database's answer is missing.

    An error that the database reports itself, such as a conflict, means that nothing was committed. After a shutdown or
    a lost connection (classes 08 and 57) it may have been, and also after an error of SQLite's file, except in writing:
    the page that completes a transaction is written last, and is missing then.
    """
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        return code & 0xFF == sqlite3.SQLITE_IOERR and code != sqlite3.SQLITE_IOERR_WRITE
    code = getattr(error, "sqlstate", None)
    if isinstance(error, errors.QueryCanceled):  # of class 57, and reported
        return False
    return isinstance(error, psycopg.OperationalError) and (code is None or code[:2] in {"08", "57"})


@contextmanager
def reachable(engine: Engine) -> Iterator[None]:
    """Raise StoreError if the database cannot be used now: unreachable, not answering, locked for too long, full."""
    try:
        yield
    except (DBAPIError, PoolTimeout, psycopg.Error, sqlite3.Error) as error:  # a driver raises its own errors directly
        raise_if_out_of_reach(error, engine)
        note_damage(error, engine.url)
        raise


def raise_if_out_of_reach(error: BaseException | None, engine: Engine) -> None:
    """Raise StoreError for an error, SQLAlchemy's or the driver's, that means the database is out of reach."""
    reason = reason_of(error)
    if reason is not None:
        raise (LockedError if is_locked(error) else StoreError)(
            f"{reason}{file_in_question(error, engine.url)}"
        ) from error


@contextmanager
def _references_checked_at_the_end(connection: Connection) -> Iterator[None]:
    """Commit the block's changes on SQLite, after a check of every reference.

    SQLite changes a table by copying it; meanwhile the rows that others refer to are missing.
    """
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.commit()
    try:
        yield
        violations = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if violations:
            raise StoreError(f"the database has rows that refer to nothing: {violations[0]}")
        connection.commit()
    finally:
        connection.rollback()
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")


def _require_utf8(connection: Any, _: Any) -> None:
    """Refuse a PostgreSQL database in an encoding other than UTF8: SQL_ASCII returns bytes, others lack letters."""
    encoding = connection.info.parameter_status("server_encoding") or _asked_encoding(connection)
    if encoding != "UTF8":
        connection.close()
        raise StoreError(
            f"the database is in the encoding {encoding}, and must be in UTF8: make another one with `createdb"
            " --template=template0 --encoding=UTF8 --locale=C.UTF-8 NAME`, and move this one there by pg_dump and"
            " pg_restore"
        )


def _asked_encoding(connection: Any) -> str:
    """Ask for the encoding, which a pooler need not report; the answer is bytes in SQL_ASCII."""
    (encoding,) = connection.execute("SHOW server_encoding").fetchone()
    connection.rollback()
    return encoding.decode() if isinstance(encoding, bytes) else encoding


def _prepare_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    _, _, file = cursor.execute("PRAGMA database_list").fetchone()
    if file and not Path(file).stat().st_size:  # only its owner may read a new file, in any folder
        Path(file).chmod(0o600)
    # Readers and the writer do not block each other; a power failure may lose the last commits, never the file.
    _write_ahead(cursor)
    # Overwrite erased data: some builds of SQLite would leave them in free pages of the file.
    cursor.executescript("PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON")
    cursor.close()


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """Switch the file to WAL, once in its life; concurrent switches fail at once, without SQLite's wait: retry."""
    until = monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > until:
                raise
            sleep(0.01)
        else:
            return
