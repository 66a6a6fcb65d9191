"""Exact numbers and durations.

Points, weights and totals are whole numbers of a small unit, never floats.
A float total puts edge cases a band too low: 10.1 + 20.7 + 0.2 is 30.999999999999996, not 31.
"""

import re
from calendar import monthrange
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import polars as pl
from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from fivefold.domain.clock import DAY_US, iso_text, parse_moment
from fivefold.domain.errors import ConfigError

POINT_DIGITS = 2
"""Points have at most two decimals."""

POINT_UNITS = 10**POINT_DIGITS
"""Smallest units in one point."""

MOST_DIGITS = 15
"""Most digits of a number in a ruleset: JSON and 64-bit floats preserve these."""

MOST_SIZE = 10**15
"""Numbers of a ruleset are below this, as amounts of transactions are."""

MOST_POINTS = 1_000_000
"""Largest size of a rule's points or of a threshold; totals of a thousand rules fit 64 bits with room."""

WEIGHT_UNITS = 10**4
"""Smallest units in the whole weight of 100 %: a percentage has at most two decimals."""

TOTAL_DIGITS = 6
"""Most decimals of a total: two of points, and four of a weight."""


def exact(value: Any) -> Decimal:
    """Convert a number to an exact decimal in its one form; a float counts as its shortest decimal form.

    >>> exact(0.1), exact(Decimal("12.50")), exact(Decimal("31.0"))
    (Decimal('0.1'), Decimal('12.5'), Decimal('31'))

    Raises:
        ValueError: it is not a finite number, is out of range, or has too many digits.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(  # noqa: TRY004 (pydantic takes a ValueError as a finding)
            f"{quoted_value(value)} is not a number; write one as 10000 or 0.5, without quotes and separators"
        )
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{quoted_value(value)} is not a finite number")
    if not number:
        return Decimal(0)
    if not -MOST_DIGITS <= number.adjusted() < MOST_DIGITS:
        raise ValueError(
            f"{quoted_value(value)} is out of range; numbers are below {MOST_SIZE:,}, with {MOST_DIGITS} digits"
        )
    _, digits, exponent = number.normalize().as_tuple()
    if len(digits) > MOST_DIGITS or int(exponent) < -MOST_DIGITS:
        raise ValueError(f"{quoted_value(value)} has too many digits; at most {MOST_DIGITS}")
    return Decimal(str(json_number(number)))


def quoted_value(value: Any) -> str:
    """Quote a written value, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list | tuple):
        return "a list" if not isinstance(value, dict) else "a mapping"
    text = str(value)
    return text if len(text) <= 40 and not isinstance(value, str) else f"{text[:40]!r}"


def json_number(number: Decimal) -> int | float:
    """Write an exact number for JSON; reading it back as a decimal gives the same number.

    >>> json_number(Decimal("31.0")), json_number(Decimal("30.50"))
    (31, 30.5)
    """
    return int(number) if number == number.to_integral_value() else float(number)


def _points(number: Decimal) -> Decimal:
    if number != round(number, POINT_DIGITS):
        raise ValueError(f"{number} has more than two decimals")
    return _in_range_of_points(number)


def _in_range_of_points(number: Decimal) -> Decimal:
    if abs(number) > MOST_POINTS:
        raise ValueError(f"{number} is out of range; at most {MOST_POINTS:,} either way")
    return number


def _total(number: Decimal) -> Decimal:
    if number != round(number, TOTAL_DIGITS):
        raise ValueError(f"{number} has more than six decimals")
    return _in_range_of_points(number)


def _percent(number: Decimal) -> Decimal:
    if number != round(number, 2):
        raise ValueError(f"{number} has more than two decimals")
    if not 0 <= number <= 100:
        raise ValueError(f"{number} is out of range; a weight is 0 to 100 %")
    return number


_SCHEMA = WithJsonSchema({"type": "number"})

Number = Annotated[Decimal, BeforeValidator(exact), PlainSerializer(json_number), _SCHEMA]
"""A number that inputs are compared with."""

Points = Annotated[Decimal, BeforeValidator(exact), AfterValidator(_points), PlainSerializer(json_number), _SCHEMA]
"""Points, or a threshold: at most two decimals."""

Total = Annotated[Decimal, BeforeValidator(exact), AfterValidator(_total), PlainSerializer(json_number), _SCHEMA]
"""A total that an example expects: at most six decimals, as points times weights have."""

Percent = Annotated[Decimal, BeforeValidator(exact), AfterValidator(_percent), PlainSerializer(json_number), _SCHEMA]
"""A weight in percent."""


def _rank(number: Decimal) -> Decimal:
    if number != round(number, 2):
        raise ValueError(f"{number} has more than two decimals")
    if not 0 < number <= 100:
        raise ValueError(f"{number} is out of range; a percentile is above 0 and at most 100")
    return number


Rank = Annotated[Decimal, BeforeValidator(exact), AfterValidator(_rank), PlainSerializer(json_number), _SCHEMA]
"""The rank of a percentile, above 0 and up to 100: at most two decimals."""


def point_units(points: Decimal) -> int:
    """Convert points to a whole number of the smallest unit.

    >>> point_units(Decimal("12.5"))
    1250
    """
    return int(points * POINT_UNITS)


def decimal_text(number: Decimal) -> str:
    """Write a number without an exponent or needless zeros.

    >>> decimal_text(Decimal("120.00")), decimal_text(Decimal("-0.50")), decimal_text(Decimal("-0.00"))
    ('120', '-0.5', '0')
    """
    return f"{number.normalize():f}" if number else "0"


def text_of(units: int, scale: int) -> str:
    """Write a whole number of units for people, exactly.

    >>> text_of(3050, 100), text_of(3099_7500, 1_000_000), text_of(-500, 100)
    ('30.5', '30.9975', '-5')
    """
    return decimal_text(Decimal(units) / scale)


_WRITTEN = r"^[0-9]{1,5} (day|week|month|year|hour)s?$"
_PATTERN = re.compile(_WRITTEN.replace("[0-9]{1,5}", "([0-9]{1,5})"))
_DAYS_A_WEEK = 7
_MOST_COUNT = 99_999
_OFFSETS = {"hour": "h", "day": "d", "month": "mo", "year": "y"}
HOURS_A_DAY = 24
EPOCH_DAY = date(1970, 1, 1).toordinal()
"""The ordinal of the day of moment 0."""
MONTHS_OF: Mapping[str, int] = {"month": 1, "year": 12}
"""The units that are counted on the calendar."""


@dataclass(frozen=True)
class Duration:
    """A length of time; a day is 24 hours, a month or a year is counted on the calendar in UTC.

    Moving by months to a day that the month lacks ends on the last day of that month.
    """

    count: int
    unit: str

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"

    @property
    def offset(self) -> str:
        """The duration as Polars writes it; days as hours, so that no calendar is involved."""
        if self.unit == "day":
            return f"{self.count * HOURS_A_DAY}h"
        return f"{self.count}{_OFFSETS[self.unit]}"

    @property
    def days(self) -> float:
        """The approximate number of days; for comparing lengths, never for moments."""
        return self.count * {"hour": 1 / HOURS_A_DAY, "day": 1.0, "month": 30.436875, "year": 365.2425}[self.unit]

    def before(self, moment: pl.Expr) -> pl.Expr:
        """The moments (microseconds, as integers) that lie this long before *moment*."""
        return moment.cast(pl.Datetime("us")).dt.offset_by(f"-{self.offset}").cast(pl.Int64)

    def after(self, moment: pl.Expr) -> pl.Expr:
        """The moments (microseconds, as integers) that lie this long after *moment*."""
        return moment.cast(pl.Datetime("us")).dt.offset_by(self.offset).cast(pl.Int64)

    def moment_before(self, moment: int) -> int:
        """Return the moment (microseconds) that lies this long before *moment*.

        >>> Duration(1, "day").moment_before(0)
        -86400000000
        """
        moved = self._moved(moment, -self.count)
        return pl.select(self.before(pl.lit(moment, pl.Int64))).item() if moved is None else moved

    def moment_after(self, moment: int) -> int:
        """Return the moment (microseconds) that lies this long after *moment*.

        >>> Duration(2, "hour").moment_after(0)
        7200000000
        """
        moved = self._moved(moment, self.count)
        return pl.select(self.after(pl.lit(moment, pl.Int64))).item() if moved is None else moved

    def _moved(self, moment: int, count: int) -> int | None:
        """Move a moment; None if months lead outside the years of Python's calendar."""
        if self.unit == "hour":
            return moment + count * (DAY_US // HOURS_A_DAY)
        if self.unit == "day":
            return moment + count * DAY_US
        day, rest = divmod(moment, DAY_US)
        if not date.min.toordinal() <= EPOCH_DAY + day <= date.max.toordinal():
            return None
        begin = date.fromordinal(EPOCH_DAY + day)
        months = begin.year * 12 + begin.month - 1 + count * MONTHS_OF[self.unit]
        year, month = months // 12, months % 12 + 1
        if not date.min.year <= year <= date.max.year:
            return None
        last = monthrange(year, month)[1]
        return (date(year, month, min(begin.day, last)).toordinal() - EPOCH_DAY) * DAY_US + rest


def back_to_begin(over: Duration, ending: Duration | None) -> tuple[Duration, ...]:
    """Return the lengths to count back from as-of, one after the other, to the beginning of a window.

    Two calendar lengths are added up to one, so that windows which end one, two and three months ago follow one
    another without gaps and overlaps on any day of the month.

    >>> back_to_begin(Duration(1, "month"), Duration(1, "year"))
    (Duration(count=13, unit='month'),)
    >>> back_to_begin(Duration(7, "day"), Duration(1, "month"))
    (Duration(count=1, unit='month'), Duration(count=7, unit='day'))
    """
    if ending is None:
        return (over,)
    if over.unit in MONTHS_OF and ending.unit in MONTHS_OF:
        months = sum(each.count * MONTHS_OF[each.unit] for each in (over, ending))
        return (Duration(months, "month"),)
    return (ending, over)


LONGEST = Duration(1000, "year")
"""The longest duration: longer ones would take moments out of the years that can be written."""


def parse_duration(text: Any) -> Duration:
    """Parse a duration; weeks become days.

    >>> parse_duration("180 days"), str(parse_duration("1 year")), str(parse_duration("2 weeks"))
    (Duration(count=180, unit='day'), '1 year', '14 days')

    Raises:
        ValueError: the text is not a duration, or is longer than `LONGEST`; the message shows the form of one.
    """
    if isinstance(text, Duration):
        return text
    match = _PATTERN.match(text.strip()) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{quoted_value(text)} is not a duration; write one as 180 days, 24 hours, 6 months or 1 year")
    in_weeks = match[2] == "week"
    duration = Duration(int(match[1]) * (_DAYS_A_WEEK if in_weeks else 1), "day" if in_weeks else match[2])
    if duration.days > LONGEST.days or duration.count > _MOST_COUNT:
        raise ValueError(f"{quoted_value(text)} is longer than {LONGEST}; for everything so far leave it out")
    return duration


DurationText = Annotated[
    Duration,
    PlainValidator(parse_duration),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": _WRITTEN}),
]
"""A duration in a ruleset."""


def parse_ago(text: Any) -> Duration:
    """Parse how long ago something was.

    >>> parse_ago("30 days ago")
    Duration(count=30, unit='day')

    Raises:
        ValueError: the text is not a duration with `ago` behind it.
    """
    if isinstance(text, Duration):
        return text
    if not isinstance(text, str) or not text.strip().endswith(_AGO):
        raise ValueError(f"{quoted_value(text)} does not say how long ago; write it as 30 days ago")
    return parse_duration(text.strip().removesuffix(_AGO))


_AGO = " ago"

AgoText = Annotated[
    Duration,
    PlainValidator(parse_ago),
    PlainSerializer(lambda length: f"{length}{_AGO}"),
    WithJsonSchema({"type": "string", "pattern": _WRITTEN.replace("$", f"{_AGO}$")}),
]
"""How long ago something was, in a ruleset."""


def _moment(value: Any, info: ValidationInfo) -> int:
    is_file = bool(info.context and info.context.get("written"))
    if isinstance(value, int) and not isinstance(value, bool) and not is_file:
        return value
    if isinstance(value, str):
        with suppress(ConfigError):
            return parse_moment(value)
    raise ValueError(f"{quoted_value(value)} is not a date; write one as 2024-07-01 or 2024-07-01T12:00:00Z")


MomentText = Annotated[
    int,
    BeforeValidator(_moment),
    PlainSerializer(iso_text),
    WithJsonSchema({"type": "string", "format": "date"}),
]
"""A date or time in a ruleset, kept in microseconds; in a file it is text: 20240701 would be a number."""
