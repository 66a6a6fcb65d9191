"""The one place where types are told."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.figures import is_age
from fivefold.risk.compiler.value_types import (
    InputColumn,
    UnknownNameError,
    column_for,
    column_of,
    inputs_of_rule,
    level_number,
    linked_source,
    literal,
    misfit,
    ordinal,
    value_type_of_input,
    vocabulary,
)
from fivefold.risk.language.expressions import Input, word_of
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.policy import POLICY_INPUTS, PolicyRule
from tests.golden import compare
from tests.risk.compiler.rulesets_made import made

any_input = TypeAdapter[Any](Input)
assert PolicyRule is not None  # the forms know what a condition is once its module is imported
NAMES = vocabulary(
    made(
        fields={"country": "country", "income": "number", "born": "date", "words": ["text"]},
        transaction_fields={"fee": "number", "counterparty_id": "text", "labels": ["text"]},
        case_fields={"team": "text"},
    )
)


def of_policy(data: Any) -> Any:
    return POLICY_INPUTS[word_of(data, POLICY_INPUTS) or ""].model_validate(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"field": "country"}, ValueType.TEXT),
        ({"field": "words"}, ValueType.TEXTS),
        ({"count": "cases"}, ValueType.NUMBER),
        ({"sum": "amount"}, ValueType.MONEY),
        ({"mean": "signed_amount", "in_currency": "JPY"}, ValueType.MONEY),
        ({"max": "fee"}, ValueType.NUMBER),
        ({"distinct": "counterparty_id"}, ValueType.NUMBER),
        ({"distinct": "amount"}, ValueType.NUMBER),
        ({"days_since": "alerts", "over": "1 day"}, ValueType.NUMBER),
        ({"days_since": "born"}, ValueType.NUMBER),
        ({"ratio": [{"sum": "amount"}, {"field": "income"}]}, ValueType.NUMBER),
        ({"indicator": "account_age"}, ValueType.NUMBER),
        ({"value": "segment"}, ValueType.TEXT),
        ({"value": "expected_value"}, ValueType.NUMBER),
        ({"value": "expected_value_low"}, ValueType.NUMBER),
        ({"value": "expected_value_high"}, ValueType.NUMBER),
        ({"tag": "x"}, ValueType.MARK),
        ({"screening": "pep"}, ValueType.MARK),
        ({"pattern": "fan-in", "at_least": 3}, ValueType.FINDING),
    ],
)
def test_every_input_is_of_a_kind(data: Any, kind: ValueType) -> None:
    assert value_type_of_input(any_input.validate_python(data), NAMES) is kind


def test_what_is_misnamed() -> None:
    def refused(data: Any) -> str:
        with pytest.raises(UnknownNameError) as error:
            value_type_of_input(
                of_policy(data) if word_of(data, POLICY_INPUTS) else any_input.validate_python(data), NAMES
            )
        return str(error.value)

    compare("unknown_names", refused)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"level": "in_force"}, ValueType.LEVEL),
        ({"level": "rules"}, ValueType.LEVEL),
        ({"level": "status"}, ValueType.TEXT),
        ({"level": "age_days"}, ValueType.NUMBER),
        ({"transaction": "amount"}, ValueType.MONEY),
        ({"transaction": "signed_amount", "in_currency": "JPY"}, ValueType.MONEY),
        ({"transaction": "fee"}, ValueType.NUMBER),
        ({"transaction": "labels"}, ValueType.TEXTS),
        ({"transaction": "time"}, ValueType.MOMENT),
        ({"ratio": [{"transaction": "amount"}, {"level": "age_days"}]}, ValueType.NUMBER),
    ],
)
def test_every_input_of_a_policy_is_of_a_kind(data: Any, kind: ValueType) -> None:
    assert value_type_of_input(of_policy(data), NAMES) is kind


@pytest.mark.parametrize(
    ("data", "column"),
    [
        ({"level": "in_force"}, InputColumn('{"level":"in_force"}', ValueType.LEVEL, 1, ("low", "medium", "high"))),
        ({"transaction": "amount"}, InputColumn('{"transaction":"amount"}', ValueType.MONEY, 100)),
        (
            {"transaction": "amount", "in_currency": "JPY"},
            InputColumn('{"in_currency":"JPY","transaction":"amount"}', ValueType.MONEY, 1),
        ),
        (
            {"sum": "amount", "in_currency": "KWD"},
            InputColumn('{"in_currency":"KWD","sum":"amount"}', ValueType.MONEY, 1000),
        ),
        ({"field": "income"}, InputColumn('{"field":"income"}', ValueType.NUMBER)),
        ({"days_since": "cases"}, InputColumn('{"days_since":"cases"}', ValueType.NUMBER, is_age=True)),
        ({"level": "age_days"}, InputColumn('{"level":"age_days"}', ValueType.NUMBER, is_age=True)),
        ({"indicator": "account_age"}, InputColumn('{"indicator":"account_age"}', ValueType.NUMBER, is_age=True)),
        ({"indicator": "gap_mean_all"}, InputColumn('{"indicator":"gap_mean_all"}', ValueType.NUMBER)),
    ],
)
def test_an_input_has_a_column(data: Any, column: InputColumn) -> None:
    assert column_for(of_policy(data), NAMES, "EUR") == column


def test_a_number_over_those_linked_is_an_age_where_theirs_is_one() -> None:
    parts = [{"max": {"days_since": "born"}}, {"max": {"sum": "amount"}}, {"count": "entities"}]
    forms = [any_input.validate_python({"linked": {"by": "owners", "way": "to", **part}}) for part in parts]
    assert [is_age(form) for form in forms] == [True, False, False]


def test_an_aggregate_has_a_source_and_perhaps_a_column() -> None:
    forms = [{"count": "alerts"}, {"sum": "amount"}, {"days_since": "cases"}, {"days_since": "born"}]
    inputs = [any_input.validate_python(data) for data in forms]
    assert [linked_source(given) for given in inputs] == ["alerts", "transactions", "cases", "born"]
    assert [column_of(given) for given in inputs] == [None, "amount", None, None]


def test_a_source_has_its_fields() -> None:
    assert "fee" in NAMES.linked("transactions")
    assert "team" in NAMES.linked("cases")
    assert NAMES.linked("alerts") == NAMES.linked("cases")


def test_a_rule_reads_its_input_its_cases_and_its_signal() -> None:
    decay = {"half_life": "1 day", "signal": {"count": "alerts"}}
    rule = {"cases": [{"when": {"not": {"tag": "y", "is": "present"}}}, {"when": "present"}], "decay": decay}
    found = [given.model_dump(exclude_none=True) for given in inputs_of_rule(made(rule).rules[0])]
    assert found == [{"tag": "x"}, {"tag": "y"}, {"count": "alerts"}]


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
    ("column", "value", "made"),
    [
        (InputColumn("it", ValueType.MONEY, 100), Decimal("10.5"), 1050),
        (InputColumn("it", ValueType.MONEY, 1), Decimal("10.5"), 10.5),
        (InputColumn("it", ValueType.MONEY, 1000), Decimal("0.0005"), 0.5),
        (InputColumn("it", ValueType.MOMENT), "1970-01-02", DAY_US),
        (InputColumn("it", ValueType.NUMBER), Decimal("0.1"), 0.1),
        (InputColumn("it", ValueType.FINDING), Decimal(3), 3.0),
        (InputColumn("it", ValueType.TEXT), "NO", "NO"),
        (InputColumn("it", ValueType.FLAG), True, True),
        (InputColumn("it", ValueType.LEVEL, levels=("low", "high")), "high", 2),
        (InputColumn("it", ValueType.LEVEL, levels=("low", "high")), Decimal(1), 1),
        (InputColumn("it", ValueType.LEVEL, levels=("3", "2", "1")), "1", 3),
    ],
)
def test_a_literal_has_the_form_of_its_column(column: InputColumn, value: Any, made: Any) -> None:
    found = pl.select(literal(column, value)).item()
    assert found == made
    assert type(found) is type(made)


def test_dates_are_ordered_by_their_moments() -> None:
    assert ordinal(ValueType.MOMENT, "2024-01-01T01:00:00+02:00") < ordinal(ValueType.MOMENT, "2024-01-01")
    assert ordinal(ValueType.NUMBER, Decimal(5)) == 5


@pytest.mark.parametrize("level", ["none", "", Decimal(0), Decimal(3), Decimal("1.5"), "1"])
def test_what_is_no_level_has_no_number(level: Any) -> None:
    assert level_number(level, ("low", "high")) is None
