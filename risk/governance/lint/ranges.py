"""The least and the greatest number that a calculation can come to, whatever the facts."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import reduce
from typing import Any

from fivefold.risk.compiler.formulas import calculations_in_order
from fivefold.risk.compiler.value_types import SCORES, SOURCES, Vocabulary, column_of, linked_source
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
    operands,
)
from fivefold.risk.language.expressions import (
    CalculationInput,
    Count,
    DaysSince,
    Distinct,
    Largest,
    Least,
    Mean,
    Median,
    Most,
    New,
    Percentile,
    Share,
    StandardDeviation,
    Sum,
    ValueInput,
)
from fivefold.risk.language.policy import LevelInput, TransactionInput

Range = tuple[Fraction | None, Fraction | None]
"""Both ends, which are possible themselves as far as is known; None for none."""

ANY: Range = (None, None)
_FROM_ZERO: Range = (Fraction(0), None)


MOST_BITS = 1_000
"""Ends of more digits are taken for none: no ruleset compares with such a number."""


def ranges_of(names: Vocabulary) -> dict[str, Range]:
    """Give a range that holds every result of each calculation, by its name; it may be wider than need be."""
    ranges: dict[str, Range] = {}
    for name in calculations_in_order(names.calculations, names.calculations):
        ranges[name] = _short(_range_of(names.calculations[name], ranges))
    return ranges


def _short(ends: Range) -> Range:
    low, high = (
        None if end is None or (end.numerator * end.denominator).bit_length() > MOST_BITS else end for end in ends
    )
    return low, high


def _range_of_input(rule_input: Any, ranges: Mapping[str, Range]) -> Range:  # noqa: PLR0911 (one for each kind)
    """Give the range of an input that is a number, money in its main unit."""
    match rule_input:
        case CalculationInput(calculation=name):
            return ranges.get(name, ANY)
        case ValueInput(value="score"):
            return Fraction(SCORES[0]), Fraction(SCORES[1])
        case (
            Count()
            | Distinct()
            | New()
            | StandardDeviation()
            | TransactionInput(transaction="amount")
            | LevelInput(level="age_days")
        ):
            return _FROM_ZERO
        case Share() if column_of(rule_input) in {None, "amount"}:
            return Fraction(0), Fraction(1)
        case Sum() | Mean() | Least() | Most() | Median() | Percentile() | Largest():
            return _FROM_ZERO if column_of(rule_input) == "amount" else ANY
        case DaysSince():
            return _FROM_ZERO if linked_source(rule_input) in SOURCES else ANY
    return ANY


def _range_of(operand: Any, ranges: Mapping[str, Range]) -> Range:  # noqa: C901, PLR0911 (one for each operation)
    rule_input = input_of_operand(operand)
    if rule_input is not None:
        return _range_of_input(rule_input, ranges)
    steps = operands(operand)
    if not steps:
        return Fraction(operand), Fraction(operand)
    parts = [_range_of(part, ranges) for _, part in steps]
    match operand:
        case Add():
            return _sum([low for low, _ in parts]), _sum([high for _, high in parts])
        case Subtract():
            return _sum([parts[0][0], _minus(parts[1][1])]), _sum([parts[0][1], _minus(parts[1][0])])
        case Multiply():
            return reduce(_product, parts)
        case Divide():
            return _quotient(*parts)
        case LeastOf():
            return _end(min, [low for low, _ in parts], all_known=True), _end(min, [high for _, high in parts])
        case GreatestOf():
            return _end(max, [low for low, _ in parts]), _end(max, [high for _, high in parts], all_known=True)
        case Absolute():
            return _size(parts[0])
        case Clamp():
            return _clamped(operand, parts[0])
        case Round():
            low, high = (None if end is None else Fraction(round(end, operand.decimals)) for end in parts[0])
            return low, high
    return parts[0]


def _sum(ends: Sequence[Fraction | None]) -> Fraction | None:
    bounds = [end for end in ends if end is not None]
    return sum(bounds, Fraction(0)) if len(bounds) == len(ends) else None


def _minus(end: Fraction | None) -> Fraction | None:
    return None if end is None else -end


def _product(first: Range, second: Range) -> Range:
    ends = [*first, *second]
    if all(end is not None for end in ends):
        corners = [one * other for one in first for other in second if one is not None and other is not None]
        return min(corners), max(corners)
    if first[0] is not None and second[0] is not None and first[0] >= 0 and second[0] >= 0:
        return first[0] * second[0], None
    return ANY


def _quotient(over: Range, under: Range) -> Range:
    """Divide ranges; a divisor of 0 is unknown, and so gives no number."""
    if over[0] is None or under[0] is None or over[0] < 0 or under[0] < 0:
        return ANY
    low = Fraction(0) if not under[1] else over[0] / under[1]
    return low, over[1] / under[0] if over[1] is not None and under[0] > 0 else None


def _end(choose: Any, ends: Sequence[Fraction | None], *, all_known: bool = False) -> Fraction | None:
    bounds = [end for end in ends if end is not None]
    if not bounds or (all_known and len(bounds) < len(ends)):
        return None
    end: Fraction = choose(bounds)
    return end


def _size(part: Range) -> Range:
    low, high = part
    if low is not None and low >= 0:
        return part
    most = max(-low, high) if low is not None and high is not None else None
    return (Fraction(0) if high is None or high >= 0 else -high), most


def _clamped(operand: Clamp, part: Range) -> Range:
    least, most = (None if end is None else Fraction(end) for end in (operand.least, operand.most))
    low = least if part[0] is None else part[0] if least is None else max(part[0], least)
    high = most if part[1] is None else part[1] if most is None else min(part[1], most)
    if low is not None and most is not None:
        low = min(low, most)
    if high is not None and least is not None:
        high = max(high, least)
    return low, high
