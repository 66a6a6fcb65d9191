"""Values that stand for all others: whatever a value does under some comparisons, one of them does as well."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fivefold.risk.compiler.conditions import comparison
from fivefold.risk.governance.lint.representative_values import FRESH, ComparedInput, domain_of
from fivefold.risk.language.expressions import Condition, Input
from fivefold.risk.language.fields import FieldType, OneOf, ValueType, value_type_of
from tests.risk.compiler.test_conditions import DTYPES, LISTS, PAIRS, VALUES, column_of, operands

any_input = TypeAdapter[Any](Input)
condition = TypeAdapter[Any](Condition)
MADE: dict[ValueType, Any] = {
    ValueType.MONEY: {"sum": "signed_amount"},
    ValueType.FINDING: {"pattern": "volume-deviation", "expected_monthly": "income", "factor": 0.5, "over": "30 days"},
    ValueType.MARK: {"screening": "pep"},
}


def subject(kind: ValueType, made: Any = None, declared: FieldType | None = None) -> ComparedInput:
    given_input = made or MADE.get(kind, {"field": "it"})
    rule_input = any_input.validate_python(given_input)
    return ComparedInput(rule_input=rule_input, column=column_of(kind), declared=declared)


def truths(kind: ValueType, comparisons: list[tuple[str, Any]], values: pl.Series) -> set[tuple[bool | None, ...]]:
    column = column_of(kind)
    tests = [comparison(word, column, value, LISTS).alias(str(at)) for at, (word, value) in enumerate(comparisons)]
    return set(values.alias("it").to_frame().select(tests).rows())


@pytest.mark.parametrize("kind", list(ValueType), ids=str)
@given(data=st.data())
def test_what_any_value_does_one_of_them_does(kind: ValueType, data: st.DataObject) -> None:
    words = [word for word, made_for in PAIRS if made_for is kind and word != "fuzzy"]
    chosen = data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=3))
    tests = [condition.validate_python({word: data.draw(operands(word, kind))}) for word in chosen]
    comparisons = [comparison for test in tests for comparison in test.comparisons()]
    domain = domain_of(subject(kind), comparisons, LISTS, all_lists=True)
    values = data.draw(st.lists(VALUES[kind], min_size=1, max_size=4))
    assert domain.exact
    assert domain.values.dtype == DTYPES[kind]
    assert truths(kind, comparisons, pl.Series(values, dtype=DTYPES[kind])) <= truths(kind, comparisons, domain.values)


@pytest.mark.parametrize(
    ("made", "kind", "impossible"),
    [
        ({"count": "cases"}, ValueType.NUMBER, [None, -1.0, 1.5]),
        ({"distinct": "currency"}, ValueType.NUMBER, [None, -1.0, 1.5]),
        ({"sum": "amount"}, ValueType.MONEY, [None, -1]),
        ({"new": "currency", "over": "1 day"}, ValueType.NUMBER, [None, -1.0, 1.5]),
        ({"largest": "amount", "n": 2}, ValueType.MONEY, [None, -1]),
        ({"percentile": 95, "of": "amount"}, ValueType.MONEY, [-1]),
        ({"median": "amount"}, ValueType.MONEY, [-1.0]),
        ({"standard_deviation": "amount"}, ValueType.MONEY, [-1.0]),
        ({"share": "amount", "where": {"field": "direction", "equals": "deposit"}}, ValueType.NUMBER, [-0.1, 1.1]),
        ({"mean": "amount"}, ValueType.MONEY, [-1.0]),
        ({"days_since": "transactions"}, ValueType.NUMBER, [-1.0]),
        ({"value": "score"}, ValueType.NUMBER, [0.0, 6.0]),
        ({"tag": "vip"}, ValueType.MARK, [None]),
        (
            {"pattern": "structuring", "threshold": 9, "margin": "1%", "at_least": 3, "over": "1 day"},
            ValueType.FINDING,
            [None, 1.0, 2.0, 3.5],
        ),
        ({"pattern": "velocity", "more_than": 50, "over": "1 day"}, ValueType.FINDING, [50.0]),
    ],
)
def test_what_an_input_never_comes_to_is_not_tried(made: Any, kind: ValueType, impossible: list[Any]) -> None:
    test = condition.validate_python({"is": "present"} if kind is ValueType.MARK else {"between": [-1, 50]})
    tried = domain_of(subject(kind, made), list(test.comparisons()), {}, all_lists=True).values
    assert not set(impossible) & set(tried)
    assert len(tried) >= 2


@pytest.mark.parametrize(
    ("declared", "tried", "missing"),
    [
        (OneOf(one_of=("a", "b")), ["a", "b", None], ["x"]),
        ("country", ["AD", "NO", "ZW", None], ["no"]),
        ("text", ["no", None], ["AA"]),
    ],
)
def test_declared_text_is_only_what_it_can_be(declared: FieldType, tried: list[Any], missing: list[str]) -> None:
    made = domain_of(subject(ValueType.TEXT, None, declared), [("starts_with", "no")], {}, all_lists=True)
    assert set(tried) <= {value if value is None else value.rstrip("※") for value in made.values}
    assert not set(missing) & set(made.values) or declared == "text"


@pytest.mark.parametrize(
    ("kind", "comparisons", "members", "all_lists"),
    [
        (ValueType.TEXT, {"in_list": "some"}, {"some": ["@some"]}, False),
        (ValueType.TEXT, {"fuzzy": {"to": "x", "scorer": "ratio", "at_least": 90}}, {}, True),
        (ValueType.TEXTS, {"fuzzy": {"to": "x", "scorer": "ratio", "at_least": 90}}, {}, True),
        (ValueType.TEXT, {"contains_any": [f"w{number}" for number in range(13)]}, {}, True),
        (ValueType.TEXTS, {"contains_any": [f"w{number}" for number in range(13)]}, {}, True),
    ],
)
def test_what_is_too_much_to_try_does_not_decide(
    kind: ValueType, comparisons: Any, members: Any, all_lists: bool
) -> None:
    made = list(condition.validate_python(comparisons).comparisons())
    found = domain_of(subject(kind), made, members, all_lists=all_lists)
    assert not found.exact
    assert len(found.values) < 5_000


def test_of_many_members_that_are_alike_one_is_tried() -> None:
    members = {"some": [f"w{number}" for number in range(1_000)]}
    found = domain_of(subject(ValueType.TEXTS), [("in_list", "some")], members, all_lists=True)
    assert found.exact
    assert len(found.values) < 10


@pytest.mark.parametrize(
    ("declared", "source", "possible"),
    [
        ("text", None, ["a"]),
        ("text", "transactions", [" ", "a"]),
        (("text",), None, ["a"]),
        (("text",), "transactions", ["a"]),
    ],
)
def test_no_value_is_a_text_that_counts_as_missing(
    declared: FieldType, source: str | None, possible: list[str]
) -> None:
    kind = value_type_of(declared)
    compared = replace(subject(kind, declared=declared), source=source)
    tried = domain_of(compared, [("in_list", "some")], {"some": ["", " ", "a"]}, all_lists=True).values.drop_nulls()
    words = tried.explode(empty_as_null=False) if kind is ValueType.TEXTS else tried
    assert sorted(word for word in set(words) if FRESH not in word) == possible


def test_pieces_of_text_that_cannot_all_be_put_together_stand_alone() -> None:
    words = ("starts_with", "ends_with", "contains")
    comparisons = [(word, f"{word}{each}") for word in words for each in range(100)]
    domain = domain_of(subject(ValueType.TEXT), comparisons, {}, all_lists=True)
    assert not domain.exact
    assert len(domain.values) < 2 * len(comparisons)
    assert domain.values.str.contains("contains7").any()


def test_long_pieces_of_text_are_not_repeated() -> None:
    comparisons = [("contains", "a" * 100_000), *(("starts_with", str(each)) for each in range(500))]
    domain = domain_of(subject(ValueType.TEXT), comparisons, {}, all_lists=True)
    assert not domain.exact
    assert domain.values.str.len_chars().sum() < 200_000
