"""Measures drift: each worker counts scored customers by bucket, each once a week, and stores counts every minute."""

import secrets
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import structlog
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, day_text, now_microseconds
from fivefold.features.histories import Integers
from fivefold.serving.champion.loader import ServedModel
from fivefold.usecases.monitoring.drift import ColumnDrift, drift_key, keep_counts, measure_drift, week_of
from fivefold.usecases.scoring import ScoredRows
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

STORE_SECONDS = 60.0
COMPARED_DAYS = 30
WEEK_US = 7 * DAY_US
SEEN_BITS = 2**24
"""Bits that mark the customers whom a worker has counted: 2 MiB for each model and week.

Two customers may share a bit, and the later one is not counted: at most one in 17 when a million were counted. The hash
alone decides that, so those left out are like the others.
"""
log = structlog.get_logger("fivefold.drift")


class _WeekCounts(NamedTuple):
    """The counts of a model in a week, stored under a random name of their own.

    So a week that begins again, because a clock was ahead, adds to its stored counts and does not replace them.

    Attributes:
        marks: one bit for each counted customer; never stored.
    """

    worker: str
    counts: Integers
    marks: bytearray

    def first_rows(self, organisation_id: int, user_ids: Sequence[str]) -> list[int]:
        """Mark customers; return the rows of those who were not marked before."""
        new_rows = []
        for row, user_id in enumerate(user_ids):
            byte, place = divmod(hash((organisation_id, user_id)) % SEEN_BITS, 8)
            if not self.marks[byte] & 1 << place:
                self.marks[byte] |= 1 << place
                new_rows.append(row)
        return new_rows


class DriftCounter:
    """Counts scored customers by model and week, each once; nothing else of a request is stored.

    Otherwise customers who are scored more often would weigh more, and would look like a portfolio that moved.

    Attributes:
        drift: the newest comparison with the training reference, for the metrics.
    """

    def __init__(self, engine: Engine, serving: Callable[[], ServedModel | None] = lambda: None) -> None:
        """Begin without counts; *serving* returns the model that serves now, compared even before its first request."""
        self.drift: list[ColumnDrift] = []
        self._engine = engine
        self._serving = serving
        self._newest: ServedModel | None = None
        self._counts: dict[tuple[str, int, str], _WeekCounts] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._store_regularly, name="counter", daemon=True)

    def start(self) -> None:
        """Start the thread that stores the counts."""
        self._thread.start()

    def stop(self) -> None:
        """Store the counts, then end."""
        self._ended.set()
        self._thread.join()

    def add(self, served: ServedModel, answer: ScoredRows, organisation_id: int) -> None:
        """Count those customers of a charged answer who were not counted this week."""
        reference = served.model.reference
        key = drift_key(served.name, served.model), served.version, _week(now_microseconds() // DAY_US)
        with self._lock:
            if key not in self._counts:
                self._counts[key] = _WeekCounts(secrets.token_hex(8), reference.empty(), bytearray(SEEN_BITS // 8))
            of_week = self._counts[key]
            if rows := of_week.first_rows(organisation_id, answer.user_ids):
                reference.count(of_week.counts, answer.matrix[rows], answer.scores.score[rows])
            self._newest = served

    def store(self) -> None:
        """Store the counts, and compare them with the reference."""
        now = now_microseconds()
        with self._lock:
            entries = [(key, worker, counts.copy()) for key, (worker, counts, _) in self._counts.items()]
        for key, worker, counts in entries:
            keep_counts(self._engine, worker, *key, counts)
            if (
                key[-1] < day_text(now - WEEK_US - DAY_US)[:10]
            ):  # this week is over: drop its counts, unless they grew meanwhile
                with self._lock:
                    if np.array_equal(self._counts[key].counts, counts):
                        del self._counts[key]
        newest = self._serving() or self._newest
        if newest is not None:
            since = week_of(now - COMPARED_DAYS * DAY_US)
            model = drift_key(newest.name, newest.model)
            self.drift = measure_drift(self._engine, newest.model.reference, model, newest.version, since)

    def _store_regularly(self) -> None:
        is_ended = False
        while not is_ended:
            is_ended = self._ended.wait(STORE_SECONDS)
            try:
                self.store()
            except UNEXPECTED_ERRORS as error:  # counting must not end serving; the counts are stored next time
                log.warning("counts not stored", error=type(error).__name__)


@lru_cache(maxsize=8)
def _week(day: int) -> str:
    return week_of(day * DAY_US)
