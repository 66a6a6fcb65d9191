"""Finds the first moment at which a number lies elsewhere than now; stretches where it surely does not are skipped."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from fivefold.domain.clock import DAY_US
from fivefold.risk.facts.moments.enclosures import Absence, Enclosed, Enclosure

HORIZON_US: Final = 36_525 * DAY_US
"""The search ends in a hundred years; every ruleset is evaluated again sooner."""

MOST_LOOKS: Final = 256
"""Most stretches that are tried; after that, the result is the beginning of the rest."""

_CUT: Final = 8
_LONGER: Final = 4
"""An undecided stretch is cut to an eighth; a skipped one is followed by one four times as long."""

UNDECIDED_US: Final = DAY_US // 24
"""The length of time that is not searched while a number lies so near a bound that rounding decides."""


@dataclass(frozen=True)
class Region:
    """The numbers for which all comparisons have the same answers as for the current one.

    Attributes:
        low: the lower end; None for none.
        high: the upper end; None for none.
        has_low: whether the lower end belongs to them.
        has_high: whether the upper end does.
    """

    low: Fraction | None = None
    high: Fraction | None = None
    has_low: bool = True
    has_high: bool = True

    def surely_for(self, enclosure: Enclosure) -> int:
        """Return for how many microseconds from the beginning a number surely is inside; -1 if it may start outside."""
        ahead = enclosure.width
        if self.high is not None:
            room = self.high - enclosure.at - enclosure.above
            ahead = min(ahead, _steps(room, enclosure.slope, ahead, may_touch=self.has_high))
        if self.low is not None:
            room = enclosure.at + enclosure.below - self.low
            ahead = min(ahead, _steps(room, -enclosure.slope, ahead, may_touch=self.has_low))
        return ahead

    def surely_not_from(self, enclosure: Enclosure) -> int | None:
        """Return after how many microseconds a number surely is outside; None if it may stay inside."""
        ahead = None
        if self.high is not None and enclosure.slope > 0:
            ahead = max((self.high - enclosure.at - enclosure.below) // enclosure.slope + 1, 0)
        if self.low is not None and enclosure.slope < 0:
            ahead = max((enclosure.at + enclosure.above - self.low) // -enclosure.slope + 1, 0)
        return ahead if ahead is not None and ahead <= enclosure.width else None

    def decides(self, enclosure: Enclosure) -> bool:
        """Check whether a number surely is inside, or surely outside; an exactly known number is one or the other."""
        low, high = enclosure.bounds
        is_below = self.low is not None and (high < self.low or (high == self.low and not self.has_low))
        is_above = self.high is not None and (low > self.high or (low == self.high and not self.has_high))
        return low == high or is_below or is_above or self.surely_for(enclosure) >= enclosure.width


def _steps(room: Fraction, slope: Fraction, most: int, *, may_touch: bool) -> int:
    """Return how many steps lead no further than an end at the distance *room*."""
    if room < 0 or (room == 0 and not may_touch):
        return -1
    if slope <= 0:
        return most
    steps = room // slope
    return steps - 1 if steps * slope == room and not may_touch else steps


def first_elsewhere(
    enclose: Callable[[int, int], tuple[Enclosed, int]],
    region: Region | None,
    is_elsewhere: Callable[[int], bool],
    end: int,
) -> int | None:
    """Find how many microseconds ahead a number first lies elsewhere; perhaps too few, and never too many.

    Args:
        enclose: encloses the number from one moment to another, or to an earlier one that it returns as well.
        region: where the number lies now; None if it is unknown.
        is_elsewhere: checks whether it lies elsewhere at a moment, computed as in an assessment.
        end: how far ahead to search.

    Returns:
        The microseconds; None if it stays where it is up to the *end*.
    """
    begin = 1 if region is None else _where_decided(enclose, region, min(UNDECIDED_US, end))
    if begin == min(UNDECIDED_US, end):
        return begin
    if begin > 1 and is_elsewhere(begin):
        return _by_halving(is_elsewhere, 0, begin)
    last, last_check = end, 0
    for _ in range(MOST_LOOKS):
        enclosure, last = enclose(begin, last)
        until = _surely_until(enclosure, begin, last, region)
        if until < begin:
            if last_check != begin and is_elsewhere(begin):
                return begin
            last_check = begin
            if isinstance(enclosure, Enclosure) and enclosure.is_constant:
                until = last
            elif last > begin:  # a shorter stretch decides more
                last = min(begin + (last - begin) // _CUT, _outside_from(enclosure, begin, region) or last)
                continue
            else:
                until = begin
        if until >= end:
            return None
        outside = None if until == last else _outside_from(enclosure, begin, region)
        begin, last = until + 1, min(until + _LONGER * (last - begin + 1) if outside is None else outside, end)
    return begin if begin > UNDECIDED_US else _by_halving(is_elsewhere, begin - 1, min(begin + UNDECIDED_US, end))


def _where_decided(enclose: Callable[[int, int], tuple[Enclosed, int]], region: Region, most: int) -> int:
    """Return how far ahead the place of a number no longer depends on rounding, at most *most*; usually at once.

    While rounding decides, every microsecond may have another answer, so none is computed. That ends where the number
    stops changing smoothly.
    """
    ahead, smoothly = 0, enclose(0, most)[1]
    while ahead < most:
        enclosure, _ = enclose(ahead, ahead)
        if ahead > smoothly or enclosure is Absence.THROUGHOUT:
            break
        if isinstance(enclosure, Enclosure) and region.decides(enclosure):
            break
        ahead = min(2 * ahead + 1, most, max(smoothly, ahead) + 1)
    return max(ahead, 1)


def _surely_until(enclosure: Enclosed, begin: int, last: int, region: Region | None) -> int:
    if isinstance(enclosure, Absence):
        return last if region is None and enclosure is Absence.THROUGHOUT else begin - 1
    return begin - 1 if region is None else begin + region.surely_for(enclosure)


def _outside_from(enclosure: Enclosed, begin: int, region: Region | None) -> int | None:
    """Return the moment at which a number surely lies elsewhere; None if it may not within the stretch."""
    if isinstance(enclosure, Absence) or region is None:
        return None
    ahead = region.surely_not_from(enclosure)
    return None if ahead is None else begin + ahead


def _by_halving(is_elsewhere: Callable[[int], bool], low: int, high: int) -> int:
    """Bisect for the moment at which the number begins to lie elsewhere; *high* if it does not."""
    if not is_elsewhere(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_elsewhere(middle) else (middle, high)
    return high
