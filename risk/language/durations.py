"""Durations as people write them: days of 24 hours, or calendar months and years in UTC."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import polars as pl
from pydantic import BeforeValidator, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from fivefold.domain.clock import iso_text, to_microseconds
from fivefold.risk.language.numbers import quoted_value

_PATTERN = re.compile(r"^([0-9]{1,5}) (day|month|year|hour)s?$")
_OFFSETS = {"hour": "h", "day": "d", "month": "mo", "year": "y"}
HOURS_A_DAY = 24


@dataclass(frozen=True)
class Duration:
    """A length of time; a day is 24 hours, a month or a year is counted on the calendar in UTC.

    Counting months back from a day that the month lacks ends on the last day that it has.
    """

    count: int
    unit: str

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"

    @property
    def offset(self) -> str:
        """The same as Polars writes it; days as hours, so that no calendar plays a part."""
        if self.unit == "day":
            return f"{self.count * HOURS_A_DAY}h"
        return f"{self.count}{_OFFSETS[self.unit]}"

    @property
    def days(self) -> float:
        """About how many days; for comparing lengths, never for moments."""
        return self.count * {"hour": 1 / HOURS_A_DAY, "day": 1.0, "month": 30.436875, "year": 365.2425}[self.unit]

    def before(self, moment: pl.Expr) -> pl.Expr:
        """The moments (microseconds, as integers) that lie this long before *moment*."""
        return moment.cast(pl.Datetime("us")).dt.offset_by(f"-{self.offset}").cast(pl.Int64)

    def after(self, moment: pl.Expr) -> pl.Expr:
        """The moments (microseconds, as integers) that lie this long after *moment*."""
        return moment.cast(pl.Datetime("us")).dt.offset_by(self.offset).cast(pl.Int64)


LONGEST = Duration(1000, "year")
"""With longer ones, moments would leave the years that can be written."""


def parse_duration(text: Any) -> Duration:
    """Read a duration.

    >>> parse_duration("180 days"), str(parse_duration("1 year"))
    (Duration(count=180, unit='day'), '1 year')

    Raises:
        ValueError: the text is not a duration; the message shows the form of one.
    """
    if isinstance(text, Duration):
        return text
    match = _PATTERN.match(text.strip()) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{quoted_value(text)} is not a duration; write one as 180 days, 24 hours, 6 months or 1 year")
    duration = Duration(int(match[1]), match[2])
    if duration.days > LONGEST.days:
        raise ValueError(f"{quoted_value(text)} is longer than {LONGEST}; for everything so far leave it out")
    return duration


DurationText = Annotated[
    Duration,
    PlainValidator(parse_duration),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,5} (day|month|year|hour)s?$"}),
]
"""A duration in a ruleset."""


def _moment(value: Any, info: ValidationInfo) -> int:
    is_file = bool(info.context and info.context.get("written"))
    if isinstance(value, int) and not isinstance(value, bool) and not is_file:
        return value
    try:
        return to_microseconds(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        raise ValueError(
            f"{quoted_value(value)} is not a date; write one as 2024-07-01 or 2024-07-01T12:00:00Z"
        ) from None


MomentText = Annotated[
    int,
    BeforeValidator(_moment),
    PlainSerializer(iso_text),
    WithJsonSchema({"type": "string", "format": "date"}),
]
"""A date or time in a ruleset, kept in microseconds; in a file it is text: 20240701 would be a number."""
