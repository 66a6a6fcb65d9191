"""Conditions: read, written, and taken apart."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from pydantic import TypeAdapter, ValidationError

from fivefold.risk.language.expressions import (
    PLAIN_INPUTS,
    Condition,
    FieldInput,
    Input,
    OwnTest,
    branches,
    input_key,
    input_of_test,
    word_of,
)
from fivefold.risk.language.expressions import tests_in as all_tests_in
from fivefold.risk.language.operators import OPERATOR_KINDS
from tests.risk.language.documents_made import Data, conditions, patterns, plain_inputs

condition = TypeAdapter[Any](Condition)
any_input = TypeAdapter[Any](Input)
WORDS = set(PLAIN_INPUTS)


@given(conditions)
def test_a_condition_is_written_as_it_is_read(data: Any) -> None:
    made = condition.validate_python(data)
    written = condition.dump_python(made, mode="json", by_alias=True, exclude_none=True)
    assert condition.validate_python(written) == made


@given(conditions)
def test_every_test_of_a_condition_is_found(data: Any) -> None:
    """As many as there are leaves, in the order written."""

    def leaves(at: Any) -> list[Any]:
        if isinstance(at, dict):
            for join in ("all", "any"):
                if join in at:
                    return [leaf for part in at[join] for leaf in leaves(part)]
            if "not" in at:
                return leaves(at["not"])
        return [at]

    found = list(all_tests_in(condition.validate_python(data)))
    wanted = [{"is": leaf} if isinstance(leaf, str) else leaf for leaf in leaves(data)]
    assert [set(dict(test.comparisons())) for test in found] == [
        set(leaf) & set(OPERATOR_KINDS) - WORDS for leaf in wanted
    ]


@given(plain_inputs)
def test_a_test_knows_the_input_that_it_names(data: Data) -> None:
    test = condition.validate_python({**data, "is": "present"})
    subject = input_of_test(test)
    assert subject is not None
    assert subject == any_input.validate_python(data)
    assert input_key(subject) == input_key(any_input.validate_python(data))


def test_a_comparison_alone_is_of_the_rules_own_input() -> None:
    assert input_of_test(condition.validate_python({"at_least": 3})) is None
    assert isinstance(condition.validate_python({"at_least": 3}), OwnTest)
    assert branches(condition.validate_python({"at_least": 3})) == ()


@given(patterns)
def test_a_pattern_is_an_input_of_its_own(data: Data) -> None:
    made = any_input.validate_python(data)
    assert any_input.validate_json(any_input.dump_json(made, by_alias=True, exclude_none=True)) == made
    with pytest.raises(ValidationError):
        condition.validate_python({**data, "is": "present"})


def test_the_same_input_has_one_key() -> None:
    first = any_input.validate_python({"sum": "amount", "over": "30 days", "where": {"field": "state", "equals": 1}})
    second = any_input.validate_python(
        {"where": {"equals": Decimal("1.0"), "field": "state"}, "over": "30 day", "sum": "amount"}
    )
    assert input_key(first) == input_key(second)
    assert input_key(first) != input_key(any_input.validate_python({"sum": "amount", "over": "31 days"}))


def test_the_first_word_names_the_input() -> None:
    assert word_of({"over": 1, "sum": 2}, ("count", "sum")) == "sum"
    assert word_of(FieldInput(field="a"), PLAIN_INPUTS) == "field"
    assert word_of(None, PLAIN_INPUTS) is None
