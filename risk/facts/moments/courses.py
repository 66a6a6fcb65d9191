"""Courses: how a constantly changing number of one entity changes while nothing else happens."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any, Final, Protocol

from fivefold.domain.clock import DAY_US
from fivefold.risk.facts.groups.values import float_or_none, made_of
from fivefold.risk.facts.moments.elapsed import COARSEST_US, EXACT_DAYS
from fivefold.risk.facts.moments.enclosures import Enclosed, Enclosure
from fivefold.risk.facts.moments.search import HORIZON_US

_ROUNDED: Final = Fraction(1, 1 << 50)
"""The relative error of a float, and of the number that it is written as."""
_COARSEST: Final = Fraction(4 * COARSEST_US, DAY_US)
"""The error of days too large for a float to resolve each microsecond."""


class ReadAs(Enum):
    """How a number is read: compared with a bound, by a calculation, or by arithmetic on its column as a float."""

    COMPARED = "compared"
    CALCULATED = "calculated"
    FLOAT = "float"


class Course(Protocol):
    """How a number changes as time passes."""

    @property
    def end(self) -> int:
        """How many microseconds ahead the number is known."""

    def at(self, ahead: int) -> Any:
        """Return the value that many microseconds ahead, as its column holds it; None if unknown."""

    def until(self, first: int, /) -> int:
        """Return the last moment up to which the number changes smoothly from *first*, in microseconds ahead."""

    def enclosed(self, first: int, last: int, reading: ReadAs) -> Enclosed:
        """Enclose the number between two moments ahead, between which it changes smoothly."""


@dataclass(frozen=True)
class Passing:
    """Days since a moment.

    Attributes:
        elapsed: microseconds since the moment.
        counts_exactly: whether calculations use whole microseconds, not the float.
    """

    elapsed: int
    counts_exactly: bool

    @property
    def end(self) -> int:
        """The horizon: days grow for ever."""
        return HORIZON_US

    def at(self, ahead: int) -> float:
        """Return the days that many microseconds ahead."""
        return float(self.elapsed + ahead) / float(DAY_US)

    def until(self, _first: int) -> int:
        """The horizon: days grow for ever."""
        return self.end

    def enclosed(self, first: int, last: int, reading: ReadAs) -> Enclosed:
        """Enclose the days: a line, apart from rounding."""
        begin = Fraction(self.elapsed + first, DAY_US)
        most = max(abs(begin), abs(begin + Fraction(last - first, DAY_US)))
        line = Enclosure(last - first, begin, Fraction(1, DAY_US))
        if most < EXACT_DAYS and reading is ReadAs.CALCULATED and self.counts_exactly:
            return line
        off = most * _ROUNDED + (0 if most < EXACT_DAYS else _COARSEST)
        return line.off_by(off, ("days", self.elapsed))


@dataclass(frozen=True, eq=False)
class DaysOfLinked:
    """One number computed from the days of linked entities.

    Attributes:
        word: the group's word, such as mean.
        days: the exact days of each member that counts.
    """

    word: str
    days: Sequence[Fraction]

    @property
    def end(self) -> int:
        """The horizon: days grow for ever."""
        return HORIZON_US

    def at(self, ahead: int) -> float | None:
        """Return the number that many microseconds ahead."""
        return float_or_none(self._exact(ahead))

    def until(self, _first: int) -> int:
        """The horizon: days grow for ever."""
        return self.end

    def enclosed(self, first: int, last: int, reading: ReadAs) -> Enclosed:
        """Enclose the number: all members' days grow alike, so the member with the least or the most stays the same."""
        begin, end = self._exact(first), self._exact(last)
        width = last - first
        line = Enclosure(width, begin, (end - begin) / width if width else Fraction(0))
        off = len(self.days) * _COARSEST if max(map(abs, self.days)) + last // DAY_US + 1 > EXACT_DAYS else Fraction(0)
        if reading is not ReadAs.COMPARED:
            off += max(abs(begin), abs(end)) * _ROUNDED
        return line.off_by(off, ("linked", id(self))) if off else line

    def _exact(self, ahead: int) -> Fraction:
        return made_of(self.word, [each + Fraction(ahead, DAY_US) for each in self.days])
