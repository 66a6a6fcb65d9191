"""Literals: what fits a kind, and what it becomes in the form of the column."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.values import Column, level_number, literal, misfit, ordinal
from fivefold.risk.language.fields import Kind

GOOD: dict[Kind, Any] = {
    Kind.TEXT: "x",
    Kind.NUMBER: Decimal(5),
    Kind.MONEY: Decimal(5),
    Kind.FLAG: True,
    Kind.MOMENT: "2024-07-01",
    Kind.TEXTS: "x",
    Kind.MARK: True,
    Kind.FINDING: Decimal(5),
    Kind.LEVEL: Decimal(5),
}


@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_only_values_of_its_kind_fit(kind: Kind) -> None:
    """Neither text nor flags pass for numbers, nor any number for a date."""
    fitting = [value for value in ("x", Decimal(5), True, "2024-07-01") if misfit(kind, value) is None]
    assert GOOD[kind] in fitting
    by_name = {str} if kind is Kind.LEVEL else set()
    assert {type(value) for value in fitting} == {type(GOOD[kind])} | by_name
    assert ("x" in fitting) == (kind in {Kind.TEXT, Kind.TEXTS, Kind.LEVEL})


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (
            Kind.NUMBER,
            "1_000",
            "compares a number with '1_000'; write one as 10000 or 0.5, without quotes and separators",
        ),
        (Kind.NUMBER, True, "compares a number with true"),
        (Kind.FLAG, "yes", "compares a flag with 'yes'; write true or false"),
        (Kind.TEXT, Decimal("12.50"), "compares a text with 12.50"),
        (Kind.LEVEL, True, "compares a level with true; write its name"),
        (Kind.MOMENT, Decimal(20240701), "compares a date with 20240701; write one as 2024-07-01"),
    ],
)
def test_a_misfit_is_told(kind: Kind, value: Any, told: str) -> None:
    assert misfit(kind, value) == told


@pytest.mark.parametrize(
    ("column", "value", "made"),
    [
        (Column("it", Kind.MONEY, 100), Decimal("10.5"), 1050),
        (Column("it", Kind.MONEY, 1), Decimal("10.5"), 10.5),
        (Column("it", Kind.MONEY, 1000), Decimal("0.0005"), 0.5),
        (Column("it", Kind.MOMENT), "1970-01-02", DAY_US),
        (Column("it", Kind.NUMBER), Decimal("0.1"), 0.1),
        (Column("it", Kind.FINDING), Decimal(3), 3.0),
        (Column("it", Kind.TEXT), "NO", "NO"),
        (Column("it", Kind.FLAG), True, True),
        (Column("it", Kind.LEVEL, levels=("low", "high")), "high", 2),
        (Column("it", Kind.LEVEL, levels=("low", "high")), Decimal(1), 1),
        (Column("it", Kind.LEVEL, levels=("3", "2", "1")), "1", 3),
    ],
)
def test_a_literal_has_the_form_of_its_column(column: Column, value: Any, made: Any) -> None:
    found = pl.select(literal(column, value)).item()
    assert found == made
    assert type(found) is type(made)


def test_dates_are_ordered_by_their_moments() -> None:
    assert ordinal(Kind.MOMENT, "2024-01-01T01:00:00+02:00") < ordinal(Kind.MOMENT, "2024-01-01")
    assert ordinal(Kind.NUMBER, Decimal(5)) == 5


@pytest.mark.parametrize("level", ["none", "", Decimal(0), Decimal(3), Decimal("1.5"), "1"])
def test_what_is_no_level_has_no_number(level: Any) -> None:
    assert level_number(level, ("low", "high")) is None
