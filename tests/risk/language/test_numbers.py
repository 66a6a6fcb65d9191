"""Exact numbers: what is written is what counts, to the last digit."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fivefold.risk.language.numbers import (
    MOST_DIGITS,
    MOST_SIZE,
    Percent,
    Points,
    exact,
    json_number,
    point_units,
    text_of,
)

digits = st.integers(-(10**MOST_DIGITS) + 1, 10**MOST_DIGITS - 1)


@given(digits, st.integers(0, MOST_DIGITS))
def test_numbers_survive_json(whole: int, decimals: int) -> None:
    """A number of 15 digits comes back from JSON, which keeps it as a float, as it was."""
    number = Decimal(whole).scaleb(-decimals)
    again = json.loads(json.dumps(json_number(exact(number))), parse_float=Decimal)
    assert exact(again) == exact(float(number)) == exact(number) == number


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("5", "'5' is not a number; write one as 10000"),
        ("x" * 50, f"'{'x' * 40}' is not a number"),
        (True, "true is not a number"),
        (None, "nothing is not a number"),
        ([1], "a list is not a number"),
        ({}, "a mapping is not a number"),
        (float("nan"), "nan is not a finite number"),
        (Decimal("Infinity"), "Infinity is not a finite number"),
        (MOST_SIZE, "out of range"),
        (-MOST_SIZE, "out of range"),
        (Decimal("1E+999999"), "out of range"),
        (Decimal("1E-999999"), "out of range"),
        (Decimal("1E-16"), "out of range"),
        (Decimal("0.1234567890123456"), "too many digits; at most 15"),
        (Decimal("10.0000000000000001"), "too many digits; at most 15"),
    ],
)
def test_what_is_no_exact_number_is_refused(value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        exact(value)
    assert told in str(refused.value)


@pytest.mark.parametrize("value", [0, Decimal("-0.00"), Decimal("0E+999999"), 0.0, Decimal("0E-999999")])
def test_zero_is_zero_however_it_is_written(value: Any) -> None:
    assert str(exact(value)) == "0"


@pytest.mark.parametrize(("value", "fits"), [("1.23", 1), ("1.230", 1), ("1.234", 0), ("1E6", 1), ("1000000.01", 0)])
def test_points_have_two_decimals_and_a_bound(value: str, fits: int) -> None:
    for sign in ("", "-"):
        if fits:
            assert TypeAdapter(Points).validate_python(Decimal(sign + value)) == Decimal(sign + value)
        else:
            with pytest.raises(ValidationError, match=r"two decimals|out of range"):
                TypeAdapter(Points).validate_python(Decimal(sign + value))


@pytest.mark.parametrize(("value", "fits"), [(0, 1), (100, 1), ("33.33", 1), ("33.333", 0), ("100.01", 0), (-1, 0)])
def test_weights_are_percentages(value: Any, fits: int) -> None:
    if fits:
        assert TypeAdapter(Percent).validate_python(Decimal(value)) == Decimal(value)
    else:
        with pytest.raises(ValidationError, match=r"two decimals|out of range"):
            TypeAdapter(Percent).validate_python(Decimal(value))


@given(st.decimals(-(10**6), 10**6, places=2))
def test_points_are_whole_units(points: Decimal) -> None:
    units = point_units(points)
    assert Decimal(units) / 100 == points
    assert Decimal(text_of(units, 100)) == points
    assert "E" not in text_of(units, 100)
