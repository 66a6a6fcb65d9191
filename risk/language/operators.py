"""The operators of a test, and the kinds of values that each can compare."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
    model_validator,
)

from fivefold.risk.language.base import Identifier, LanguageModel
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.quantities import exact, json_number


def _scalar(value: Any) -> str | bool | Decimal:
    if value is None or isinstance(value, list | tuple | dict):
        raise ValueError("must be one text or number, true or false; for several of them there is {in: [a, b]}")
    return value if isinstance(value, str | bool) else exact(value)


Scalar = Annotated[
    str | bool | Decimal,
    BeforeValidator(_scalar),
    PlainSerializer(lambda value: json_number(value) if isinstance(value, Decimal) else value),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
"""Text, a number, or true or false; a date is text."""

Scalars = Annotated[tuple[Scalar, ...], Field(min_length=1)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]


MOST_FUZZY_LETTERS = 500
"""The most letters of a compared text: names are shorter, and computing likeness takes the product of both lengths."""


class Fuzzy(LanguageModel):
    """Text that is nearly the same, whatever the case, accents, foreign letters and the order of words.

    Attributes:
        to: the text that it is compared with, of at most 500 letters (a stored version may have more); or
        list: the named list that it is compared with; one near member is enough.
        scorer: the measure of likeness, by rapidfuzz: ratio (edits over length), token_set (words in common), partial
            (best part of the longer text), jaro_winkler (typing errors in names).
        at_least: the least likeness, from 0 to 100, at which the test holds.
    """

    to: Annotated[str, Field(min_length=1, json_schema_extra={"maxLength": MOST_FUZZY_LETTERS})] | None = None
    list: Identifier | None = None
    scorer: Literal["ratio", "token_set", "partial", "jaro_winkler"]
    at_least: Annotated[int, Field(ge=1, le=100)]

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.to is None) == (self.list is None):
            raise ValueError("fuzzy needs one of to (a text) and list (a named list)")
        return self


def compared_with(inputs: Mapping[str, type[LanguageModel]]) -> Any:
    """Build the type of the other side of a comparison: text, a number, true or false; or one of *inputs*."""
    tagged = [Annotated[form, Tag(word)] for word, form in inputs.items()]

    def form(value: Any) -> str:
        names = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, BaseModel) else ()
        return next((word for word in inputs if word in names), "scalar")

    return Annotated[reduce(or_, tagged, Annotated[Scalar, Tag("scalar")]), Discriminator(form)]


class Operators(LanguageModel):
    """Comparisons of one value; where several are given, all of them must hold."""

    state: Literal["present", "absent"] | None = Field(default=None, alias="is")
    equals: Scalar | None = None
    not_equals: Scalar | None = None
    above: Scalar | None = None
    at_least: Scalar | None = None
    below: Scalar | None = None
    at_most: Scalar | None = None
    between: tuple[Scalar, Scalar] | None = None
    outside: tuple[Scalar, Scalar] | None = None
    among: Scalars | None = Field(default=None, alias="in")
    not_among: Scalars | None = Field(default=None, alias="not_in")
    in_list: Identifier | None = None
    not_in_list: Identifier | None = None
    starts_with: Text | None = None
    ends_with: Text | None = None
    contains: Text | None = None
    contains_any: Texts | None = None
    fuzzy: Fuzzy | None = None

    def comparisons(self) -> Iterator[tuple[str, Any]]:
        """Yield the operators that are set, by their names in files, and what each compares with."""
        for name in OPERATOR_KINDS:
            value = getattr(self, _ATTRIBUTES.get(name, name))
            if value is not None:
                yield name, value

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not any(True for _ in self.comparisons()):
            raise ValueError(f"compares with nothing; give one of {', '.join(OPERATOR_KINDS)}")
        return self


INPUT_OPERATORS = ("equals", "not_equals", "above", "at_least", "below", "at_most")
"""Operators that can compare with another input."""

_ATTRIBUTES = {"is": "state", "in": "among", "not_in": "not_among"}
"""The attributes of operators whose names Python reserves."""

_ORDERED = frozenset({ValueType.NUMBER, ValueType.MONEY, ValueType.MOMENT, ValueType.FINDING, ValueType.LEVEL})
_EQUAL = _ORDERED | {ValueType.TEXT, ValueType.FLAG, ValueType.MARK}
_MEMBER = frozenset({ValueType.TEXT, ValueType.NUMBER, ValueType.LEVEL})
_TEXT = frozenset({ValueType.TEXT})
_SOME_TEXT = frozenset({ValueType.TEXT, ValueType.TEXTS})

OPERATOR_KINDS: dict[str, frozenset[ValueType]] = {
    "is": frozenset(ValueType),
    "equals": _EQUAL,
    "not_equals": _EQUAL,
    "above": _ORDERED,
    "at_least": _ORDERED,
    "below": _ORDERED,
    "at_most": _ORDERED,
    "between": _ORDERED,
    "outside": _ORDERED,
    "in": _MEMBER,
    "not_in": _MEMBER,
    "in_list": _SOME_TEXT,
    "not_in_list": _SOME_TEXT,
    "starts_with": _TEXT,
    "ends_with": _TEXT,
    "contains": _SOME_TEXT,
    "contains_any": _SOME_TEXT,
    "fuzzy": _SOME_TEXT,
}
"""Every operator, and the kinds of values that it can compare."""
