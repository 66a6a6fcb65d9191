"""The platform's metrics: read at a scrape, cached for a while, with bounded labels.

The page needs no token, so it names organisations by number; those beyond `MOST_ORGANISATIONS` share one label.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import nan
from threading import Lock
from time import monotonic
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.exc import SQLAlchemyError

from fivefold.domain.clock import SECOND_US
from fivefold.domain.errors import StoreError
from fivefold.store.sql.reasons import did_no_work
from fivefold.usecases.monitoring.statistics import LastValidation, OrganisationFigures, PlatformFigures

MOST_ORGANISATIONS: Final = 50
MOST_TYPES: Final = 20
OTHER: Final = "other"
LEAST_SECONDS: Final = 15.0
"""Least time between two reads: Prometheus scrapes about as often."""
REST: Final = 50
"""Seconds of caching for each second that a read took: this page takes at most a fiftieth of the database's time."""

log = structlog.get_logger("fivefold.metrics")


class PlatformMetrics:
    """Writes the platform's metrics for Prometheus; one in each process."""

    def __init__(
        self,
        figures: PlatformFigures,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        """Read at the first scrape."""
        self._figures, self._seconds = figures, seconds
        self._lock = Lock()
        self._cached: list[OrganisationFigures] | None = None
        self._until = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def page(self) -> bytes:
        """Write the metrics as text."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; only fivefold_platform_up if the database is out of reach."""
        figures = self._read()
        up = GaugeMetricFamily("fivefold_platform_up", "1 where the database could be asked for what follows")
        up.add_metric([], float(figures is not None))
        yield up
        if figures is not None:
            clock = GaugeMetricFamily("fivefold_clock_ahead_seconds", "Of this machine's clock, to the database's")
            clock.add_metric([], self._figures.clock_ahead_us() / SECOND_US)
            yield clock
        if figures:
            yield from families(figures, self._figures.now_us())

    def describe(self) -> Iterable[Metric]:
        """Describe nothing in advance: the registry has this collector alone."""
        return ()

    def _read(self) -> list[OrganisationFigures] | None:
        """Return the cached figures, or read them again once they are old; concurrent scrapes wait."""
        with self._lock:
            start = self._seconds()
            if start >= self._until:
                rest = REST
                try:
                    self._cached = self._figures.read()
                except (
                    StoreError,
                    SQLAlchemyError,
                ) as error:  # fivefold_platform_up shows it; the page must still show the service's metrics
                    log.warning("platform figures not read", error=type(error).__name__)
                    self._cached = None
                    rest = 0 if did_no_work(error) else REST
                end = self._seconds()
                self._until = end + max(LEAST_SECONDS, rest * (end - start))
            return self._cached


def families(figures: list[OrganisationFigures], now_us: int) -> Iterator[Metric]:
    """Convert figures to metrics; an unknown figure is NaN."""
    for name, text, count in _COUNTS:
        yield _gauge(name, text, ["organisation"], _added(figures, count))
    for name, oldest_us in _OLDEST.items():
        yield _gauge(name, "Since the first of those due is", ["organisation"], _oldest(figures, now_us, oldest_us))
    yield _gauge("level_entities", "Entities by level", ["organisation", "type", "level"], _by_level(figures))
    largest = figures[:MOST_ORGANISATIONS]
    for name, text, state in _STATES:
        values: Values = {(str(each.number),): state(each, now_us) for each in largest}
        yield _gauge(name, text, ["organisation"], values)
    for name, text, part in _BY_LEVEL:
        shares: Values = {
            (str(each.number), level): share
            for each in largest
            if each.validation is not None
            for level, share in part(each.validation).items()
        }
        yield _gauge(name, text, ["organisation", "level"], shares)
    reached: Values = {
        (str(each.number), name): None if is_reached is None else float(is_reached)
        for each in largest
        for name, is_reached in each.triggers(now_us).items()
    }
    yield _gauge("revalidation_trigger", "1 where it asks for a revalidation", ["organisation", "trigger"], reached)
    due: Values = {
        (str(each.number), kind): None if is_due is None else float(is_due)
        for each in largest
        for kind, is_due in sorted(each.due_models.items())[:MOST_TYPES]
    }
    text = "1 where the value model that serves is due for training, by what came of its predictions"
    yield _gauge("value_model_due", text, ["organisation", "type"], due)


Values = dict[tuple[str, ...], float | None]

_COUNTS: tuple[tuple[str, str, Callable[[OrganisationFigures], int]], ...] = (
    ("due_entities", "Entities to be assessed", lambda each: each.due),
    ("quarantined_entities", "Entities that failed too often", lambda each: each.quarantined),
    ("assessments_from_the_future", "Entities last assessed after now, by a clock ahead", lambda each: each.ahead),
    ("overrides_live", "Overrides that hold", lambda each: each.overrides),
    ("deliveries_waiting", "Webhook deliveries that wait", lambda each: each.waiting),
    ("deliveries_dead", "Webhook deliveries that were given up", lambda each: each.dead),
    ("flow_runs_due", "Runs of flows that workers are to look at", lambda each: each.runs.due if each.runs else 0),
    ("flow_runs_failed", "Runs of flows that failed in a day", lambda each: each.runs.failed if each.runs else 0),
    (
        "flow_runs_quarantined",
        "Runs of flows that ended workers too often",
        lambda each: each.runs.quarantined if each.runs else 0,
    ),
    ("material_changes_open", "Material changes that nobody signed off", lambda each: each.open_changes),
)
"""Counts, which are summed over the organisations beyond MOST_ORGANISATIONS."""


def _share_downward(each: OrganisationFigures, _: int) -> float | None:
    return each.downward / each.with_level if each.with_level else None


def _seconds_since(moment_us: int, now_us: int) -> float:
    """Return the seconds since a moment; 0 if another machine's clock, a little ahead of this one, gave it."""
    return max(0, now_us - moment_us) / SECOND_US


def _silent(each: OrganisationFigures, now_us: int) -> float | None:
    return None if each.added_us is None else _seconds_since(each.added_us, now_us)


def _age(each: OrganisationFigures, now_us: int) -> float | None:
    return None if each.validation is None else _seconds_since(each.validation.made_us, now_us)


def _last(read: Callable[[LastValidation], float | None]) -> Callable[[OrganisationFigures, int], float | None]:
    return lambda each, _: None if each.validation is None else read(each.validation)


_STATES: tuple[tuple[str, str, Callable[[OrganisationFigures, int], float | None]], ...] = (
    ("overrides_downward_share", "Of entities with a level, overridden below the rules", _share_downward),
    ("rates_age_days", "Since the day of the newest exchange rate", lambda each, _: float(each.rates_age_days)),
    ("transactions_added_age_seconds", "Since transactions were added last", _silent),
    ("validation_age_seconds", "Since the last validation", _age),
    ("validation_gini", "Of the rules' totals, in the last validation", _last(lambda last: last.gini)),
    ("validation_captured_share", "Of the confirmed, in the upper levels", _last(lambda last: last.captured)),
    ("validation_missed_share", "Of the confirmed, below the upper levels", _last(lambda last: last.missed)),
    ("validation_drift_psi", "Population stability index of levels", _last(lambda last: last.drift)),
)
_BY_LEVEL: tuple[tuple[str, str, Callable[[LastValidation], Mapping[str, float | None]]], ...] = (
    ("validation_alert_conversion", "Of alerts with an outcome, confirmed", lambda last: last.conversion),
    ("validation_false_positive_share", "Of alerts with an outcome, others", lambda last: last.false_positives),
)


def _added(figures: list[OrganisationFigures], count: Callable[[OrganisationFigures], int]) -> Values:
    values: Values = {}
    for label, each in _labelled(figures):
        values[label,] = (values.get((label,)) or 0) + count(each)
    return values


_OLDEST: Final[dict[str, Callable[[OrganisationFigures], int | None]]] = {
    "due_oldest_seconds": lambda each: each.oldest_us,
    "flow_runs_due_oldest_seconds": lambda each: each.runs.oldest_us if each.runs else None,
}


def _oldest(
    figures: list[OrganisationFigures], now_us: int, oldest_us: Callable[[OrganisationFigures], int | None]
) -> Values:
    values: Values = {}
    for label, each in _labelled(figures):
        since_us = oldest_us(each)
        age = 0.0 if since_us is None else _seconds_since(since_us, now_us)
        values[label,] = max(values.get((label,)) or 0.0, age)
    return values


def _labelled(figures: list[OrganisationFigures]) -> Iterator[tuple[str, OrganisationFigures]]:
    for place, each in enumerate(figures):
        yield str(each.number) if place < MOST_ORGANISATIONS else OTHER, each


def _by_level(figures: list[OrganisationFigures]) -> Values:
    values: Values = {}
    for each in figures[:MOST_ORGANISATIONS]:
        types = sorted({kind for kind, _ in each.levels})[:MOST_TYPES]
        for (kind, level), entities in each.levels.items():
            key = (str(each.number), kind if kind in types else OTHER, level)
            values[key] = (values.get(key) or 0) + entities
    return values


def _gauge(name: str, text: str, labels: list[str], values: Mapping[tuple[str, ...], float | None]) -> Metric:
    family = GaugeMetricFamily(f"fivefold_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, nan if value is None else float(value))
    return family
