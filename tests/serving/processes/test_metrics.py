"""What an operator sees: bounded labels, and both workers together."""

import re
import secrets

from fivefold.serving.v1.permissions import ROUTES
from tests.serving.processes.service import SOON_SECONDS, Service, sample_rows, together

SCORED = 'fivefold_requests_total{route="/v4/scoring",status="200"}'
COUNTED = (("other", 404), ("/metrics", 200))


def series(service: Service) -> set[str]:
    """List the series of the service itself; those of organisations come when the database is read again."""
    return {name for name in service.metrics() if "organisation=" not in name}


def test_paths_that_nobody_knows_add_no_series(on_sqlite: Service) -> None:
    other, read = (f'fivefold_requests_total{{route="{route}",status="{status}"}}' for route, status in COUNTED)
    on_sqlite.get("/nowhere")
    on_sqlite.wait_for(lambda: {other, read} <= series(on_sqlite), SOON_SECONDS)  # it counts after it answers
    before = series(on_sqlite)
    with on_sqlite.client() as client:
        for number in range(50):
            path = f"/{secrets.token_hex(4)}/{number}?{secrets.token_hex(4)}=1"
            assert client.get(path).status_code == 404
            assert client.get(f"/v4/scoring/{number}").status_code == 404
    on_sqlite.wait_for(lambda: on_sqlite.metrics()[other] >= 101, SOON_SECONDS)
    assert series(on_sqlite) == before


def test_labels_are_a_few_known_words(on_sqlite: Service) -> None:
    labels = {label for series in on_sqlite.metrics() for label in re.findall(r'(\w+)="([^"]*)"', series)}
    platform = {"organisation", "type", "level", "trigger"}
    assert {name for name, _ in labels} <= {"route", "status", "le", "indicator", *platform}
    routes = {value for name, value in labels if name == "route"}
    assert routes <= {
        *(route.path for route in ROUTES),
        "/v4/scoring",
        "/v4/indicators",
        "/openapi.json",
        "/",
        "/docs",
        "/livez",
        "/readyz",
        "/readyz/v1",
        "/healthz",
        "/mcp",
        "/metrics",
        "other",
    }


def test_both_workers_are_counted_together(on_sqlite: Service) -> None:
    token, calls = on_sqlite.token(), 20
    on_sqlite.post(sample_rows(), token)
    workers, before = on_sqlite.answered_by_worker(), on_sqlite.metrics()[SCORED]

    def call(_: object) -> int:
        return sum(on_sqlite.post(sample_rows(), token).status_code == 200 for _ in range(calls))

    assert sum(together(8, call, on_sqlite)) == 8 * calls
    on_sqlite.wait_for(lambda: on_sqlite.metrics()[SCORED] == before + 8 * calls, SOON_SECONDS)
    assert all(on_sqlite.answered_by_worker()[worker] > workers[worker] for worker in workers)
    # Whoever is asked says the same of all.
    assert {on_sqlite.metrics()[SCORED] for _ in range(10)} == {before + 8 * calls}


def test_the_model_that_answers_is_told(on_sqlite: Service) -> None:
    metrics = on_sqlite.metrics()
    assert metrics["fivefold_model_version"] == on_sqlite.version
    assert metrics["fivefold_champion_refused"] == 0
    assert metrics['fivefold_request_seconds_count{route="/v4/scoring"}'] > 0
    assert metrics['fivefold_request_seconds_bucket{le="+Inf",route="/v4/scoring"}'] > 0


def test_prometheus_can_read_it(on_sqlite: Service) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    answer = on_sqlite.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family.type for family in text_string_to_metric_families(answer.text)}
    assert families["fivefold_requests"] == "counter"
    assert families["fivefold_request_seconds"] == "histogram"
    assert families["fivefold_model_version"] == families["fivefold_champion_refused"] == "gauge"
