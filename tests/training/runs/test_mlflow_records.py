"""What MLflow's own pages and functions find of a run: data by digest, linked metrics, trials of tuning, evaluation."""

import json
import re
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run

from fivefold.cli.value_model.train import show_outcome
from fivefold.domain.clock import day_text, parse_moment
from fivefold.domain.errors import PromotionRefusedError
from fivefold.models.registry import INDICATORS_TAG
from fivefold.training.config import TrainingConfig
from fivefold.training.judging.gate import GateVerdict
from fivefold.training.judging.metrics import calibration_error, calibration_table, rank_metrics
from fivefold.training.judging.mlflow_metrics import value_metrics
from fivefold.training.retrain import retrain
from tests.models.making import new_registry
from tests.training.conftest import Runs

PAGE = Path(__file__).parents[3] / "docs" / "mlflow.md"


@pytest.fixture(scope="module")
def run(runs: Runs) -> Run:
    return runs.registry.client.get_run(runs.registry.version(1).run_id)


def digests(run: Run) -> dict[str, str]:
    return {each.dataset.name: each.dataset.digest for each in run.inputs.dataset_inputs}


def test_each_window_is_an_input_with_its_digest(run: Run, runs: Runs) -> None:
    contexts = {
        each.dataset.name: {tag.key: tag.value for tag in each.tags}["mlflow.data.context"]
        for each in run.inputs.dataset_inputs
    }
    assert contexts == {
        "transactions": "training",
        "training_rows": "training",
        "validation_rows": "validation",
        "test_rows": "test",
    }
    found = digests(run)
    assert len(set(found.values())) == len(found)
    second = runs.registry.client.get_run(runs.registry.version(2).run_id)
    assert digests(second) == found  # the same data


@pytest.mark.full
def test_other_data_have_other_digests(run: Run, file: Path, config: TrainingConfig, tmp_path: Path) -> None:
    registry = new_registry(tmp_path / "var", config.name)
    other = config.model_copy(update={"test_as_of": parse_moment("2024-09-01")})
    retrain(file, TrainingConfig.model_validate(other.model_dump()), registry)
    found, before = digests(registry.client.get_run(registry.version(1).run_id)), digests(run)
    assert found["transactions"] == before["transactions"]
    assert not {found[name] for name in found if name != "transactions"} & set(before.values())


def test_the_metrics_are_linked_to_the_registered_model_and_the_test_window(run: Run, runs: Runs) -> None:
    runs.registry.use()
    version = runs.registry.client.get_model_version("fivefold-value", "1")
    linked = {each.key: each for each in mlflow.get_logged_model(version.source.removeprefix("models:/")).metrics}
    assert set(linked) == set(runs.first.evaluation.registered_metrics())
    one = linked["model_normalised_gini"]
    assert (one.dataset_name, one.dataset_digest) == ("test_rows", digests(run)["test_rows"])
    assert one.value == runs.first.evaluation.by_name["model"].normalised_gini
    assert run.data.metrics == runs.first.evaluation.registered_metrics()


def test_each_trial_of_tuning_is_a_run_within_the_run_and_card_and_terminal_say_what_they_came_to(
    file: Path, config: TrainingConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = new_registry(tmp_path / "var", config.name)
    found = retrain(file, config, registry, tune_trials=3)
    version = registry.version(found.version)
    children = registry.client.search_runs(
        [registry.experiment(config.name)], f"tags.mlflow.parentRunId = '{version.run_id}'"
    )
    trials = {child.data.params["trial"]: child for child in children}
    assert sorted(trials) == ["1", "2", "3"]
    assert len({child.data.params["trees.learning_rate"] for child in children}) == 3
    ginis = {number: child.data.metrics["validation_normalised_gini"] for number, child in trials.items()}
    (used,) = [number for number, child in trials.items() if child.data.tags["trial_used"] == "true"]
    assert ginis[used] == max(ginis.values())
    parent = registry.client.get_run(version.run_id).data.params
    assert trials[used].data.params["trees.leaves"] == parent["trees.leaves"]
    assert trials["1"].data.params["trees.leaves"] == str(config.trees.leaves)

    said = (
        f"3 configurations were tried on the last training date ({day_text(found.lineage.dates.validation)}): "
        f"normalised Gini of the best {ginis[used]:.4f}, of the settings it began at {ginis['1']:.4f}."
    )
    card = registry.artifact(version.run_id, "model_card.md") or ""
    assert "Tuned: the search began at the given settings" in card
    assert said in card.splitlines()
    assert said in (registry.artifact(version.run_id, "model_card.html") or "")
    data = json.loads(registry.artifact(version.run_id, "model_card.json") or "")
    (section,) = [each for each in data["sections"] if each["name"] == "settings"]
    assert section["blocks"][0]["lines"][1]["facts"]["tuning_trials"] == 3
    show_outcome(found, config)
    assert f"Tuned: {said}" in " ".join(capsys.readouterr().out.split())


def test_the_trials_of_a_run_whose_refit_was_refused_are_kept_too(
    file: Path, config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PromotionRefusedError("too far from the judged one")

    passes = GateVerdict(promote=True, comparable=True, reasons=("it is better",))
    monkeypatch.setattr("fivefold.training.retrain.gate_verdict", lambda *_, **__: passes)
    monkeypatch.setattr("fivefold.training.retrain.refit", refuse)
    registry = new_registry(tmp_path / "var", config.name)
    brief = config.model_copy(update={"trees": config.trees.model_copy(update={"rounds": 5})})
    with pytest.raises(PromotionRefusedError, match=r"the judged one\. Nothing was registered.*allow more"):
        retrain(file, brief, registry, tune_trials=2, preset="choose", refit_after=True)
    runs = registry.client.search_runs([registry.experiment(config.name)])
    (parent,) = [each for each in runs if "refit_refused" in each.data.tags]
    assert parent.data.tags["refit_refused"] == "too far from the judged one"
    assert parent.data.tags["preset_reason"]
    children = [each for each in runs if each.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(each.data.params["trial"] for each in children if "trial" in each.data.params) == ["1", "2"]
    assert "standard" in {each.data.params.get("preset") for each in children}


def test_a_run_whose_version_is_not_promoted_says_whether_anything_serves(
    runs: Runs,
    config: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused = replace(runs.first, promoted=False, verdict=replace(runs.first.verdict, promote=False))
    waits = replace(runs.first, promoted=False)
    empty = new_registry(tmp_path / "var", config.name)
    for registry, serves in ((runs.registry, "the champion before it still serves"), (empty, "no model serves")):
        monkeypatch.setenv("FIVEFOLD_VAR", str(registry.settings.var))
        for outcome, said in (
            (refused, f"Not promoted: version 1 is the challenger, and {serves}. To overrule the gate: "),
            (waits, f"Not promoted yet: a promotion needs two people here, and {serves}. To propose it: "),
        ):
            show_outcome(outcome, config)
            assert said in " ".join(capsys.readouterr().out.split())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # how MLflow calls pandas
def test_the_example_of_the_page_gives_the_figures_of_training(runs: Runs) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (text,) = [block for block in blocks if "mlflow.models.evaluate" in block]
    random = np.random.default_rng(4)
    model = runs.first.model
    matrix = random.normal(size=(60, len(model.indicators)))
    realised = random.gamma(1.0, 20.0, size=60)
    indicators = pd.DataFrame(matrix, columns=list(model.indicators)).assign(value=realised)
    runs.registry.use()
    mlflow.set_experiment(experiment_id=runs.registry.experiment("evaluated"))
    names = {"mlflow": mlflow, "version": runs.registry.version(1), "indicators": indicators}
    assert INDICATORS_TAG in text
    exec(compile(text, str(PAGE), "exec"), names)
    found = names["result"].metrics  # type: ignore[attr-defined]  # what the example made
    predicted = model.scores(matrix).expected_value
    wanted = rank_metrics(predicted, realised)
    assert found["normalised_gini"] == pytest.approx(wanted.normalised_gini)
    assert found["top_decile_capture"] == pytest.approx(wanted.top_decile_capture)
    assert found["spearman"] == pytest.approx(wanted.spearman)
    assert found["calibration_error"] == pytest.approx(calibration_error(calibration_table(predicted, realised)))


def test_the_better_end_of_each_metric_is_declared() -> None:
    assert {one.name: one.greater_is_better for one in value_metrics()} == {
        "normalised_gini": True,
        "top_decile_capture": True,
        "spearman": True,
        "calibration_error": False,
    }
