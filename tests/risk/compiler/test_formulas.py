"""Exact results as floats: on the right side of every number that a ruleset can write."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.formulas import TooLargeError, calculations_in_order, exact_value, float_of
from fivefold.risk.language.expressions import DaysSince, FieldInput
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.quantities import MOST_DIGITS
from tests.risk.engine.small import case, rule, ruleset

written = st.decimals(-(10**15), 10**15, places=2).filter(lambda one: len(one.as_tuple().digits) <= MOST_DIGITS) | (
    st.tuples(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(0, 15)).map(
        lambda pair: Decimal(pair[0]).scaleb(-pair[1])
    )
)
"""Numbers of a ruleset: at most 15 digits."""
nearby = st.fractions(-1, 1).flatmap(
    lambda part: st.sampled_from([0, 1, 10**3, 10**14, 10**17, 10**40, 10**300]).map(
        lambda scale: part / scale if scale else Fraction(0)
    )
)


@given(written, nearby)
def test_a_kept_number_compares_with_a_written_one_as_the_exact_number_does(bound: Decimal, apart: Fraction) -> None:
    exact = Fraction(bound) + apart
    number, limit = float_of(exact), float(bound)
    assert (number < limit, number == limit, number > limit) == (exact < bound, exact == bound, exact > bound)
    assert abs(Fraction(number) - exact) <= max(abs(exact) / 2**51, Fraction(5, 10**324))


@given(st.fractions(), st.fractions())
def test_kept_numbers_stand_in_the_order_of_the_exact_ones(first: Fraction, second: Fraction) -> None:
    low, high = sorted((first, second))
    assert float_of(low) <= float_of(high)


def test_what_no_float_holds_is_too_large() -> None:
    assert float_of(Fraction(10**300)) == 1e300
    with pytest.raises(TooLargeError):
        float_of(Fraction(10**309))


@given(st.integers(-(2**50), 60_000 * DAY_US))
def test_days_are_whole_microseconds_again(microseconds: int) -> None:
    read = exact_value(DaysSince(days_since="transactions"), ValueType.NUMBER, 1)
    assert read(microseconds / DAY_US) == Fraction(microseconds, DAY_US)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_what_was_written(value: float) -> None:
    assert exact_value(FieldInput(field="income"), ValueType.NUMBER, 1)(value) == Fraction(Decimal(repr(value)))


def test_money_is_counted_in_minor_units() -> None:
    assert exact_value(FieldInput(field="x"), ValueType.MONEY, 100)(1_250) == Fraction(25, 2)


def test_what_is_calculated_from_itself_has_an_end() -> None:
    circle: Any = {
        "first": {"unit": "ratio", "add": [{"calculation": "second"}, 1]},
        "second": {"unit": "ratio", "add": [{"calculation": "first"}, 1]},
    }
    made = ruleset(rule("asks", case("present", 1), input={"calculation": "first"}), calculate=circle)
    assert calculations_in_order(["first"], made.calculate) == ["second", "first"]
