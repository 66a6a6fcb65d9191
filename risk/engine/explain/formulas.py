"""Calculations in words: the formula with the numbers of one entity in it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

from fivefold.domain.money import minor_units
from fivefold.risk.compiler.formulas import (
    calculations_in_order,
    exact_values,
    parts_of_calculation,
    zero_divisor,
)
from fivefold.risk.compiler.value_types import Column, Vocabulary, column_for, currency_of
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
from fivefold.risk.language.expressions import CalculationInput, input_key
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.quantities import json_number

Row = Mapping[str, Any]
"""The values in an entity's columns, by the keys of inputs."""

_SIGNS: Mapping[type, tuple[str, int]] = {
    Add: (" + ", 1),
    Subtract: (" − ", 1),
    Multiply: (" × ", 2),
    Divide: (" ÷ ", 2),
}
"""The sign of an operation, and how closely it binds."""


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
            return f"the {which} of {', '.join(words[:-1])} and {words[-1]}"
        case Absolute():
            return f"the size of {_whole(parts[0], words[0])}"
        case Clamp():
            ends = ((operation.least, "at least"), (operation.most, "at most"))
            bounds = " and ".join(f"{which} {number_words(end)}" for end, which in ends if end is not None)
            return f"{_whole(parts[0], words[0])} held to {bounds}"
        case Round():
            return f"{_whole(parts[0], words[0])} rounded to {operation.decimals} decimals"
    return words[0]


def _whole(part: Any, text: str) -> str:
    return f"({text})" if operands(part) else text


def _sign(operation: Any) -> tuple[str, int]:
    return next((sign for form, sign in _SIGNS.items() if isinstance(operation, form)), ("", 0))


def _binding(part: Any) -> int:
    """Tell how closely a part binds: a number and an input closest, an operation in words not at all."""
    return _sign(part)[1] if operands(part) else 3


@dataclass(frozen=True, eq=False)
class FormulaDescription:
    """A calculation, ready to be described for one entity after another.

    Attributes:
        calculated: the calculation.
        vocabulary: what is declared.
        base: the currency of money that names none.
        named: writes the name of an input.
        valued: writes a value in a column, in a currency.
    """

    calculated: CalculationInput
    _: KW_ONLY
    vocabulary: Vocabulary
    base: str
    named: Callable[[Any], str]
    valued: Callable[[Any, Column, str], str]

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The names of the calculations in it, itself last."""
        return tuple(calculations_in_order([self.calculated.calculation], self.vocabulary.calculations))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The columns that the words need."""
        calculations = self.vocabulary.calculations
        keys = [input_key(part) for name in self.order for part in parts_of_calculation(calculations[name])]
        return tuple(dict.fromkeys((*keys, input_key(self.calculated))))

    def words(self, row: Row, shown: str) -> str:
        """Write the formula with its numbers, and what it comes to; *shown* is the result as it is shown."""
        own = self.calculated.calculation
        if row.get(input_key(self.calculated)) is None:
            formula, below = self._formula(own, row), self._below(row)
            return f"unknown, as {self._reason(row)}: {formula}{below}"
        return f"{self._formula(own, row)} = {shown}{self._below(row)}"

    def _formula(self, name: str, row: Row) -> str:
        return operation_words(self.vocabulary.calculations[name], lambda operand: self._operand(operand, row))

    def _below(self, row: Row) -> str:
        """Write the formulas of the calculations in it, but for those that are a name alone."""
        texts = [
            f"{self.named(each)} is {self._formula(name, row)} = {self._value(each, row)}"
            for name in reversed(self.order[:-1])
            if not isinstance(self.vocabulary.calculations[name], Of)
            for each in [CalculationInput(calculation=name)]
        ]
        return f", where {' and '.join(texts)}" if texts else ""

    def _operand(self, operand: Any, row: Row) -> str:
        rule_input: Any = input_of_operand(operand)
        if getattr(operand, "unit", None) != "money":
            return f"{self.named(rule_input)} {self._value(rule_input, row)}"
        value, units = row.get(input_key(rule_input)), minor_units(self.base)
        column = Column("", ValueType.MONEY, units)
        minor = None if value is None else Decimal(repr(value)) * units
        text = self.valued(None if minor is None else _plain(minor), column, self.base)
        return f"{self.named(rule_input)} {text}"

    def _name(self, operand: Any) -> str:
        return self.named(input_of_operand(operand))

    def _value(self, rule_input: Any, row: Row) -> str:
        column = column_for(rule_input, self.vocabulary, self.base)
        currency = currency_of(rule_input, self.vocabulary) or self.base
        return self.valued(row.get(input_key(rule_input)), column, currency)

    def _reason(self, row: Row) -> str:
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
            known = {key: value for key, value in exact.items() if value is not None}
            if all(input_key(part) in known for part in parts if input_key(part) in exact):
                divisor = zero_divisor(calculations[name], known)
                if divisor is not None:
                    yield f"{operation_words(divisor, self._name)} is 0"


def _plain(minor: Decimal) -> int | float:
    return int(minor) if minor == minor.to_integral_value() else float(minor)
