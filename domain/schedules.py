"""Moments of a schedule: a local time of the clock in a time zone, on days that are chosen.

A local time that does not exist on a day, as the clock jumps over it, is the moment of the jump; one that comes twice
is the first of both. So later local times are never earlier moments, and each day that is chosen has its moment.
"""

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from fivefold.domain.clock import from_microseconds, to_microseconds

LAST: Final = 0
"""Stands for the last day of a month among days of the month."""
_LOOKED_AT_DAYS: Final = 100
"""No two days that are chosen are further apart: the 31st does not come for two months at most."""
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_ZONES_APART: Final = 2 * _DAY
"""A zone is up to a day away from UTC, and a jump may lead over one."""
_FIRST_DAY: Final = date.min + 2 * _ZONES_APART
"""The days before it have no moments, as the clock of some zone would show the year 0."""


@dataclass(frozen=True)
class LocalSchedule:
    """Days and times of the clock in a time zone.

    Attributes:
        zone: of the tz database, such as Europe/Oslo.
        times: of the clock; at least one.
        weekdays: 0 is Monday; with `month_days` both empty for every day.
        month_days: 1 to 31, and `LAST`; a month that has no such day is left out.
    """

    zone: str
    times: tuple[time, ...]
    weekdays: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()

    def has_day(self, day: date) -> bool:
        """Tell whether a day is chosen."""
        if self.weekdays:
            return day.weekday() in self.weekdays
        if not self.month_days:
            return True
        is_last = day.day == monthrange(day.year, day.month)[1]
        return day.day in self.month_days or (is_last and LAST in self.month_days)

    def moments_of(self, day: date) -> list[int]:
        """Give the moments of a day, the first one first; none where it is not chosen."""
        zone = ZoneInfo(self.zone)
        return sorted({_moment(datetime.combine(day, each), zone) for each in self.times}) if self.has_day(day) else []


def next_moment(schedule: LocalSchedule, after_us: int) -> int:
    """Give the first moment after another one (microseconds)."""
    return _found(schedule, after_us, 1, lambda moment: moment > after_us)


def latest_moment(schedule: LocalSchedule, until_us: int) -> int:
    """Give the last moment that is not after another one (microseconds)."""
    return _found(schedule, until_us, -1, lambda moment: moment <= until_us)


def moments_between(schedule: LocalSchedule, from_us: int, until_us: int) -> Iterator[int]:
    """Go through the moments from one until another, which is not among them (microseconds); the first one first."""
    day = max(from_microseconds(from_us).date(), _FIRST_DAY) - _ZONES_APART
    last = from_microseconds(until_us).date() + _ZONES_APART
    while day <= last:
        yield from (moment for moment in schedule.moments_of(day) if from_us <= moment < until_us)
        day += _DAY


def zone_text(moment_us: int, zone: str) -> str:
    """Write a moment as the clock of a zone shows it.

    >>> zone_text(0, "Europe/Oslo")
    '1970-01-01 01:00 (Europe/Oslo)'
    """
    return f"{from_microseconds(moment_us).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"


def _found(schedule: LocalSchedule, from_us: int, step: int, fits: Callable[[int], bool]) -> int:
    day = from_microseconds(from_us).date() - step * _ZONES_APART
    for _ in range(_LOOKED_AT_DAYS):
        for moment in schedule.moments_of(day)[::step]:
            if fits(moment):
                return moment
        day += step * _DAY
    raise AssertionError(f"{schedule} chooses no day")  # its language refuses one that never comes


def _moment(local: datetime, zone: ZoneInfo) -> int:
    first, other = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) == local:
        return to_microseconds(first)
    before, after = other, first  # the clock jumps between them, and so over the local time
    offset = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return to_microseconds(after.replace(microsecond=0))
