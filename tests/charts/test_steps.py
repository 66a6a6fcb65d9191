from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.charts.steps import SCORE_AXIS, axis_around, decimals_of, waterfall_plot, waterfall_steps
from fivefold.domain.breakdown import Breakdown, Contribution
from fivefold.domain.errors import ConfigError

points = st.one_of(
    st.sampled_from([0.0, -0.0, 0.25, -0.25, 1e-15]),  # zeros and ties
    st.floats(-1e6, 1e6, allow_nan=False),
)
breakdowns = st.builds(
    lambda base, sizes: Breakdown(
        base,
        tuple(Contribution(f"i{place}", "f", 1.0, "", size, "", "") for place, size in enumerate(sizes)),
    ),
    st.floats(-1e3, 1e3),
    st.lists(points, max_size=40),
)


@given(breakdowns, st.integers(1, 15))
def test_steps_chain_exactly_from_base_to_total(breakdown: Breakdown, most: int) -> None:
    steps = waterfall_steps(breakdown, most)
    ends = [breakdown.base, *(step.end for step in steps)]
    assert [step.start for step in steps] == ends[:-1]
    assert ends[-1] == breakdown.total


@given(breakdowns, st.integers(1, 15))
def test_steps_are_the_largest_and_the_sum_of_the_rest(breakdown: Breakdown, most: int) -> None:
    steps = waterfall_steps(breakdown, most)
    shown, rest = breakdown.largest_first()[:most], breakdown.largest_first()[most:]
    assert [(step.label, step.points) for step in steps[:most]] == [(part.name, part.points) for part in shown]
    assert len(steps) == len(shown) + bool(rest)
    if rest:
        assert steps[-1].points == fsum(part.points for part in rest)
        assert steps[-1].label.split()[0] == str(len(rest))


@given(breakdowns, st.integers(1, 15))
def test_each_bar_is_as_long_as_its_points(breakdown: Breakdown, most: int) -> None:
    for step in waterfall_steps(breakdown, most):
        scale = max(1.0, abs(step.start), abs(step.end))
        assert step.end - step.start == pytest.approx(step.points, abs=1e-12 * scale, rel=0)


@given(breakdowns, st.integers(1, 15))
def test_the_axis_holds_every_bar(breakdown: Breakdown, most: int) -> None:
    steps = waterfall_steps(breakdown, most)
    low, high = axis_around(breakdown.base, steps, SCORE_AXIS)
    assert low <= min(SCORE_AXIS[0], breakdown.base, breakdown.total)
    assert high >= max(SCORE_AXIS[1], breakdown.base, breakdown.total)
    assert all(low <= place <= high for step in steps for place in (step.start, step.end))


def test_one_other_is_said_in_the_singular(breakdown: Breakdown) -> None:
    assert waterfall_steps(breakdown, 14)[-1].label == "1 other"
    assert waterfall_steps(breakdown, 15)[-1].label.startswith("Small effect")


def test_a_label_is_the_contributions_or_else_its_name_and_what_was_seen_has_its_unit(breakdown: Breakdown) -> None:
    seen = {step.label: step.seen for step in waterfall_steps(breakdown, 5)}
    assert seen == {
        "Deposits of the last 90 days": "48,210 EUR",
        "Last balance": "-12.50 EUR",
        "Came by API or by web": "API",
        "Deposits in the same season a year before": "undefined",
        "gap_mean": "undefined",
        "10 others": "",
    }


def test_no_contributions_are_no_steps() -> None:
    assert waterfall_steps(Breakdown(2.0, ())) == []


@pytest.mark.parametrize("most", [0, -3])
def test_fewer_than_one_step_is_refused(breakdown: Breakdown, most: int) -> None:
    with pytest.raises(ConfigError, match=f"at most {most} contributions"):
        waterfall_steps(breakdown, most)


def test_whole_points_have_no_decimals(breakdown: Breakdown) -> None:
    whole = Breakdown(0.0, (Contribution("country", "geography", "XX", "", 35.0, "", ""),))
    assert decimals_of(whole) == 0
    assert decimals_of(breakdown) == 2


def test_a_total_that_rounds_to_zero_has_no_sign() -> None:
    parts = [Contribution(str(size), "f", 1.0, "", size, "", "") for size in (0.3, -0.1, -0.2)]
    plot = waterfall_plot(Breakdown(-0.0, tuple(parts)), base_label="base", total_label="total", axis=(-1.0, 1.0))
    assert (plot.rows[0].number, plot.rows[-1].number) == ("0.00", "0.00")
