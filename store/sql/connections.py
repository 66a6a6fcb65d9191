"""Connections to PostgreSQL that do not wait for ever for a network that swallows answers."""

from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import Engine, event

KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""With these the system notices within half a minute that a host is gone; the address may set others."""


class AnsweredConnection(psycopg.Connection[Any]):
    """A connection that is closed when an answer does not come in time.

    The system's own time-outs are not enough: a proxy, or a host that hangs, still acknowledges what it takes.

    Attributes:
        answer_seconds: how long any one statement, or the end of a transaction, is waited for; None for ever.
    """

    answer_seconds: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer; after too long, close the connection and raise OperationalError."""
        if timeout is not None or self.answer_seconds is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except errors._WaitTimeout:  # noqa: SLF001 (psycopg raises nothing else, and has no other way)
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
