"""What a run of several origins leaves in the registry, and how it counts and compares."""

import io
from pathlib import Path

import polars as pl
import pytest
from mlflow.entities import Run

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import PromotionRefusedError
from fivefold.models.registry import Registry
from fivefold.training.config import TrainingConfig
from fivefold.training.judging.evaluate import CHAMPION
from fivefold.training.register import ORIGINS_FILE
from fivefold.training.retrain import TrainingResult, retrain
from tests.models.making import new_registry

HORIZON = 90 * DAY_US


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, config: TrainingConfig) -> Registry:
    return new_registry(tmp_path_factory.mktemp("rolling"), config.name)


@pytest.fixture(scope="module")
def champion(file: Path, config: TrainingConfig, registry: Registry) -> TrainingResult:
    """A champion that was learnt between the second and the third of the origins below."""
    early = config.model_copy(update={"test_as_of": 1_720_051_200_000_000})  # 2024-07-04
    return retrain(file, early, registry)


@pytest.fixture(scope="module")
def result(file: Path, config: TrainingConfig, registry: Registry, champion: TrainingResult) -> TrainingResult:
    assert champion.promoted
    return retrain(file, config.model_copy(update={"origins": 3}), registry)


@pytest.fixture(scope="module")
def run(registry: Registry, result: TrainingResult) -> Run:
    return registry.client.get_run(registry.version(result.version).run_id)


@pytest.fixture(scope="module")
def nested(registry: Registry, run: Run) -> dict[str, Run]:
    runs = registry.client.search_runs(
        [registry.experiment(registry.name)], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    )
    return {each.data.params["origin"]: each for each in runs}


@pytest.mark.full
def test_the_champion_is_judged_where_it_learnt_nothing_of_the_window_and_nowhere_else(
    result: TrainingResult, champion: TrainingResult
) -> None:
    rolling = result.lineage.rolling
    assert rolling is not None
    first, second, last = rolling.origins
    assert second.moment == champion.model.test_as_of
    assert CHAMPION not in first.by_name
    assert first.champion_left_out == "champion 1 was trained inside the test window"
    assert CHAMPION in second.by_name
    assert CHAMPION in last.by_name
    assert not second.champion_left_out + last.champion_left_out
    # At the second origin it is the same model, learnt again: no figure differs.
    assert second.by_name[CHAMPION] == second.by_name["model"]
    less = rolling.difference(CHAMPION, "normalised_gini")
    assert less is not None
    assert less.origins == 2
    assert rolling.difference(CHAMPION, "normalised_gini", first.moment) is None
    assert f"not counted at origin {day_text(first.moment)}: champion 1 was trained inside" in str(result.verdict)


def test_each_origin_has_a_run_within_the_run_and_the_run_has_what_is_over_all(
    result: TrainingResult, run: Run, nested: dict[str, Run], registry: Registry
) -> None:
    rolling = result.lineage.rolling
    assert rolling is not None
    assert sorted(nested) == [day_text(each.moment) for each in rolling.origins]
    for each in rolling.origins:
        found = nested[day_text(each.moment)]
        assert found.data.metrics == pytest.approx(rolling.figures_at(each))
        assert found.data.metrics["model_normalised_gini"] == each.by_name["model"].normalised_gini
        assert found.data.tags["champion_left_out"] == each.champion_left_out
    ginis = [each.by_name["model"].normalised_gini for each in rolling.origins]
    assert run.data.metrics["origins_model_normalised_gini_mean"] == pytest.approx(sum(ginis) / 3)
    assert run.data.metrics["origins_model_normalised_gini_worst"] == min(ginis)
    assert run.data.params["origins"] == "3"
    text = registry.artifact(run.info.run_id, ORIGINS_FILE)
    assert pl.read_csv(io.StringIO(text or ""))["origin"].n_unique() == 4
    assert "## At other origins" in (registry.artifact(run.info.run_id, "model_card.md") or "")


def test_every_window_counts_as_judged_on_and_each_once(
    result: TrainingResult, file: Path, config: TrainingConfig, registry: Registry
) -> None:
    """The champion's run judged the second window, so it counts twice there, and the last window for the first time."""
    rolling = result.lineage.rolling
    assert rolling is not None
    assert [each.times_judged for each in rolling.origins] == [1, 2, 1]
    assert f"judged on before: the windows from {day_text(rolling.origins[1].moment)} 2 times" in str(result.verdict)
    again = retrain(file, config.model_copy(update={"origins": 2}), registry).lineage.rolling
    assert again is not None
    assert [each.times_judged for each in again.origins] == [3, 2]
    one = retrain(file, config.model_copy(update={"test_as_of": rolling.origins[0].moment}), registry)
    assert one.evaluation.comparisons.times_judged == 2


def test_a_refit_that_is_refused_leaves_every_window_counted(
    file: Path, config: TrainingConfig, tmp_path: Path
) -> None:
    registry = new_registry(tmp_path, config.name)
    gate = config.gate.model_copy(update={"most_moved_share": 1e-9})
    strict = config.model_copy(update={"origins": 2, "gate": gate})
    with pytest.raises(PromotionRefusedError):
        retrain(file, strict, registry, refit_after=True)
    assert registry.versions() == []
    runs = registry.client.search_runs([registry.experiment(registry.name)])
    counted = [int(each.data.tags["test_as_of"]) for each in runs if "test_as_of" in each.data.tags]
    assert sorted(counted) == [max(counted) - HORIZON, max(counted)]


@pytest.mark.full
def test_a_gate_that_an_earlier_origin_fails_keeps_the_champion(
    file: Path, config: TrainingConfig, tmp_path: Path
) -> None:
    registry = new_registry(tmp_path, config.name)
    gate = config.gate.model_copy(update={"least_gini": 0.999})
    found = retrain(file, config.model_copy(update={"origins": 2, "gate": gate}), registry)
    assert (found.promoted, registry.champion()) == (False, None)
    assert "which must be 0.999 or more (gate.least_gini)" in str(found.verdict)
    assert retrain(file, config, new_registry(tmp_path / "one", config.name)).promoted
