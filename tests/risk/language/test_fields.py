"""Typed fields: what is declared, and what it is to a condition."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fivefold.risk.language.fields import FieldType, OneOf, ValueType, value_type_of


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
