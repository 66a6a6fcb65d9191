"""Facts tell what their fields are to a condition."""

import polars as pl
import pytest

from fivefold.risk.compiler.value_types import InputColumn
from fivefold.risk.facts.linked import PROBLEM_SCHEMA, LinkedFacts, nothing_wrong
from fivefold.risk.language.fields import TRANSACTION_FIELDS, ValueType


@pytest.mark.parametrize(
    ("name", "currency", "column"),
    [
        ("amount", None, InputColumn("amount", ValueType.MONEY, 100)),
        ("signed_amount", "JPY", InputColumn("original_signed_amount", ValueType.MONEY, 1)),
        ("amount", "EUR", InputColumn("original_amount", ValueType.MONEY, 100)),
        ("word", "JPY", InputColumn("word", ValueType.TEXT)),
        ("time", None, InputColumn("time", ValueType.MOMENT)),
    ],
)
def test_money_is_of_the_base_or_of_its_own_currency(name: str, currency: str | None, column: InputColumn) -> None:
    facts = LinkedFacts(pl.LazyFrame(), {"word": "text", **TRANSACTION_FIELDS}, base="EUR")
    assert facts.column(name, currency) == column


def test_without_a_base_an_amount_is_a_number() -> None:
    assert LinkedFacts(pl.LazyFrame(), {"amount": "number"}).column("amount") == InputColumn("amount", ValueType.NUMBER)


def test_no_problem_has_the_columns_of_problems() -> None:
    assert dict(nothing_wrong().schema) == dict(PROBLEM_SCHEMA)
