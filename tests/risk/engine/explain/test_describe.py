"""Inputs, conditions and values in plain words."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.risk.compiler.value_types import Column
from fivefold.risk.engine.explain.describe import condition_words, input_words, value_words
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.policy import POLICY_INPUTS
from tests.risk.engine.small import case, rule, ruleset

Data = dict[str, Any]


def rule_of(made: Data | None, when: Any) -> Any:
    own = {} if made is None else {"input": made}
    return ruleset(rule("asks", case(when, 1), **own)).rules[0]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"field": "opened_on"}, "opened on"),
        ({"count": "transactions", "over": "30 days"}, "transactions in 30 days"),
        ({"sum": "amount", "in_currency": "USD", "over": "1 year"}, "sum of amount in USD in 1 year"),
        ({"mean": "amount"}, "mean of amount"),
        ({"min": "amount"}, "least amount"),
        ({"max": "signed_amount"}, "greatest signed amount"),
        ({"distinct": "currency"}, "different values of currency"),
        ({"days_since": "cases"}, "days since the latest of cases"),
        ({"days_since": "opened_on"}, "days since opened on"),
        (
            {"count": "cases", "where": {"field": "outcome", "equals": "confirmed"}},
            "cases where outcome is confirmed",
        ),
        ({"ratio": [{"sum": "amount"}, {"field": "income"}]}, "sum of amount over income"),
        ({"indicator": "account_age"}, "account age"),
        ({"value": "expected_value"}, "value expected value"),
        ({"tag": "watch"}, "tag watch"),
        ({"screening": "pep"}, "screening for pep"),
        ({"pattern": "fan-in", "at_least": 3}, "fan in"),
    ],
)
def test_input(made: Data, words: str) -> None:
    assert input_words(rule_of(made, "present").input) == words


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"level": "in_force"}, "level"),
        ({"level": "rules"}, "level by the rules"),
        ({"level": "age_days"}, "age of the level in days"),
        ({"transaction": "counterparty_id"}, "counterparty id of the transaction"),
        ({"transaction": "amount", "in_currency": "USD"}, "amount of the transaction in USD"),
        (
            {"ratio": [{"transaction": "amount"}, {"mean": "amount"}]},
            "amount of the transaction over mean of amount",
        ),
    ],
)
def test_input_of_a_policy(made: Data, words: str) -> None:
    assert input_words(POLICY_INPUTS[next(iter(made))].model_validate(made)) == words


def test_a_level_goes_by_its_name() -> None:
    assert value_words(2, Column("it", ValueType.LEVEL, levels=("low", "high"))) == "high"


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("absent", "it is absent"),
        ({"at_least": 1000.5}, "it is at least 1,000.5"),
        ({"above": 1, "below": 5}, "it is above 1 and it is below 5"),
        ({"between": [1, 2]}, "it is between 1 and 2"),
        ({"in": [1, 2]}, "it is one of 1, 2"),
        ({"field": "flag", "equals": True}, "flag is true"),
        ({"field": "country", "not_in_list": "eea"}, "country is not in the list eea"),
        ({"field": "kind", "is": "present"}, "kind is present"),
        ({"not": {"field": "flag", "equals": True}}, "not (flag is true)"),
        (
            {"all": [{"at_least": 1}, {"any": [{"tag": "x", "is": "present"}, "absent"]}]},
            "it is at least 1 and (tag x is present or it is absent)",
        ),
        (
            {"field": "country", "fuzzy": {"to": "Ola", "scorer": "ratio", "at_least": 90}},
            "country is like Ola (ratio of at least 90)",
        ),
        (
            {"field": "country", "fuzzy": {"list": "names", "scorer": "ratio", "at_least": 90}},
            "country is like one of the list names (ratio of at least 90)",
        ),
        ({"field": "products", "contains_any": ["a", "b"]}, "products contains one of a, b"),
    ],
)
def test_condition(when: Any, words: str) -> None:
    assert condition_words(rule_of({"field": "income"}, when).cases[0].when) == words


MONEY, YEN, NUMBER = Column("m", ValueType.MONEY, 100), Column("y", ValueType.MONEY), Column("n", ValueType.NUMBER)


@pytest.mark.parametrize(
    ("value", "column", "words"),
    [
        (None, NUMBER, "unknown"),
        (1234567.5, NUMBER, "1,234,567.5"),
        (0.1 + 0.2, NUMBER, "0.3"),
        (1 / 3, NUMBER, "0.333333"),
        (-0.0, NUMBER, "0"),
        (1e300, NUMBER, "1e+300"),
        (1e-300, NUMBER, "1e-300"),
        (10000.0, NUMBER, "10,000"),
        (3.0, Column("f", ValueType.FINDING), "3"),
        (-1, MONEY, "-0.01 EUR"),
        (9_007_199_254_740_993, MONEY, "90,071,992,547,409.93 EUR"),
        (1234.5678, MONEY, "12.35 EUR"),  # a mean, in fractions of cents
        (1234, YEN, "1,234 EUR"),
        (True, Column("f", ValueType.FLAG), "true"),
        (False, Column("t", ValueType.MARK), "absent"),
        ([], Column("l", ValueType.TEXTS), "none"),
        (["a", "b"], Column("l", ValueType.TEXTS), "a, b"),
        ("NO", Column("t", ValueType.TEXT), "NO"),
        (0, Column("d", ValueType.MOMENT), "1970-01-01"),
    ],
)
def test_value(value: Any, column: Column, words: str) -> None:
    assert value_words(value, column, "EUR") == words


near = st.floats(-0.01, 0.01, allow_subnormal=False)


@given(st.sampled_from([0, 1, 31, 100, 10000]), near, st.sampled_from([MONEY, NUMBER]))
def test_value_is_shown_on_its_own_side_of_a_cut(cut: int, beside: float, column: Column) -> None:
    value = (cut + beside) * column.units
    shown = value_words(value, column, cuts=(Decimal(cut),)).replace(",", "")
    exact = Decimal(str(value)) / column.units
    assert Decimal(shown).compare(Decimal(cut)) == exact.compare(Decimal(cut))


def words_slowly(value: float, column: Column, cuts: list[Decimal]) -> str:
    """Write a number as it reads: rounded, more finely as long as that would put it elsewhere beside a cut."""
    exact = Decimal(str(value)) / column.units
    money, size = column.kind is ValueType.MONEY, exact.adjusted()
    if not money and exact and not -15 <= size < 15:
        return str(value)
    minor = len(str(column.units)) - 1
    places = [minor + more for more in (0, 2, 4, 8)] if money else [max(n - max(size + 1, 0), 2) for n in (6, 9, 12)]
    sides = [exact.compare(cut) for cut in (*cuts, Decimal(0))]
    fit = (one for one in (round(exact, at) for at in places) if [one.compare(cut) for cut in (*cuts, 0)] == sides)
    shown = next(fit, exact)
    return f"{shown if money else shown.normalize():,f}"


all_cuts = st.lists(st.decimals(-1000, 1000, places=4), max_size=3)
numbers = st.one_of(st.floats(-1e17, 1e17), st.floats(-2, 2), st.integers(-(10**17), 10**17), st.integers(-1000, 1000))
COLUMNS = [MONEY, YEN, Column("l", ValueType.MONEY, 10_000), NUMBER, Column("f", ValueType.FINDING)]


@settings(max_examples=500)
@given(numbers, all_cuts, st.sampled_from(COLUMNS), st.sampled_from([0, 1e-9, -1e-6, 0.004, -0.5]), st.booleans())
def test_number_is_what_it_reads_as(
    value: float, cuts: list[Decimal], column: Column, beside: float, near: bool
) -> None:
    if near and cuts:
        value = (float(cuts[0]) + beside) * column.units
    assert value_words(value or 0, column, cuts=cuts) == words_slowly(value or 0, column, cuts)
