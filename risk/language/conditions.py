"""Conditions: tests of one value, joined by all, any and not in three-valued logic."""

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

from pydantic import Discriminator, Field, Tag, create_model

from risk.language.base import Part
from risk.language.inputs import PLAIN_INPUTS, NumberInput, Ratio, Window, word_of
from risk.language.operators import Operators


class OwnTest(Operators):
    """A test of the rule's own input."""


class All(Part):
    """True if all hold, false if one fails, otherwise unknown."""

    all: Annotated[tuple["Condition", ...], Field(min_length=1)]


class Any_(Part):  # noqa: N801 (Python keeps the word for itself)
    """True if one holds, false if all fail, otherwise unknown."""

    any: Annotated[tuple["Condition", ...], Field(min_length=1)]


class Not(Part):
    """True if it fails, false if it holds, unknown if it is unknown."""

    negated: "Condition" = Field(alias="not")


def _test_of(form: type[Part]) -> type[Operators]:
    made = create_model(f"{form.__name__}Test", __base__=(form, Operators), __doc__=f"A test. {form.__doc__}")
    return cast("type[Operators]", made)


TESTS: dict[str, type[Operators]] = {word: _test_of(form) for word, form in PLAIN_INPUTS.items()}
"""A test that names its own input, by the word that names it."""

_JOINS: dict[str, type[Part]] = {"all": All, "any": Any_, "not": Not}


def _form(value: Any) -> str | None:
    if isinstance(value, str):
        return "word"
    if isinstance(value, Not):
        return "not"
    return word_of(value, (*_JOINS, *TESTS)) or ("own" if isinstance(value, dict | OwnTest) else None)


_FORMS = [Annotated[form, Tag(word)] for word, form in (*_JOINS.items(), *TESTS.items(), ("own", OwnTest))]
if TYPE_CHECKING:
    Condition: TypeAlias = Any
else:
    Condition = Annotated[
        reduce(or_, _FORMS, Annotated[Literal["present", "absent"], Tag("word")]),
        Discriminator(
            _form,
            custom_error_type="condition",
            custom_error_message="is no condition; write present, absent, a comparison such as {at_least: 3}, one of a "
            "named input such as {field: kind, equals: person}, or all, any or not",
        ),
    ]
"""Any condition; `present` and `absent` alone speak of the rule's own input."""

_RECURSIVE: tuple[type[Part], ...] = (All, Any_, Not, Window, Ratio, *PLAIN_INPUTS.values(), *TESTS.values())
for _made in _RECURSIVE:
    _made.model_rebuild(_types_namespace={"Condition": Condition, "NumberInput": NumberInput})


def subject_of(test: Operators) -> Part | None:
    """Give the input that a test names; None where it is the rule's own."""
    word = word_of(test, PLAIN_INPUTS)
    if word is None:
        return None
    form = PLAIN_INPUTS[word]
    return form.model_construct(**{name: getattr(test, name) for name in form.model_fields})


def parts_of(condition: Any) -> tuple[Any, ...]:
    """Give the conditions that a join is made of; none for a test."""
    if isinstance(condition, All):
        return condition.all
    if isinstance(condition, Any_):
        return condition.any
    return (condition.negated,) if isinstance(condition, Not) else ()


def tests_in(condition: Any) -> Iterator[Operators]:
    """Give every test in a condition, in the order written; `present` alone is a test as well."""
    if isinstance(condition, Operators):
        yield condition
    elif isinstance(condition, str):
        yield OwnTest.model_validate({"is": condition})
    for part in parts_of(condition):
        yield from tests_in(part)
