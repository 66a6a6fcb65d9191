"""Patterns: what their parameters may be, and how they are written back."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fivefold.risk.language.patterns import Pattern

PATTERN: TypeAdapter[Any] = TypeAdapter(Pattern)

STRUCTURING = {"pattern": "structuring", "threshold": 10_000, "margin": "10%", "over": "30 days"}
PASS_THROUGH = {"pattern": "pass-through", "within": "3 days", "share": "90%", "minimum": 0, "over": "30 days"}
VOLUME = {"pattern": "volume-deviation", "expected_monthly": "turnover", "factor": 3, "over": "1 month"}


@pytest.mark.parametrize(
    ("written", "percent"),
    [("10%", "10"), ("0.01 %", "0.01"), (" 33.33% ", "33.33"), ("100%", "100"), ("7.50%", "7.5")],
)
def test_a_share_is_exact(written: str, percent: str) -> None:
    made = PATTERN.validate_python({**STRUCTURING, "margin": written})
    assert made.margin == Decimal(percent)
    assert PATTERN.dump_python(made, mode="json")["margin"] == f"{percent}%"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("0%", "out of range"),
        ("100.01%", "out of range"),
        ("-5%", "out of range"),
        ("33.333%", "more than two decimals"),
        ("ten%", "write one as 10%"),
        ("0.1", "write one as 10%"),
        (0.1, "write one as 10%"),
        ("nan%", "not a share|finite"),
    ],
)
def test_what_is_no_share_is_refused(written: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PATTERN.validate_python({**STRUCTURING, "margin": written})


@pytest.mark.parametrize("factor", [0.01, 1, 2.5, 1_000_000])
def test_a_factor(factor: float) -> None:
    assert PATTERN.validate_python({**VOLUME, "factor": factor}).factor == Decimal(str(factor))


@pytest.mark.parametrize(
    ("factor", "said"), [(0, "above 0"), (-1, "above 0"), (1_000_001, "at most 1,000,000"), (1.125, "two decimals")]
)
def test_what_is_no_factor_is_refused(factor: float, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PATTERN.validate_python({**VOLUME, "factor": factor})


@pytest.mark.parametrize(
    "written",
    [
        {**STRUCTURING, "threshold": 0},
        {**STRUCTURING, "round_to": 0},
        {**STRUCTURING, "at_least": 0},
        {**PASS_THROUGH, "minimum": -0.01},
    ],
)
def test_an_amount_that_means_nothing_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="greater than"):
        PATTERN.validate_python(written)


def test_no_minimum_is_a_minimum_of_nothing() -> None:
    assert PATTERN.validate_python(PASS_THROUGH).minimum == 0


def test_an_unknown_pattern_is_told_what_there_is() -> None:
    with pytest.raises(ValidationError, match="'structuring', 'velocity', 'pass-through'"):
        PATTERN.validate_python({"pattern": "smurfing"})
