"""The database's time, how far this machine's clock is off, and the check of dates that lie ahead.

Every stored instant is later compared with a clock: leases, due marks, ends of overrides, waits. So every writer needs
the right time. PostgreSQL has a clock of its own, which all machines share; a SQLite file is used on one machine, and
that machine's clock is the reference.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import ColumnElement, Connection, Engine, or_, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from fivefold.domain.clock import SECOND_US, day_text, now_microseconds
from fivefold.domain.errors import StoreError, UntrustedClockError

TOLERANCE_SECONDS: Final = 60
"""How far clocks may differ by default (`FIVEFOLD_CLOCK_TOLERANCE_SECONDS`); synchronised ones differ by far less."""
LOOK_SECONDS: Final = 10.0
"""How long a passed comparison is relied on; after a failed one, the next call compares again."""
LONGEST_LEASE_US: Final = 900 * SECOND_US
"""The longest lease: one that ends later was written by a clock that was ahead, and is void."""

_CLOCK: Final = "fivefold_clock"
_SERVER: Final = "fivefold_server"
"""The key under which a connection keeps the server that answered on it last."""
_MOMENT = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS bigint)"
_NOW = text(f"SELECT {_MOMENT}")
_SERVER_AND_DATABASE = (
    "SELECT concat_ws(' ', pg_postmaster_start_time(), oid, CAST(to_regclass('outbox_id_seq') AS oid))"
    " FROM pg_database WHERE datname = current_database()"
)
_NOW_AND_SERVER = text(f"SELECT {_MOMENT}, ({_SERVER_AND_DATABASE})")
"""The start time identifies a server, to the microsecond; every role may read it, unless that right was revoked.

A database that was restored there under the same name has another number, or its tables and sequences have others.
"""
_MAY_ASK = text("SELECT has_function_privilege('pg_postmaster_start_time()', 'EXECUTE')")


@dataclass
class DatabaseClock:
    """The clock of one database, as this process sees it; it is attached to the engine.

    Attributes:
        tolerance_us: how far a machine's clock may differ from it.
        ahead_us: by how much this machine's clock was ahead at the last comparison; negative if it is behind.
        at_first_write: called on each server before the first transaction there that writes; None for nothing. After a
            failover the server is another one, which may lack the last commits; after a restore, the database is.
        done_on: the server and its database for which it was last called.
    """

    tolerance_us: int = TOLERANCE_SECONDS * SECOND_US
    ahead_us: int = 0
    at_first_write: Callable[[Connection], None] | None = None
    done_on: str | None = None
    _trusted_until: float = field(default=float("-inf"), repr=False)
    _server: str = field(default="", repr=False)

    def now_us(self) -> int:
        """Return the current time by the database's clock, as of the last comparison; microseconds."""
        return now_microseconds() - self.ahead_us

    def look(self, connection: Any, _: Any) -> None:
        """Compare the clocks on a new psycopg connection, before its first statement.

        So reads, and code that takes the time before its first write, have the database's time too. Only writes are
        refused, by `compare`.
        """
        before = now_microseconds()
        (there,) = connection.execute(_NOW.text).fetchone()
        self._note(before, there, now_microseconds())
        connection.rollback()

    def compare(self, connection: Connection) -> str:
        """Raise UntrustedClockError if the machine's clock is off by more than the tolerance; else return the server.

        The text that it returns also identifies the database there, see `_NOW_AND_SERVER`.

        It asks again after `LOOK_SECONDS`, and on each connection that is new or was of another server than the last
        one asked.
        """
        if connection.dialect.name == "sqlite":
            return ""
        server: str | None = connection.info.get(_SERVER)
        if server == self._server and monotonic() < self._trusted_until:
            return server
        before = now_microseconds()
        try:
            there, server = connection.execute(_NOW_AND_SERVER).one()
        except ProgrammingError as error:
            if isinstance(error.orig, InsufficientPrivilege):
                raise _lacks_right_to_ask() from error
            raise
        self._note(before, there, now_microseconds())
        if abs(self.ahead_us) > self.tolerance_us:
            side = "ahead of" if self.ahead_us > 0 else "behind"
            raise UntrustedClockError(
                f"this machine's clock is {_seconds(abs(self.ahead_us))} s {side}"
                f" the database's, and at most {_seconds(self.tolerance_us)} s are allowed: nothing is stored from here"
                " until the clocks agree"
            )
        connection.info[_SERVER] = self._server = server
        self._trusted_until = monotonic() + LOOK_SECONDS
        return server

    def _note(self, before: int, there: int, after: int) -> None:
        """Note the difference to the database's clock, which was read between two readings of the machine's.

        Only a gap that no delay explains is a difference.
        """
        self.ahead_us = before - there if there < before else min(after - there, 0)


def require_right_to_ask(connection: Connection) -> None:
    """Raise StoreError unless the database's role may ask which server answers: nothing can be stored otherwise."""
    if connection.dialect.name == "postgresql" and not connection.scalar(_MAY_ASK):
        raise _lacks_right_to_ask()


def _lacks_right_to_ask() -> StoreError:
    return StoreError(
        "this role of the database may not ask which server answers, which every writer does: as a superuser, GRANT"
        " EXECUTE ON FUNCTION pg_postmaster_start_time() TO the role"
    )


def _seconds(time_us: int) -> str:
    return f"{time_us / SECOND_US:,.0f}"


def options(tolerance_seconds: int) -> dict[str, DatabaseClock]:
    """Return the options of an engine that attach its clock."""
    return {_CLOCK: DatabaseClock(tolerance_seconds * SECOND_US)}


def clock_of(engine: Engine) -> DatabaseClock:
    """Return the clock of a database; one with the default tolerance if `open_database` did not open it."""
    clock: DatabaseClock | None = engine.get_execution_options().get(_CLOCK)
    return clock or DatabaseClock()


def database_now_us(session: Session) -> int:
    """Return the current time by the database's own clock; on SQLite by the machine's."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        return now_microseconds()
    now_us: int = connection.execute(_NOW).scalar_one()
    return now_us


def latest_us(session: Session, now_us: int, newest_us: int | None = None) -> int:
    """Return the moment after which nothing can have happened yet: the current time and the tolerance.

    *now_us* is the caller's current time, which replays of the past set back; the database's own counts as well. The
    database is asked only if *newest_us*, the latest instant in question, lies after the caller's limit.
    """
    tolerance_us = clock_of(session.get_bind().engine).tolerance_us
    if newest_us is not None and newest_us <= now_us + tolerance_us:
        return now_us + tolerance_us
    return max(now_us, database_now_us(session)) + tolerance_us


def lease_is_over(until: Any, now: Any) -> ColumnElement[bool]:
    """Build the condition that a lease is void: it has ended, or was taken by a clock that was ahead.

    *until* is the column with its end; *now* is the current time, as a parameter or a value.
    """
    return or_(until <= now, until > now + LONGEST_LEASE_US)


def ahead_error(session: Session, assessed_us: int, now_us: int) -> str | None:
    """Describe an assessment that is dated after now; None if it is not."""
    return ahead_message(assessed_us) if assessed_us > latest_us(session, now_us, assessed_us) else None


IS_AHEAD: Final = "the last assessment is dated"
"""The beginning of the error for an entity whose last assessment is dated after now."""


def ahead_message(assessed_us: int) -> str:
    """Describe an assessment that is dated after now, and how to repair it."""
    return (
        f"{IS_AHEAD} {day_text(assessed_us)}, which is in the future: a clock was ahead;"
        " `fivefold clock repair` repairs it"
    )
