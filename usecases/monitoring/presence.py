"""Workers say that they run, so that people see when each was seen last."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import Final

from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, SECOND_US, now_microseconds
from fivefold.domain.errors import StoreError
from fivefold.store.monitoring import operations
from fivefold.store.sql.database import writing

NOTED_EVERY_SECONDS: Final = 30.0
MISSED_US: Final = 4 * int(NOTED_EVERY_SECONDS) * SECOND_US
"""A worker that was not seen for so long, and did not end, hangs, was killed, or cannot reach the database."""
KEPT_US: Final = 30 * DAY_US


@contextmanager
def noted(engine: Engine, clock: Callable[[], int] = now_microseconds) -> Iterator[Callable[[Event], None]]:
    """Note that a worker runs from now until the block ends; gives what notes it again and again until it is stopped.

    A database that is out of reach is no reason not to work: then nothing is noted.
    """
    number: int | None = None
    with suppress(StoreError), writing(engine) as session:
        number = operations.add_worker(session, clock(), clock() - KEPT_US)

    def see(*, ended: bool) -> None:
        if number is not None:
            with suppress(StoreError), writing(engine) as session:
                operations.see_worker(session, number, clock(), ended=ended)

    def keep_noting(stop: Event) -> None:
        while not stop.wait(NOTED_EVERY_SECONDS):
            see(ended=False)

    try:
        yield keep_noting
    finally:
        see(ended=True)
