"""The evaluation: everyone is judged on the same customers, and every figure is registered under its name."""

from dataclasses import replace
from itertools import pairwise
from math import isnan

import numpy as np
import pytest

from fivefold.domain.segments import SEGMENTS
from fivefold.models.value_model import ValueModel
from fivefold.training.config import TrainingConfig
from fivefold.training.data import TransactionSource
from fivefold.training.judging.evaluate import Evaluation, evaluate, rfm
from fivefold.training.judging.metrics import rank_metrics
from fivefold.training.judging.predictions import WindowPredictions, predict_test_window
from tests.training.conftest import SURE_OF_FEW, Runs


@pytest.fixture(scope="module")
def model(runs: Runs) -> ValueModel:
    return runs.first.model


@pytest.fixture(scope="module")
def judged(runs: Runs, portfolio: TransactionSource, config: TrainingConfig, model: ValueModel) -> WindowPredictions:
    return predict_test_window(portfolio, runs.first.lineage.dates, config, model.booster, None)


@pytest.fixture(scope="module")
def found(judged: WindowPredictions, model: ValueModel) -> Evaluation:
    return evaluate(judged, model, TrainingConfig(gate=SURE_OF_FEW))


def test_the_model_and_the_baselines_are_judged_on_the_same_customers(
    found: Evaluation, judged: WindowPredictions
) -> None:
    assert found.by_name == {
        "model": rank_metrics(judged.predicted, judged.realised),
        "persistence": rank_metrics(judged.persistence, judged.realised),
        "rfm": rank_metrics(rfm(judged), judged.realised),
    }
    assert found.customers == len(judged.realised)


def test_the_registered_evaluation_is_this_one(found: Evaluation, runs: Runs) -> None:
    assert found.registered_metrics() == runs.first.evaluation.registered_metrics()


def test_a_champion_is_judged_beside_them(judged: WindowPredictions, model: ValueModel) -> None:
    with_champion = evaluate(replace(judged, champion=judged.realised), model, TrainingConfig())
    assert list(with_champion.by_name) == ["model", "champion", "persistence", "rfm"]
    assert with_champion.by_name["champion"].normalised_gini == 1.0
    assert with_champion.lift["name"].unique(maintain_order=True).to_list() == [
        "model",
        "champion",
        "persistence",
        "rfm",
        "perfect",
    ]


def test_the_tables_hold_every_customer_once(found: Evaluation) -> None:
    assert found.calibration["customers"].sum() == found.customers
    assert found.segments["customers"].sum() == found.customers
    assert found.segments["value_share"].sum() == pytest.approx(1.0)
    assert found.segments["segment"].to_list() == list(SEGMENTS)
    steps = found.comparisons.segments
    assert [(step.lower, step.upper) for step in steps] == list(pairwise(SEGMENTS))
    assert all(step.rises for step in steps)


def test_stability_compares_the_two_scores_of_customers_known_at_both_dates(
    found: Evaluation, judged: WindowPredictions, model: ValueModel
) -> None:
    both = ~np.isnan(judged.before)
    now, before = (model.curve.score(side[both]) for side in (judged.predicted, judged.before))
    assert found.stability.mean_absolute_move == pytest.approx(np.abs(now - before).mean())
    assert found.stability.same_segment_share == np.mean(model.segments_of(now) == model.segments_of(before))
    assert 0.9 < found.stability.spearman < 1
    still = evaluate(replace(judged, before=judged.predicted), model, TrainingConfig()).stability
    assert (still.same_segment_share, still.mean_absolute_move) == (1.0, 0.0)
    assert still.spearman == pytest.approx(1.0)


@pytest.mark.parametrize("known_before", [0, 1])
def test_without_two_customers_at_both_dates_stability_is_undefined_and_not_registered(
    judged: WindowPredictions, model: ValueModel, known_before: int
) -> None:
    before = np.full_like(judged.before, np.nan)
    before[:known_before] = 5.0
    found = evaluate(replace(judged, before=before), model, TrainingConfig())
    assert all(isnan(value) for value in vars(found.stability).values())
    assert not [name for name in found.registered_metrics() if name.startswith("stability")]


def test_a_constant_score_has_no_rank_correlation(judged: WindowPredictions, model: ValueModel) -> None:
    same = np.full_like(judged.predicted, 5.0)
    found = evaluate(replace(judged, predicted=same, before=same), model, TrainingConfig())
    assert isnan(found.stability.spearman)
    assert isnan(found.by_name["model"].spearman)
    assert "model_spearman" not in found.registered_metrics()
    assert found.by_name["model"].normalised_gini == pytest.approx(0, abs=1e-12)


def test_every_registered_figure_is_a_finite_number_under_a_name_of_its_own(found: Evaluation) -> None:
    figures = found.registered_metrics()
    names = {
        "calibration_error",
        "floored_share",
        "test_customers",
        *[f"stability_{name}" for name in ("same_segment_share", "mean_absolute_move", "spearman")],
        *[f"segment_{segment}_value_mean" for segment in SEGMENTS],
        *[f"{who}_{what}" for who in ("model", "persistence", "rfm") for what in
          ("normalised_gini", "top_decile_capture", "spearman")],
        *[f"gini_over_{rival}{end}" for rival in ("persistence", "rfm") for end in ("", "_low")],
        "window_times_judged",
        "gate_confidence",
        "calibration_error_low",
        *[f"interval_{name}" for name in ("level", "coverage", "coverage_expected", "width_mean")],
        *[f"segment_{segment}_coverage" for segment in SEGMENTS],
    }  # fmt: skip
    assert set(figures) == names
    assert all(np.isfinite(value) for value in figures.values())
