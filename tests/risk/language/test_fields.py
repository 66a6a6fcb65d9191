"""Typed fields: what is declared, and what it is to a condition."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fivefold.risk.language.fields import FieldType, Kind, OneOf, kind_of


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("text", Kind.TEXT),
        ("country", Kind.TEXT),
        ("number", Kind.NUMBER),
        ("flag", Kind.FLAG),
        ("date", Kind.MOMENT),
        (["text"], Kind.TEXTS),
        ({"one_of": ["a"]}, Kind.TEXT),
    ],
)
def test_a_declared_type_is_of_a_kind(declared: Any, kind: Kind) -> None:
    made = TypeAdapter[Any](FieldType).validate_python(declared)
    assert kind_of(made) is kind
    assert isinstance(made, OneOf) == isinstance(declared, dict)


@pytest.mark.parametrize("declared", ["texts", [], ["number"], ["text", "text"], {}, {"one_of": []}, 5, None])
def test_what_is_no_type_is_refused(declared: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[Any](FieldType).validate_python(declared)
