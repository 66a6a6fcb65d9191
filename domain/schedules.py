"""Moments of a schedule: local times in a time zone, on selected days.

A local time that a day skips, as the clock is put forward, becomes the moment of the change; of a local time that
occurs twice, the first occurrence counts. So a later local time is never an earlier moment, and each selected day has
its moments.
"""

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from fivefold.domain.clock import from_microseconds, to_microseconds

LAST: Final = 0
"""The last day of a month, among days of the month."""
_LOOKED_AT_DAYS: Final = 100
"""No two selected days are further apart: the 31st is absent for two months at most."""
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_ZONES_APART: Final = 2 * _DAY
"""A zone is up to a day away from UTC, and a jump may lead over one."""
_FIRST_DAY: Final = date.min + 2 * _ZONES_APART
"""The days before it have no moments, as the clock of some zone would show the year 0."""


@dataclass(frozen=True)
class LocalSchedule:
    """Days and local times in a time zone.

    Attributes:
        zone: a zone of the tz database, such as Europe/Oslo.
        times: local times; at least one.
        weekdays: 0 is Monday; if `month_days` is empty too, every day.
        month_days: 1 to 31, and `LAST`; a month without such a day is skipped.
    """

    zone: str
    times: tuple[time, ...]
    weekdays: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()

    def has_day(self, day: date) -> bool:
        """Return whether a day is selected."""
        if self.weekdays:
            return day.weekday() in self.weekdays
        if not self.month_days:
            return True
        is_last = day.day == monthrange(day.year, day.month)[1]
        return day.day in self.month_days or (is_last and LAST in self.month_days)

    def moments_of(self, day: date) -> list[int]:
        """Return the moments of a day in order; empty if the day is not selected."""
        zone = ZoneInfo(self.zone)
        return sorted({_moment(datetime.combine(day, each), zone) for each in self.times}) if self.has_day(day) else []


def next_moment(schedule: LocalSchedule, after_us: int) -> int:
    """Return the first moment after *after_us* (microseconds)."""
    return _nearest_moment(schedule, after_us, 1, lambda moment: moment > after_us)


def latest_moment(schedule: LocalSchedule, until_us: int) -> int:
    """Return the last moment that is not after *until_us* (microseconds)."""
    return _nearest_moment(schedule, until_us, -1, lambda moment: moment <= until_us)


def moments_between(schedule: LocalSchedule, from_us: int, until_us: int) -> Iterator[int]:
    """Yield the moments from *from_us* until before *until_us* (microseconds), in order."""
    day = max(from_microseconds(from_us).date(), _FIRST_DAY) - _ZONES_APART
    last = from_microseconds(until_us).date() + _ZONES_APART
    while day <= last:
        yield from (moment for moment in schedule.moments_of(day) if from_us <= moment < until_us)
        day += _DAY


@cache
def zone_names() -> frozenset[str]:
    """List the names of the zones of the tz database; once in a process, as this opens some 600 files (30 ms)."""
    return frozenset(available_timezones())


def zone_text(moment_us: int, zone: str) -> str:
    """Write a moment as the clock of a zone shows it.

    >>> zone_text(0, "Europe/Oslo")
    '1970-01-01 01:00 (Europe/Oslo)'
    """
    return f"{from_microseconds(moment_us).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"


def _nearest_moment(schedule: LocalSchedule, from_us: int, step: int, fits: Callable[[int], bool]) -> int:
    """Step through the days from *from_us* and return the first moment that *fits*; *step* is 1 or -1."""
    day = from_microseconds(from_us).date() - step * _ZONES_APART
    for _ in range(_LOOKED_AT_DAYS):
        for moment in schedule.moments_of(day)[::step]:
            if fits(moment):
                return moment
        day += step * _DAY
    raise AssertionError(f"{schedule} selects no day")  # the schedule language refuses days that never occur


def _moment(local: datetime, zone: ZoneInfo) -> int:
    """Turn a local time into microseconds; a skipped local time becomes the moment of the clock change."""
    first, other = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) == local:
        return to_microseconds(first)
    before, after = other, first  # the clock change lies between them, and skips the local time
    offset = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return to_microseconds(after.replace(microsecond=0))
