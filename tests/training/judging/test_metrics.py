"""Metrics against slow, obvious references in exact fractions; ties are shared, so the order of rows never counts."""

from fractions import Fraction
from itertools import permutations
from math import isnan
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fivefold.domain.segments import SEGMENTS
from fivefold.features.histories import Floats
from fivefold.training.judging.metrics import (
    FEWEST_IN_SEGMENT,
    Metrics,
    SegmentStep,
    _chance_of_fall,
    calibration_error,
    calibration_table,
    lift_curve,
    normalised_gini,
    rank_metrics,
    segment_steps,
    segment_table,
    top_decile_capture,
)

Pairs = list[tuple[float, float]]
money = st.one_of(st.integers(0, 4).map(float), st.floats(0, 1e9).map(lambda value: round(value, 2)))
pairs = st.lists(st.tuples(money, money), min_size=2, max_size=40)


def split(rows: Pairs) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


def average_rank(values: list[float], value: float) -> Fraction:
    """1 for the smallest; equal values share the mean of their places."""
    return sum(other < value for other in values) + Fraction(sum(other == value for other in values) + 1, 2)


def concentration(predicted: list[float], realised: list[float]) -> Fraction:
    """The concentration index of realised value by predicted rank, from the textbook's formula on ranks."""
    count, total = len(predicted), sum(map(Fraction, realised))
    weighted = sum(
        (Fraction(value) * average_rank(predicted, guess) for guess, value in zip(predicted, realised, strict=True)),
        Fraction(0),
    )
    return 2 * weighted / (count * total) - Fraction(count + 1, count)


def value_in_top(predicted: list[float], realised: list[float]) -> Fraction:
    """The value that the top tenth of the customers hold, customers tied at its edge sharing."""
    room, held = Fraction(len(predicted), 10), Fraction(0)
    for guess in sorted(set(predicted), reverse=True):
        members = [Fraction(value) for other, value in zip(predicted, realised, strict=True) if other == guess]
        taken = min(room, Fraction(len(members)))
        held += taken * sum(members) / len(members)
        room -= taken
    return held


def pearson(one: list[Fraction], other: list[Fraction]) -> float:
    mean, other_mean = sum(one) / len(one), sum(other) / len(other)
    products = sum((a - mean) * (b - other_mean) for a, b in zip(one, other, strict=True))
    squares = sum((a - mean) ** 2 for a in one) * sum((b - other_mean) ** 2 for b in other)
    return float(products) / float(squares) ** 0.5


@given(pairs)
def test_the_gini_is_the_concentration_by_rank_over_the_best_there_is(rows: Pairs) -> None:
    predicted, realised = split(rows)
    assume(len(set(realised.tolist())) > 1)
    values = realised.tolist()
    wanted = concentration(predicted.tolist(), values) / concentration(values, values)
    assert normalised_gini(predicted, realised) == pytest.approx(float(wanted), abs=1e-9)


@given(st.lists(st.tuples(money, st.sampled_from([0.0, 1.0])), min_size=2, max_size=40))
def test_for_who_is_worth_anything_at_all_it_is_twice_the_auc_less_one(rows: Pairs) -> None:
    predicted, realised = split(rows)
    assume(len(set(realised.tolist())) == 2)
    assert normalised_gini(predicted, realised) == pytest.approx(2 * roc_auc_score(realised, predicted) - 1, abs=1e-9)


@given(pairs)
def test_the_capture_is_the_value_in_the_predicted_over_that_in_the_true_top_tenth(rows: Pairs) -> None:
    predicted, realised = split(rows)
    assume(realised.sum() > 0)
    values = realised.tolist()
    wanted = value_in_top(predicted.tolist(), values) / value_in_top(values, values)
    assert top_decile_capture(predicted, realised) == pytest.approx(float(wanted), abs=1e-9)


def test_shared_ties_are_the_mean_over_all_ways_to_break_them() -> None:
    predicted, realised = np.array([2.0, 2.0, 1.0, 1.0, 1.0, 0.0]), np.array([5.0, 1.0, 7.0, 0.0, 2.0, 3.0])
    broken = [np.array(predicted) + np.array(order) * 1e-6 for order in permutations(range(6))]
    for metric in (normalised_gini, top_decile_capture):
        mean = np.mean([metric(one, realised) for one in broken])
        assert metric(predicted, realised) == pytest.approx(mean, abs=1e-12)


@given(pairs)
def test_spearman_is_the_correlation_of_average_ranks(rows: Pairs) -> None:
    predicted, realised = split(rows)
    assume(len(set(predicted.tolist())) > 1)
    assume(len(set(realised.tolist())) > 1)
    ranks = [[average_rank(side.tolist(), value) for value in side.tolist()] for side in (predicted, realised)]
    assert rank_metrics(predicted, realised).spearman == pytest.approx(pearson(*ranks), abs=1e-9)


def test_a_ranking_is_judged_with_one_look_for_equal_values_on_each_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorting is nearly all of the work of millions of customers."""
    sorts, unique = list[int](), np.unique

    def counted(values: Floats, **options: bool) -> Any:
        sorts.append(len(values))
        return unique(values, **options)

    monkeypatch.setattr(np, "unique", counted)
    rank_metrics(np.arange(5.0), np.array([0.0, 1.0, 1.0, 2.0, 0.0]))
    assert sorts == [5, 5]


def same(one: float, other: float) -> bool:
    return (isnan(one) and isnan(other)) or one == pytest.approx(other, rel=1e-9, abs=1e-9)


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(rows: Pairs, random: st.DataObject) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    one, other = rank_metrics(*split(rows)), rank_metrics(*split(shuffled))
    for name in vars(one):
        assert same(getattr(one, name), getattr(other, name)), name
    calibrated, again = calibration_table(*split(rows)), calibration_table(*split(shuffled))
    assert np.allclose(calibrated.to_numpy(), again.to_numpy(), rtol=1e-9, atol=1e-9)
    assert same(calibration_error(calibrated), calibration_error(again))
    lifted, again = lift_curve("model", *split(rows)), lift_curve("model", *split(shuffled))
    assert np.allclose(lifted.drop("name").to_numpy(), again.drop("name").to_numpy(), rtol=1e-9, atol=1e-9)


@given(st.lists(money, min_size=2, max_size=40))
def test_the_truth_itself_is_perfect(values: list[float]) -> None:
    realised = np.array(values)
    assume(len(set(values)) > 1)
    found = rank_metrics(realised, realised)
    assert (found.normalised_gini, found.top_decile_capture) == (1.0, 1.0)
    assert found.spearman == pytest.approx(1.0, abs=1e-12)


@given(pairs)
def test_nothing_beats_the_truth_and_only_the_ranking_counts(rows: Pairs) -> None:
    predicted, realised = split(rows)
    assume(len(set(realised.tolist())) > 1)
    found = rank_metrics(predicted, realised)
    assert -1 - 1e-9 <= found.normalised_gini <= 1 + 1e-9
    assert 0 <= found.top_decile_capture <= 1 + 1e-9
    _, ranks = np.unique(predicted, return_inverse=True)
    assert normalised_gini(ranks.astype(float), realised) == found.normalised_gini
    assert normalised_gini(-predicted, realised) == pytest.approx(-found.normalised_gini, abs=1e-9)


def test_a_constant_prediction_knows_nothing() -> None:
    realised = np.arange(100.0)
    found = rank_metrics(np.full(100, 7.0), realised)
    assert found.normalised_gini == pytest.approx(0.0, abs=1e-12)
    assert found.top_decile_capture == pytest.approx(realised.mean() / realised[90:].mean())
    assert isnan(found.spearman)


def test_where_nobody_is_worth_anything_nothing_is_defined() -> None:
    found = rank_metrics(np.arange(10.0), np.zeros(10))
    assert isnan(found.normalised_gini)
    assert isnan(found.top_decile_capture)
    assert isnan(found.spearman)


@given(st.floats(0.01, 1e9), st.integers(1, 60))
def test_where_all_are_worth_the_same_there_is_no_gini(value: float, count: int) -> None:
    assert isnan(normalised_gini(np.arange(float(count)), np.full(count, value)))


def test_metrics_of_few_customers_are_defined_or_nan() -> None:
    one = rank_metrics(np.array([1.0]), np.array([5.0]))
    assert isnan(one.normalised_gini)
    assert one.top_decile_capture == 1.0
    assert isnan(one.spearman)
    two = rank_metrics(np.array([1.0, 2.0]), np.array([5.0, 0.0]))
    assert (two.normalised_gini, two.top_decile_capture) == (-1.0, 0.0)


def test_metrics_are_registered_under_the_name_of_who_made_the_prediction() -> None:
    assert Metrics(0.9, 0.8, 0.7).with_prefix("rfm") == {
        "rfm_normalised_gini": 0.9,
        "rfm_top_decile_capture": 0.8,
        "rfm_spearman": 0.7,
    }


def test_the_lift_curve_begins_at_nothing_and_ends_at_everything() -> None:
    predicted, realised = np.array([3.0, 2.0, 1.0, 0.0]), np.array([6.0, 3.0, 1.0, 0.0])
    curve = lift_curve("model", predicted, realised)[::25]
    assert curve.columns == ["name", "customer_share", "value_share"]
    assert curve["customer_share"].to_list() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert curve["value_share"].to_list() == pytest.approx([0.0, 0.6, 0.9, 1.0, 1.0])
    assert lift_curve("model", predicted, np.zeros(4))["value_share"].to_list() == [0.0] * 101


@given(pairs)
def test_a_lift_curve_rises_and_the_perfect_one_is_above_it(rows: Pairs) -> None:
    predicted, realised = split(rows)
    curve = lift_curve("model", predicted, realised)["value_share"].to_numpy()
    best = lift_curve("perfect", realised, realised)["value_share"].to_numpy()
    assert (np.diff(curve) >= -1e-12).all()
    assert (curve <= best + 1e-9).all()


def test_the_calibration_table_holds_ten_equal_groups_by_prediction() -> None:
    random = np.random.default_rng(3)
    predicted, realised = random.permutation(1000.0 * np.arange(95)), random.uniform(0, 9, 95)
    table = calibration_table(predicted, realised)
    assert table["decile"].to_list() == list(range(1, 11))
    assert table["customers"].to_list() == [10] * 5 + [9] * 5
    order = np.argsort(predicted)
    assert table["predicted_mean"][0] == pytest.approx(predicted[order[:10]].mean())
    assert table["realised_mean"][-1] == pytest.approx(realised[order[-9:]].mean())


@given(pairs)
def test_the_calibration_table_adds_up_to_all_money(rows: Pairs) -> None:
    predicted, realised = split(rows)
    table = calibration_table(predicted, realised)
    assert table["customers"].sum() == len(rows)
    for name, money_of in (("predicted_mean", predicted), ("realised_mean", realised)):
        assert (table[name] * table["customers"]).sum() == pytest.approx(money_of.sum(), rel=1e-9, abs=1e-6)
    assert table["predicted_mean"].is_sorted() or np.diff(table["predicted_mean"]).min() > -1e-6


def test_fewer_customers_than_ten_make_fewer_groups() -> None:
    table = calibration_table(np.array([2.0, 1.0]), np.array([4.0, 3.0]))
    assert table.rows() == [(1, 1, 1.0, 3.0), (2, 1, 2.0, 4.0)]


def test_the_calibration_error_is_a_share_of_the_realised_value() -> None:
    table = pl.DataFrame({"customers": [1, 3], "predicted_mean": [2.0, 10.0], "realised_mean": [4.0, 9.0]})
    assert calibration_error(table) == pytest.approx((1 * 2 + 3 * 1) / (4 + 27))
    assert calibration_error(calibration_table(np.arange(20.0), np.arange(20.0))) == 0.0
    assert isnan(calibration_error(calibration_table(np.arange(20.0), np.zeros(20))))


def test_the_segment_table_counts_and_adds_up() -> None:
    category = np.array(["top", "low", "low", "high", "top", "low"])
    table = segment_table(category, np.array([60.0, 1.0, 2.0, 10.0, 24.0, 3.0]))
    assert table.rows() == [
        ("low", 3, 2.0, pytest.approx(0.06)),
        ("high", 1, 10.0, pytest.approx(0.1)),
        ("top", 2, 42.0, pytest.approx(0.84)),
    ]
    assert segment_table(category, np.zeros(6))["value_share"].to_list() == [0.0, 0.0, 0.0]


def steps_of(category: np.ndarray, realised: Floats, seed: int = 1) -> tuple[SegmentStep, ...]:
    return segment_steps(category, realised, 0.05, 600, seed)


QUARTERS = np.repeat(list(SEGMENTS), 100)


def test_each_segment_is_compared_with_the_next_one() -> None:
    realised = np.random.default_rng(1).gamma(2.0, size=400) * np.repeat([0.0, 0.0, 9.0, 3.0], 100)
    level, rising, falling = steps_of(QUARTERS, realised)
    assert vars(level) == {"lower": "low", "upper": "medium", "lower_mean": 0, "upper_mean": 0, "surely_falls": False}
    assert (level.rises, rising.rises, falling.rises) == (False, True, False)
    assert (rising.surely_falls, falling.surely_falls) == (False, True)
    assert falling.lower_mean == pytest.approx(realised[200:300].mean())


def test_half_the_customers_worth_nothing_hide_no_model_that_ranks_perfectly() -> None:
    realised = np.concatenate([np.zeros(220), np.arange(1.0, 181.0)])
    assert not any(step.surely_falls for step in steps_of(QUARTERS, realised))


@pytest.mark.parametrize("in_top", [10, 30, 100])
@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_segments_of_one_skewed_distribution_are_called_falling_no_more_often_than_the_error(
    sigma: float, in_top: int
) -> None:
    random = np.random.default_rng(5)
    category = np.repeat(list(SEGMENTS), [100, 80, 60, in_top])
    called = [
        any(step.surely_falls for step in steps_of(category, random.lognormal(0.0, sigma, len(category)), seed))
        for seed in range(100)
    ]
    assert sum(called) <= 10  # at 5 % more than that come by chance in about one of a hundred such tests


@pytest.mark.parametrize("in_top", [10, 30, 100])
@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_a_model_that_ranks_backwards_is_called_falling(sigma: float, in_top: int) -> None:
    random = np.random.default_rng(5)
    sizes = [100, 80, 60, in_top]
    category, times = np.repeat(list(SEGMENTS), sizes), np.repeat([1_000.0, 100.0, 10.0, 1.0], sizes)
    for seed in range(10):
        steps = steps_of(category, times * random.lognormal(0.0, sigma, len(category)), seed)
        assert any(step.surely_falls for step in steps)


def test_the_chance_of_a_fall_is_that_of_all_ways_to_deal_the_customers_out() -> None:
    """Of 11 customers, ten worth 1 and one worth 0, the latter is alone in one of the 11 deals into ten and one."""
    low, high = np.ones(10), np.zeros(1)
    random = np.random.default_rng(1)
    assert _chance_of_fall(low, high, 20_000, random) == pytest.approx(1 / 11, rel=0.1)
    assert _chance_of_fall(np.ones(1), np.append(np.ones(9), 0.0), 20_000, random) == pytest.approx(10 / 11, rel=0.1)
    assert _chance_of_fall(np.full(30, 0.1), np.full(10, 0.1), 100, random) == 1.0


def test_a_segment_of_few_customers_shows_no_sure_fall() -> None:
    category = np.repeat(["high", "top"], [100, FEWEST_IN_SEGMENT - 1])
    (step,) = steps_of(category, np.repeat([9.0, 1.0], [100, FEWEST_IN_SEGMENT - 1]))
    assert {step.rises, step.surely_falls} == {False}
    (more,) = steps_of(np.append(category, "top"), np.append(np.repeat([9.0, 1.0], [100, FEWEST_IN_SEGMENT - 1]), 1.0))
    assert more.surely_falls
    assert steps_of(category[:100], np.ones(100)) == ()
