"""Enclosures hold what they enclose, exactly where it is a line; the search over them finds the first moment."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fivefold.risk.facts.moments import enclosures
from fivefold.risk.facts.moments.enclosures import Absence, Enclosed, Enclosure, between
from fivefold.risk.facts.moments.search import HORIZON_US, MOST_LOOKS, UNDECIDED_US, Region, first_elsewhere
from tests.depth import examples

Function = Callable[[int], Fraction | None]
Drawn = tuple[Enclosed, Function]
WIDTHS = st.integers(0, 1000) | st.integers(0, 10**12)
fractions = st.fractions(-20, 20, max_denominator=60)


def line(width: int, at: Fraction, slope: Fraction) -> Drawn:
    return Enclosure(width, at, slope), lambda step: at + slope * step


def of_one(drawn: Drawn, operation: Callable[[Any], Any], function: Callable[[Any], Any]) -> Drawn:
    enclosed, value = drawn

    def then(step: int) -> Fraction | None:
        found = value(step)
        return None if found is None else function(found)

    return enclosed if isinstance(enclosed, Absence) else operation(enclosed), then


def of_two(
    one: Drawn, other: Drawn, operation: Callable[[Any, Any], Any], function: Callable[[Any, Any], Any]
) -> Drawn:
    def then(step: int) -> Fraction | None:
        found, second = one[1](step), other[1](step)
        if found is None or second is None or (function is divide and not second):
            return None
        return function(found, second)

    absent = next((why for why in Absence if why in (one[0], other[0])), None)
    return absent or operation(one[0], other[0]), then


def divide(one: Fraction, other: Fraction) -> Fraction:
    return one / other


TWO: list[tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = [
    (enclosures.added, lambda one, other: one + other),
    (enclosures.subtracted, lambda one, other: one - other),
    (enclosures.multiplied, lambda one, other: one * other),
    (enclosures.divided, divide),
    (enclosures.least_of, min),
    (enclosures.greatest_of, max),
]
ONE: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (enclosures.absolute, abs),
    (lambda one: enclosures.rounded(one, 1), lambda one: Fraction(round(one, 1))),
    (lambda one: one.scaled(Fraction(-3, 2)), lambda one: one * Fraction(-3, 2)),
    (lambda one: one.moved(Fraction(1, 3)), lambda one: one + Fraction(1, 3)),
]


@st.composite
def numbers(draw: st.DrawFn) -> tuple[int, Drawn]:
    """Draw a number over a stretch: lines, and what operations make of them."""
    width = draw(WIDTHS)
    rise = max(width, 1)
    found = [line(width, draw(fractions), draw(fractions) / rise) for _ in range(3)]
    for _ in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            found.append(of_one(draw(st.sampled_from(found)), *draw(st.sampled_from(ONE))))
        else:
            found.append(
                of_two(draw(st.sampled_from(found)), draw(st.sampled_from(found)), *draw(st.sampled_from(TWO)))
            )
    return width, found[-1]


@settings(max_examples=examples(500), deadline=None)
@given(numbers(), st.lists(st.floats(0, 1), min_size=3, max_size=6))
def test_a_number_is_where_its_enclosure_says(drawn: tuple[int, Drawn], shares: list[float]) -> None:
    width, (enclosed, value) = drawn
    for step in (0, width, *(int(width * share) for share in shares)):
        exact = value(step)
        if isinstance(enclosed, Absence):
            assert enclosed is Absence.PERHAPS or exact is None
        else:
            assert exact is not None
            at = enclosed.at + enclosed.slope * step
            assert at + enclosed.below <= exact <= at + enclosed.above
            low, high = enclosed.bounds
            assert low <= exact <= high


def test_a_line_stays_one_and_what_is_off_shrinks_with_the_square() -> None:
    def product(width: int) -> Enclosure:
        one, other = (Enclosure(width, Fraction(at), Fraction(1, 1000)) for at in (1, 7))
        return enclosures.multiplied(one, other)

    one, other = Enclosure(1000, Fraction(3), Fraction(2)), Enclosure(1000, Fraction(1, 3), Fraction(2))
    assert enclosures.subtracted(one, other) == Enclosure(1000, Fraction(8, 3))
    assert enclosures.divided(one, one) == Enclosure(1000, Fraction(1))
    wide, narrow = (product(width) for width in (1000, 100))
    assert float((wide.above - wide.below) / (narrow.above - narrow.below)) == pytest.approx(100)


def test_what_is_rounded_in_the_same_way_takes_itself_away() -> None:
    one = Enclosure(10, Fraction(5), Fraction(1)).off_by(Fraction(1, 100), "a")
    other = Enclosure(10, Fraction(5), Fraction(1)).off_by(Fraction(1, 100), "b")
    assert enclosures.subtracted(one, one).bounds == (0, 0)
    assert enclosures.subtracted(one, other).bounds == (Fraction(-1, 50), Fraction(1, 50))
    assert enclosures.multiplied(one, Enclosure(10, Fraction(3))).bounds == (Fraction(1497, 100), Fraction(4503, 100))


def squared(turns: int, bound: Fraction) -> tuple[Callable[[int, int], tuple[Enclosed, int]], Callable[[int], bool]]:
    """Make the square of how far away a turn is, and whether it is above a bound."""

    def enclose(first: int, last: int) -> tuple[Enclosed, int]:
        away = Enclosure(last - first, Fraction(first - turns), Fraction(1))
        return enclosures.multiplied(away, away), last

    return enclose, lambda ahead: Fraction(ahead - turns) ** 2 > bound


@pytest.mark.parametrize("reach", [1, 10, 999_999, 10**9])
def test_the_first_moment_is_found_beyond_a_turn_that_touches_the_bound(reach: int) -> None:
    """It falls until it turns, and comes back as far: all of that is passed over."""
    enclose, is_above = squared(reach, Fraction(reach**2))
    assert first_elsewhere(enclose, Region(None, Fraction(reach**2)), is_above, HORIZON_US) == 2 * reach + 1


@given(st.integers(1, 10**6), st.integers(1, 10**13))
@example(2, 1)
def test_the_first_moment_is_that_of_trying_all(reach: int, bound: int) -> None:
    enclose, is_above = squared(reach, Fraction(bound))
    found = first_elsewhere(enclose, Region(None, Fraction(bound)), is_above, HORIZON_US)
    assert found is not None
    assert is_above(found)
    assert found == 1 or not is_above(found - 1)
    assert (found == 1) == is_above(1)


NOT_NEGATIVE = Region(Fraction(0), None)


def test_where_rounding_decides_it_is_left_alone_for_an_hour() -> None:
    """Nothing is asked: the answer of each microsecond would be another one."""

    def undecided(first: int, last: int) -> tuple[Enclosed, int]:
        return between(last - first, Fraction(-1), Fraction(1)), last

    def asked(_: int) -> bool:
        raise AssertionError

    assert first_elsewhere(undecided, NOT_NEGATIVE, asked, HORIZON_US) == UNDECIDED_US
    assert first_elsewhere(undecided, NOT_NEGATIVE, asked, 1_000) == 1_000


@pytest.mark.parametrize(("slope", "turn"), [(Fraction(1, 10), None), (Fraction(-1, 10), 6_000)])
def test_a_number_that_leaves_where_rounding_decides_is_asked_from_there_on(slope: Fraction, turn: int | None) -> None:
    """It is off by a thousand steps of a tenth, so for ten thousand microseconds it is not known where it lies."""

    def leaving(first: int, last: int) -> tuple[Enclosed, int]:
        line = Enclosure(last - first, slope * first, slope)
        return line.off_by(Fraction(1000), "a"), last

    assert first_elsewhere(leaving, NOT_NEGATIVE, lambda ahead: turn is not None and ahead >= turn, HORIZON_US) == turn


def test_where_it_jumps_while_rounding_decides_it_is_asked_at_once() -> None:
    def jumping(first: int, last: int) -> tuple[Enclosed, int]:
        if first >= 500:
            return Enclosure(last - first, Fraction(5)), last
        return between(min(last, 499) - first, Fraction(-1), Fraction(1)), min(last, 499)

    assert first_elsewhere(jumping, NOT_NEGATIVE, lambda ahead: ahead == 500, HORIZON_US) == 500


def test_what_cannot_be_passed_over_in_time_is_looked_at_where_it_begins() -> None:
    """From a day on nothing is known of it but at single moments."""
    day = 24 * UNDECIDED_US

    def dull(first: int, last: int) -> tuple[Enclosed, int]:
        known = last < day or first == last
        return (Enclosure(last - first, Fraction(1)) if known else Absence.PERHAPS), last

    found = first_elsewhere(dull, NOT_NEGATIVE, lambda _: False, HORIZON_US)
    assert found is not None
    assert day <= found <= day + MOST_LOOKS


def test_what_there_is_no_number_of_is_elsewhere_once_there_is_one() -> None:
    def absent(first: int, last: int) -> tuple[Enclosed, int]:
        return (Absence.THROUGHOUT, min(last, 999)) if first < 1000 else (Enclosure(last - first, Fraction(5)), last)

    assert first_elsewhere(absent, None, lambda ahead: ahead >= 1000, HORIZON_US) == 1000
    assert first_elsewhere(absent, None, lambda _: False, 999) is None
