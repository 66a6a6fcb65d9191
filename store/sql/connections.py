"""Connections to PostgreSQL that do not wait for ever: a network may take what is sent, and bring nothing back."""

from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import Engine, event

KEPT_ALIVE = {
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""So the system itself finds out within half a minute that a host is gone, unless the address says otherwise."""


class AnsweredConnection(psycopg.Connection[Any]):
    """A connection that is given up where an answer does not come in time.

    The system's own time-outs are not enough: a proxy, or a host that hangs, still acknowledges what it takes.

    Attributes:
        answer_seconds: how long any one statement, or the end of a transaction, is waited for; None for ever.
    """

    answer_seconds: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer; OperationalError, and the connection is closed, where it takes too long."""
        if timeout is not None or self.answer_seconds is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except errors._WaitTimeout:  # noqa: SLF001 (psycopg raises nothing else, and has no other way)
            self.pgconn.finish()  # whatever comes later is no answer to the next question
            raise errors.OperationalError(f"the database did not answer within {self.answer_seconds} seconds") from None


def give_up_after(engine: Engine, seconds: float) -> None:
    """Give up the connections of an engine that do not answer in time; its pool opens others."""
    kind: type[AnsweredConnection] = type(
        AnsweredConnection.__name__, (AnsweredConnection,), {"answer_seconds": seconds}
    )

    def connect(_: Any, __: Any, given: Any, named: Any) -> Any:
        return kind.connect(*given, **named)

    event.listen(engine, "do_connect", connect)
