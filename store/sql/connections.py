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
    """Let the error that ended a transaction of SQLite be the one that is raised, also inside a savepoint.

    The savepoint is gone with its transaction then. To roll back to it would raise an error of its own, which says
    nothing about the disk.
    """
    event.listen(engine, "rollback_savepoint", _leave_ended_transaction)


def _leave_ended_transaction(connection: Connection, *_: Any) -> None:
    """Give up the connection if its transaction has ended: what came before the savepoint is undone too.

    SQLAlchemy rolls nothing back on a connection that was given up, and carries out nothing more before the
    transaction is rolled back as a whole. So nobody stores the second half of something without its first half.
    """
    if connection.invalidated:  # by the savepoint within this one
        return
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        connection.invalidate()
