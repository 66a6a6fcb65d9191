"""The worker's loop: periodic tasks in threads of their own; one of them polls the registry for the value model.

The failure of one task delays no other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import monotonic, sleep

import structlog
from polars.exceptions import PanicException
from sqlalchemy import Engine

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import FivefoldError, StoreError
from fivefold.domain.settings import Settings
from fivefold.store.ingest.entities import subjects
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import BULK, Reason
from fivefold.store.levels.value_scores import valued_otherwise
from fivefold.store.sql.database import writing
from fivefold.usecases.levels.value_scores import Valuer

log = structlog.get_logger("fivefold.worker")

LONGEST_PAUSE_SECONDS = 60.0
UNEXPECTED_ERRORS = (Exception, PanicException)
"""Polars has an error that is no subclass of Exception: uncaught, it would end a thread unseen."""


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
        except UNEXPECTED_ERRORS as error:  # nothing ends a worker but who asked it to end; it is told and tried again
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


class Champion:
    """Gives the champion as it was at the last look; the last good one where a newer one cannot be loaded."""

    def __init__(self, engine: Engine, settings: Settings, clock: Callable[[], int] = now_microseconds) -> None:
        """Look at nothing yet."""
        self._engine = engine
        self._clock = clock
        self._settings = settings
        self._lock = Lock()
        self._valuer: Valuer | None = None
        self._marked: int | None = None

    @property
    def valuer(self) -> Valuer | None:
        """The champion; None where there is none."""
        with self._lock:
            return self._valuer

    def look(self) -> bool:
        """See whether there is another champion; then everybody whom it may value otherwise becomes due.

        It is there before they are, so that nobody is assessed by the one before it. Where they cannot be marked, the
        next look does it.

        Raises:
            StoreError: the database is out of reach.
        """
        self.load()
        champion = self.valuer
        if champion is None or champion.version == self._marked:
            return False
        mark_valued_otherwise(self._engine, champion.name, champion.version, self._clock())
        self._marked = champion.version
        return True

    def load(self) -> None:
        """Load the champion where it is another one than before; where it cannot be loaded, that is logged."""
        if not self._settings.has_registry:
            return  # at once: MLflow takes seconds to import
        from fivefold.models.registry import Registry  # noqa: PLC0415 (imports MLflow)

        known = self.valuer
        try:
            registry = Registry(self._settings, self._settings.model_name)
            version = registry.champion()
            if version is None or (known is not None and known.version == version.number):
                return
            found = Valuer(registry.load(version.number), self._settings.model_name, version.number)
        except FivefoldError as error:
            log.warning("value model not loaded", error=str(error))
            return
        with self._lock:
            self._valuer = found
        log.info("value model", name=found.name, version=found.version)


def mark_valued_otherwise(engine: Engine, model: str, version: int, now_us: int) -> int:
    """Make everybody due whose value was not computed by this version of the model, or never; tell how many."""
    with writing(engine) as session:
        found = subjects(session, valued_otherwise(session, model, version))
        due.mark(session, found, Reason.VALUE, now_us, BULK)
    return len(found)
