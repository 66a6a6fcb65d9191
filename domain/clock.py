"""Time: 64-bit integers of microseconds since 1970-01-01 UTC, everywhere except in files and messages."""

import re
from datetime import UTC, date, datetime, time, timedelta
from time import time_ns

from fivefold.domain.errors import ConfigError

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US
"""Lengths of time in microseconds; a day has 24 hours."""

CLOCK_SLACK_US = DAY_US
"""How far ahead of now a row may be dated: clocks and zones differ."""

EARLIEST_YEAR = 1900

DAY_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
"""A day as people write it in ISO 8601; Python's own parser also accepts weeks, such as 2026-W10."""

_DAY_FIRST = re.compile(rf"{DAY_WRITTEN.pattern}(?:T|\s|$)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_DAY = (date.min - _EPOCH.date()).days


def to_microseconds(moment: datetime | date) -> int:
    """Turn a moment into microseconds; no zone means UTC, and a bare date is its midnight UTC.

    >>> to_microseconds(date(1970, 1, 2))
    86400000000
    """
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time.min)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(time_us: int) -> datetime:
    """Turn microseconds into a moment in UTC.

    >>> from_microseconds(86_400_000_000).isoformat()
    '1970-01-02T00:00:00+00:00'
    """
    return _EPOCH + timedelta(microseconds=int(time_us))


def parse_moment(text: str, what: str = "time") -> int:
    """Read a date or time of ISO 8601, with or without a zone, as microseconds; ConfigError if it is neither.

    The date must have year, month and day with hyphens, as in columns of dates; it may not be a week.

    >>> parse_moment("1970-01-01T01:00:00+01:00")
    0
    """
    readable = re.sub(r"(\.\d{6})\d+", r"\1", text.strip())
    try:
        moment_us = to_microseconds(datetime.fromisoformat(readable if _DAY_FIRST.match(readable) else ""))
        from_microseconds(moment_us)  # a zone offset may leave the years 1 to 9999
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{what} is {text!r}; it must be an ISO 8601 date or time such as 2024-07-01 or 2024-07-01T12:00:00Z"
        ) from None
    return moment_us


def now_microseconds() -> int:
    """Return the current time."""
    return time_ns() // 1_000


def resolve_now(now_us: int | None) -> int:
    """Return the time that the caller sets, or else the current time.

    >>> resolve_now(7)
    7
    """
    return now_microseconds() if now_us is None else now_us


def iso_text(time_us: int) -> str:
    """Write a moment as in stored JSON: ISO 8601 with the offset of UTC.

    >>> iso_text(0), iso_text(1)
    ('1970-01-01T00:00:00+00:00', '1970-01-01T00:00:00.000001+00:00')
    """
    return from_microseconds(time_us).isoformat()


def utc_text(time_us: int, timespec: str = "auto") -> str:
    """Write a moment as in the API: ISO 8601, with Z for UTC; *timespec* as for `datetime.isoformat`.

    >>> utc_text(0), utc_text(1), utc_text(0, "milliseconds")
    ('1970-01-01T00:00:00Z', '1970-01-01T00:00:00.000001Z', '1970-01-01T00:00:00.000Z')
    """
    return from_microseconds(time_us).isoformat(timespec=timespec).removesuffix("+00:00") + "Z"


def second_text(time_us: int) -> str:
    """Write a moment as `day_text` does, rounded down to whole seconds.

    >>> second_text(1_000_001), second_text(86_400_000_000)
    ('1970-01-01T00:00:01Z', '1970-01-02')
    """
    return day_text(time_us // SECOND_US * SECOND_US)


def day_text(time_us: int) -> str:
    """Write a moment for people: the date alone at midnight UTC, with the time otherwise.

    >>> day_text(86_400_000_000), day_text(1_000_000)
    ('1970-01-02', '1970-01-01T00:00:01Z')
    """
    moment = from_microseconds(time_us)
    if time_us % DAY_US == 0:
        return moment.date().isoformat()
    return moment.replace(tzinfo=None).isoformat() + "Z"


def period_text(from_us: int, until_us: int) -> str:
    """Write the period that ends before *until_us*: whole days by the first and the last, others by their moments.

    >>> period_text(0, 2 * 86_400_000_000), period_text(0, 1_000_000)
    ('1970-01-01 to 1970-01-02', '1970-01-01 to before 1970-01-01T00:00:01Z')
    """
    if from_us % DAY_US or until_us % DAY_US:
        return f"{day_text(from_us)} to before {day_text(until_us)}"
    return f"{day_text(from_us)} to {day_text(until_us - DAY_US)}"


def start_of_day(time_us: int) -> int:
    """Return the first moment of a moment's day (UTC).

    >>> start_of_day(86_400_000_005)
    86400000000
    """
    return time_us - time_us % DAY_US


def require_days(what: str, since_day: int, until_day: int, most_days: int) -> None:
    """Raise ConfigError if a period is empty, longer than *most_days*, or begins before the year 1.

    Args:
        what: the word for the period in the message.
        since_day: its first day, counted since 1970.
        until_day: the day after its last.
        most_days: the most days that it may have.
    """
    if since_day < _FIRST_DAY:  # the usual days before an early end
        raise ConfigError(f"the {what} begins before the year 1; it must end later")
    days = until_day - since_day
    if not 0 < days <= most_days:
        begins_late = f"ends before its first day, {day_text(since_day * DAY_US)}"
        length = f"has {days:,} days" if days > 0 else begins_late
        raise ConfigError(f"the {what} {length}; it must have 1 to {most_days:,} days")
