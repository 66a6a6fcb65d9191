"""Literals: what fits a kind, and what it becomes in the form of the column."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.values import Column, level_number, literal, misfit, ordinal
from fivefold.risk.language.fields import ValueType

GOOD: dict[ValueType, Any] = {
    ValueType.TEXT: "x",
    ValueType.NUMBER: Decimal(5),
    ValueType.MONEY: Decimal(5),
    ValueType.FLAG: True,
    ValueType.MOMENT: "2024-07-01",
    ValueType.TEXTS: "x",
    ValueType.MARK: True,
    ValueType.FINDING: Decimal(5),
    ValueType.LEVEL: Decimal(5),
}


@pytest.mark.parametrize("kind", list(ValueType), ids=str)
def test_only_values_of_its_kind_fit(kind: ValueType) -> None:
    """Neither text nor flags pass for numbers, nor any number for a date."""
    fitting = [value for value in ("x", Decimal(5), True, "2024-07-01") if misfit(kind, value) is None]
    assert GOOD[kind] in fitting
    by_name = {str} if kind is ValueType.LEVEL else set()
    assert {type(value) for value in fitting} == {type(GOOD[kind])} | by_name
    assert ("x" in fitting) == (kind in {ValueType.TEXT, ValueType.TEXTS, ValueType.LEVEL})


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (
            ValueType.NUMBER,
            "1_000",
            "compares a number with '1_000'; write one as 10000 or 0.5, without quotes and separators",
        ),
        (ValueType.NUMBER, True, "compares a number with true"),
        (ValueType.FLAG, "yes", "compares a flag with 'yes'; write true or false"),
        (ValueType.TEXT, Decimal("12.50"), "compares a text with 12.50"),
        (ValueType.LEVEL, True, "compares a level with true; write its name"),
        (ValueType.MOMENT, Decimal(20240701), "compares a date with 20240701; write one as 2024-07-01"),
    ],
)
def test_a_misfit_is_told(kind: ValueType, value: Any, told: str) -> None:
    assert misfit(kind, value) == told


@pytest.mark.parametrize(
    ("column", "value", "made"),
    [
        (Column("it", ValueType.MONEY, 100), Decimal("10.5"), 1050),
        (Column("it", ValueType.MONEY, 1), Decimal("10.5"), 10.5),
        (Column("it", ValueType.MONEY, 1000), Decimal("0.0005"), 0.5),
        (Column("it", ValueType.MOMENT), "1970-01-02", DAY_US),
        (Column("it", ValueType.NUMBER), Decimal("0.1"), 0.1),
        (Column("it", ValueType.FINDING), Decimal(3), 3.0),
        (Column("it", ValueType.TEXT), "NO", "NO"),
        (Column("it", ValueType.FLAG), True, True),
        (Column("it", ValueType.LEVEL, levels=("low", "high")), "high", 2),
        (Column("it", ValueType.LEVEL, levels=("low", "high")), Decimal(1), 1),
        (Column("it", ValueType.LEVEL, levels=("3", "2", "1")), "1", 3),
    ],
)
def test_a_literal_has_the_form_of_its_column(column: Column, value: Any, made: Any) -> None:
    found = pl.select(literal(column, value)).item()
    assert found == made
    assert type(found) is type(made)


def test_dates_are_ordered_by_their_moments() -> None:
    assert ordinal(ValueType.MOMENT, "2024-01-01T01:00:00+02:00") < ordinal(ValueType.MOMENT, "2024-01-01")
    assert ordinal(ValueType.NUMBER, Decimal(5)) == 5


@pytest.mark.parametrize("level", ["none", "", Decimal(0), Decimal(3), Decimal("1.5"), "1"])
def test_what_is_no_level_has_no_number(level: Any) -> None:
    assert level_number(level, ("low", "high")) is None
