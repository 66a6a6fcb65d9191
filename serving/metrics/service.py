"""Metrics of the service: counts and times with bounded labels, and the version of the model."""

from math import nan
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from fivefold.serving.champion.drift_counter import DriftCounter
from fivefold.serving.champion.loader import ChampionLoader
from fivefold.serving.metrics.platform import PlatformMetrics

FIXED_PATHS = (
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
"""Key of the ASGI scope that holds the pattern of a platform route."""
_NEWEST: Final = "mostrecent"
"""A gauge shows the value of the worker that wrote last: that of an older or a dead worker is out of date."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def route_of(scope: Any) -> str:
    """Name the route of a request by its pattern, never by its path."""
    pattern: str | None = scope.get(ROUTE)
    return pattern or (scope["path"] if scope["path"] in FIXED_PATHS else OTHER)


class ServiceMetrics:
    """Counts responses; unknown paths are counted as `other`, so that labels stay bounded."""

    def __init__(self, loader: ChampionLoader, counted: DriftCounter, platform: PlatformMetrics | None = None) -> None:
        """Register the metrics; once in each process."""
        self._loader = loader
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
        """Return the version that serves; `none` before the first."""
        return self._loader.current.version if self._loader.current else "none"

    def count_response(self, scope: Any, status: int, seconds: float) -> None:
        """Count one response."""
        route = route_of(scope)
        pair = self._labelled.get((route, status))
        if pair is None:  # cached: looking up labels takes longer than counting
            pair = self._requests.labels(route=route, status=str(status)), self._seconds.labels(route=route)
            self._labelled[route, status] = pair
        pair[0].inc()
        pair[1].observe(seconds)

    def refresh(self) -> None:
        """Set the gauges."""
        self._version.set(self._loader.current.version if self._loader.current else 0)
        self._refused.set(int(bool(self._loader.refused)))
        for drift in self._counter.drift:  # NaN if unknown: the value of the previous model must not stay
            self._drift.labels(indicator=drift.name).set(nan if drift.index is None else drift.index)

    def page(self) -> bytes:
        """Write the metrics of all workers, which share files under BentoML, and the platform's."""
        return self._of_workers() + (b"" if self._platform is None else self._platform.page())

    def _of_workers(self) -> bytes:
        self.refresh()
        registry = CollectorRegistry()
        try:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it ships half of its types
        except ValueError:  # no shared folder: there is only this process
            return generate_latest(REGISTRY)
        return generate_latest(registry)
