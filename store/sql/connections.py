"""Connections of an engine: a limit on the time for one answer of PostgreSQL; savepoints on SQLite.

SQLite ends the whole transaction after some errors, such as a full disk.
"""

from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import Connection, Engine, event


class AnsweredConnection(psycopg.Connection[Any]):
    """A connection that is closed if an answer does not arrive in time.

    The system's own time-outs are not enough: a proxy, or a host that hangs, still acknowledges what it receives.

    Attributes:
        answer_seconds: how long to wait for a statement, or the end of a transaction; None for no limit.
    """

    answer_seconds: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer; after too long, close the connection and raise OperationalError."""
        if timeout is not None or self.answer_seconds is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except errors._WaitTimeout:  # noqa: SLF001 (psycopg raises this private error, and has no public one)
            self.pgconn.finish()  # a late answer must not be read as the next one's
            raise errors.OperationalError(f"the database did not answer within {self.answer_seconds} seconds") from None


def give_up_after(engine: Engine, seconds: float) -> None:
    """Close an engine's connections that do not answer in time; its pool opens others."""
    kind: type[AnsweredConnection] = type(
        AnsweredConnection.__name__, (AnsweredConnection,), {"answer_seconds": seconds}
    )

    def connect(_: Any, __: Any, arguments: Any, options: Any) -> Any:
        return kind.connect(*arguments, **options)

    event.listen(engine, "do_connect", connect)


def keep_first_error(engine: Engine) -> None:
    """Raise the error that ended a transaction of SQLite, also inside a savepoint.

    The savepoint ends with its transaction. To roll back to it would raise another error, which says nothing about
    the disk.
    """
    event.listen(engine, "rollback_savepoint", _leave_ended_transaction)


def _leave_ended_transaction(connection: Connection, *_: Any) -> None:
    """Invalidate the connection if its transaction has ended: changes before the savepoint are undone too.

    On an invalidated connection SQLAlchemy rolls nothing back, and executes nothing more until the whole transaction
    is rolled back. So the second half of a change is never stored without its first half.
    """
    if connection.invalidated:  # by a nested savepoint
        return
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        connection.invalidate()
