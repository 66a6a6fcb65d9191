"""A limit on the time for one answer of PostgreSQL."""

from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import Engine, event


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
