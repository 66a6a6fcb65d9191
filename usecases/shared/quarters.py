"""Quarters of calendar years (UTC), as people write them: 2026Q3."""

import re
from dataclasses import dataclass
from datetime import date

from fivefold.domain.clock import EARLIEST_YEAR, to_microseconds
from fivefold.domain.errors import ConfigError

_WRITTEN = re.compile(r"([0-9]{4})Q([1-4])")
LATEST_YEAR = 8999


@dataclass(frozen=True)
class Quarter:
    """From its first moment on, and up to that of the next one, which is not in it; microseconds."""

    name: str
    from_us: int
    until_us: int


def quarter_named(name: str) -> Quarter:
    """Find a quarter by its name; ConfigError where there is none of that name.

    >>> found = quarter_named("1970Q1")
    >>> (found.from_us, found.until_us // 86_400_000_000)
    (0, 90)
    """
    found = _WRITTEN.fullmatch(name)
    year, number = (int(found[1]), int(found[2])) if found else (0, 0)
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        raise ConfigError(f"the quarter is {name!r}; it must be a year and a quarter from Q1 to Q4, such as 2026Q3")
    begins = date(year, 3 * number - 2, 1)
    ends = date(year + number // 4, 3 * number % 12 + 1, 1)
    return Quarter(name, to_microseconds(begins), to_microseconds(ends))
