"""Facts tell what their fields are to a condition."""

import polars as pl
import pytest

from fivefold.risk.compiler.values import Column
from fivefold.risk.facts.linked import PROBLEM_SCHEMA, Facts, nothing_wrong
from fivefold.risk.language.fields import TRANSACTION_FIELDS, Kind


@pytest.mark.parametrize(
    ("name", "currency", "column"),
    [
        ("amount", None, Column("amount", Kind.MONEY, 100)),
        ("signed_amount", "JPY", Column("original_signed_amount", Kind.MONEY, 1)),
        ("amount", "EUR", Column("original_amount", Kind.MONEY, 100)),
        ("word", "JPY", Column("word", Kind.TEXT)),
        ("time", None, Column("time", Kind.MOMENT)),
    ],
)
def test_money_is_of_the_base_or_of_its_own_currency(name: str, currency: str | None, column: Column) -> None:
    facts = Facts(pl.LazyFrame(), {"word": "text", **TRANSACTION_FIELDS}, base="EUR")
    assert facts.column(name, currency) == column


def test_without_a_base_an_amount_is_a_number() -> None:
    assert Facts(pl.LazyFrame(), {"amount": "number"}).column("amount") == Column("amount", Kind.NUMBER)


def test_no_problem_has_the_columns_of_problems() -> None:
    assert dict(nothing_wrong().schema) == dict(PROBLEM_SCHEMA)
