"""What a run leaves in MLflow."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.types import DataType

from fivefold.domain.clock import day_text, parse_moment
from fivefold.features.catalogue_page import catalogue_markdown
from fivefold.features.indicator_matrix import catalogue
from fivefold.models.registry import INDICATORS_TAG
from fivefold.models.scoring.histories import Scoring
from fivefold.models.scoring.sources import score_source
from fivefold.training.config import TrainingConfig
from fivefold.training.logged import REQUIREMENTS, indicators_signature, transactions_signature
from fivefold.training.report.card import ModelCard
from fivefold.training.report.card_page import card_page
from fivefold.training.report.model_card import CAUTION
from fivefold.training.retrain import retrain
from tests.models.making import new_registry
from tests.pages import read
from tests.training.conftest import Runs


@pytest.fixture(scope="module")
def run(runs: Runs) -> Run:
    return runs.registry.client.get_run(runs.registry.version(1).run_id)


@pytest.fixture(scope="module")
def artifacts(runs: Runs, run: Run) -> Path:
    return Path(runs.registry.client.download_artifacts(run.info.run_id, ""))


def test_the_run_is_finished_and_in_the_model_s_experiment(runs: Runs, run: Run) -> None:
    assert run.info.status == "FINISHED"
    assert run.info.experiment_id == runs.registry.experiment("fivefold-value")
    assert Path(run.info.artifact_uri.removeprefix("file://")).is_relative_to(runs.registry.settings.artifacts)


def test_a_run_that_died_before_its_version_was_there_is_told_apart_and_not_counted_twice(
    file: Path, config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fivefold.training.register.write_pictures", lambda *_: [])
    registry = new_registry(tmp_path / "var", config.name)

    def die(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry, "add", die)
        with pytest.raises(KeyboardInterrupt):
            retrain(file, config, registry)
    (died,) = registry.client.search_runs([registry.experiment(config.name)])
    assert (died.info.status, registry.versions()) == ("FAILED", [])
    assert "test_as_of" in died.data.tags
    found = retrain(file, config, registry)
    assert (found.version, found.evaluation.comparisons.times_judged) == (1, 1)
    assert registry.client.get_run(registry.version(1).run_id).info.status == "FINISHED"


def test_every_parameter_is_kept(run: Run, config: TrainingConfig) -> None:
    kept = run.data.params
    for section in ("trees", "snapshots", "value", "checks", "gate"):
        for name, value in getattr(config, section).model_dump().items():
            assert kept[f"{section}.{name}"] == str(value)
    for name in ("name", "base_currency", "horizon_days", "seed", "cut_points", "rates"):
        assert kept[name] == str(getattr(config, name))
    assert kept["test_as_of"] == "2024-10-02"
    assert kept["training_dates"] == "6"


def test_every_metric_is_kept(run: Run, runs: Runs) -> None:
    assert run.data.metrics == runs.first.evaluation.registered_metrics()
    second = runs.registry.version(2).metrics
    assert second["champion_normalised_gini"] == second["model_normalised_gini"]
    assert dict(runs.registry.version(1).metrics) == run.data.metrics


def test_the_data_are_kept_with_their_digest(run: Run, runs: Runs, file: Path) -> None:
    (given,) = [each for each in run.inputs.dataset_inputs if each.dataset.name == "transactions"]
    summary = runs.first.lineage.summary
    assert given.dataset.name == "transactions"
    assert given.dataset.digest == summary.digest
    assert json.loads(given.dataset.source)["tags"]["mlflow.source.name"] == str(file)
    assert json.loads(given.dataset.profile) == {
        "num_rows": summary.rows,
        "customers": 400,
        "first": day_text(summary.period.first),
        "last": day_text(summary.period.last),
    }
    assert {tag.key: tag.value for tag in given.tags} == {"mlflow.data.context": "training"}


def test_rates_catalogue_card_and_pictures_are_kept(artifacts: Path, runs: Runs) -> None:
    names = {path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*") if path.is_file()}
    pictures = {f"plots/{name}.png" for name in ("calibration", "lift", "segments", "shap")}
    cards = {"model_card.md", "model_card.json", "model_card.html"}
    assert names == {*cards, "groups.csv", "comparison.json", "indicators.md", "rates.json", *pictures}
    for picture in pictures:
        assert (artifacts / picture).read_bytes().startswith(b"\x89PNG")
    assert json.loads((artifacts / "rates.json").read_text(encoding="utf-8")) == runs.first.model.rates.to_dict()
    assert (artifacts / "indicators.md").read_text(encoding="utf-8") == catalogue_markdown()
    assert CAUTION in (artifacts / "model_card.md").read_text(encoding="utf-8")


def test_the_three_forms_of_the_card_are_of_one(artifacts: Path) -> None:
    written = {form: (artifacts / f"model_card.{form}").read_text(encoding="utf-8") for form in ("json", "md", "html")}
    card = ModelCard.model_validate_json(written["json"])
    assert card.markdown() == written["md"]
    shown = read(written["html"])
    assert shown.text.split() == read(card_page(card)).text.split()
    assert shown.tags.count("img") == 3


def test_the_card_is_the_version_s_description(runs: Runs, artifacts: Path) -> None:
    found = runs.registry.client.get_model_version("fivefold-value", "1")
    assert found.description == (artifacts / "model_card.md").read_text(encoding="utf-8")


def test_run_and_version_carry_the_same_tags(run: Run, runs: Runs, config: TrainingConfig) -> None:
    model, rates = runs.first.model, runs.first.lineage.summary.rates
    assert rates is not None
    tags = dict(runs.registry.version(1).tags)
    assert tags.pop(INDICATORS_TAG).startswith("models:/m-")  # it is known once the run has logged it
    assert tags == {
        "fingerprint": catalogue().fingerprint,
        "definition": json.dumps(config.definition(), sort_keys=True),
        "test_as_of": str(model.test_as_of),
        "content_hash": model.content_hash,
        "data_digest": runs.first.lineage.summary.digest,
        "rates_digest": rates.digest,
        "rates_days": rates.days_text(),
        "rates_date": model.rates.as_known_on.isoformat(),
        "code_version": runs.first.lineage.code,
        "gate_promote": "true",
        "gate_reasons": str(runs.first.verdict),
        "gate_champion": "",
        "window_times_judged": "1",
        "stateless_share": "0.0",
    }
    assert {name: run.data.tags[name] for name in tags} == tags
    assert runs.registry.version(2).tags["gate_champion"] == "1"
    assert runs.registry.version(2).tags["gate_promote"] == "false"


def test_the_registered_model_is_the_one_that_was_judged(runs: Runs) -> None:
    for outcome in (runs.first, runs.second):
        assert runs.registry.load(outcome.version).content_hash == outcome.model.content_hash


@pytest.fixture(scope="module")
def logged(runs: Runs) -> mlflow.pyfunc.PyFuncModel:
    runs.registry.use()
    return mlflow.pyfunc.load_model("models:/fivefold-value@champion")


def test_the_registered_model_takes_transactions_and_gives_the_rows_of_the_command(
    logged: mlflow.pyfunc.PyFuncModel, runs: Runs, file: Path, rows: pa.Table
) -> None:
    assert logged.metadata.signature == transactions_signature(runs.first.model)
    found = logged.predict(rows.to_pandas(), params={"as_of": "2024-10-02"})
    moment = parse_moment("2024-10-02")
    wanted = pl.concat([batch.table for batch in score_source(runs.first.model, file, Scoring(moment))])
    assert found["user_id"].tolist() == wanted["user_id"].to_list()
    for name in ("score", "expected_value", "expected_value_low", "score_high"):
        assert found[name].to_numpy().tobytes() == wanted[name].fill_null(np.nan).to_numpy().tobytes()


def test_the_same_model_is_logged_as_one_of_indicators_which_requires_every_one(runs: Runs) -> None:
    runs.registry.use()
    logged = mlflow.pyfunc.load_model(runs.registry.version(1).tags[INDICATORS_TAG])
    found = logged.metadata.signature
    assert found == indicators_signature(runs.first.model)
    assert found.inputs.required_input_names() == list(catalogue().names)
    assert set(found.inputs.input_types()) == {DataType.double}
    assert found.outputs.input_names() == ["expected_value", "percentile", "score", "category"]
    frame = pd.DataFrame(np.nan, index=[0], columns=list(catalogue().names))
    assert 1 <= logged.predict(frame)["score"].item() <= 5
    with pytest.raises(MlflowException, match=catalogue().names[-1]):
        logged.predict(frame.drop(columns=catalogue().names[-1]))


def test_the_requirements_are_pinned_to_what_is_installed(logged: mlflow.pyfunc.PyFuncModel, runs: Runs) -> None:
    from importlib.metadata import version

    runs.registry.use()
    folder = Path(mlflow.artifacts.download_artifacts("models:/fivefold-value/1"))
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(lines) == sorted(f"{name}=={version(name)}" for name in REQUIREMENTS)
    assert logged.metadata.metadata["fingerprint"] == runs.first.model.fingerprint
    assert logged.metadata.metadata["cut_points"] == [2.0, 3.0, 4.0]


def test_nothing_of_this_machine_s_files_is_left_beside_the_registry(runs: Runs) -> None:
    ours = {"mlflow.db", "mlflow.lock", "judge-fivefold-value.lock", "artifacts"}
    assert {path.name for path in runs.registry.settings.var.iterdir()} <= ours
