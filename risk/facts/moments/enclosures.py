"""Enclosures of numbers over a stretch of time: between two parallel lines, or exactly on one.

A number that changes at a steady pace is a line, and so are sums and differences of lines: these are exact. A product
or a quotient is a line and an error, which shrinks with the square of the stretch. If an enclosure lies on one side of
a bound over a stretch, so does the number; a shorter stretch decides more (affine arithmetic: de Figueiredo and
Stolfi, Affine arithmetic: concepts and applications, 2004).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from functools import cached_property
from typing import Any, Final, TypeAlias

_SHORT_BITS: Final = 64
"""Binary digits of numbers that may be chosen freely: in chains of products they would grow without end."""

_NOTHING: Final = Fraction(0)


class Absence(Enum):
    """Why a number is missing: at every moment of the stretch, or perhaps at some."""

    THROUGHOUT = "throughout"
    PERHAPS = "perhaps"


@dataclass(frozen=True)
class Enclosure:
    """A number over a stretch of time: `at` + `slope` × s, plus rounding errors, plus something from `low` to `high`.

    Attributes:
        width: the length of the stretch, in microseconds; s runs from 0 to it.
        at: the beginning of the line.
        slope: the rise of the line in a microsecond.
        low: the least offset from the line.
        high: the greatest offset from the line.
        rounded: the weight and the largest error of each rounded number in it, by a name: equal roundings cancel.
    """

    width: int
    at: Fraction
    slope: Fraction = _NOTHING
    low: Fraction = _NOTHING
    high: Fraction = _NOTHING
    rounded: Mapping[Any, tuple[Fraction, Fraction]] = field(default_factory=dict)

    @property
    def below(self) -> Fraction:
        """The least offset from the line in all."""
        return self.low - self._off

    @property
    def above(self) -> Fraction:
        """The greatest offset from the line in all."""
        return self.high + self._off

    @cached_property
    def _off(self) -> Fraction:
        return sum((abs(weight) * off for weight, off in self.rounded.values()), _NOTHING)

    @cached_property
    def bounds(self) -> tuple[Fraction, Fraction]:
        """The least and the greatest possible value of the number."""
        end = self.at + self.slope * self.width
        return min(self.at, end) + self.below, max(self.at, end) + self.above

    @property
    def is_constant(self) -> bool:
        """Whether the number is known exactly, and the same throughout."""
        return not self.slope and self.low == self.high and not self.rounded

    def scaled(self, factor: Fraction) -> "Enclosure":
        """Multiply the enclosure by a number."""
        if not factor:
            return Enclosure(self.width, _NOTHING)
        low, high = sorted((self.low * factor, self.high * factor))
        rounded = {name: (weight * factor, off) for name, (weight, off) in self.rounded.items()}
        return replace(self, at=self.at * factor, slope=self.slope * factor, low=low, high=high, rounded=rounded)

    def off_by(self, most: Fraction, name: Any) -> "Enclosure":
        """Add a rounding error of at most *most*, shared by everything that is rounded under that name."""
        return replace(self, rounded={**self.rounded, name: (Fraction(1), most)})

    def moved(self, by: Fraction, low: Fraction = _NOTHING, high: Fraction = _NOTHING) -> "Enclosure":
        """Add a number, and something between two others."""
        return replace(self, at=self.at + by, low=self.low + low, high=self.high + high)


Enclosed: TypeAlias = Enclosure | Absence
"""A number over a stretch, as far as it is known: its enclosure, or why it is missing."""


def between(width: int, low: Fraction, high: Fraction) -> Enclosure:
    """Enclose a number of which only two bounds are known."""
    return Enclosure(width, low, high=high - low)


def added(one: Enclosure, other: Enclosure) -> Enclosure:
    """Add two numbers."""
    rounded = dict(one.rounded)
    for name, (weight, off) in other.rounded.items():
        together = weight + rounded.get(name, (_NOTHING, off))[0]
        if together:
            rounded[name] = together, off
        else:
            rounded.pop(name, None)
    return Enclosure(
        one.width, one.at + other.at, one.slope + other.slope, one.low + other.low, one.high + other.high, rounded
    )


def subtracted(one: Enclosure, other: Enclosure) -> Enclosure:
    """Subtract the second number from the first."""
    return added(one, other.scaled(Fraction(-1)))


def multiplied(one: Enclosure, other: Enclosure) -> Enclosure:
    """Multiply two numbers: the line that touches the product in the middle, and its error."""
    if one.is_constant:
        return other.scaled(one.at + one.low)
    if other.is_constant:
        return one.scaled(other.at + other.low)
    (middle, radius), (other_middle, other_radius) = _ball(one), _ball(other)
    line = added(one.scaled(other_middle), other.scaled(middle))
    off = _up(radius * other_radius)
    return line.moved(-middle * other_middle, -off, off)


def divided(one: Enclosure, other: Enclosure) -> Enclosed:
    """Divide two numbers; the result is absent where the divisor is 0."""
    low, high = other.bounds
    if low <= 0 <= high:
        return Absence.THROUGHOUT if low == high else Absence.PERHAPS
    if other.is_constant:
        return one.scaled(1 / (other.at + other.low))
    if not (other.low or other.high) and one == other.scaled(one.at / other.at):
        return Enclosure(one.width, one.at / other.at)  # in proportion throughout
    middle, radius = _ball(other)
    inverse = 1 / middle
    off = _up(radius * radius * inverse * inverse / min(abs(low), abs(high)))
    line = other.scaled(-inverse * inverse)
    least, most = (_NOTHING, off) if middle > 0 else (-off, _NOTHING)
    return multiplied(one, line.moved(2 * inverse, least, most))


def least_of(one: Enclosure, other: Enclosure) -> Enclosure:
    """Return the lesser of two numbers."""
    low, high = subtracted(one, other).bounds
    if high <= 0:
        return one
    if low >= 0:
        return other
    (low, high), (other_low, other_high) = one.bounds, other.bounds
    return between(one.width, min(low, other_low), min(high, other_high))


def greatest_of(one: Enclosure, other: Enclosure) -> Enclosure:
    """Return the greater of two numbers."""
    negated = least_of(one.scaled(Fraction(-1)), other.scaled(Fraction(-1)))
    return negated.scaled(Fraction(-1))


def absolute(one: Enclosure) -> Enclosure:
    """Return the absolute value of a number."""
    low, high = one.bounds
    if low >= 0:
        return one
    return one.scaled(Fraction(-1)) if high <= 0 else between(one.width, _NOTHING, max(-low, high))


def rounded(one: Enclosure, decimals: int) -> Enclosure:
    """Round a number, half to even."""
    low, high = (Fraction(round(end, decimals)) for end in one.bounds)
    return between(one.width, low, high)


def _ball(one: Enclosure) -> tuple[Fraction, Fraction]:
    """Return a short number near the middle of an enclosure's bounds, and the greatest distance from it."""
    low, high = one.bounds
    middle = _down((low + high) / 2)
    return middle, _up(max(high - middle, middle - low))


def _down(number: Fraction) -> Fraction:
    """Return a short number that is at most *number*, and hardly less."""
    shift = number.numerator.bit_length() - number.denominator.bit_length() - _SHORT_BITS
    if shift >= 0:
        return Fraction((number.numerator // (number.denominator << shift)) << shift)
    return Fraction((number.numerator << -shift) // number.denominator, 1 << -shift)


def _up(number: Fraction) -> Fraction:
    return -_down(-number)
