"""A refit: what serves learnt from everything up to today, and only where its curve is that of the judged model."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.entities import Run

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import PromotionRefusedError
from fivefold.models.comparison import FILE, VersionComparison
from fivefold.models.curve import ScoreCurve
from fivefold.models.registry import CHAMPION, Registry
from fivefold.training.config import TrainingConfig, TreeSettings
from fivefold.training.data import TransactionSource
from fivefold.training.refit import curve_distance
from fivefold.training.report.model_card import model_card, refit_sections
from fivefold.training.retrain import TrainingResult, retrain
from tests.models.making import new_registry
from tests.training.conftest import Runs


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, config: TrainingConfig) -> Registry:
    return new_registry(tmp_path_factory.mktemp("refitted"), config.name)


@pytest.fixture(scope="module")
def result(file: Path, config: TrainingConfig, registry: Registry) -> TrainingResult:
    return retrain(file, config, registry, refit_after=True)


@pytest.fixture(scope="module")
def run(registry: Registry, result: TrainingResult) -> Run:
    return registry.client.get_run(registry.version(result.version).run_id)


def test_the_version_that_serves_learnt_up_to_today_and_the_figures_are_of_the_judged_model(
    result: TrainingResult, runs: Runs, registry: Registry
) -> None:
    judged, refit = runs.first, result.lineage.refit
    assert refit is not None
    assert refit.judged_hash == judged.model.content_hash != result.model.content_hash
    assert result.evaluation.registered_metrics() == judged.evaluation.registered_metrics()
    assert result.promoted
    assert registry.load(result.version).content_hash == result.model.content_hash
    later = refit.dates.test - judged.model.test_as_of
    assert later >= 90 * DAY_US
    assert refit.dates.training.tolist() == (judged.lineage.dates.training + later).tolist()
    assert result.model.test_as_of == refit.dates.test
    assert result.model.booster.num_trees() == judged.model.booster.num_trees()


def test_no_window_that_it_learnt_from_ends_after_the_data(
    result: TrainingResult, portfolio: TransactionSource
) -> None:
    refit = result.lineage.refit
    assert refit is not None
    last = portfolio.summary().period.last
    assert refit.dates.training[-1] + refit.dates.horizon_us <= last
    assert last - refit.dates.test < DAY_US


def test_its_reference_is_everybody_who_is_known_today(
    result: TrainingResult, portfolio: TransactionSource, file: Path
) -> None:
    summary, refit = portfolio.summary(), result.lineage.refit
    assert refit is not None
    assert result.model.curve.customers == np.count_nonzero(summary.first_rows <= refit.dates.test)
    assert result.model.intervals is not None
    assert max(result.model.intervals.as_ofs) == refit.dates.validation
    assert result.model.learnt_until == refit.dates.test > refit.judged_as_of


def test_the_card_says_which_figures_are_of_which_model(result: TrainingResult, registry: Registry, run: Run) -> None:
    refit = result.lineage.refit
    assert refit is not None
    card = Path(registry.client.download_artifacts(run.info.run_id, "model_card.md")).read_text(encoding="utf-8")
    judged, served = refit.judged_hash[:12], result.model.content_hash[:12]
    assert "## Refit" in card
    assert f"- Of the judged model `{judged}`: everything under" in card
    assert '"By groups of customers" and "Limits", and the values of the window under "Interval"' in card
    assert 'everything under "What it says" and "What it looks at", and the intervals that it gives' in card
    assert '- Of both alike: everything under "Exchange rates".' in card
    named = card[card.index("## Refit") : card.index("## What it was learnt from")]
    titles = set(re.findall(r"^## (.+)$", card, re.MULTILINE)) - {"Refit"}
    assert {title for title in titles if f'"{title}"' not in named} == set()
    assert f"- Of this version's model `{served}`: the score curve" in card
    assert f"among the {result.model.curve.customers:,} customers known on {day_text(refit.dates.test)}" in card
    assert f"customers, {day_text(refit.judged_as_of)} to" in card


def test_the_card_tells_the_intervals_that_are_given_from_those_that_were_judged(
    result: TrainingResult, runs: Runs
) -> None:
    model, given, judged = runs.first.model, result.model.intervals, result.evaluation.coverage
    assert given is not None
    assert judged is not None
    card = model_card(model, result.evaluation, result.lineage, result.verdict).markdown()
    days = " and ".join(map(day_text, given.as_ofs))
    assert f"They follow from {sum(given.customers):,} predictions as of {days}: how far off these were" in card
    assert "How many values they hold on later customers was not yet seen." in card
    of_judged = " and ".join(map(day_text, judged.as_ofs))
    assert of_judged != days
    assert f"as measured by the predictions of the judged model as of {of_judged}" in card
    refit = result.lineage.refit
    assert refit is not None
    bare = replace(result.lineage, refit=replace(refit, model=replace(refit.model, intervals=None)))
    without = model_card(model, result.evaluation, bare, result.verdict).markdown()
    assert "There is none: " in without
    assert "as measured by the predictions of the judged model as of" in without
    unjudged = model_card(replace(model, intervals=None), result.evaluation, result.lineage, result.verdict).markdown()
    assert "There is none" not in unjudged


def test_the_registry_knows_both_models_apart(result: TrainingResult, registry: Registry, run: Run, runs: Runs) -> None:
    version, refit = registry.version(result.version), result.lineage.refit
    assert refit is not None
    assert version.tags["content_hash"] == result.model.content_hash
    assert version.test_as_of == refit.dates.test
    assert run.data.tags["judged_content_hash"] == version.tags["judged_content_hash"] == refit.judged_hash
    assert run.data.tags["test_as_of"] == version.tags["judged_as_of_us"] == str(refit.judged_as_of)
    assert version.judged_as_of == refit.judged_as_of
    stored = VersionComparison.from_json(registry.artifact(version.run_id, FILE) or "")
    assert (stored.as_of_us, stored.refitted_until_us) == (refit.judged_as_of, refit.dates.test)
    assert runs.registry.version(1).judged_as_of is None
    for name in ("curve_distance", "reference_distance", "moved_share"):
        assert run.data.metrics[f"refit_{name}"] == getattr(refit, name)
    plain = runs.registry.client.get_run(runs.registry.version(1).run_id)
    assert not [name for name in plain.data.metrics if name.startswith("refit")]


def test_the_next_run_counts_the_judged_window_and_refuses_to_compare_within_what_was_learnt(
    result: TrainingResult, registry: Registry, file: Path, config: TrainingConfig
) -> None:
    """The champion has learnt from the very window on which another would be judged against it."""
    again = retrain(file, config, registry, refit_after=True)
    assert again.evaluation.comparisons.times_judged == 2
    assert "was trained inside the test window" in str(again.verdict)
    assert (again.promoted, again.lineage.refit) == (False, None)
    champion = registry.champion()
    assert champion is not None
    assert (champion.number, champion.aliases) == (result.version, (CHAMPION,))


@pytest.mark.full
def test_the_same_data_give_the_same_refit(
    result: TrainingResult, file: Path, config: TrainingConfig, tmp_path: Path
) -> None:
    again = retrain(file, config, new_registry(tmp_path, config.name), refit_after=True)
    assert again.model.content_hash == result.model.content_hash


@pytest.mark.full
def test_segments_that_left_the_judged_model_s_are_refused_and_nothing_is_registered(
    file: Path, config: TrainingConfig, tmp_path: Path, result: TrainingResult
) -> None:
    refit = result.lineage.refit
    assert refit is not None
    assert 0 < refit.moved_share <= config.gate.most_moved_share
    gate = config.gate.model_copy(update={"most_moved_share": refit.moved_share * 0.99})
    strict = config.model_copy(update={"gate": gate})
    registry = new_registry(tmp_path, config.name)
    with pytest.raises(PromotionRefusedError, match=r"(?s)too far from the judged one.*Nothing was registered"):
        retrain(file, strict, registry, refit_after=True)
    assert registry.versions() == []
    (run,) = registry.client.search_runs([registry.experiment(registry.name)])
    assert run.data.tags["test_as_of"] == str(refit.judged_as_of)
    assert run.data.tags["judged_content_hash"] == refit.judged_hash
    assert "too far from the judged one" in run.data.tags["refit_refused"]
    assert run.data.metrics == result.evaluation.registered_metrics()
    (tags,) = registry.refused_refits(result.lineage.summary.digest)
    assert tags == {name: value for name, value in run.data.tags.items() if name in tags}
    assert registry.refused_refits("another") == []
    exact = config.model_copy(update={"gate": config.gate.model_copy(update={"most_moved_share": refit.moved_share})})
    assert retrain(file, exact, registry).evaluation.comparisons.times_judged == 2
    assert retrain(file, exact, new_registry(tmp_path / "other", config.name), refit_after=True).promoted


def test_a_gate_that_does_not_pass_leaves_the_judged_model(
    file: Path, config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refitting(*_: Any) -> None:
        raise AssertionError("refitted what had not passed")

    monkeypatch.setattr("fivefold.training.retrain.refit", refitting)
    registry = new_registry(tmp_path, config.name)
    poor = config.model_copy(update={"trees": TreeSettings(threads=1, rounds=1, learning_rate=0.001)})
    found = retrain(file, poor, registry, refit_after=True)
    assert (found.promoted, found.lineage.refit) == (False, None)
    assert registry.version(found.version).test_as_of == found.lineage.dates.test


def test_how_far_two_curves_are_apart() -> None:
    low, high = (ScoreCurve.of(np.arange(10.0) + shift) for shift in (0.0, 3.0))
    assert curve_distance(low, low) == 0
    assert curve_distance(low, high) == curve_distance(high, low) == pytest.approx(0.3)
    assert curve_distance(low, ScoreCurve.of(np.arange(10.0) + 100)) == pytest.approx(0.9)


def test_without_a_refit_a_card_says_nothing_of_one(config: TrainingConfig, runs: Runs) -> None:
    assert refit_sections(None, config.gate, ()) == []
    assert runs.first.lineage.served(runs.first.model) is runs.first.model
