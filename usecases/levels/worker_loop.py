"""What a worker does all the time: duties side by side, each over and over, none held up by another's failure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import monotonic, sleep

import structlog
from polars.exceptions import PanicException

from fivefold.domain.errors import StoreError

log = structlog.get_logger("fivefold.worker")

LONGEST_PAUSE_SECONDS = 60.0
_WHATEVER = (Exception, PanicException)
"""Polars has an error that is no Exception: a duty's thread would end by it, unseen."""


@dataclass(frozen=True)
class Duty:
    """One thing to be done again and again.

    Attributes:
        name: for the log.
        run: does some of it, and tells whether there was anything to do: then it is called again at once.
        idle_seconds: how long to rest where there was nothing.
    """

    name: str
    run: Callable[[], bool]
    idle_seconds: float


class Pulse:
    """How the duties of a worker go: which failed last, and when one came to an end of a round."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Begin with nothing wrong."""
        self._clock = clock
        self._errors: dict[str, str | None] = {}
        self._beat = clock()
        self._lock = Lock()

    def beat(self, duty: str, error: str | None) -> None:
        """Note that a duty ended a round, well or with an error."""
        with self._lock:
            self._errors[duty] = error
            self._beat = self._clock()

    def errors(self) -> dict[str, str | None]:
        """Give the last error of each duty; None where its last round went well."""
        with self._lock:
            return dict(self._errors)

    def silent_seconds(self) -> float:
        """Tell for how long no duty came to an end of a round."""
        with self._lock:
            return self._clock() - self._beat


def perform(
    duties: Sequence[Duty], stop: Event, *alongside: Callable[[Event], None], pulse: Pulse | None = None
) -> None:
    """Do all duties, each in a thread of its own, until *stop* is set; what has begun is finished.

    What goes on *alongside* has a loop of its own, and ends by itself once *stop* is set. *pulse* notes how it goes.
    """
    threads = [Thread(target=_keep_on, args=(duty, stop, pulse or Pulse()), name=duty.name) for duty in duties]
    threads += [Thread(target=function, args=(stop,)) for function in alongside]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def finish(duties: Sequence[Duty], until: Callable[[], bool] = lambda: True) -> None:
    """Do all duties in turn until none has anything left to do and *until* says so too; errors are raised."""
    while True:
        busy = [duty.run() for duty in duties]
        if not any(busy):
            if until():
                return
            sleep(min(duty.idle_seconds for duty in duties))


def _keep_on(duty: Duty, stop: Event, pulse: Pulse) -> None:
    failures = 0
    while not stop.is_set():
        try:
            busy = duty.run()
        except _WHATEVER as error:  # nothing ends a worker but who asked it to end; it is told and tried again
            failures += 1
            pause = min(LONGEST_PAUSE_SECONDS, duty.idle_seconds * 2**failures)
            details = str(error) if isinstance(error, StoreError) else type(error).__name__
            pulse.beat(duty.name, details)
            log.warning("duty failed", duty=duty.name, error=details, again_in_seconds=pause)
            stop.wait(pause)
        else:
            failures = 0
            pulse.beat(duty.name, None)
            if not busy:
                stop.wait(duty.idle_seconds)
