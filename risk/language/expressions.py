"""Conditions: tests of one value, joined by all, any and not in three-valued logic."""

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

from pydantic import Discriminator, Field, Tag, create_model

from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.inputs import PLAIN_INPUTS, NumberInput, Ratio, Window, word_of
from fivefold.risk.language.operators import Operators


class OwnTest(Operators):
    """A test of the rule's own input."""


class All(LanguageModel):
    """True if all hold, false if one fails, otherwise unknown."""

    all: Annotated[tuple["Condition", ...], Field(min_length=1)]


class Any_(LanguageModel):  # noqa: N801 (Python keeps the word for itself)
    """True if one holds, false if all fail, otherwise unknown."""

    any: Annotated[tuple["Condition", ...], Field(min_length=1)]


class Not(LanguageModel):
    """True if it fails, false if it holds, unknown if it is unknown."""

    negated: "Condition" = Field(alias="not")


def test_of(form: type[LanguageModel]) -> type[Operators]:
    """Make the form of a test of one kind of input, which it names itself."""
    test_form = create_model(f"{form.__name__}Test", __base__=(form, Operators), __doc__=f"A test. {form.__doc__}")
    return cast("type[Operators]", test_form)


TESTS: dict[str, type[Operators]] = {word: test_of(form) for word, form in PLAIN_INPUTS.items()}
"""A test that names its own input, by the word that names it."""

JOINS: dict[str, type[LanguageModel]] = {"all": All, "any": Any_, "not": Not}


def any_of(joins: Mapping[str, type[LanguageModel]], tests: Mapping[str, type[Operators]]) -> Any:
    """Make the type of any condition that is joined by some forms and made of some tests, each by its word."""

    def form(value: Any) -> str | None:
        if isinstance(value, str):
            return "word"
        if isinstance(value, Not):
            return "not"
        return word_of(value, (*joins, *tests)) or ("own" if isinstance(value, dict | OwnTest) else None)

    forms = [
        Annotated[form_of_word, Tag(word)] for word, form_of_word in (*joins.items(), *tests.items(), ("own", OwnTest))
    ]
    return Annotated[
        reduce(or_, forms, Annotated[Literal["present", "absent"], Tag("word")]),
        Discriminator(
            form,
            custom_error_type="condition",
            custom_error_message="is no condition; write present, absent, a comparison such as {at_least: 3}, one of a "
            "named input such as {field: kind, equals: person}, or all, any or not",
        ),
    ]


if TYPE_CHECKING:
    Condition: TypeAlias = Any
else:
    Condition = any_of(JOINS, TESTS)
"""Any condition; `present` and `absent` alone speak of the rule's own input."""

_RECURSIVE: tuple[type[LanguageModel], ...] = (All, Any_, Not, Window, Ratio, *PLAIN_INPUTS.values(), *TESTS.values())
for _form in _RECURSIVE:
    _form.model_rebuild(_types_namespace={"Condition": Condition, "NumberInput": NumberInput})


def input_of_test(test: Operators) -> LanguageModel | None:
    """Give the input that a test names; None where it is the rule's own."""
    form: Any = type(test).__bases__[0]  # as `test_of` made it
    if form is Operators:
        return None
    return cast("LanguageModel", form.model_construct(**{name: getattr(test, name) for name in form.model_fields}))


def branches(condition: Any) -> tuple[Any, ...]:
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
    for part in branches(condition):
        yield from tests_in(part)
