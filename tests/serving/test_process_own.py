"""Own indicators in the service: two models with two versions of one file, and one that has lost its file."""

import shutil
from pathlib import Path

import pytest

from fivefold.domain.clock import parse_moment
from fivefold.models.registry import CHAMPION, Registry
from fivefold.models.value_model import ValueModel
from fivefold.usecases.scoring import score_rows
from tests.features.own import OwnIndicators, one
from tests.models.making import add_version, model_of_own, new_registry
from tests.serving.process_registry import NAME, Template
from tests.serving.process_service import Service, sample_rows

PROMISED_SECONDS = 60


def own(times: int) -> OwnIndicators:
    """Give a file that moves the score: so many times the number of rows."""
    return one(f"return {times}.0 * len(amount)", unit="count")


def said(model: ValueModel) -> float:
    as_of = parse_moment("2024-07-01")
    answer = score_rows(model, sample_rows(), as_of=as_of, now=as_of, explained=False)
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
