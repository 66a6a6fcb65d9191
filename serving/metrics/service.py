"""What the operator sees: counts and times with bounded labels, and which model answers."""

from math import nan
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from fivefold.serving.champion import drift_counter as counter
from fivefold.serving.champion.loader import ModelHolder
from fivefold.serving.metrics.platform import PlatformMetrics

ROUTES = (
    "/v4/scoring",
    "/v4/indicators",
    "/",
    "/docs",
    "/openapi.json",
    "/livez",
    "/readyz",
    "/readyz/v1",
    "/healthz",
    "/metrics",
)
OTHER = "other"
ROUTE = "fivefold.route"
"""Where a request says which of the platform's routes it is for: by its pattern, of which there are few."""
_NEWEST: Final = "mostrecent"
"""A state is as the worker says that looked last: an older worker's, or a dead one's, would be the past."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def route_of(scope: Any) -> str:
    """Name the route of a request, of which there are few: never its path."""
    known: str | None = scope.get(ROUTE)
    return known or (scope["path"] if scope["path"] in ROUTES else OTHER)


class Watch:
    """Counts answers; a path that is none of ours is counted as `other`, so that labels stay bounded."""

    def __init__(self, holder: ModelHolder, counted: counter.Counter, platform: PlatformMetrics | None = None) -> None:
        """Register the metrics; once in each process."""
        self._holder = holder
        self._platform = platform
        self._counter = counted
        self._labelled: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            name="fivefold_requests_total", documentation="Answered requests", labelnames=["route", "status"]
        )
        self._seconds = Histogram(
            name="fivefold_request_seconds", documentation="Time to answer", labelnames=["route"], buckets=_SECONDS
        )
        self._version = Gauge(
            name="fivefold_model_version", documentation="Version that answers, 0 for none", multiprocess_mode=_NEWEST
        )
        self._refused = Gauge(
            name="fivefold_champion_refused",
            documentation="1 where the newest champion does not serve",
            multiprocess_mode=_NEWEST,
        )
        self._drift = Gauge(
            name="fivefold_drift_psi",
            documentation="Population stability index against the training reference",
            labelnames=["indicator"],
            multiprocess_mode=_NEWEST,
        )

    def model_version(self) -> int | str:
        """Give the version that answers now; `none` before the first."""
        return self._holder.current.version if self._holder.current else "none"

    def answered(self, scope: Any, status: int, seconds: float) -> None:
        """Count one answer."""
        route = route_of(scope)
        found = self._labelled.get((route, status))
        if found is None:  # looked up once: that takes longer than to count
            found = self._requests.labels(route=route, status=str(status)), self._seconds.labels(route=route)
            self._labelled[route, status] = found
        found[0].inc()
        found[1].observe(seconds)

    def refresh(self) -> None:
        """Set what is not counted but true now."""
        self._version.set(self._holder.current.version if self._holder.current else 0)
        self._refused.set(int(bool(self._holder.refused)))
        for drift in self._counter.drift:  # unknown is no number: that of the model before must not stay
            self._drift.labels(indicator=drift.name).set(nan if drift.index is None else drift.index)

    def page(self) -> bytes:
        """Write the metrics of all workers, which share files where BentoML started them, and the platform's."""
        return self._of_workers() + (b"" if self._platform is None else self._platform.page())

    def _of_workers(self) -> bytes:
        self.refresh()
        together = CollectorRegistry()
        try:
            MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # it ships half of its types
        except ValueError:  # no folder for such files: there is this process alone
            return generate_latest(REGISTRY)
        return generate_latest(together)
