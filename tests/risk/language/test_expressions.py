"""Conditions: their fields and operators, read, written, and taken apart."""

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
from fivefold.risk.language.fields import FieldType, OneOf, ValueType, value_type_of
from fivefold.risk.language.operators import OPERATOR_KINDS, Fuzzy, Operators
from tests.risk.conftest import Refusal
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


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("text", ValueType.TEXT),
        ("country", ValueType.TEXT),
        ("number", ValueType.NUMBER),
        ("flag", ValueType.FLAG),
        ("date", ValueType.MOMENT),
        (["text"], ValueType.TEXTS),
        ({"one_of": ["a"]}, ValueType.TEXT),
    ],
)
def test_a_declared_type_is_of_a_kind(declared: Any, kind: ValueType) -> None:
    made = TypeAdapter[Any](FieldType).validate_python(declared)
    assert value_type_of(made) is kind
    assert isinstance(made, OneOf) == isinstance(declared, dict)


@pytest.mark.parametrize("declared", ["texts", [], ["number"], ["text", "text"], {}, {"one_of": []}, 5, None])
def test_what_is_no_type_is_refused(declared: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[Any](FieldType).validate_python(declared)


def test_operators_are_given_in_one_order() -> None:
    made = Operators.model_validate({"at_most": 5, "in": [1], "is": "present", "above": Decimal("1.50")})
    assert list(made.comparisons()) == [("is", "present"), ("above", Decimal("1.50")), ("at_most", 5), ("in", (1,))]


def test_every_operator_is_for_some_kind_and_every_kind_has_one() -> None:
    fields = {field.alias or name for name, field in Operators.model_fields.items()}
    assert fields == set(OPERATOR_KINDS)
    assert all(OPERATOR_KINDS.values())
    assert OPERATOR_KINDS["is"] == set(ValueType)


@pytest.mark.parametrize(("value", "is_same"), [(True, 1), (1, True), ("1", 1), (Decimal("1.5"), "1.5")])
def test_text_numbers_and_flags_are_never_mixed_up(value: Any, is_same: Any) -> None:
    made = Operators.model_validate({"equals": value})
    assert type(made.equals) is not type(Operators.model_validate({"equals": is_same}).equals)


@pytest.mark.parametrize("sides", [{}, {"to": "a", "list": "b"}])
def test_fuzzy_compares_with_one_thing(sides: Data, refusal: Refusal) -> None:
    with refusal(ValidationError):
        Fuzzy.model_validate({**sides, "scorer": "ratio", "at_least": 90})
