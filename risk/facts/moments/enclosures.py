"""Numbers over a stretch of time, enclosed: between two parallel lines, or exactly on one.

What passes at a steady pace is a line, and so are sums and differences of such: these are exact. A product or a
quotient is a line and what it may be off, which shrinks with the square of the stretch. So a stretch over which an
enclosure lies on one side of a bound is one over which the number does, and a shorter one tells more (affine
arithmetic: de Figueiredo and Stolfi, Affine arithmetic: concepts and applications, 2004).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from functools import cached_property
from typing import Any, Final, TypeAlias

_SHORT_BITS: Final = 64
"""Numbers that may be chosen have so many digits of base 2: those of chains of products would grow without end."""

_NOTHING: Final = Fraction(0)


class Absence(Enum):
    """Why there is no number: there is none at any moment of the stretch, or perhaps none at some."""

    THROUGHOUT = "throughout"
    PERHAPS = "perhaps"


@dataclass(frozen=True)
class Enclosure:
    """A number over a stretch of time: `at` + `slope` × s, plus what is rounded, plus something from `low` to `high`.

    Attributes:
        width: how long the stretch is, in microseconds; s runs from 0 to it.
        at: where the line begins.
        slope: how much it rises in a microsecond.
        low: what the number may be below the line.
        high: what it may be above.
        rounded: by a name for each number that is rounded in it, how often it counts, and how much it may be off: what
            is rounded in the same way takes itself away.
    """

    width: int
    at: Fraction
    slope: Fraction = _NOTHING
    low: Fraction = _NOTHING
    high: Fraction = _NOTHING
    rounded: Mapping[Any, tuple[Fraction, Fraction]] = field(default_factory=dict)

    @property
    def below(self) -> Fraction:
        """How far the number may lie below the line in all."""
        return self.low - self._off

    @property
    def above(self) -> Fraction:
        """How far it may lie above."""
        return self.high + self._off

    @cached_property
    def _off(self) -> Fraction:
        return sum((abs(weight) * off for weight, off in self.rounded.values()), _NOTHING)

    @cached_property
    def bounds(self) -> tuple[Fraction, Fraction]:
        """The least and the greatest that the number may come to."""
        end = self.at + self.slope * self.width
        return min(self.at, end) + self.below, max(self.at, end) + self.above

    @property
    def is_constant(self) -> bool:
        """It is known exactly, and the same throughout."""
        return not self.slope and self.low == self.high and not self.rounded

    def scaled(self, factor: Fraction) -> "Enclosure":
        """Multiply it by a number."""
        if not factor:
            return Enclosure(self.width, _NOTHING)
        low, high = sorted((self.low * factor, self.high * factor))
        rounded = {name: (weight * factor, off) for name, (weight, off) in self.rounded.items()}
        return replace(self, at=self.at * factor, slope=self.slope * factor, low=low, high=high, rounded=rounded)

    def off_by(self, most: Fraction, name: Any) -> "Enclosure":
        """Let it be off by so much at the most, as everything else is that is rounded by that name."""
        return replace(self, rounded={**self.rounded, name: (Fraction(1), most)})

    def moved(self, by: Fraction, low: Fraction = _NOTHING, high: Fraction = _NOTHING) -> "Enclosure":
        """Add a number, and something between two others."""
        return replace(self, at=self.at + by, low=self.low + low, high=self.high + high)


Enclosed: TypeAlias = Enclosure | Absence
"""What is known of a number over a stretch: where it lies, or that there is none."""


def between(width: int, low: Fraction, high: Fraction) -> Enclosure:
    """Enclose a number of which nothing is known but between what it lies."""
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
    """Take one number from another."""
    return added(one, other.scaled(Fraction(-1)))


def multiplied(one: Enclosure, other: Enclosure) -> Enclosure:
    """Multiply two numbers: by the line that touches the product in the middle, and what it may be off there."""
    if one.is_constant:
        return other.scaled(one.at + one.low)
    if other.is_constant:
        return one.scaled(other.at + other.low)
    (middle, radius), (other_middle, other_radius) = _ball(one), _ball(other)
    line = added(one.scaled(other_middle), other.scaled(middle))
    off = _up(radius * other_radius)
    return line.moved(-middle * other_middle, -off, off)


def divided(one: Enclosure, other: Enclosure) -> Enclosed:
    """Divide two numbers; there is none where the divisor is 0."""
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
    """Take the lesser of two numbers."""
    low, high = subtracted(one, other).bounds
    if high <= 0:
        return one
    if low >= 0:
        return other
    (low, high), (other_low, other_high) = one.bounds, other.bounds
    return between(one.width, min(low, other_low), min(high, other_high))


def greatest_of(one: Enclosure, other: Enclosure) -> Enclosure:
    """Take the greater of two numbers."""
    negated = least_of(one.scaled(Fraction(-1)), other.scaled(Fraction(-1)))
    return negated.scaled(Fraction(-1))


def absolute(one: Enclosure) -> Enclosure:
    """Take the size of a number."""
    low, high = one.bounds
    if low >= 0:
        return one
    return one.scaled(Fraction(-1)) if high <= 0 else between(one.width, _NOTHING, max(-low, high))


def rounded(one: Enclosure, decimals: int) -> Enclosure:
    """Round a number, half to even."""
    low, high = (Fraction(round(end, decimals)) for end in one.bounds)
    return between(one.width, low, high)


def _ball(one: Enclosure) -> tuple[Fraction, Fraction]:
    """Give a short number near the middle of what a number may be, and how far it may be from that."""
    low, high = one.bounds
    middle = _down((low + high) / 2)
    return middle, _up(max(high - middle, middle - low))


def _down(number: Fraction) -> Fraction:
    """Give a short number that is not greater, and hardly less."""
    shift = number.numerator.bit_length() - number.denominator.bit_length() - _SHORT_BITS
    if shift >= 0:
        return Fraction((number.numerator // (number.denominator << shift)) << shift)
    return Fraction((number.numerator << -shift) // number.denominator, 1 << -shift)


def _up(number: Fraction) -> Fraction:
    return -_down(-number)
