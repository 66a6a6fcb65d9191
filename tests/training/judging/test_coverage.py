"""Coverage: what the intervals of a model hold of a window that they were not measured on."""

from dataclasses import replace

import numpy as np
import pytest

from fivefold.features.histories import Floats
from fivefold.models.certainty.intervals import IntervalTable
from fivefold.models.value_model import ValueModel
from fivefold.training.config import DueSettings, IntervalSettings, TrainingConfig
from fivefold.training.data import TransactionSource
from fivefold.training.fit import measure_intervals
from fivefold.training.judging.coverage import IntervalCoverage, coverage, coverage_bounds, is_surely_off
from fivefold.training.judging.predictions import WindowPredictions
from fivefold.training.plan import make_plan
from tests.training.conftest import Runs


def window_of(predicted: Floats, realised: Floats, consistency: Floats) -> WindowPredictions:
    """A window of which nothing else is known."""
    nothing = np.zeros(len(predicted))
    return WindowPredictions(
        predicted=predicted,
        before=nothing,
        champion=None,
        realised=realised,
        floored_share=0.0,
        persistence=nothing,
        recency=nothing,
        frequency=nothing,
        money=nothing,
        consistency=consistency,
        matrix=np.empty((0, 0)),
        positions=np.empty(0, dtype=np.int64),
        traits={},
    )


def coverage_of(
    model: ValueModel, window: WindowPredictions, due: DueSettings | None = None
) -> IntervalCoverage | None:
    category = model.segments_of(model.curve.score(window.predicted))
    return coverage(model, window, category, due or DueSettings())


def test_each_customer_is_counted_once_and_a_model_without_intervals_is_not_judged(runs: Runs) -> None:
    random = np.random.default_rng(3)
    predicted = random.lognormal(3, 1, 1_000)
    realised = np.where(random.random(1_000) < 0.3, 0.0, predicted * 1.4)
    consistency = np.where(random.random(1_000) < 0.25, np.nan, random.random(1_000))
    none = np.full(500, np.nan)
    table = IntervalTable.of(np.full(500, 10.0), np.linspace(5.0, 20.0, 500), none, as_ofs=(7,), level_percent=60)
    model = replace(runs.first.model, intervals=table)
    window = window_of(predicted, realised, consistency)
    found = coverage_of(model, window)
    assert found is not None
    assert (found.level_percent, found.as_ofs) == (60, (7,))
    for one in (found.segments, found.tenths):
        assert one["customers"].sum() == 1_000
        assert (one["covered_share"] * one["customers"]).sum() == pytest.approx(1_000 * found.covered_share)
        assert (one["zero_share"] * one["customers"]).sum() == pytest.approx((realised == 0).sum())
    # 60 % of the customers were within 0.45 of their prediction: that holds all who are not worth 0.
    assert found.covered_share == pytest.approx((realised > 0).mean())
    assert found.width_mean == pytest.approx(float((found.tenths["high_mean"] - found.tenths["low_mean"]).mean()))
    assert found.expected_share == pytest.approx(0.6)
    # Fifths are of those whose consistency is known, the least consistent first.
    known = consistency[~np.isnan(consistency)]
    assert found.fifths["customers"].to_list() == [len(part) for part in np.array_split(known, 5)]
    least = np.argsort(consistency)[: found.fifths["customers"][0]]
    assert found.fifths["zero_share"][0] == pytest.approx((realised[least] == 0).mean())
    assert coverage_of(replace(model, intervals=None), window) is None


def test_where_most_are_worth_nothing_more_is_to_be_expected_than_the_level(runs: Runs) -> None:
    """All who are worth nothing are at one distance: an interval that holds one of them holds all."""
    predicted = np.linspace(1.0, 50.0, 2_000)
    realised = np.where(np.arange(2_000) % 20 < 18, 0.0, 5.0 * predicted)
    nothing_known = np.full(2_000, np.nan)
    table = IntervalTable.of(predicted, realised, nothing_known, as_ofs=(7,))
    window = window_of(predicted, realised, nothing_known)
    found = coverage_of(replace(runs.first.model, intervals=table), window)
    assert found is not None
    assert found.covered_share == pytest.approx(0.9)
    assert found.expected_share == pytest.approx(0.9, abs=0.011)
    assert found.fifths.is_empty()


def test_intervals_are_measured_before_the_test_window_on_as_many_windows_as_there_are(
    portfolio: TransactionSource, config: TrainingConfig, runs: Runs
) -> None:
    plan = make_plan(portfolio, config)
    measured = {
        windows: measure_intervals(plan.rows, plan.dates, config.trees, 1, 40, IntervalSettings(windows=windows))
        for windows in (1, 2, 12)
    }
    horizon_us = plan.dates.horizon_us
    one, asked, most = measured.values()
    assert one is not None
    assert asked is not None
    assert most is not None
    assert one.as_ofs == (plan.dates.validation,)
    assert one.as_ofs[0] + horizon_us <= plan.dates.test
    # Six dates a month apart: before the window of the second there would be nothing to learn from.
    assert asked.as_ofs == most.as_ofs == one.as_ofs
    first = runs.first.model.intervals
    assert first is not None
    assert first.to_dict() == asked.to_dict()
    short = replace(plan.dates, training=plan.dates.training[-2:])
    assert measure_intervals(plan.rows, short, config.trees, 1, 40, IntervalSettings()) is None


def test_two_windows_are_one_horizon_apart(portfolio: TransactionSource, config: TrainingConfig) -> None:
    longer = config.model_copy(update={"snapshots": config.snapshots.model_copy(update={"most": 9})})
    plan = make_plan(portfolio, longer)
    table = measure_intervals(plan.rows, plan.dates, config.trees, 1, 40, IntervalSettings(level_percent=90))
    assert table is not None
    assert table.as_ofs == (plan.dates.validation - plan.dates.horizon_us, plan.dates.validation)
    assert table.level_percent == 90
    rows = sum(int((plan.rows.as_of == as_of).sum()) for as_of in table.as_ofs)
    assert sum(table.customers) == rows


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        (1.0, ""),
        (2.0, "further below 80 % than the settings and chance allow: "),
        (0.0, "further above 80 % than the settings and chance allow: "),
    ],
)
def test_a_window_that_moved_as_a_whole_raises_a_doubt(runs: Runs, moved: float, words: str) -> None:
    """*moved* is how many times as far as before the values are from their predictions."""
    random = np.random.default_rng(4)
    predicted = random.lognormal(3, 1, 4_000)
    distance = random.normal(0, 0.1, 4_000)
    none = np.full(4_000, np.nan)
    table = IntervalTable.of(predicted[:2_000], (predicted * (1 + distance))[:2_000], none[:2_000], as_ofs=(7,))
    window = window_of(predicted[2_000:], (predicted * (1 + moved * distance))[2_000:], none[2_000:])
    found = coverage_of(replace(runs.first.model, intervals=table), window)
    assert found is not None
    assert found.is_off == bool(words)
    assert found.doubt.startswith(words)
    lenient = coverage_of(replace(runs.first.model, intervals=table), window, DueSettings(most_coverage_distance=0.9))
    assert lenient is not None
    assert lenient.doubt == ""


def test_chance_alone_raises_no_doubt() -> None:
    """Of 50 customers chance moves the share by 11 points."""
    assert not is_surely_off(0.71, coverage_bounds(80, float("nan"), 50, DueSettings()))
    assert is_surely_off(0.71, coverage_bounds(80, float("nan"), 5_000, DueSettings()))
    assert not is_surely_off(0.93, coverage_bounds(80, 0.94, 5_000, DueSettings()))


@pytest.mark.parametrize(("level_percent", "distance"), [(80, 0.03), (80, 0.1), (53, 0.05), (92, 0.1)])
def test_a_share_that_is_as_far_from_the_level_as_is_allowed_is_not_off(level_percent: int, distance: float) -> None:
    bounds = coverage_bounds(level_percent, float("nan"), 1_000_000, DueSettings(most_coverage_distance=distance))
    for share in (level_percent / 100 - distance, level_percent / 100 + distance):
        if share < 1:
            assert not is_surely_off(round(share, 6), bounds)
    assert is_surely_off(level_percent / 100 - distance - 0.0001, bounds)
