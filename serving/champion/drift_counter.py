"""Watching without storing: each worker counts customers by bucket, and keeps the counts every minute."""

import secrets
import threading
from functools import lru_cache

import structlog
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, day_text, now_microseconds
from fivefold.features.histories import Integers
from fivefold.serving.champion.loader import Served
from fivefold.usecases.monitoring.drift import ColumnDrift, drift_key, keep_counts, measure_drift
from fivefold.usecases.scoring import ScoredRows

KEEP_SECONDS = 60.0
WATCHED_DAYS = 30
log = structlog.get_logger("fivefold.drift")


class Counter:
    """Counts answered customers by model and day; the counts are all that is ever kept of a request.

    Attributes:
        drift: the newest comparison with the training reference, for the metrics.
    """

    def __init__(self, engine: Engine) -> None:
        """Count nothing yet."""
        self.drift: list[ColumnDrift] = []
        self._engine = engine
        self._worker = secrets.token_hex(8)
        self._newest: Served | None = None
        self._counts: dict[tuple[int, str], tuple[Served, Integers]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_now_and_then, name="counter", daemon=True)

    def start(self) -> None:
        """Begin to keep the counts."""
        self._thread.start()

    def stop(self) -> None:
        """Keep what was counted, then end."""
        self._ended.set()
        self._thread.join()

    def add(self, served: Served, answer: ScoredRows) -> None:
        """Count the customers of an answer that was charged."""
        reference = served.model.reference
        day = _day(now_microseconds() // DAY_US)
        with self._lock:
            found = self._counts.get((served.version, day))
            if found is None:
                found = self._counts[served.version, day] = (served, reference.empty())
            reference.count(found[1], answer.matrix, answer.scores.score)
            self._newest = served

    def keep(self) -> None:
        """Keep the counts, and compare with the reference."""
        now = now_microseconds()
        with self._lock:
            found = [(served, day, counts.copy()) for (_, day), (served, counts) in self._counts.items()]
        for served, day, counts in found:
            model = drift_key(served.name, served.model)
            keep_counts(self._engine, self._worker, model, served.version, day, counts)
            if day < day_text(now - DAY_US)[:10]:  # nobody is counted there any more: it and its model need not stay
                self._counts.pop((served.version, day), None)
        newest = self._newest
        if newest is not None:
            since = day_text(now - WATCHED_DAYS * DAY_US)[:10]
            model = drift_key(newest.name, newest.model)
            self.drift = measure_drift(self._engine, newest.model.reference, model, newest.version, since)

    def _keep_now_and_then(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(KEEP_SECONDS)
            try:
                self.keep()
            except Exception as error:  # noqa: BLE001 (counting must not end serving; the counts are kept next time)
                log.warning("counts not kept", error=type(error).__name__)


@lru_cache(maxsize=8)
def _day(number: int) -> str:
    return day_text(number * DAY_US)
