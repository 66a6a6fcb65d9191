"""A new champion while the service is called, also one with own indicators: real times, two workers, PostgreSQL."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from fivefold.domain.clock import parse_moment
from fivefold.models.registry import CHAMPION, Registry
from fivefold.models.value_model import ValueModel
from fivefold.usecases.scoring import check_rows, score_checked
from tests.features.own import OwnIndicators, one
from tests.models.making import add_version, model_of_own, new_registry
from tests.serving.processes.registry import FIRST, NAME, SECOND, Template, model
from tests.serving.processes.service import Service, sample_rows

CALLERS = 6
LONGEST_SECONDS = 300
"""Ten times what the service promises: this machine may have other work."""


def expected_values() -> dict[int, float]:
    """What each version says of the sample."""
    as_of = parse_moment("2024-07-01")
    found = {}
    for version in (FIRST, SECOND):
        scoring = model(version)
        checked = check_rows(scoring, sample_rows(), as_of=as_of, now=as_of)
        answer = score_checked(scoring, checked, explained=False)
        found[version] = float(answer.scores.expected_value[0])
    assert found[FIRST] != found[SECOND]
    return found


@pytest.mark.full
def test_a_new_champion_serves_and_no_request_fails(on_postgresql: Service) -> None:
    service, stop, expected = on_postgresql, threading.Event(), expected_values()
    token = service.token()
    before, workers = service.version, service.worker_pids()
    after = FIRST if before == SECOND else SECOND
    said = service.workers_with(after)

    def call(_: int) -> list[tuple[float, int, httpx.Response]]:
        seen = []
        with service.client(token) as client:
            for number in count():
                if stop.is_set():
                    return seen
                begun = monotonic()
                explain = "&explain=true" if number % 2 else ""
                answer = client.post(f"/v4/scoring?as_of=2024-07-01{explain}", json=sample_rows())
                seen.append((begun, number % 2, answer))
        raise AssertionError

    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(call, number) for number in range(CALLERS)]
        try:
            sleep(1)
            promoted = monotonic()
            Registry(service.settings, NAME).set_alias(CHAMPION, after)
            service.wait_for(lambda: service.workers_with(after) == said + service.workers, LONGEST_SECONDS)
            swapped = monotonic()
            sleep(1)
        finally:
            stop.set()
        seen = [answer for caller in callers for answer in caller.result()]
    service.version = after

    assert {answer.status_code for _, _, answer in seen} == {200}
    for begun, explained, answer in seen:
        version = int(answer.headers["x-model-version"])
        assert version in {before, after}
        assert version == before or begun > promoted - 1
        assert version == after or begun < swapped
        if explained:
            (element,) = answer.json()
            assert element["model"]["version"] == version
            assert element["expected_value"] == expected[version]
    told = [int(answer.headers["x-model-version"]) for _, _, answer in seen]
    assert told.count(before) > CALLERS
    assert told.count(after) > CALLERS
    assert service.usage_of(token)[0] == len(seen)
    assert service.worker_pids() == workers
    assert service.metrics()["fivefold_model_version"] == after


PROMISED_SECONDS = 60


def own(times: int) -> OwnIndicators:
    """Give a file that moves the score: so many times the number of rows."""
    return one(f"return {times}.0 * len(amount)", unit="count")


def said(model: ValueModel) -> float:
    as_of = parse_moment("2024-07-01")
    answer = score_checked(model, check_rows(model, sample_rows(), as_of=as_of, now=as_of), explained=False)
    return float(answer.scores.expected_value[0])


@pytest.mark.full
def test_the_service_serves_each_by_its_own_text_and_keeps_what_it_has(template: Template, tmp_path: Path) -> None:
    var = tmp_path / "var"
    registry = new_registry(var, NAME)
    shutil.copytree(template.var / "kernels", var / "kernels")
    models = [model_of_own(own(times)) for times in (1, 40, 9)]
    first, second, lost = (add_version(registry, model, tmp_path / str(number)) for number, model in enumerate(models))
    for text in registry.settings.artifacts.rglob("own_indicators.py"):
        if "9.0 * len" in text.read_text(encoding="utf-8"):
            text.unlink()
    registry.set_alias(CHAMPION, first)
    wanted = {first: said(models[0]), second: said(models[1])}
    assert wanted[first] != wanted[second]
    with Service(var, workers=1) as service:
        service.wait_until_ready(first)
        token = service.token()
        described = service.get("/v4/indicators", headers={"token": token}).json()
        assert described["indicators"][-1]["meaning"] == "Mine."
        assert described["fingerprint"] == models[0].fingerprint
        for version in (first, second):
            Registry(service.settings, NAME).set_alias(CHAMPION, version)
            service.wait_for(lambda version=version: service.workers_with(version) == 1, PROMISED_SECONDS)
            answer = service.post(sample_rows(), token, "?as_of=2024-07-01&explain=true")
            assert answer.json()[0]["expected_value"] == wanted[version]
            assert "mine" in answer.text
        Registry(service.settings, NAME).set_alias(CHAMPION, lost)
        refused = "from bank.py, and own_indicators.py is missing there"
        service.wait_for(lambda: refused in service.said(), PROMISED_SECONDS)
        answer = service.post(sample_rows(), token, "?as_of=2024-07-01&explain=true")
        assert answer.json()[0]["expected_value"] == wanted[second]
