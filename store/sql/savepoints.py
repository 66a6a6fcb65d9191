"""Savepoints on SQLite, which ends the whole transaction after some errors, such as a full disk."""

from typing import Any

from sqlalchemy import Connection, Engine, event


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
