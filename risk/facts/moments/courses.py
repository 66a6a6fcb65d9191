"""Numbers that change all the time: how one of an entity goes on while nothing else happens to it."""

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
"""What a float, and the number that it is written as, may be off, as a part of its size."""
_COARSEST: Final = Fraction(4 * COARSEST_US, DAY_US)
"""What days may be off that are too many for a float to tell each microsecond."""


class ReadAs(Enum):
    """What reads a number: a comparison with a bound, a calculation, or what takes its column for a float."""

    COMPARED = "compared"
    CALCULATED = "calculated"
    FLOAT = "float"


class Course(Protocol):
    """How a number goes on."""

    @property
    def end(self) -> int:
        """How many microseconds ahead it is known."""

    def at(self, ahead: int) -> Any:
        """Give its value so many microseconds ahead, as its column holds it; None where it is unknown."""

    def until(self, first: int, /) -> int:
        """Give the last moment up to which it goes on smoothly from one that is so many microseconds ahead."""

    def enclosed(self, first: int, last: int, reading: ReadAs) -> Enclosed:
        """Enclose it from one moment ahead to another, up to which it goes on smoothly."""


@dataclass(frozen=True)
class Passing:
    """Days since a moment.

    Attributes:
        elapsed: microseconds since it.
        counts_exactly: calculations take whole microseconds, not the float.
    """

    elapsed: int
    counts_exactly: bool

    @property
    def end(self) -> int:
        """They pass for ever."""
        return HORIZON_US

    def at(self, ahead: int) -> float:
        """Give the days so many microseconds ahead."""
        return float(self.elapsed + ahead) / float(DAY_US)

    def until(self, _first: int) -> int:
        """They pass for ever."""
        return self.end

    def enclosed(self, first: int, last: int, reading: ReadAs) -> Enclosed:
        """Enclose them: they are a line, but for what is rounded."""
        begin = Fraction(self.elapsed + first, DAY_US)
        most = max(abs(begin), abs(begin + Fraction(last - first, DAY_US)))
        line = Enclosure(last - first, begin, Fraction(1, DAY_US))
        if most < EXACT_DAYS and reading is ReadAs.CALCULATED and self.counts_exactly:
            return line
        off = most * _ROUNDED + (0 if most < EXACT_DAYS else _COARSEST)
        return line.off_by(off, ("days", self.elapsed))


@dataclass(frozen=True, eq=False)
class DaysOfLinked:
    """One number made of the days of those linked.

    Attributes:
        word: how it is made of them.
        days: of each of them that counts, exact.
    """

    word: str
    days: Sequence[Fraction]

    @property
    def end(self) -> int:
        """They pass for ever."""
        return HORIZON_US

    def at(self, ahead: int) -> float | None:
        """Give the number so many microseconds ahead."""
        return float_or_none(self._exact(ahead))

    def until(self, _first: int) -> int:
        """They pass for ever."""
        return self.end

    def enclosed(self, first: int, last: int, reading: ReadAs) -> Enclosed:
        """Enclose it: days pass for all of them alike, so whose are the least or the most stays the same."""
        begin, end = self._exact(first), self._exact(last)
        width = last - first
        line = Enclosure(width, begin, (end - begin) / width if width else Fraction(0))
        off = len(self.days) * _COARSEST if max(map(abs, self.days)) + last // DAY_US + 1 > EXACT_DAYS else Fraction(0)
        if reading is not ReadAs.COMPARED:
            off += max(abs(begin), abs(end)) * _ROUNDED
        return line.off_by(off, ("linked", id(self))) if off else line

    def _exact(self, ahead: int) -> Fraction:
        return made_of(self.word, [each + Fraction(ahead, DAY_US) for each in self.days])
