"""Numbers of one entity computed from others that change all the time: their enclosures, and when they first turn."""

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any, Final

from fivefold.risk.compiler.formulas import calculations_in_order, exact_values
from fivefold.risk.compiler.plain_conditions import Row
from fivefold.risk.compiler.ratios import decimals_of_ratio, divided, units_of_ratio
from fivefold.risk.compiler.value_types import Vocabulary, column_for
from fivefold.risk.facts.groups.values import float_or_none
from fivefold.risk.facts.moments import enclosures
from fivefold.risk.facts.moments.courses import Course, ReadAs
from fivefold.risk.facts.moments.cuts import ANY, SIDES, Cuts
from fivefold.risk.facts.moments.enclosures import Absence, Enclosed, Enclosure
from fivefold.risk.facts.moments.search import HORIZON_US, Region, first_elsewhere
from fivefold.risk.facts.peers import Reference, peers_in, plain_peers
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

_ROUNDED: Final = Fraction(1, 1 << 50)
"""The relative error of a quotient of two floats."""

Moving = Mapping[str, Enclosed]
"""The inputs that change all the time, by their keys, over a stretch."""
Make = Callable[[Moving, int], Enclosed]
"""Encloses a number that is computed from inputs, over a stretch of a width."""


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number of one entity that is computed from others.

    Attributes:
        key: the key of its column.
        value: computes it from the values of the inputs, by their keys, as its column has it.
        enclose: makes the function that encloses it over a stretch, from the current values of the inputs. The
            enclosure is exact if the column represents an exact number; money is in its main unit.
        place: numbers the place of a value among the bounds that it is compared with.
        region: returns the region of a value among them, in the enclosure's unit; None if unknown.
        reading: how it reads its parts.
        units: the factor from the enclosure to the column.
    """

    key: str
    value: Callable[[Row], Any]
    enclose: Callable[[Row], Make]
    place: Callable[[Any], int]
    region: Callable[[Row, Any], Region | None]
    reading: ReadAs
    units: int = 1

    def turns(self, row: Row, courses: Mapping[str, Course]) -> int | None:
        """Find how many microseconds ahead it first moves to another place; perhaps too few, and never too many.

        Args:
            row: the current values of the inputs.
            courses: the courses of the inputs that change all the time, at least one; the others stay constant.
        """
        now = self.value(row)
        place, make = self.place(now), self.enclose(row)
        end = min(HORIZON_US, *(course.end for course in courses.values()))

        def is_elsewhere(ahead: int) -> bool:
            then = {key: course.at(ahead) for key, course in courses.items()}
            return self.place(self.value({**row, **then})) != place

        def enclose(first: int, last: int) -> tuple[Enclosed, int]:
            last = min(last, *(course.until(first) for course in courses.values()))
            moving = {key: course.enclosed(first, last, self.reading) for key, course in courses.items()}
            return make(moving, last - first), last

        ahead = first_elsewhere(enclose, self.region(row, now), is_elsewhere, end)
        return end if ahead is None and end < HORIZON_US else ahead


def region_among(cuts: Cuts, value: Any, exactly: Callable[[Any], Fraction]) -> Region | None:
    """Return the region of a value among the cuts; None if unknown.

    Args:
        cuts: the bounds.
        value: the value as its column has it.
        exactly: converts a bound to the enclosure's form.
    """
    if value is None:
        return None
    ends = [(exactly(bound), beyond) for bound, beyond in cuts.at]
    passed = cuts.passed(value)
    # A region beyond a bound excludes it; its ends are the last bound passed, and the first one not passed.
    below = max((end for end, is_passed in zip(ends, passed, strict=True) if is_passed), default=None)
    above = min((end for end, is_passed in zip(ends, passed, strict=True) if not is_passed), default=None)
    return Region(
        None if below is None else below[0],
        None if above is None else above[0],
        has_low=below is None or not below[1],
        has_high=above is None or above[1],
    )


def itself(rule_input: LanguageModel, cuts: Cuts, reading: ReadAs) -> Number:
    """Make the number of an input by itself; *reading* COMPARED means that its column represents an exact number."""
    key = input_key(rule_input)
    exactly = _written if reading is ReadAs.COMPARED else _as_float

    def enclose(_: Row) -> Make:
        return lambda moving, _: moving[key]

    return Number(
        key=key,
        value=lambda row: row[key],
        enclose=enclose,
        place=cuts.place_of,
        region=lambda _, value: region_among(cuts, value, exactly),
        reading=reading,
    )


def of_calculation(calculated: CalculationInput, names: Vocabulary, base: str, cuts: Cuts) -> Number:
    """Make the number of a calculation."""
    key, order = input_key(calculated), calculations_in_order([calculated.calculation], names.calculations)
    units = column_for(calculated, names, base).units
    within = [(input_key(CalculationInput(calculation=name)), _operation(names.calculations[name])) for name in order]

    def value(row: Row) -> float | None:
        exact = exact_values(order, names, base, row)[key]
        return None if exact is None else float_or_none(exact * units)

    def enclose(row: Row) -> Make:
        still = exact_values(order, names, base, row)

        def enclosed(moving: Moving, width: int) -> Enclosed:
            enclosure_by_key: dict[str, Enclosed] = {
                each: _constant(number, width) for each, number in still.items() if each not in moving
            }
            enclosure_by_key |= moving
            for name, make in within:  # each after its parts
                enclosure_by_key[name] = make(enclosure_by_key, width)
            return enclosure_by_key[key]

        return enclosed

    return Number(
        key=key,
        value=value,
        enclose=enclose,
        place=cuts.place_of,
        region=lambda _, number: region_among(cuts, number, _written),
        reading=ReadAs.CALCULATED,
        units=units,
    )


def of_ratio(ratio: Ratio, names: Vocabulary, base: str, cuts: Cuts) -> Number:
    """Make the number of a ratio, whose sides are floats and divided once."""
    over, under = map(input_key, ratio.ratio)
    times, by = units_of_ratio(ratio, names, base)
    decimals = decimals_of_ratio(ratio, names)

    def value(row: Row) -> float | None:
        first, second = row[over], row[under]
        if first is None or second is None or second == 0:
            return None
        return divided(float(first), float(second), times, by, decimals)

    def enclose(row: Row) -> Make:
        def enclosed(moving: Moving, width: int) -> Enclosed:
            sides = _enclosures_of(_side(key, moving, row, width) for key in (over, under))
            if isinstance(sides, Absence):
                return sides
            first, second = (side.scaled(Fraction(units)) for side, units in zip(sides, (times, by), strict=True))
            quotient = enclosures.divided(first, second)
            if isinstance(quotient, Absence) or quotient.is_constant:
                return quotient
            off = max(map(abs, quotient.bounds)) * _ROUNDED
            return quotient.moved(Fraction(0), -off, off)

        return enclosed

    return Number(
        key=input_key(ratio),
        value=value,
        enclose=enclose,
        place=cuts.place_of,
        region=lambda _, quotient: region_among(cuts, quotient, _as_float),
        reading=ReadAs.FLOAT,
    )


def side_of(one: Any, other: Any) -> float | None:
    """Return on which side of another value one lies: 1 above, -1 below, 0 equal; None if one is unknown."""
    if one is None or other is None:
        return None
    if isinstance(one, float) or isinstance(other, float):
        one, other = float(one), float(other)
    return float(one > other) - float(one < other)


def of_sides(subject: LanguageModel, other: LanguageModel) -> Number:
    """Make the number for the side of an input relative to the one that it is compared with."""
    one, two = input_key(subject), input_key(other)

    def enclose(row: Row) -> Make:
        def enclosed(moving: Moving, width: int) -> Enclosed:
            sides = _enclosures_of(_side(key, moving, row, width) for key in (one, two))
            return sides if isinstance(sides, Absence) else enclosures.subtracted(*sides)

        return enclosed

    return Number(
        key=SIDES.column.name,
        value=lambda row: side_of(row[one], row[two]),
        enclose=enclose,
        place=SIDES.place_of,
        region=lambda _, side: region_among(SIDES, side, _as_float),
        reading=ReadAs.FLOAT,
    )


def placed_number(placed: Any, names: Vocabulary, base: str) -> Number:
    """Make the number that is placed among peers."""
    if isinstance(placed, CalculationInput):
        return of_calculation(placed, names, base, ANY)
    return of_ratio(placed, names, base, ANY) if isinstance(placed, Ratio) else itself(placed, ANY, ReadAs.FLOAT)


def of_peers(each: Any, placed: Number, reference: Reference | None, cuts: Cuts) -> Number:
    """Make the number for a place among peers, which only rises as the placed number does."""
    key, look_up = input_key(peers_in(each).of), plain_peers(each, reference)

    def place_of(row: Row, number: Any) -> int:
        return cuts.place_of(look_up({**row, key: number}))

    def region(row: Row, _: Any) -> Region | None:
        number = placed.value(row)
        return None if number is None else _region_by_halving(lambda at: place_of(row, at), number, placed.units)

    return Number(
        key=input_key(each),
        value=lambda row: look_up({**row, key: placed.value(row)}),
        enclose=placed.enclose,
        place=cuts.place_of,
        region=region,
        reading=placed.reading,
        units=placed.units,
    )


def _written(bound: Any) -> Fraction:
    return Fraction(bound)


def _as_float(bound: Any) -> Fraction:
    return Fraction(float(bound))


def _constant(number: Fraction | None, width: int) -> Enclosed:
    return Absence.THROUGHOUT if number is None else Enclosure(width, number)


def _side(key: str, moving: Moving, row: Row, width: int) -> Enclosed:
    if key in moving:
        return moving[key]
    return _constant(None if row[key] is None else Fraction(row[key]), width)


def _enclosures_of(parts: Iterable[Enclosed]) -> list[Enclosure] | Absence:
    """Return the enclosures of a number's parts; or why it is absent, if a part is."""
    all_parts = list(parts)
    absent = next((why for why in Absence if why in all_parts), None)
    return absent or [part for part in all_parts if isinstance(part, Enclosure)]


@lru_cache(maxsize=1_024)
def _operation(operation: Any) -> Make:
    """Make the function that encloses an operation, cached by content."""
    parts = [_operand(operand) for _, operand in operands(operation)]
    combine = next(combine for form, combine in _MAKERS.items() if isinstance(operation, form))

    def make(enclosure_by_key: Moving, width: int) -> Enclosed:
        part_enclosures = _enclosures_of(part(enclosure_by_key, width) for part in parts)
        return part_enclosures if isinstance(part_enclosures, Absence) else combine(operation, part_enclosures)

    return make


def _operand(operand: Any) -> Make:
    if isinstance(operand, Decimal):
        number = Fraction(operand)
        return lambda _, width: Enclosure(width, number)
    rule_input = input_of_operand(operand)
    if rule_input is None:
        return _operation(operand)
    key = input_key(rule_input)
    return lambda enclosure_by_key, _: enclosure_by_key[key]


def _clamped(operation: Clamp, one: Enclosure) -> Enclosure:
    if operation.least is not None:
        one = enclosures.greatest_of(one, Enclosure(one.width, Fraction(operation.least)))
    if operation.most is not None:
        one = enclosures.least_of(one, Enclosure(one.width, Fraction(operation.most)))
    return one


_MAKERS: Mapping[type, Callable[[Any, Sequence[Enclosure]], Enclosed]] = {
    Add: lambda _, parts: reduce(enclosures.added, parts),
    Subtract: lambda _, parts: enclosures.subtracted(*parts),
    Multiply: lambda _, parts: reduce(enclosures.multiplied, parts),
    Divide: lambda _, parts: enclosures.divided(*parts),
    LeastOf: lambda _, parts: reduce(enclosures.least_of, parts),
    GreatestOf: lambda _, parts: reduce(enclosures.greatest_of, parts),
    Absolute: lambda _, parts: enclosures.absolute(parts[0]),
    Clamp: lambda operation, parts: _clamped(operation, parts[0]),
    Round: lambda operation, parts: enclosures.rounded(parts[0], operation.decimals),
    Of: lambda _, parts: parts[0],
}
"""How each operation is enclosed. A missing one fails loudly."""


def _region_by_halving(place_at: Callable[[float], int], now: float, units: int) -> Region:
    """Return the numbers around one that lie in the same place, if places only rise or only fall with numbers.

    Two floats at each end are left out, as an enclosed number is close to its float, not equal to it.
    """
    here = place_at(now)
    ends: list[Fraction | None] = []
    for far in (-math.inf, math.inf):
        edge = math.copysign(_MOST, far)
        if place_at(edge) == here:
            ends.append(None)
            continue
        near, off = _ordinal(now), _ordinal(edge)
        while abs(off - near) > 1:
            middle = (near + off) // 2
            near, off = (middle, off) if place_at(_float_at(middle)) == here else (near, middle)
        inner = _float_at(near)
        for _ in range(2):
            inner = math.nextafter(inner, -far)
        ends.append(Fraction(inner) / units)
    low, high = ends
    return Region(low, high)


_MOST: Final = 1.7976931348623157e308


def _ordinal(number: float) -> int:
    """Map floats to integers in the same order."""
    bits: int = struct.unpack("<q", struct.pack("<d", number))[0]
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _float_at(ordinal: int) -> float:
    number: float = struct.unpack("<d", struct.pack("<q", abs(ordinal)))[0]
    return number if ordinal >= 0 else -number
