"""Calculations as exact functions of fractions, without rounding before the result.

The result is kept as a 64-bit float that compares with every number in a ruleset as the exact result does:
`float_of` says how. So the columns that conditions read need no second form.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.value_types import SOURCES, Vocabulary, column_for
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.calculations import (
    Absolute,
    Add,
    Clamp,
    Divide,
    GreatestOf,
    LeastOf,
    Multiply,
    Round,
    Subtract,
    input_of_operand,
    inputs_calculated,
    operands,
)
from fivefold.risk.language.expressions import (
    TESTS,
    All,
    Any_,
    CalculationInput,
    Count,
    DaysSince,
    Mean,
    Not,
    Ratio,
    Share,
    Sum,
    Window,
    distinct,
    input_key,
)
from fivefold.risk.language.fields import MONEY_FIELDS, ValueType
from fivefold.risk.language.peers import peers_of
from fivefold.risk.language.policy import LevelInput
from fivefold.risk.language.quantities import MOST_DIGITS

MOST_BITS = 8_192
"""Most bits of an exact number: products of products would otherwise fill the memory."""

Function = Callable[[Sequence[Fraction]], Fraction]
Exactly = Mapping[str, Fraction | None]
"""Exact values by the keys of inputs, None where unknown."""


class TooLargeError(ArithmeticError):
    """A result has more digits than can be kept."""


QUOTIENTS = (Mean, Share)
"""Aggregates that are rounded quotients of two exact aggregates."""


def parts_of_quotient(quotient: Any) -> tuple[Window, Window]:
    """Return the two exact aggregates of which a mean or a share is the rounded quotient."""
    return parts_of_share(quotient) if isinstance(quotient, Share) else _parts_of_mean(quotient)


def parts_of_share(share: Share) -> tuple[Window, Window]:
    """Return the part and the whole of a share; facts whose `where` is unknown are in neither."""
    either_way = Any_.model_construct(any=(share.where, Not.model_construct(negated=share.where)))
    part, whole = ({**_frame(share), "where": where} for where in (share.where, either_way))
    if share.share in SOURCES:
        source: Any = share.share
        return Count.model_construct(count=source, **part), Count.model_construct(count=source, **whole)
    return Sum.model_construct(sum=share.share, **part), Sum.model_construct(sum=share.share, **whole)


def _frame(window: Window) -> dict[str, Any]:
    return {word: getattr(window, word) for word in Window.model_fields}


def _parts_of_mean(mean: Mean) -> tuple[Window, Window]:
    where = mean.where
    if mean.mean not in MONEY_FIELDS:  # an amount is always known
        is_present = TESTS["field"].model_validate({"field": mean.mean, "is": "present"})
        where = is_present if where is None else All.model_construct(all=(where, is_present))
    return (
        Sum.model_construct(sum=mean.mean, **_frame(mean)),
        Count.model_construct(count="transactions", **{**_frame(mean), "where": where}),
    )


def parts_of_calculation(calculation: Any) -> list[LanguageModel]:
    """List the inputs that a calculation needs, other calculations among them, each once."""
    inputs = [each for _, each in inputs_calculated(calculation)]
    exact_parts = [part for each in inputs if isinstance(each, QUOTIENTS) for part in parts_of_quotient(each)]
    return distinct([*inputs, *exact_parts])


def simple_parts(rule_input: Any, names: Vocabulary) -> list[LanguageModel]:
    """List the elementary parts of an input: both sides of a ratio, what a calculation or peers read, or itself."""
    if isinstance(rule_input, Ratio):
        return list(rule_input.ratio)
    peers = peers_of(rule_input)
    if peers is not None:
        return distinct([*simple_parts(peers.of, names), *([] if peers.group is None else [peers.group])])
    if not isinstance(rule_input, CalculationInput):
        return [rule_input]
    within = calculations_in_order([rule_input.calculation], names.calculations)
    inputs = (each for name in within for _, each in inputs_calculated(names.calculations[name]))
    return distinct(each for each in inputs if not isinstance(each, CalculationInput))


def calculations_in_order(names: Iterable[str], calculations: Mapping[str, Any]) -> list[str]:
    """List calculations and the calculations in them, each once and after its parts; cycles are cut."""
    order: dict[str, None] = {}
    begun: set[str] = set()

    def visit(name: str) -> None:
        if name in begun or name not in calculations:
            return
        begun.add(name)
        for _, each in inputs_calculated(calculations[name]):
            if isinstance(each, CalculationInput):
                visit(each.calculation)
        order[name] = None

    for name in names:
        visit(name)
    return list(order)


def exact_value(rule_input: Any, kind: ValueType, units: int) -> Callable[[Any], Fraction]:
    """Return the function that converts a value of an input's column to an exact number; money in its main unit."""
    if kind is ValueType.MONEY:
        return lambda value: Fraction(value) / units
    if isinstance(rule_input, DaysSince) or (isinstance(rule_input, LevelInput) and rule_input.level == "age_days"):
        return _days
    return written_number


def _days(value: float) -> Fraction:
    """Convert days to their exact number, by the whole microseconds of which they were made."""
    whole = math.floor(value)
    return Fraction(whole * DAY_US + round((value - whole) * DAY_US), DAY_US)


def written_number(value: float) -> Fraction:
    """Convert a float to the exact number of its shortest decimal form, as it was written."""
    is_whole = value.is_integer() and abs(value) <= _WHOLE  # beyond, it was perhaps written with fewer digits
    return Fraction(int(value)) if is_whole else Fraction(Decimal(repr(value)))


@lru_cache(maxsize=1_024)
def formula(calculation: Any) -> "Formula":
    """Compile a calculation, cached by content."""
    inputs = tuple(distinct(each for _, each in inputs_calculated(calculation)))
    places = {input_key(each): place for place, each in enumerate(inputs)}
    return Formula(inputs, _operation(calculation, places))


@dataclass(frozen=True, eq=False)
class Formula:
    """A calculation as a function.

    Attributes:
        inputs: its inputs, in the order in which the function takes them.
        function: computes the result from their exact values. It raises ZeroDivisionError where a divisor is 0, and
            TooLargeError where a number grows past `MOST_BITS`.
    """

    inputs: tuple[LanguageModel, ...]
    function: Function


def _operand(operand: Any, places: Mapping[str, int]) -> Function:
    if isinstance(operand, Decimal):
        number = Fraction(operand)
        return lambda _: number
    rule_input = input_of_operand(operand)
    if rule_input is None:
        return _operation(operand, places)
    place = places[input_key(rule_input)]
    return lambda values: values[place]


def _operation(operation: Any, places: Mapping[str, int]) -> Function:
    parts = [_operand(operand, places) for _, operand in operands(operation)]
    make = next((make for form, make in _MAKERS.items() if isinstance(operation, form)), None)
    return parts[0] if make is None else make(operation, parts)


_MAKERS: Mapping[type, Callable[[Any, Sequence[Function]], Function]] = {
    Add: lambda _, parts: lambda values: _sized(sum((part(values) for part in parts), Fraction(0))),
    Subtract: lambda _, parts: lambda values: _sized(parts[0](values) - parts[1](values)),
    Multiply: lambda _, parts: lambda values: _product(part(values) for part in parts),
    Divide: lambda _, parts: lambda values: _sized(parts[0](values) / parts[1](values)),
    LeastOf: lambda _, parts: lambda values: min(part(values) for part in parts),
    GreatestOf: lambda _, parts: lambda values: max(part(values) for part in parts),
    Absolute: lambda _, parts: lambda values: abs(parts[0](values)),
    Clamp: lambda operation, parts: _clamped(operation, parts[0]),
    Round: lambda operation, parts: lambda values: Fraction(round(parts[0](values), operation.decimals)),
}


def zero_divisor(operation: Any, exact: Mapping[str, Fraction]) -> Any:
    """Find the first divisor in a calculation that is 0; None if there is none.

    *exact* has the exact values of the inputs by their keys, all known.
    """
    places = {key: place for place, key in enumerate(exact)}
    values = list(exact.values())
    for _, operand in operands(operation):
        divisor_within = zero_divisor(operand, exact)
        if divisor_within is not None:
            return divisor_within
    divisor = operands(operation)[1][1] if isinstance(operation, Divide) else None
    return divisor if divisor is not None and _operand(divisor, places)(values) == 0 else None


def exact_values(names: Sequence[str], vocabulary: Vocabulary, base: str, row: Mapping[str, Any]) -> Exactly:
    """Compute the exact values of calculations, and of their inputs, for one entity.

    Args:
        names: the names of the calculations, each after those that it reads.
        vocabulary: what is declared.
        base: the currency of money that names none.
        row: the values in the columns of their inputs, by the inputs' keys.

    Returns:
        The values by the key of each input and calculation; None if unknown, too large, or with a divisor of 0.
    """
    exact: dict[str, Fraction | None] = {}
    for name in names:
        calculation = formula(vocabulary.calculations[name])
        for each in calculation.inputs:
            if input_key(each) not in exact:
                exact[input_key(each)] = _exact_input(each, vocabulary, base, row)
        values = [exact[input_key(each)] for each in calculation.inputs]
        exact[input_key(CalculationInput(calculation=name))] = _result(calculation.function, values)
    return exact


def _exact_input(rule_input: Any, vocabulary: Vocabulary, base: str, row: Mapping[str, Any]) -> Fraction | None:
    if isinstance(rule_input, QUOTIENTS):
        total, count = (_exact_input(part, vocabulary, base, row) for part in parts_of_quotient(rule_input))
        return total / count if total is not None and count else None
    value = row.get(input_key(rule_input))
    column = column_for(rule_input, vocabulary, base)
    return None if value is None else exact_value(rule_input, column.kind, column.units)(value)


def _result(function: Function, values: Sequence[Fraction | None]) -> Fraction | None:
    operand_values = [value for value in values if value is not None]
    try:
        return function(operand_values) if len(operand_values) == len(values) else None
    except ArithmeticError:
        return None


def _clamped(operation: Clamp, first: Function) -> Function:
    least = None if operation.least is None else Fraction(operation.least)
    most = None if operation.most is None else Fraction(operation.most)

    def clamp(values: Sequence[Fraction]) -> Fraction:
        value = first(values)
        if least is not None and value < least:
            return least
        return most if most is not None and value > most else value

    return clamp


def _product(values: Iterator[Fraction]) -> Fraction:
    product = next(values)
    for value in values:
        product = _sized(product * value)
    return product


def _sized(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > MOST_BITS:
        raise TooLargeError
    return value


def float_of(exact: Fraction) -> float:
    """Return the float for an exact result, on the right side of every number of 15 digits.

    It is the nearest float, unless that is the float of another number, of 15 digits: then it is the next float on the
    result's side. Numbers of 15 digits lie at least four floats apart, so no other one is crossed, and comparing
    floats gives the same as comparing the exact numbers.

    >>> float_of(Fraction(3, 10)), float_of(Fraction(1, 3)), float_of(Fraction(3, 10) - Fraction(1, 10**40))
    (0.3, 0.3333333333333333, 0.29999999999999993)

    Raises:
        TooLargeError: it is larger than any float.
    """
    try:
        nearest = exact.numerator / exact.denominator
    except OverflowError:
        raise TooLargeError from None
    if not nearest:
        return math.copysign(5e-324, exact.numerator) if exact else 0.0
    if exact.denominator == 1 and abs(exact.numerator) <= _WHOLE:
        return nearest
    shortest = f"{nearest:.{MOST_DIGITS - 1}e}"
    if float(shortest) != nearest:
        return nearest
    written = Fraction(Decimal(shortest))
    if exact == written:
        return nearest
    return math.nextafter(nearest, math.inf if exact > written else -math.inf)


_WHOLE = 10**MOST_DIGITS
