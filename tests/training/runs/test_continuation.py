"""A training that is interrupted anywhere comes to the version of one that is not, and registers it once."""

import errno
import json
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pyarrow.parquet as pq
import pytest

from fivefold.domain.errors import ConfigError, InvalidDataError, PromotionRefusedError
from fivefold.domain.parts import Parts, Task, leftovers, open_parts
from fivefold.features.reading import sources
from fivefold.features.reading.sources import StreamPart
from fivefold.models.registry import CHALLENGER, INDICATORS_TAG, Registry
from fivefold.training import continuation, data, register
from fivefold.training.config import TrainingConfig
from fivefold.training.continuation import TRAINING_TAG, digest_of, mark_of, registered_before
from fivefold.training.data import TransactionSource
from fivefold.training.fit import fit
from fivefold.training.judging import predictions
from fivefold.training.judging.predictions import predict_test_window
from fivefold.training.plan import make_plan
from fivefold.training.register import CARD_JSON_FILE
from fivefold.training.retrain import TrainingResult, retrain
from tests.features.own import example
from tests.models.making import new_registry
from tests.training.conftest import RATES


class StoppedError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(scope="module")
def small() -> Iterator[pytest.MonkeyPatch]:
    """Let a pass over a few thousand rows have several parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "ROWS_A_BATCH", 1_500)
        patch.setattr(sources, "PARQUET_ROWS_SORTED", -1)
        patch.setattr(continuation, "ROWS_A_PART", 4_000)
        yield patch


@contextmanager
def stopping(finished: int) -> Iterator[list[str]]:
    """Stop once so many parts are finished; gives the names of those that are."""
    finish, names = Parts._finish, list[str]()

    def counted(parts: Parts, name: str) -> None:
        finish(parts, name)
        names.append(name)
        if len(names) == finished:
            raise StoppedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Parts, "_finish", counted)
        yield names


@dataclass(frozen=True)
class Story:
    """The same training, uninterrupted and interrupted again and again."""

    registry: Registry
    whole: TrainingResult
    other_registry: Registry
    continued: TrainingResult
    parts: tuple[str, ...]
    folder: Path


def training(folder: Path, name: str = "value", **conditions: str) -> Task:
    return Task(command="train", output=folder / name, conditions=conditions, subject=f"the training of {name}")


@pytest.fixture(scope="module")
def story(
    file: Path, config: TrainingConfig, small: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Story:
    """Stop after every third part that is finished, until the training comes to its end."""
    folder = tmp_path_factory.mktemp("story")
    settings = config.model_copy(update={"origins": 2})
    registry, other = (new_registry(folder / name, config.name) for name in ("whole", "continued"))
    whole = retrain(file, settings, registry, refit_after=True, tune_trials=2)
    finished: list[str] = []
    for _ in range(100):
        try:
            with stopping(3) as names, open_parts(training(folder)) as parts:
                result = retrain(file, settings, other, refit_after=True, tune_trials=2, parts=parts)
        except StoppedError:
            finished += names
            continue
        return Story(registry, whole, other, result, (*finished, *names), folder)
    raise AssertionError("it came to no end")


def card(registry: Registry, result: TrainingResult) -> dict[str, Any]:
    registry.use()
    run_id = registry.version(result.version).run_id
    return dict(json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{CARD_JSON_FILE}")))


def test_the_version_is_that_of_an_uninterrupted_run(story: Story) -> None:
    one, other = story.whole, story.continued
    assert one.model.content_hash == other.model.content_hash
    assert one.lineage.summary.digest == other.lineage.summary.digest
    assert str(one.verdict) == str(other.verdict)
    versions = [story.registry.version(1), story.other_registry.version(1)]
    assert versions[0].metrics == versions[1].metrics
    tags = [
        {key: value for key, value in each.tags.items() if key not in {TRAINING_TAG, INDICATORS_TAG}}
        for each in versions
    ]
    assert tags[0] == tags[1]
    assert card(story.registry, one) == card(story.other_registry, other)
    assert len(story.other_registry.versions()) == 1
    assert not leftovers(story.folder)


def test_no_part_is_worked_out_twice(story: Story) -> None:
    """Rows by pass, rounds and trees by fit, and at last the mark of the registration."""
    assert len(set(story.parts)) == len(story.parts)
    kinds = [name.partition("-")[0] for name in story.parts]
    assert len({name.rpartition("-")[0] for name in story.parts if name.startswith("rows-")}) >= 6
    assert kinds.count("trees") >= 6
    assert kinds[-1] == "registration"


@pytest.mark.parametrize("damage", ["none", "cut", "gone"])
def test_a_version_that_was_registered_is_finished_and_not_registered_again(
    file: Path, config: TrainingConfig, tmp_path: Path, request: pytest.FixtureRequest, damage: str
) -> None:
    """The process died after MLflow had the version, before it had its alias and its run an end.

    The registry says which training registered it, whatever happened to the part.
    """
    request.addfinalizer(mlflow.end_run)  # this process goes on, and to MLflow the run is still under way in it
    registry = new_registry(tmp_path / "registry", config.name)

    def die(*_: object) -> None:
        raise SystemExit(143)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "set_alias", die)
        patch.setattr("mlflow.tracking.fluent.end_run", lambda *_: None)
        with pytest.raises(SystemExit), open_parts(training(tmp_path)) as parts:
            retrain(file, config, registry, parts=parts)
    (version,) = registry.versions()
    assert not version.aliases
    (kept,) = training(tmp_path).folder.glob("registration.*.part")
    if damage == "cut":
        os.truncate(kept, 3)
    elif damage == "gone":
        kept.unlink()
    with open_parts(training(tmp_path)) as parts:
        found = registered_before(registry, parts)
    assert found is not None
    assert (found.number, found.aliases) == (1, (CHALLENGER,))
    assert registry.client.get_run(found.run_id).info.status == "FINISHED"
    assert len(registry.versions()) == 1
    assert not leftovers(tmp_path)
    with open_parts(training(tmp_path)) as parts:  # another training, of the same rows
        assert registered_before(registry, parts) is None
        mark_of(parts)
        assert registered_before(registry, parts) is None


def test_a_run_that_was_killed_before_it_registered_is_shown_as_killed_by_the_next(
    file: Path, config: TrainingConfig, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """MLflow shows it as under way otherwise, for ever; the same holds of a run within it."""
    request.addfinalizer(lambda: [mlflow.end_run() for _ in range(2)])  # this process goes on
    registry = new_registry(tmp_path / "registry", config.name)

    def die(*_: object) -> None:
        mlflow.start_run(experiment_id=registry.experiment(config.name), nested=True)
        raise SystemExit(143)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "add", die)
        patch.setattr("mlflow.tracking.fluent.end_run", lambda *_: None)
        with pytest.raises(SystemExit), open_parts(training(tmp_path)) as parts:
            retrain(file, config, registry, parts=parts)
    assert statuses(registry) == ["RUNNING", "RUNNING"]
    for _ in range(2):
        mlflow.end_run("RUNNING")
    with open_parts(training(tmp_path, "another")) as parts:
        mark_of(parts)
        assert registered_before(registry, parts) is None
        assert statuses(registry) == ["RUNNING", "RUNNING"]
    with open_parts(training(tmp_path)) as parts:
        assert registered_before(registry, parts) is None
        assert statuses(registry) == ["KILLED", "KILLED"]
        result = retrain(file, config, registry, parts=parts)
    assert (result.version, statuses(registry)) == (1, ["FINISHED", "KILLED", "KILLED"])


def test_a_run_that_was_killed_while_it_said_that_its_refit_was_refused_is_shown_as_killed_by_the_next(
    file: Path, config: TrainingConfig, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The next one is refused too, and leaves nothing that a run could continue with."""
    request.addfinalizer(mlflow.end_run)
    registry = new_registry(tmp_path / "registry", config.name)
    strict = config.model_copy(update={"gate": config.gate.model_copy(update={"most_moved_share": 0.0})})

    def die(*_: object) -> None:
        raise SystemExit(143)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(register, "_log_card", die)
        patch.setattr("mlflow.tracking.fluent.end_run", lambda *_: None)
        with pytest.raises(SystemExit), open_parts(training(tmp_path)) as parts:
            retrain(file, strict, registry, refit_after=True, parts=parts)
    assert statuses(registry) == ["RUNNING"]
    mlflow.end_run("RUNNING")
    with suppress(PromotionRefusedError), open_parts(training(tmp_path)) as parts:
        assert registered_before(registry, parts) is None
        assert statuses(registry) == ["KILLED"]
        retrain(file, strict, registry, refit_after=True, parts=parts)
    assert statuses(registry) == ["FINISHED", "KILLED"]
    assert leftovers(tmp_path) == []


def statuses(registry: Registry) -> list[str]:
    runs = registry.client.search_runs([registry.experiment(registry.name)])
    return sorted(run.info.status for run in runs)


def learnt(file: Path, config: TrainingConfig, parts: Parts | None = None) -> str:
    """Give the digest of what a training reads, fits and predicts."""
    own = config.own_indicators()
    portfolio = TransactionSource(file, config.rate_table(), own=own, parts=parts)
    plan = make_plan(portfolio, config)
    trees = fit(plan.rows, config.trees, config.seed, 5).booster_
    window = predict_test_window(portfolio, plan.dates, config, trees, None)
    seen = (plan.summary.first_rows, plan.summary.sampling_keys, plan.rows.matrix, plan.rows.values)
    return digest_of(*seen, trees, window.predicted, window.realised, window.matrix, window.positions)


def test_what_a_training_of_other_settings_finished_is_not_taken(
    file: Path,
    config: TrainingConfig,
    small: pytest.MonkeyPatch,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A part goes by the digest of all that it depends on, also where conditions would say nothing of that."""
    (tmp_path / "own.py").write_text(example().text, encoding="utf-8")
    (tmp_path / "rates.csv").write_text(RATES.replace("0.92", "0.95"), encoding="utf-8")
    monkeypatch.setattr(predictions, "KEPT_CUSTOMERS", 50)
    variants: tuple[dict[str, object], ...] = (
        {},
        {"seed": 2},
        {"horizon_days": 60},
        {"rates": tmp_path / "rates.csv"},
        {"indicators": tmp_path / "own.py"},
        {"trees": {**config.trees.model_dump(), "leaves": 4}},
        {"snapshots": {**config.snapshots.model_dump(), "most_rows": 700}},
    )
    results = []
    with open_parts(training(tmp_path)) as parts:
        for changes in variants:
            settings = TrainingConfig.model_validate({**config.model_dump(), **changes})
            results.append(learnt(file, settings, parts))
            assert results[-1] == learnt(file, settings, parts) == learnt(file, settings), changes
    assert len(set(results)) == len(variants)


def test_a_training_for_whose_parts_there_is_no_place_comes_to_the_same(
    file: Path, config: TrainingConfig, small: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Passes stop to keep in the middle, and the mark of the registration cannot do without a place."""

    def fill(unfinished: Path, path: Path) -> None:
        if "-000000." not in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        unfinished.replace(path)

    with open_parts(training(tmp_path)) as parts, pytest.MonkeyPatch.context() as patch:
        patch.setattr("fivefold.domain.parts.put_in_place", fill)
        assert learnt(file, config, parts) == learnt(file, config)
        assert parts.count == 1
        with pytest.raises(OSError, match="No space"):
            mark_of(parts)


def test_a_pass_that_is_kept_holds_the_rows_of_few_batches(
    file: Path, config: TrainingConfig, small: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The place after a batch has rows of its last customer, and with them all that were read beside these."""
    stream, carried, most = data.stream_from, list[weakref.ref[Any]](), 0

    def watched(*place: Any) -> Iterator[StreamPart]:
        nonlocal most
        for part in stream(*place):
            if part.place.carried is not None:
                carried.append(weakref.ref(part.place.carried))
            yield part
            most = max(most, sum(each() is not None for each in carried))

    monkeypatch.setattr(data, "stream_from", watched)
    monkeypatch.setattr(continuation, "ROWS_A_PART", pq.read_metadata(file).num_rows)
    with open_parts(training(tmp_path)) as parts:
        TransactionSource(file, config.rate_table(), parts=parts).summary()
    assert len(carried) > 10
    assert most <= len(carried) // 2


def test_parts_that_are_torn_are_made_again(
    file: Path, config: TrainingConfig, small: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """LightGBM would end the process at such trees."""
    with open_parts(training(tmp_path)) as parts:
        seen = learnt(file, config, parts)
        kept = sorted(training(tmp_path).folder.glob("*.part"))
        assert {each.name.partition("-")[0] for each in kept} == {"rows", "trees"}
        for each in kept[::2]:
            os.truncate(each, each.stat().st_size // 2)
        assert learnt(file, config, parts) == seen
        assert sorted(training(tmp_path).folder.glob("*.part")) == kept


def test_two_trainings_at_once_do_not_take_each_others_parts(tmp_path: Path) -> None:
    one, other = training(tmp_path, seed="1"), training(tmp_path, seed="2")
    with open_parts(one) as first, open_parts(other) as second:
        with first.writing("a") as path:
            path.write_text("of the first")
        assert second.find("a") is None
        with pytest.raises(ConfigError, match="the training of value is under way in another process"), open_parts(one):
            pass
        assert [each.is_running for each in leftovers(tmp_path)] == [True, True]


def test_parts_with_other_conditions_are_refused_by_name_unless_that_run_is_at_work(tmp_path: Path) -> None:
    one, other = training(tmp_path, seed="1"), training(tmp_path, seed="2")
    with pytest.raises(StoppedError), stopping(1), open_parts(one) as parts:
        mark_of(parts)
    with pytest.raises(ConfigError, match="for the training of value, and this run is another: seed was 1 and is 2"):
        open_parts(other).__enter__()
    with open_parts(one) as parts:
        assert parts.begun_with == 1
        with open_parts(other, restart=True):
            pass
    assert not leftovers(tmp_path)


def test_a_clock_that_was_ahead_lets_no_row_through(
    file: Path, config: TrainingConfig, small: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rates = config.rate_table()
    now = int(TransactionSource(file, rates).summary().period.last)
    with pytest.raises(StoppedError), stopping(2), open_parts(training(tmp_path)) as parts:
        TransactionSource(file, rates, now, parts=parts).summary()
    with open_parts(training(tmp_path)) as parts:
        assert parts.begun_with
        with pytest.raises(InvalidDataError, match="transaction_date"):
            TransactionSource(file, rates, now - 40 * 86_400_000_000, parts=parts).summary()
