"""Patterns: what their parameters may be, and how they are written back."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fivefold.risk.language.patterns import Pattern
from tests.risk.conftest import Refusal

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
    "written",
    [
        "0%",
        "100.01%",
        "-5%",
        "33.333%",
        "ten%",
        "0.1",
        0.1,
        "nan%",
    ],
)
def test_what_is_no_share_is_refused(written: object, refusal: Refusal) -> None:
    with refusal(ValidationError):
        PATTERN.validate_python({**STRUCTURING, "margin": written})


@pytest.mark.parametrize("factor", [0.01, 1, 2.5, 1_000_000])
def test_a_factor(factor: float) -> None:
    assert PATTERN.validate_python({**VOLUME, "factor": factor}).factor == Decimal(str(factor))


@pytest.mark.parametrize("factor", [0, -1, 1_000_001, 1.125])
def test_what_is_no_factor_is_refused(factor: float, refusal: Refusal) -> None:
    with refusal(ValidationError):
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
def test_an_amount_that_means_nothing_is_refused(written: dict[str, Any], refusal: Refusal) -> None:
    with refusal(ValidationError):
        PATTERN.validate_python(written)


def test_no_minimum_is_a_minimum_of_nothing() -> None:
    assert PATTERN.validate_python(PASS_THROUGH).minimum == 0


def test_an_unknown_pattern_is_told_what_there_is() -> None:
    with pytest.raises(ValidationError, match="'structuring', 'velocity', 'pass-through'"):
        PATTERN.validate_python({"pattern": "smurfing"})
