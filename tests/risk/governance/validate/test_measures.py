"""Measures that validations of files and of the platform share, against counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.risk.governance.validate.measures import (
    LEAST_CONFIRMED,
    NO_LEVEL,
    TOO_FEW,
    above_cap,
    answer_by_interval,
    capture_curve,
    captured_share,
    gini_measure,
    holm,
    level_rows,
    measure_of,
    share_measure,
)
from fivefold.risk.governance.validate.ranking import ConfidenceInterval, rank, share


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30))
def test_a_curve_holds_all_confirmed_above_each_total(rows: list[tuple[int, bool]]) -> None:
    score, confirmed = (np.array(side) for side in zip(*rows, strict=True))
    curve = capture_curve(score, confirmed)
    assert curve[0] == (0.0, 0.0)
    for first, found in curve[1:]:
        cut = np.sort(score)[::-1][round(first * len(score)) - 1]
        assert first == pytest.approx((score >= cut).mean())
        assert found == pytest.approx(confirmed[score >= cut].sum() / max(1, confirmed.sum()))
    assert curve[-1][0] == 1.0


def test_a_long_curve_is_thinned_but_keeps_its_end() -> None:
    curve = capture_curve(np.arange(10_000), np.arange(10_000) > 9_000)
    assert len(curve) <= 201
    assert curve[-1] == (1.0, 1.0)


NAMES = ("low", "medium", "high", "critical")
entities = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=60)


@given(entities)
def test_everyone_is_in_one_row(rows: list[tuple[int, bool]]) -> None:
    level, confirmed = (np.array(side) for side in zip(*rows, strict=True))
    found = level_rows(level, confirmed, NAMES)
    assert sum(row.entities for row in found) == len(rows)
    assert sum(row.confirmed for row in found) == confirmed.sum()
    assert sum(row.share for row in found) == pytest.approx(1)
    assert (found[-1].level == NO_LEVEL) == bool((level == 0).any())
    for row in found:
        assert (row.rate is None) == (row.entities == 0)


@given(entities)
def test_no_more_can_be_captured_than_arithmetic_allows(rows: list[tuple[int, bool]]) -> None:
    level, confirmed = (np.array(side) for side in zip(*rows, strict=True))
    found = captured_share(level, confirmed, NAMES)
    if found is None:
        assert not confirmed.any()
        return
    hits = sum(mark for number, mark in rows if number >= 3)
    assert found.captured.estimate == hits / confirmed.sum()
    assert found.missed.estimate == pytest.approx(1 - found.captured.estimate)
    assert found.captured.estimate <= found.possible + 1e-12
    room = sum(number >= 3 for number, _ in rows)
    assert found.possible == pytest.approx(min(1, room / confirmed.sum()))
    assert found.top == ("high", "critical")


def test_a_figure_needs_both_an_interval_and_enough() -> None:
    assert measure_of(None, 70, enough=True).answer == TOO_FEW


@pytest.mark.parametrize(("confirmed", "others"), [(LEAST_CONFIRMED - 1, 200), (200, LEAST_CONFIRMED - 1)])
def test_a_gini_needs_enough_of_both_kinds(confirmed: int, others: int) -> None:
    marks = np.arange(confirmed + others) < confirmed
    measure = gini_measure(-np.arange(len(marks)), marks, resamples=10)
    assert (measure.answer, measure.of, measure.interval) == (TOO_FEW, confirmed, None)


def test_a_measure_is_the_figure_with_its_interval() -> None:
    marks = np.arange(2 * LEAST_CONFIRMED) % 2 == 0
    score = np.arange(len(marks)) // 3
    assert gini_measure(score, marks, resamples=10).interval == rank(score, marks, resamples=10).gini
    assert share_measure(7, LEAST_CONFIRMED).interval == share(7, LEAST_CONFIRMED)
    assert share_measure(7, LEAST_CONFIRMED - 1).answer == TOO_FEW


@pytest.mark.parametrize(("low", "high", "sure"), [(0.55, 0.8, False), (0.1, 0.59, True), (0.59, 0.6, False)])
def test_an_answer_is_sure_where_both_ends_give_it(low: float, high: float, sure: bool) -> None:
    interval = ConfidenceInterval(0.58, low, high)
    assert answer_by_interval(interval, lambda gini: gini < 0.6) == (True, sure)


@pytest.mark.parametrize(("downward", "above"), [(9, False), (10, False), (11, True)])
def test_a_cap_is_reached_and_not_passed(downward: int, above: bool) -> None:
    assert above_cap(downward, 100, 10) is above


@given(st.lists(st.floats(0, 1), min_size=1, max_size=25))
def test_holm_rejects_what_the_steps_reject(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p_value <= each <= 1 for p_value, each in zip(p_values, adjusted, strict=True))
    for limit in (0.01, 0.05, 0.5):
        rejected: set[int] = set()
        for place, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
            if (len(p_values) - place) * p_values[number] > limit:
                break
            rejected.add(number)
        assert {number for number, each in enumerate(adjusted) if each <= limit} == rejected
