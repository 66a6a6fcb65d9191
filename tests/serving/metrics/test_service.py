"""What the operator sees: bounded labels, the version that answers, refusals and drift."""

import re
from collections.abc import Iterator
from math import isnan
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from fivefold.serving.champion.drift_counter import DriftCounter
from fivefold.serving.champion.loader import ChampionLoader, ServedModel
from fivefold.serving.metrics.service import FIXED_PATHS, OTHER, ROUTE, ServiceMetrics
from fivefold.usecases.monitoring.drift import ColumnDrift
from tests.store import databases

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceMetrics]:
    """The metrics of a process, whose registry forgets them again."""
    from fivefold.domain.settings import Settings

    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    before = set(REGISTRY._collector_to_names)
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        yield ServiceMetrics(ChampionLoader(Settings(var=tmp_path)), DriftCounter(engine))
    for made in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(made)


def samples(metrics: ServiceMetrics) -> Samples:
    """Read the page as Prometheus does."""
    families = text_string_to_metric_families(metrics.page().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        if family.name.startswith("fivefold_")
        for sample in family.samples
    }


def serve(metrics: ServiceMetrics, version: int) -> None:
    metrics._loader.current = ServedModel(None, version, "value")  # type: ignore[arg-type]  # no model is asked
    metrics._loader.refused = ""


def test_answers_are_counted_by_route_and_status(metrics: ServiceMetrics) -> None:
    for path, status in (("/v4/scoring", 200), ("/v4/scoring", 200), ("/v4/scoring", 429), ("/readyz", 200)):
        metrics.count_response({"path": path}, status, 0.002)
    found = samples(metrics)
    assert found["fivefold_requests_total", (("route", "/v4/scoring"), ("status", "200"))] == 2
    assert found["fivefold_requests_total", (("route", "/v4/scoring"), ("status", "429"))] == 1
    assert found["fivefold_request_seconds_count", (("route", "/v4/scoring"),)] == 3
    assert found["fivefold_request_seconds_sum", (("route", "/readyz"),)] == pytest.approx(0.002)
    assert found["fivefold_request_seconds_bucket", (("le", "0.001"), ("route", "/readyz"))] == 0
    assert found["fivefold_request_seconds_bucket", (("le", "0.0025"), ("route", "/readyz"))] == 1


def test_no_path_of_a_caller_becomes_a_label(metrics: ServiceMetrics) -> None:
    for path in ("//", "/v4/scoring/", "/V4/SCORING", "/metrics/../x", '/"quoted"\n', *map(str, range(500))):
        metrics.count_response({"path": path}, 404, 0.0)
    counted = {labels: value for (name, labels), value in samples(metrics).items() if name == "fivefold_requests_total"}
    assert counted == {(("route", OTHER), ("status", "404")): 505}
    assert OTHER not in FIXED_PATHS
    for route in FIXED_PATHS:
        metrics.count_response({"path": route}, 200, 0.0)
    text = metrics.page().decode()
    assert set(re.findall(r'route="([^"]*)"', text)) == {*FIXED_PATHS, OTHER}


def test_the_platforms_routes_are_counted_by_their_patterns(metrics: ServiceMetrics) -> None:
    for number in range(3):
        metrics.count_response({"path": f"/v1/members/{number}/roles", ROUTE: "/v1/members/{member}/roles"}, 200, 0.0)
    counted = {labels: value for (name, labels), value in samples(metrics).items() if name == "fivefold_requests_total"}
    assert counted == {(("route", "/v1/members/{member}/roles"), ("status", "200")): 3}


def test_the_version_that_answers_is_told(metrics: ServiceMetrics) -> None:
    assert (metrics.model_version(), samples(metrics)["fivefold_model_version", ()]) == ("none", 0)
    for version in (3, 2):
        serve(metrics, version)
        assert (metrics.model_version(), samples(metrics)["fivefold_model_version", ()]) == (version, version)


def test_a_refused_champion_is_told_and_taken_back(metrics: ServiceMetrics) -> None:
    assert samples(metrics)["fivefold_champion_refused", ()] == 1, "none was loaded yet"
    serve(metrics, 3)
    assert samples(metrics)["fivefold_champion_refused", ()] == 0
    metrics._loader.refused = "it is of another catalogue"
    assert samples(metrics)["fivefold_champion_refused", ()] == 1
    assert "another catalogue" not in metrics.page().decode()


def test_drift_is_told_by_indicator_and_unknown_is_no_number(metrics: ServiceMetrics) -> None:
    assert not [name for name, _ in samples(metrics) if name == "fivefold_drift_psi"]
    metrics._counter.drift = [
        ColumnDrift("score", 0.31, "shifted", 900),
        ColumnDrift("balance_last", 0.02, "stable", 900),
    ]
    found = samples(metrics)
    assert found["fivefold_drift_psi", (("indicator", "score"),)] == 0.31
    assert found["fivefold_drift_psi", (("indicator", "balance_last"),)] == 0.02
    metrics._counter.drift = [ColumnDrift("score", None, "unknown", 3), ColumnDrift("balance_last", 0.0, "stable", 900)]
    found = samples(metrics)
    assert isnan(found["fivefold_drift_psi", (("indicator", "score"),)]), "a new model has none yet"
    assert found["fivefold_drift_psi", (("indicator", "balance_last"),)] == 0.0


def test_every_metric_of_a_service_is_named_in_the_docs(metrics: ServiceMetrics) -> None:
    page = (Path(__file__).parents[3] / "docs" / "service.md").read_text(encoding="utf-8")
    families = re.findall(r"(?m)^# TYPE (fivefold_[a-z_]+) ", metrics.page().decode())
    own = {name for name in families if not name.endswith("_created")}
    assert len(own) >= 5
    assert {name for name in own if f"`{name}`" not in page} == set()
