"""Operators: the words of a comparison, and the kinds that they are for."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.operators import OPERATOR_KINDS, Fuzzy, Operators
from tests.risk.conftest import Refusal
from tests.risk.language.documents_made import Data


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
