"""Calculations: named numbers that are made of fields, aggregates, other calculations and numbers."""

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

from pydantic import Discriminator, Field, Tag, create_model

from fivefold.risk.language.base import LanguageModel, Words
from fivefold.risk.language.expressions import (
    NUMERIC_WORDS,
    PLAIN_INPUTS,
    CalculationInput,
    Condition,  # noqa: F401 (inputs refer to it by its name)
    Currency,
    LinkedNumber,  # noqa: F401 (inputs refer to it by its name)
    NumberInput,  # noqa: F401 (inputs refer to it by its name)
    word_of,
)
from fivefold.risk.language.quantities import Number

UnitName = Literal["money", "count", "ratio", "days"]

MOST_OPERANDS = 20
MOST_CALCULATIONS = 100


class Measured(LanguageModel):
    """The unit of a plain number whose declaration does not give one."""

    unit: UnitName | None = Field(default=None, alias="as")


class Add(LanguageModel):
    """The sum of numbers of one unit."""

    add: Annotated[tuple["Operand", ...], Field(min_length=2, max_length=MOST_OPERANDS)]


class Subtract(LanguageModel):
    """The first number less the second, of one unit."""

    subtract: tuple["Operand", "Operand"]


class Multiply(LanguageModel):
    """The product of numbers."""

    multiply: Annotated[tuple["Operand", ...], Field(min_length=2, max_length=MOST_OPERANDS)]


class Divide(LanguageModel):
    """The first number over the second; unknown where the second is 0."""

    divide: tuple["Operand", "Operand"]


class LeastOf(LanguageModel):
    """The least of numbers of one unit."""

    least_of: Annotated[tuple["Operand", ...], Field(min_length=2, max_length=MOST_OPERANDS)]


class GreatestOf(LanguageModel):
    """The greatest of numbers of one unit."""

    greatest_of: Annotated[tuple["Operand", ...], Field(min_length=2, max_length=MOST_OPERANDS)]


class Absolute(LanguageModel):
    """The size of a number, without its sign."""

    absolute: "Operand"


class Clamp(LanguageModel):
    """A number, or the nearer end of a range where it is outside.

    Attributes:
        least: the lower end; None for none.
        most: the upper end; None for none.
    """

    clamp: "Operand"
    least: Number | None = Field(default=None, alias="from")
    most: Number | None = Field(default=None, alias="to")


class Round(LanguageModel):
    """A number rounded to so many decimals, half to even; money counts in its main unit."""

    round: "Operand"
    decimals: Annotated[int, Field(ge=0, le=6)]


class Of(LanguageModel):
    """A number under a name of its own."""

    of: "Operand"


OPERATIONS: Mapping[str, type[LanguageModel]] = {
    "add": Add,
    "subtract": Subtract,
    "multiply": Multiply,
    "divide": Divide,
    "least_of": LeastOf,
    "greatest_of": GreatestOf,
    "absolute": Absolute,
    "clamp": Clamp,
    "round": Round,
}
"""The word that names each operation, and its form."""


class Calculated(LanguageModel):
    """The result of a calculation.

    Attributes:
        unit: the unit of the result, which is checked against the units of its parts.
        in_currency: the currency of money, if it is not the base.
        rationale: the reason for the calculation.
    """

    unit: UnitName
    in_currency: Currency | None = None
    rationale: Words | None = None


def operand_of(
    inputs: Mapping[str, type[LanguageModel]], operations: Mapping[str, type[LanguageModel]], module: str
) -> Any:
    """Build the type of an operand: a number, one of *inputs*, or one of *operations*, each by its word.

    *module* defines the names that the inputs refer to.
    """
    forms: dict[str, Any] = {word: _measured(form, module) for word, form in inputs.items()}
    forms |= {"calculation": CalculationInput, **operations}

    def form(value: Any) -> str | None:
        is_number = not isinstance(value, bool | str | dict | LanguageModel | list | tuple) and value is not None
        return "number" if is_number else word_of(value, forms)

    tagged = [Annotated[each, Tag(word)] for word, each in forms.items()]
    return Annotated[
        reduce(or_, tagged, Annotated[Number, Tag("number")]),
        Discriminator(
            form,
            custom_error_type="input",
            custom_error_message=f"is nothing to calculate with; it must be a number, or have one of the words "
            f"{', '.join(forms)}",
        ),
    ]


def _measured(form: type[LanguageModel], module: str) -> type[LanguageModel]:
    return create_model(
        f"{form.__name__.removesuffix('Input')}Operand",
        __base__=(form, Measured),
        __doc__=f"A part of a calculation. {form.__doc__}",
        __module__=module,
    )


def calculation_of(operations: Mapping[str, type[LanguageModel]], module: str, prefix: str = "") -> Any:
    """Build the type of a calculation: one of *operations* with the unit of its result, each by its word.

    *module* defines the names that the operations refer to.
    """
    forms: dict[str, Any] = {
        word: create_model(
            f"{prefix}{form.__name__.removeprefix(prefix)}Calculation",
            __base__=(form, Calculated),
            __doc__=f"A calculation. {form.__doc__}",
            __module__=module,
        )
        for word, form in operations.items()
    }
    return Annotated[
        reduce(or_, [Annotated[form, Tag(word)] for word, form in forms.items()]),
        Discriminator(
            lambda value: word_of(value, forms),
            custom_error_type="input",
            custom_error_message=f"is not a calculation; it must have one of the words {', '.join(forms)}",
        ),
    ]


_WHOLE: Mapping[str, type[LanguageModel]] = {**OPERATIONS, "of": Of}
if TYPE_CHECKING:
    Operand: TypeAlias = Any
    Calculation: TypeAlias = Any
else:
    Operand = operand_of({word: PLAIN_INPUTS[word] for word in (*NUMERIC_WORDS, "linked")}, OPERATIONS, __name__)
    Calculation = calculation_of(_WHOLE, __name__)


def input_of_operand(operand: Any) -> LanguageModel | None:
    """Return the input of an operand; None for a number or an operation."""
    if isinstance(operand, CalculationInput):
        return operand
    if not isinstance(operand, Measured):
        return None
    form: Any = type(operand).__bases__[0]  # as `operand_of` made it
    return cast("LanguageModel", form.model_construct(**{name: getattr(operand, name) for name in form.model_fields}))


def operands(operation: Any) -> tuple[tuple[tuple[str | int, ...], Any], ...]:
    """Return the operands of an operation or a calculation, each with the words that lead to it; () for other parts."""
    word = word_of(operation, _WHOLE) if isinstance(operation, tuple(_WHOLE.values())) else None
    if word is None:
        return ()
    below = getattr(operation, word)
    if isinstance(below, tuple):
        return tuple(((word, number), each) for number, each in enumerate(below))
    return (((word,), below),)


def inputs_calculated(operation: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, LanguageModel]]:
    """Yield every input in a calculation, also other calculations, each with its path, in the order written."""
    for step, operand in operands(operation):
        rule_input = input_of_operand(operand)
        if rule_input is None:
            yield from inputs_calculated(operand, (*path, *step))
        else:
            yield (*path, *step), rule_input
