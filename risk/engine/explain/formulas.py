"""Calculations and ratios in words: the formula, or both sides, with the numbers of one entity."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

from fivefold.domain.money import minor_units
from fivefold.domain.text import count_text
from fivefold.risk.compiler.formulas import (
    calculations_in_order,
    exact_values,
    formula,
    parts_of_calculation,
    zero_divisor,
)
from fivefold.risk.compiler.value_types import InputColumn, Vocabulary, column_for, currency_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.calculations import (
    Absolute,
    Add,
    Clamp,
    Divide,
    GreatestOf,
    LeastOf,
    Multiply,
    Of,
    Round,
    Subtract,
    input_of_operand,
    operands,
)
from fivefold.risk.language.expressions import CalculationInput, Ratio, input_key
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.quantities import json_number

Row = Mapping[str, Any]
"""The values in an entity's columns, by the keys of inputs."""

Valued = Callable[[Any, InputColumn, str, Sequence[Decimal]], str]
"""Writes a value of a column, in a currency, never rounded across some numbers."""

_SIGNS: Mapping[type, tuple[str, int]] = {
    Add: (" + ", 1),
    Subtract: (" − ", 1),
    Multiply: (" × ", 2),
    Divide: (" ÷ ", 2),
}
"""The sign of an operation, and its precedence."""


def number_words(number: Decimal) -> str:
    """Write a number of a ruleset."""
    return f"{json_number(number):,}"


def operation_words(operation: Any, name: Callable[[Any], str]) -> str:
    """Write a calculation or an operand as a formula; *name* writes the operands that are inputs."""
    if isinstance(operation, Decimal):
        return number_words(operation)
    if input_of_operand(operation) is not None:
        return name(operation)
    parts = [part for _, part in operands(operation)]
    words = [operation_words(part, name) for part in parts]
    sign, binds = _sign(operation)
    if sign:
        bracketed = [
            f"({text})" if _binding(part) < binds or (place and _binding(part) == binds) else text
            for place, (part, text) in enumerate(zip(parts, words, strict=True))
        ]
        return sign.join(bracketed)
    return _in_words(operation, parts, words)


def _in_words(operation: Any, parts: Sequence[Any], words: Sequence[str]) -> str:
    """Write an operation without a sign."""
    match operation:
        case LeastOf() | GreatestOf():
            which = "least" if isinstance(operation, LeastOf) else "greatest"
            each = [_whole(part, text) for part, text in zip(parts, words, strict=True)]
            return f"the {which} of {', '.join(each[:-1])} and {each[-1]}"
        case Absolute():
            return f"the size of {_whole(parts[0], words[0])}"
        case Clamp():
            ends = ((operation.least, "at least"), (operation.most, "at most"))
            bounds = " and ".join(f"{which} {number_words(end)}" for end, which in ends if end is not None)
            return f"{_whole(parts[0], words[0])} held to {bounds}"
        case Round():
            places = count_text(operation.decimals, "decimal") if operation.decimals else "a whole number"
            return f"{_whole(parts[0], words[0])} rounded to {places}"
    return words[0]


def _whole(part: Any, text: str) -> str:
    return f"({text})" if operands(part) else text


def _sign(operation: Any) -> tuple[str, int]:
    return next((sign for form, sign in _SIGNS.items() if isinstance(operation, form)), ("", 0))


def _binding(part: Any) -> int:
    """Return the precedence of a part: highest for a number or an input, 0 for an operation in words."""
    return _sign(part)[1] if operands(part) else 3


def input_named_by(calculation: Any) -> LanguageModel | None:
    """Return the input that a calculation merely renames; None for a formula."""
    return input_of_operand(calculation.of) if isinstance(calculation, Of) else None


def number_shown(text: str) -> Fraction | None:
    """Read a shown number, perhaps with a currency; None if there is none.

    >>> number_shown("12,500.50 EUR"), number_shown("unknown")
    (Fraction(25001, 2), None)
    """
    try:
        return Fraction(text.partition(" ")[0].replace(",", ""))
    except ValueError:
        return None


def half_of_last(text: str) -> Fraction:
    """Return the largest error of a number that is shown rounded: half of its last digit.

    >>> half_of_last("0.97"), half_of_last("1,250 EUR")
    (Fraction(1, 200), Fraction(1, 2))
    """
    return Fraction(1, 2 * 10 ** len(text.partition(" ")[0].partition(".")[2]))


DIGITS = (None, 6, 9, 12, 15, 17)
"""The digits in which parts are shown, as few as suffice; None means as values are shown."""


def valued_in_digits(valued: Valued, value: Any, column: InputColumn, currency: str, digits: int | None) -> str:
    """Write a value in a number of digits, or as values are shown if that is None."""
    if digits is None or not isinstance(value, float):
        return valued(value, column, currency, ())
    rounded = float(f"{value:.{digits - 1}e}")
    return valued(rounded, column, currency, (Decimal(repr(rounded)) / column.units,))  # and no further


@dataclass(frozen=True)
class _Written:
    """A formula in words, its operands by their keys, and their result; None if some are not numbers."""

    words: str
    texts: Mapping[str, str]
    result: Fraction | None


@dataclass(frozen=True, eq=False, kw_only=True)
class ComputedDescription:
    """The description of a computed input.

    Attributes:
        vocabulary: the declared names.
        base: the currency of money that names none.
        named: writes the name of an input.
        valued: writes a value of a column, in a currency, never rounded across some numbers.
    """

    vocabulary: Vocabulary
    base: str
    named: Callable[[Any], str]
    valued: Valued

    def own_cuts(self, row: Row) -> tuple[Decimal, ...]:
        """Return further numbers that the value is not shown rounded across: none."""
        return ()

    def _value(self, rule_input: Any, row: Row, digits: int | None = None) -> str:
        column = column_for(rule_input, self.vocabulary, self.base)
        currency = currency_of(rule_input, self.vocabulary) or self.base
        return valued_in_digits(self.valued, row.get(input_key(rule_input)), column, currency, digits)


@dataclass(frozen=True, eq=False)
class FormulaDescription(ComputedDescription):
    """A calculation, ready to be described for one entity after another."""

    calculated: CalculationInput

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The names of the calculations in it, the calculation itself last."""
        return tuple(calculations_in_order([self.calculated.calculation], self.vocabulary.calculations))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The columns that the words need."""
        calculations = self.vocabulary.calculations
        keys = [input_key(part) for name in self.order for part in parts_of_calculation(calculations[name])]
        return tuple(dict.fromkeys((*keys, input_key(self.calculated))))

    def words(self, row: Row, shown: str) -> str:
        """Write the formula with its numbers and result; *shown* is the result as shown."""
        own = self.calculated.calculation
        named = input_named_by(self.vocabulary.calculations[own])
        is_known = row.get(input_key(self.calculated)) is not None
        if named is not None:
            below = self._below(row, {input_key(named): shown})
            return f"{self.named(named)} {shown}{below}" if is_known else f"unknown, as {self.reason(row)}{below}"
        written = self._formula(own, row, shown) if is_known else self._written(own, row)
        below = self._below(row, written.texts)
        return (
            f"{written.words} = {shown}{below}"
            if is_known
            else f"unknown, as {self.reason(row)}: {written.words}{below}"
        )

    def _rounds(self, name: str) -> bool:
        return isinstance(self.vocabulary.calculations[name], Round)

    def own_cuts(self, row: Row) -> tuple[Decimal, ...]:
        """Return the result if the formula rounds it, so that showing it does not round it again."""
        value = row.get(input_key(self.calculated))
        units = column_for(self.calculated, self.vocabulary, self.base).units
        is_rounded = value is not None and self._rounds(self.calculated.calculation)
        return (Decimal(str(value)) / units,) if is_rounded else ()

    def _formula(self, name: str, row: Row, shown: str) -> "_Written":
        """Write a formula with parts in enough digits that the shown parts give the shown result.

        If showing rounded the result, they give it after rounding. Parts that were rounded when they were kept, such
        as a mean, may give it only after rounding.
        """
        target, key = number_shown(shown), input_key(CalculationInput(calculation=name))
        if target is None:
            return self._written(name, row)
        is_exact = exact_values(self.order, self.vocabulary, self.base, row).get(key) == target
        half = half_of_last(shown)
        near: _Written | None = None
        for digits in DIGITS:
            written = self._written(name, row, digits)
            if written.result == target:
                return written
            if near is None and written.result is not None and abs(written.result - target) <= half:
                near = written
            if near is not None and not is_exact:
                return near
        return near or self._written(name, row, DIGITS[-1])

    def _written(self, name: str, row: Row, digits: int | None = None) -> "_Written":
        """Write a formula, with the parts in a number of digits, or as values are shown."""
        operation = self.vocabulary.calculations[name]
        texts: dict[str, str] = {}

        def operand_words(operand: Any) -> str:
            rule_input: Any = input_of_operand(operand)
            text = texts[input_key(rule_input)] = self._operand_value(operand, row, digits)
            return f"{self.named(rule_input)} {text}"

        words, calculation = operation_words(operation, operand_words), formula(operation)
        numbers = [number_shown(texts[input_key(each)]) for each in calculation.inputs]
        operand_values = [number for number in numbers if number is not None]
        try:
            result = calculation.function(operand_values) if len(operand_values) == len(numbers) else None
        except ArithmeticError:
            result = None
        return _Written(words, texts, result)

    def _below(self, row: Row, above: Mapping[str, str]) -> str:
        """Write the formulas of the calculations in it, except those that only rename an input.

        Each shows its result as the formulas above do, if these show it in more digits: *above* has the operands of
        the first one.
        """
        finest, formulas = {**above}, []
        for name in reversed(self.order[:-1]):
            if input_named_by(self.vocabulary.calculations[name]) is None:
                each = CalculationInput(calculation=name)
                own_words = self._value(each, row, DIGITS[-1] if self._rounds(name) else None)
                shown = max(finest.get(input_key(each), ""), own_words, key=len)
                written = self._formula(name, row, shown)
                formulas.append(f"{self.named(each)} is {written.words} = {shown}")
                finest |= {key: max(finest.get(key, ""), text, key=len) for key, text in written.texts.items()}
        return f", where {' and '.join(formulas)}" if formulas else ""

    def _operand_value(self, operand: Any, row: Row, digits: int | None) -> str:
        rule_input: Any = input_of_operand(operand)
        if getattr(operand, "unit", None) != "money":
            return self._value(rule_input, row, digits)
        value, units = row.get(input_key(rule_input)), minor_units(self.base)
        minor = None if value is None else Decimal(repr(value)) * units
        money, column = None if minor is None else json_number(minor), InputColumn("", ValueType.MONEY, units)
        return valued_in_digits(self.valued, money, column, self.base, digits)

    def _name(self, operand: Any) -> str:
        return self.named(input_of_operand(operand))

    def reason(self, row: Row) -> str:
        """Explain why the result is unknown."""
        exact = exact_values(self.order, self.vocabulary, self.base, row)
        return next(self._reasons(exact), "it is too large")

    def _reasons(self, exact: Mapping[str, Fraction | None]) -> Iterator[str]:
        calculations = self.vocabulary.calculations
        for name in self.order:
            parts: Sequence[Any] = parts_of_calculation(calculations[name])
            for part in parts:
                is_leaf = not isinstance(part, CalculationInput)
                if is_leaf and input_key(part) in exact and exact[input_key(part)] is None:
                    yield f"{self.named(part)} is unknown"
            values = {key: value for key, value in exact.items() if value is not None}
            if all(input_key(part) in values for part in parts if input_key(part) in exact):
                divisor = zero_divisor(calculations[name], values)
                if divisor is not None:
                    yield f"{operation_words(divisor, self._name)} is 0"


_THE_SAME: Final = "the same, of what it is compared with"
"""The name of the second side, if what distinguishes it from the first is not shown."""


def sides_named(ratio: Ratio, named: Callable[[Any], str]) -> tuple[str, str]:
    """Name both sides of a ratio; *named* writes the name of one, perhaps without its conditions."""
    over, under = map(named, ratio.ratio)
    return over, _THE_SAME if under == over else under


def ratio_words(ratio: Ratio, named: Callable[[Any], str]) -> str:
    """Name a ratio; *named* writes the name of a side."""
    return " over ".join(sides_named(ratio, named))


@dataclass(frozen=True, eq=False)
class RatioDescription(ComputedDescription):
    """A ratio, ready to be described for one entity after another."""

    ratio: Ratio

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The columns that the words need."""
        return tuple(dict.fromkeys(map(input_key, (*self.ratio.ratio, self.ratio))))

    @cached_property
    def _names(self) -> tuple[str, str]:
        return sides_named(self.ratio, self.named)

    def words(self, row: Row, shown: str) -> str:
        """Write both sides with their numbers, and the ratio; *shown* is the ratio as shown.

        If only the ratio was given, not its sides, the result is *shown* alone.
        """
        if any(input_key(side) not in row for side in self.ratio.ratio):
            return shown
        texts = self._texts(row, shown)
        sides = " ÷ ".join(f"{name} {text}" for name, text in zip(self._names, texts, strict=True))
        is_known = row.get(input_key(self.ratio)) is not None
        return f"{sides} = {shown}" if is_known else f"unknown, as {self._reason(row)}: {sides}"

    def _texts(self, row: Row, shown: str) -> list[str]:
        """Write both numbers, in enough digits that they give the shown ratio."""
        target, texts = number_shown(shown), list[str]()
        for digits in DIGITS:
            texts = [self._value(side, row, digits) for side in self.ratio.ratio]
            over, under = map(number_shown, texts)
            if target is None or not under or over is None or abs(over / under - target) <= half_of_last(shown):
                break
        return texts

    def _reason(self, row: Row) -> str:
        unknown = [
            name for name, side in zip(self._names, self.ratio.ratio, strict=True) if row.get(input_key(side)) is None
        ]
        return f"{unknown[0]} is unknown" if unknown else f"{self._names[1]} is 0"
