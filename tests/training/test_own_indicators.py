"""Own indicators from the configuration to the score: the model carries their text, and needs nothing else."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

import fivefold
from fivefold.cli.value_model import scheduled
from fivefold.domain.clock import day_text, parse_moment
from fivefold.domain.errors import ConfigError, FingerprintMismatchError, ModelError
from fivefold.domain.settings import read_settings
from fivefold.features.indicator_matrix import catalogue
from fivefold.features.reading.sources import read_histories
from fivefold.features.reading.text_files import MappedFile
from fivefold.features.spark import SparkEngine, open_session
from fivefold.models.explain import explain
from fivefold.models.registry import CHAMPION, OWN_TAG, Registry
from fivefold.models.scoring.histories import Scoring
from fivefold.models.scoring.sources import score_on_engine, score_source
from fivefold.models.value_model import ValueModel
from fivefold.training.config import GateSettings, TrainingConfig, read_config
from fivefold.training.plan import TrainingPlan
from fivefold.training.retrain import TrainingResult, retrain
from tests.features.own import changed, example, one
from tests.models.making import new_registry
from tests.training.conftest import Learn

AS_OF = parse_moment("2024-10-01")
NAMES = ("large_deposit_count_30d", "large_deposit_count_365d", "balance_cover")


@dataclass(frozen=True)
class Trained:
    """A registry with one version that reads own indicators, whose file is gone since."""

    registry: Registry
    result: TrainingResult
    config: TrainingConfig


@pytest.fixture(scope="module")
def trained(file: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train by a file of configuration, and delete the file of indicators: nothing may need it any more."""
    home = tmp_path_factory.mktemp("own")
    (home / "bank.py").write_text(example().text, encoding="utf-8")
    content = {
        "name": "own-value",
        "indicators": "bank.py",
        "rates": str(folder / "rates.csv"),
        "snapshots": {"most": 4},
        "trees": {
            "threads": 1,
            "rounds": 30,
            "leaves": 15,
            "min_rows_in_leaf": 20,
            "monotone": {NAMES[1]: "increasing"},
        },
    }
    (home / "training.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    config = read_config(home / "training.yaml")
    registry = new_registry(tmp_path_factory.mktemp("registry"), config.name)
    result = retrain(file, config, registry)
    (home / "bank.py").unlink()
    return Trained(registry, result, config)


@pytest.fixture(scope="module")
def loaded(trained: Trained) -> ValueModel:
    return trained.registry.load(trained.result.version)


@pytest.fixture(scope="module")
def scored(loaded: ValueModel, file: Path) -> pl.DataFrame:
    return pl.concat([batch.table for batch in score_source(loaded, file, Scoring(AS_OF, explained=True))]).sort(
        "user_id"
    )


def test_the_model_reads_them_and_the_version_says_so(trained: Trained, loaded: ValueModel) -> None:
    assert loaded.indicators == (*catalogue().names, *NAMES)
    assert loaded.own is not None
    assert (loaded.own.name, loaded.own.text) == ("bank.py", example().text)
    assert loaded.content_hash == trained.result.model.content_hash
    tags = trained.registry.version(trained.result.version).tags
    assert tags[OWN_TAG] == f"bank.py {example().digest}"
    assert tags["fingerprint"] == loaded.fingerprint == catalogue((), example()).fingerprint != catalogue().fingerprint


def test_card_and_run_have_their_titles_units_descriptions_and_text(trained: Trained) -> None:
    version = trained.registry.version(trained.result.version)
    trained.registry.use()
    run = f"runs:/{version.run_id}"
    card = mlflow.artifacts.load_text(f"{run}/model_card.md")
    assert f"Of these 3 of the operator's own, from bank.py, SHA-256 `{example().digest}`" in card
    assert "`balance_cover` (ratio): Last balance over the sum of all settled deposits." in card
    page = mlflow.artifacts.load_text(f"{run}/indicators.md")
    assert "## Own, of bank.py" in page
    assert "| `balance_cover` | Balance over deposits | ratio | undefined | Last balance over the sum of all" in page
    assert mlflow.artifacts.load_text(f"{run}/own_indicators.py") == example().text


def test_a_limit_on_the_trees_holds(loaded: ValueModel, file: Path) -> None:
    real, seen = loaded.matrix(read_histories(file, loaded.rates), AS_OF)
    matrix = np.repeat(real[seen > 0], 8, axis=0)
    place = loaded.indicators.index(NAMES[1])
    matrix[:, place] = np.tile(2.0 ** np.arange(-1, 7), len(matrix) // 8)
    money = loaded.scores(matrix).expected_value.reshape(-1, 8)
    steps = np.diff(money, axis=1)
    assert (steps >= 0).all()
    assert NAMES[1] in {loaded.indicators[place] for place in np.flatnonzero(loaded.booster.feature_importance())}
    assert (steps > 0).any()


def _rows(model: ValueModel) -> np.ndarray:
    random = np.random.default_rng(4)
    return random.gamma(1.0, 50.0, (40, len(model.indicators)))


def test_points_of_each_are_part_of_the_score(loaded: ValueModel, scored: pl.DataFrame) -> None:
    points = [f"points_{name}" for name in loaded.indicators]
    total = scored["base"].to_numpy() + scored.select(points).to_numpy().sum(axis=1)
    assert np.abs(total - scored["score"].to_numpy()).max() < 1e-9
    assert scored.select(f"points_{name}" for name in NAMES).to_numpy().any()
    labels = [each.label for each in explain(loaded, _rows(loaded)).indicators]
    assert labels[-1] == "Balance over deposits"


def test_as_of_a_day_the_later_rows_make_no_difference(loaded: ValueModel, file: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(file)
    rows.filter(pl.col("transaction_date") <= pl.datetime(2024, 10, 1)).write_parquet(tmp_path / "until.parquet")
    whole, until = (
        pl.concat([batch.table for batch in score_source(loaded, path, Scoring(AS_OF, explained=True))]).sort("user_id")
        for path in (file, tmp_path / "until.parquet")
    )
    assert_frame_equal(whole, until, check_exact=True)


def test_one_customer_is_a_batch_of_one(loaded: ValueModel, file: Path, scored: pl.DataFrame, tmp_path: Path) -> None:
    who = scored["user_id"][7]
    pl.read_parquet(file).filter(pl.col("user_id") == who).sample(fraction=1.0, shuffle=True, seed=2).write_parquet(
        tmp_path / "one.parquet"
    )
    (batch,) = score_source(loaded, tmp_path / "one.parquet", Scoring(AS_OF, explained=True))
    assert_frame_equal(batch.table, scored.filter(pl.col("user_id") == who), check_exact=True)


LOAD = """
import json, sys
sys.path[:] = [path for path in sys.path if path != sys.argv[1]]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
import mlflow, pandas, pyarrow.parquet
model = mlflow.pyfunc.load_model(sys.argv[2])
import fivefold
found = model.predict(pandas.read_parquet(sys.argv[3]), params={"as_of": sys.argv[4]})
print(json.dumps([fivefold.__file__, dict(zip(found["user_id"].tolist(), found["score"].tolist()))]))
"""
"""Loads a model with neither our sources nor the operator's file on the path, and scores transactions."""


@pytest.mark.full
def test_pyfunc_in_another_interpreter_has_the_same_numbers(
    trained: Trained, file: Path, scored: pl.DataFrame, tmp_path: Path
) -> None:
    trained.registry.use()
    folder = mlflow.artifacts.download_artifacts(f"models:/{trained.config.name}/{trained.result.version}")
    sources = Path(fivefold.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(sources), str(folder), str(file), day_text(AS_OF)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "FIVEFOLD_VAR": str(read_settings().var)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    where, scores = json.loads(done.stdout.splitlines()[-1])
    assert Path(where).is_relative_to(trained.registry.settings.artifacts)
    assert scores == dict(scored.select("user_id", "score").iter_rows())


@pytest.mark.full
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark takes Java, and there is none here")
def test_workers_of_spark_have_the_bits_of_one_process(
    loaded: ValueModel, file: Path, scored: pl.DataFrame, tmp_path: Path
) -> None:
    session = open_session(read_settings(), "local[2]")
    try:
        engine = SparkEngine(session, tmp_path)
        found = [
            batch.table for batch in score_on_engine(engine, loaded, MappedFile(file), Scoring(AS_OF, explained=True))
        ]
    finally:
        session.stop()
    assert_frame_equal(pl.concat(found).sort("user_id"), scored, check_exact=True)


@pytest.fixture
def saved(loaded: ValueModel, tmp_path: Path) -> Path:
    loaded.save(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_without_their_text_is_refused_by_name(saved: Path) -> None:
    (saved / "own_indicators.py").unlink()
    with pytest.raises(ModelError, match=r"operator's own, from bank\.py, and own_indicators\.py is missing there"):
        ValueModel.load(saved)


def test_a_model_with_another_text_is_refused_and_nothing_of_it_runs(saved: Path) -> None:
    path = saved / "own_indicators.py"
    path.write_text("raise RuntimeError\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(
        ModelError, match=r"from bank\.py, and own_indicators\.py there is not the text that it was tra"
    ):
        ValueModel.load(saved)


def test_a_text_that_was_changed_with_its_hash_is_another_fingerprint(saved: Path) -> None:
    other = changed("LARGE = 500.0", "LARGE = 600.0")
    (saved / "own_indicators.py").write_text(other.text, encoding="utf-8")
    rest = (saved / "model.json").read_text(encoding="utf-8").replace(example().digest, other.digest)
    (saved / "model.json").write_text(rest, encoding="utf-8")
    with pytest.raises(FingerprintMismatchError):
        ValueModel.load(saved)


def test_two_models_with_two_versions_of_the_file_score_beside_each_other(
    loaded: ValueModel, scored: pl.DataFrame, file: Path, tmp_path: Path
) -> None:
    other = changed("LARGE = 500.0", "LARGE = 5.0")
    challenger = replace(loaded, own=other, fingerprint=catalogue((), other).fingerprint)
    challenger.save(tmp_path / "other")
    beside = ValueModel.load(tmp_path / "other")
    tables = [
        pl.concat([batch.table for batch in score_source(model, file, Scoring(AS_OF, explained=True))]).sort("user_id")
        for model in (beside, loaded)
    ]
    assert_frame_equal(tables[1], scored, check_exact=True)
    assert (tables[0][f"points_{NAMES[1]}"] != scored[f"points_{NAMES[1]}"]).any()


def test_a_file_that_looks_ahead_ends_the_training_before_anything_is_learnt(
    file: Path, config: TrainingConfig, tmp_path: Path
) -> None:
    (tmp_path / "ahead.py").write_text(one("return amount[len(amount)]").text, encoding="utf-8")
    registry = new_registry(tmp_path / "var")
    with pytest.raises(ConfigError, match=r"ahead\.py: indicator mine ends with IndexError"):
        retrain(file, config.model_copy(update={"indicators": tmp_path / "ahead.py"}), registry)
    assert registry.versions() == []


def test_a_limit_on_an_indicator_that_no_file_declares_is_refused(
    learn: Learn, file: Path, config: TrainingConfig
) -> None:
    trees = config.trees.model_copy(update={"monotone": {NAMES[2]: "increasing"}})
    with pytest.raises(ConfigError, match="'balance_cover' is not an indicator"):
        learn(file, trees=trees)


def test_a_champion_with_other_indicators_is_not_compared(trained: Trained, file: Path, tmp_path: Path) -> None:
    """The version with another text is judged, and a person decides."""
    other = tmp_path / "bank.py"
    other.write_text(changed("LARGE = 500.0", "LARGE = 600.0").text, encoding="utf-8")
    trained.registry.set_alias(CHAMPION, trained.result.version)
    plans = []

    def edit(plan: TrainingPlan) -> None:
        plans.append(plan)
        other.write_text("raise RuntimeError\n", encoding="utf-8")

    config = trained.config.model_copy(update={"indicators": other})
    result = retrain(file, config, trained.registry, show=edit)
    assert [plan.own for plan in plans] == [result.model.own]  # of the text that was there at the beginning
    assert not result.promoted
    assert any("has other indicators of the operator's own" in reason for reason in result.verdict.reasons)


@pytest.mark.full
def test_a_refit_after_two_origins_reads_them_too(trained: Trained, file: Path, tmp_path: Path) -> None:
    (tmp_path / "bank.py").write_text(example().text, encoding="utf-8")
    config = trained.config.model_copy(
        update={
            "indicators": tmp_path / "bank.py",
            "origins": 2,
            "gate": GateSettings(confidence=0.51, most_calibration_error=9.0, most_moved_share=1.0),
        }
    )
    registry = new_registry(tmp_path / "var", config.name)
    result = retrain(file, config, registry, refit_after=True)
    assert result.lineage.rolling is not None
    assert len(result.lineage.rolling.origins) == 2
    loaded = registry.load(result.version)
    assert loaded.own == replace(example(), name="bank.py")
    assert loaded.indicators == (*catalogue().names, *NAMES)
    assert result.lineage.refit is not None, result.verdict


@pytest.mark.full
def test_data_are_the_same_for_the_same_text_alone(
    trained: Trained, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduled, "open_registry", lambda _name: trained.registry)
    path = tmp_path / "bank.py"
    config = trained.config.model_copy(update={"indicators": path})
    path.write_text(example().text, encoding="utf-8")
    with pytest.raises(scheduled.SameDataError):
        retrain(file, config, trained.registry, show=scheduled._refuse_same_data)
    path.write_text(example().text + "# edited\n", encoding="utf-8")

    def stop(plan: TrainingPlan) -> None:
        scheduled._refuse_same_data(plan)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        retrain(file, config, trained.registry, show=stop)
