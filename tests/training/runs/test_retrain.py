"""A retraining run on a real embedded MLflow, from top to bottom."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock, Timeout

import fivefold.training.retrain as retraining
from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import FileFormatError, FivefoldError, InvalidDataError, NotEnoughDataError, RegistryError
from fivefold.features.histories import Stateless
from fivefold.features.reading.text_files import ColumnMap, MappedFile
from fivefold.models.promotions import promote, promotion_history, rollback
from fivefold.models.registry import CHALLENGER, CHAMPION, RegisteredVersion, Registry
from fivefold.models.value_model import ValueModel
from fivefold.training.config import GateSettings, TrainingConfig, TreeSettings, ValueSettings
from fivefold.training.data import TransactionSource
from fivefold.training.dates import Dates
from fivefold.training.judging.evaluate import rfm
from fivefold.training.judging.metrics import rank_metrics
from fivefold.training.judging.predictions import predict_test_window
from fivefold.training.retrain import incomparability, load_comparable_champion, retrain
from tests.models.making import new_registry
from tests.training.conftest import FAST, Learn, Runs


def test_the_first_model_beats_the_baselines_and_serves(runs: Runs) -> None:
    first = runs.first
    assert (first.version, first.promoted, first.verdict.promote) == (1, True, True)
    gini = {name: found.normalised_gini for name, found in first.evaluation.by_name.items()}
    assert gini["model"] > max(gini["persistence"], gini["rfm"])
    assert runs.registry.champion() is not None
    made = promotion_history(runs.registry)[0]
    assert (made.version, made.replaced, made.forced) == (1, None, False)
    assert made.why == str(first.verdict)


def test_the_same_data_configuration_and_seed_give_the_same_model(runs: Runs) -> None:
    first, second = runs.first.model, runs.second.model
    assert first.booster.model_to_string() == second.booster.model_to_string()
    assert first.curve.values.tobytes() == second.curve.values.tobytes()
    assert first.curve.percentiles.tobytes() == second.curve.percentiles.tobytes()
    assert first.content_hash == second.content_hash
    tags = [version.tags["content_hash"] for version in runs.registry.versions()]
    assert tags == [first.content_hash] * 2


def test_a_tie_keeps_the_champion_and_the_run_still_ends_well(runs: Runs) -> None:
    second = runs.second
    assert (second.version, second.promoted) == (2, False)
    assert "does not beat champion" in str(second.verdict)
    assert second.verdict.comparable
    aliases = {version.number: version.aliases for version in runs.registry.versions()}
    assert aliases == {1: (CHAMPION,), 2: (CHALLENGER,)}
    assert len(promotion_history(runs.registry)) == 1


@pytest.mark.full
def test_another_seed_gives_another_model(runs: Runs, file: Path, learn: Learn) -> None:
    assert learn(file).model.content_hash == runs.first.model.content_hash
    assert learn(file, seed=2).model.content_hash != runs.first.model.content_hash


def test_the_curve_is_of_every_customer_known_at_the_test_as_of(
    runs: Runs, portfolio: TransactionSource, config: TrainingConfig
) -> None:
    first = runs.first
    judged = predict_test_window(portfolio, first.lineage.dates, config, first.model.booster, None)
    assert first.model.curve.customers == len(judged.predicted)
    assert first.model.curve.values.tolist() == sorted(set(judged.predicted.tolist()))
    assert first.model.curve.percentile(judged.predicted).mean() == pytest.approx(0.5, abs=1e-12)
    assert first.evaluation.by_name["rfm"] == rank_metrics(rfm(judged), judged.realised)


def test_everything_that_a_model_needs_travels_in_it(runs: Runs, config: TrainingConfig) -> None:
    model = runs.first.model
    assert model.rates == replace(config.rate_table(), as_known_on=model.rates.as_known_on)  # the day of the training
    assert model.definition == config.definition()
    assert model.cut_points == config.cut_points
    assert model.horizon_days == 90
    assert model.objective == "tweedie"
    assert model.test_as_of == runs.first.lineage.dates.test
    assert model.test_window_ends == model.test_as_of + 90 * DAY_US


def test_the_rounds_that_were_found_are_the_ones_that_were_used(learn: Learn, file: Path) -> None:
    open_ended = TreeSettings(threads=1, leaves=15, min_rows_in_leaf=20, rounds=None, most_rounds=25)
    outcome = learn(file, trees=open_ended)
    assert outcome.lineage.trees.rounds == outcome.model.booster.num_trees()
    assert 1 <= outcome.model.booster.num_trees() <= 25


def test_a_source_in_memory_is_named_by_its_kind(learn: Learn, file: Path, rows: pa.Table) -> None:
    assert learn(rows).lineage.source == "a Table in memory"
    assert learn(str(file)).lineage.source == str(file)


class Registered:
    """A registry of its own whose first version serves, on the same data."""

    def __init__(self, folder: Path, file: Path, config: TrainingConfig) -> None:
        self.file = file
        self.config = config
        self.registry = new_registry(folder, config.name)

    def train(self, **changes: Any) -> Any:
        return retrain(self.file, self.config.model_copy(update=changes), self.registry)


@pytest.fixture
def registered(file: Path, config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registered:
    monkeypatch.setattr("fivefold.training.register.write_pictures", lambda *_: [])
    return Registered(tmp_path / "var", file, config)


@pytest.mark.full
def test_a_better_model_takes_the_champion_s_place_and_can_be_rolled_back(registered: Registered) -> None:
    # Few customers: to be surely better, in rank or money, needs thousands of them.
    unsure = GateSettings(confidence=0.6, most_calibration_error=1.0)
    weak = registered.train(trees=FAST.model_copy(update={"rounds": 30}), gate=unsure)
    strong = registered.train(gate=unsure)
    gini = strong.evaluation.by_name
    assert weak.promoted, weak.verdict
    assert gini["model"].normalised_gini > gini["champion"].normalised_gini
    assert gini["champion"] == weak.evaluation.by_name["model"]
    assert strong.promoted
    assert [(made.version, made.replaced) for made in promotion_history(registered.registry)] == [(1, None), (2, 1)]
    again = registered.train(trees=FAST.model_copy(update={"rounds": 12}))
    assert not again.promoted
    assert rollback(registered.registry).version == 1


@pytest.mark.full
def test_another_definition_of_value_is_not_comparable_and_needs_force(registered: Registered) -> None:
    assert registered.train().promoted
    other = registered.train(value=ValueSettings(yearly_margin=0.1))
    assert not other.promoted
    assert not other.verdict.comparable
    assert "not comparable with the champion: champion 1 has another definition of value" in str(other.verdict)
    assert "champion" not in other.evaluation.by_name
    made = promote(registered.registry, other.version, force=True, reason="the margin was raised")
    assert (made.version, made.replaced, made.forced, made.why) == (2, 1, True, "the margin was raised")


@pytest.mark.full
def test_a_champion_that_trained_inside_the_window_is_not_comparable(registered: Registered) -> None:
    assert registered.train().promoted
    test = registered.registry.versions()[0].test_as_of
    earlier = registered.train(test_as_of=test - DAY_US)
    assert "champion 1 was trained inside the test window" in str(earlier.verdict)
    assert not earlier.promoted


def test_a_model_that_loses_to_a_baseline_is_registered_and_does_not_serve(registered: Registered) -> None:
    poor = registered.train(trees=TreeSettings(threads=1, rounds=1, learning_rate=0.001))
    assert not poor.promoted
    assert "does not beat persistence" in str(poor.verdict)
    assert registered.registry.champion() is None
    assert registered.registry.versions()[0].aliases == (CHALLENGER,)
    assert promotion_history(registered.registry) == []


@pytest.mark.full
def test_a_champion_that_cannot_be_loaded_is_not_comparable(registered: Registered) -> None:
    assert registered.train().promoted
    shutil.rmtree(registered.registry.settings.artifacts)
    second = registered.train()
    assert not second.promoted
    assert "not comparable with the champion: champion 1 cannot be loaded" in str(second.verdict)
    assert promote(registered.registry, second.version, force=True, reason="the files were lost").replaced == 1


def test_files_of_the_champion_that_are_away_for_a_moment_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not judged without the champion, as the window would be used up."""

    class Away(Registry):
        def __init__(self) -> None:
            pass

        def load(self, number: int) -> ValueModel:
            raise RegistryError(f"version {number}: the store of files does not answer")

    with pytest.raises(RegistryError):
        load_comparable_champion(Away(), version(), None)


def version(**tags: str) -> RegisteredVersion:
    return RegisteredVersion(7, 0, (), "", tags, {})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"fingerprint": "0" * 64}, "champion 7 has another catalogue of indicators"),
        ({"definition": "null"}, "champion 7 has another definition of value"),
        ({"definition": '{"horizon_days": 30}'}, "champion 7 has another definition of value"),
        ({"test_as_of": str(1001 * DAY_US)}, "champion 7 was trained inside the test window"),
        ({"test_as_of": str(1000 * DAY_US)}, None),
        ({"test_as_of": str(999 * DAY_US)}, None),
    ],
)
def test_why_a_champion_cannot_be_compared(
    runs: Runs, config: TrainingConfig, changes: dict[str, str], reason: str | None
) -> None:
    dates = Dates(np.array([900 * DAY_US]), 1000 * DAY_US, 90)
    same = dict(runs.registry.version(1).tags) | {"test_as_of": "0"}
    assert incomparability(version(**same | changes), config, dates, runs.first.lineage.summary) == reason


def test_data_that_lost_their_states_do_not_judge_a_champion_that_learnt_with_them(
    runs: Runs, config: TrainingConfig
) -> None:
    """Failed payments are money there: by such rows the gate would promote a model of other money."""
    summary = runs.first.lineage.summary
    quality = replace(summary.quality, stateless=Stateless({900: summary.rows // 2}))
    dates = Dates(np.array([900 * DAY_US]), 1000 * DAY_US, 90)
    same = dict(runs.registry.version(1).tags) | {"test_as_of": "0"}
    lost = replace(summary, quality=quality)
    reason = incomparability(version(**same), config, dates, lost)
    assert reason is not None
    assert reason.startswith("champion 7 was learnt with nearly all states, and ")
    assert "(50.0 %) have no transaction_state" in reason
    assert incomparability(version(**same | {"stateless_share": "0.5"}), config, dates, lost) is None


@pytest.mark.parametrize("name", ["transaction_state", "transaction_currency"])
def test_what_was_learnt_without_a_column_is_not_compared_with_a_champion_that_had_it(
    runs: Runs, rows: pa.Table, config: TrainingConfig, learn: Learn, name: str
) -> None:
    """Without states a failed deposit is money: what is predicted is something else."""
    learnt = learn(rows.drop_columns([name]))
    summary = learnt.lineage.summary
    assert learnt.model.absent == summary.absent == (name,)
    dates = Dates(np.array([900 * DAY_US]), 1000 * DAY_US, 90)
    champion = version(**dict(runs.registry.version(1).tags) | {"test_as_of": "0"})
    reason = f"champion 7 was learnt with every column, this version without {name}"
    assert incomparability(champion, config, dates, summary) == reason


def test_without_a_champion_there_is_nothing_to_compare_with(runs: Runs, config: TrainingConfig) -> None:
    assert incomparability(None, config, Dates(np.array([0]), 1, 90), runs.first.lineage.summary) is None


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda frame: frame.with_columns(user_balance=pl.lit(float("nan"))), InvalidDataError),
        (lambda frame: frame.with_columns(transaction_currency=pl.lit("XXX")), InvalidDataError),
        (lambda frame: frame.drop("transaction_amount"), FileFormatError),
        (lambda frame: frame.head(0), NotEnoughDataError),
        (lambda frame: frame.filter(pl.col("transaction_date") < pl.datetime(2023, 4, 1)), NotEnoughDataError),
        (lambda frame: frame.with_columns(transaction_state=pl.lit("FAILED"), user_balance=-1.0), NotEnoughDataError),
    ],
)  # fmt: skip
def test_nothing_is_registered_when_the_data_are_bad(
    tmp_path: Path, rows: pa.Table, config: TrainingConfig, spoil: Any, error: type[FivefoldError]
) -> None:
    registry = new_registry(tmp_path / "var", config.name)
    frame = pl.from_arrow(rows)
    pq.write_table(spoil(frame).to_arrow(), tmp_path / "bad.parquet")
    with pytest.raises(error):
        retrain(tmp_path / "bad.parquet", config, registry)
    assert nothing_was_kept(registry)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_header_without_a_column_is_refused_before_anything_is_compiled(
    tmp_path: Path, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """A newcomer's own names of columns cost half a minute of compiling on a fresh machine."""
    monkeypatch.setattr("fivefold.training.on_engine.warm", lambda: pytest.fail("compiled"))
    frame = pl.DataFrame({"Kunde": ["a"], "transaction_date": ["2024-01-01"], "transaction_amount": [5.0]})
    path = tmp_path / f"rows{suffix}"
    frame.write_csv(path) if suffix == ".csv" else frame.write_parquet(path)
    registry = new_registry(tmp_path / "var", config.name)
    for source in (path, str(path), MappedFile(path, ColumnMap({"Betrag": "transaction_amount"}))):
        with pytest.raises(FileFormatError, match="has no column"):
            retrain(source, config, registry)
    assert nothing_was_kept(registry)


def test_nothing_is_registered_when_a_step_fails(registered: Registered, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("fivefold.training.register.write_pictures", failing)
    with pytest.raises(OSError, match="disk full"):
        registered.train()
    registry = registered.registry
    assert registry.versions() == []
    runs = registry.client.search_runs([registry.experiment(registry.name)])
    assert [run.info.status for run in runs] == ["FAILED"]


def test_no_other_run_counts_judgements_until_this_one_is_counted(
    registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at once would both judge the window for the first time, and neither would ask for more confidence."""
    waited: list[str] = []

    def note(step: str) -> int:
        with (
            pytest.raises(Timeout),
            FileLock(registered.registry.settings.var / "judge-fivefold-value.lock", timeout=0),
        ):
            pass
        waited.append(step)
        return 1

    monkeypatch.setattr(retraining, "times_judged", lambda *_: note("counted"))
    monkeypatch.setattr(retraining, "register", lambda *_: note("registered"))
    retrain(registered.file, registered.config, registered.registry, promote_by=lambda *_: None)
    assert waited == ["counted", "registered"]
    with registered.registry.judging():  # it is given back
        pass


def nothing_was_kept(registry: Registry) -> bool:
    runs = registry.client.search_runs([found.experiment_id for found in registry.client.search_experiments()])
    return not runs and registry.versions() == [] and registry.champion() is None
