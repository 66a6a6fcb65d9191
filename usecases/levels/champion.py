"""The value model that a worker asks: the champion of the registry, looked at now and then."""

from collections.abc import Callable
from threading import Lock

import structlog
from sqlalchemy import Engine

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import FivefoldError
from fivefold.domain.settings import Settings
from fivefold.store.ingest.entities import subjects
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import BULK, Reason
from fivefold.store.levels.value_scores import valued_otherwise
from fivefold.store.sql.database import writing
from fivefold.usecases.levels.value_scores import Valuer

log = structlog.get_logger("fivefold.worker")


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
