"""Inputs: read, written, and the one key of each."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from pydantic import TypeAdapter, ValidationError

from fivefold.risk.language.expressions import Condition
from fivefold.risk.language.inputs import PLAIN_INPUTS, FieldInput, Input, input_key, word_of
from tests.risk.language.documents_made import Data, patterns

condition = TypeAdapter[Any](Condition)
any_input = TypeAdapter[Any](Input)


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
