"""Checks of people's input: a reason, a number, a rate, a moment, or a quarter of a calendar year in UTC."""

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from fivefold.domain.clock import DAY_WRITTEN, EARLIEST_YEAR, day_text, from_microseconds, parse_moment, to_microseconds
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.usecases.shared.entity_checks import storable

MAX_REASON_CHARACTERS = 2000
MOST_PER_SECOND = 100_000
EARLIEST_US, LATEST_US = to_microseconds(date(EARLIEST_YEAR, 1, 1)), to_microseconds(date(9000, 1, 1))
"""The range of plausible moments, which can all be written."""

MOST_DIGITS, FEW_DIGITS = 18, 9
"""The most digits of any row's number, and of one in a small table, which the database's integers can hold.

The numbers of events have 16 digits, as they count on from the current moment in microseconds.
"""


def digits(written: str, most: int = MOST_DIGITS) -> int | None:
    """Read a whole number of at most *most* decimal digits; None if the text is not one.

    >>> digits("012"), digits("-1"), digits("1234567890", FEW_DIGITS)
    (12, None, None)
    """
    return int(written) if written.isascii() and written.isdecimal() and len(written) <= most else None


def checked_reason(reason: str, what: str = "reason") -> str:
    r"""Return a reason without surrounding space, with LF line ends; ConfigError if it is empty or too long.

    >>> checked_reason(" One line,\r\nand another ")
    'One line,\nand another'
    """
    text = reason.strip().replace("\r\n", "\n") if isinstance(reason, str) else ""
    if not 1 <= len(text) <= MAX_REASON_CHARACTERS or not storable(text):
        raise ConfigError(f"{what} must say why, in 1 to {MAX_REASON_CHARACTERS} characters")
    return text


def reason_if_any(reason: str) -> str:
    """Return a reason as `checked_reason` does, or an empty text if it is empty.

    >>> reason_if_any(" One line "), reason_if_any(" ")
    ('One line', '')
    """
    return checked_reason(reason) if reason.strip() else ""


def require_known(what: str, words: Iterable[str | None], known_words: Collection[str]) -> None:
    """Raise ConfigError if one of the *words* is not among *known_words*; None is ignored. *what* names their kind."""
    for name in words:
        if name is not None and name not in known_words:
            raise ConfigError(f"there is no {what} {name!r}; there are {', '.join(known_words) or 'none yet'}")


def refuse_unseen(what: str, expected: int | None, present: int | None) -> None:
    """Raise ConflictError if *what* now has another number than the person saw.

    Numbers begin at 1. *expected* is 0 if the person saw none, and None for no check; *present* is 0 or None if there
    is none.

    >>> refuse_unseen("the active version of payments", 0, None)
    """
    if expected is not None and expected != (present or 0):
        raise ConflictError(f"{what} is {present or 'none'} now; it was {expected or 'none'} when this was looked at")


def refuse_unseen_numbers(what: str, expected: Collection[int] | None, present: Collection[int]) -> None:
    """Raise ConflictError if *what* are now others than the person saw; None for *expected* means no check."""
    if expected is not None and {*expected} != {*present}:
        now, then = (", ".join(map(str, sorted(each))) or "none" for each in (present, expected))
        raise ConflictError(f"{what} are {now} now; they were {then} when it was looked at")


def refuse_unseen_moment(what: str, expected_us: int | None, present_us: int) -> None:
    """Raise ConflictError if *what* was made at another moment than the person saw, and so is another one.

    A restored database assigns the numbers from after the backup again. *expected_us* is None for no check.
    """
    if expected_us is not None and expected_us != present_us:
        raise ConflictError(
            f"{what} is another one now, of {day_text(present_us)}; what was looked at is of {day_text(expected_us)}"
        )


def refuse_unseen_state(what: str, expected: str | None, present: str) -> None:
    """Raise ConflictError if *what* is now in another state than the person saw; None means no check.

    The same action has another effect on a version that was approved meanwhile.
    """
    if expected is not None and expected != present:
        raise ConflictError(f"{what} is {present} now; it was {expected} when this was looked at")


def refuse_unseen_content(what: str, expected_hash: str | None, present_hash: str) -> None:
    """Raise ConflictError if *what* has other content than the person saw; None means no check.

    A restored database assigns the version numbers from after the backup again.
    """
    if expected_hash is not None and expected_hash != present_hash:
        raise ConflictError(
            f"{what} says something else now than what was looked at: its content hash is {present_hash}"
        )


def checked_per_second(per_second: int) -> int:
    """Return the number of entities that become due in a second; ConfigError if it is invalid."""
    if type(per_second) is not int or not 1 <= per_second <= MOST_PER_SECOND:
        raise ConfigError(f"per_second is {per_second!r}; it must be a whole number from 1 to {MOST_PER_SECOND}")
    return per_second


def checked_moment(moment_us: int, what: str) -> int:
    """Return a moment in microseconds; ConfigError if it is invalid."""
    if type(moment_us) is not int or not EARLIEST_US <= moment_us < LATEST_US:
        raise ConfigError(f"{what} is {moment_us!r}; it must be a moment in microseconds since 1970, from 1900 to 9000")
    return moment_us


def read_moment(written: str, what: str) -> int:
    """Read a date or time that a person wrote, as microseconds; ConfigError if it is invalid or implausible.

    >>> read_moment("1970-01-02", "the day")
    86400000000
    """
    with suppress(ConfigError):
        moment_us = parse_moment(written)
        if EARLIEST_US <= moment_us < LATEST_US:
            return moment_us
    # The example has no zone: a page would rewrite a moment with a zone in the words and zone of its reader.
    must_be = "an ISO 8601 date or time such as 2024-07-01 or 2024-07-01T12:00, from 1900 on and before 9000"
    raise ConfigError(f"{what} is {written!r}; it must be {must_be}")


def read_day(written: str, what: str) -> int:
    """Read a day that a person wrote, as its first moment; ConfigError if it is invalid or implausible.

    >>> read_day("1970-01-02", "the day")
    86400000000
    """
    if DAY_WRITTEN.fullmatch(written):
        with suppress(ConfigError):
            return read_moment(written, what)
    must_be = "a day such as 2026-07-01, from 1900 on and before 9000"
    raise ConfigError(f"{what} is {written[:40]!r}; it must be {must_be}")


_WRITTEN = re.compile(r"([0-9]{4})Q([1-4])")
LATEST_YEAR = 8999


@dataclass(frozen=True)
class Quarter:
    """A quarter, from its first moment until before the next quarter's; microseconds."""

    name: str
    from_us: int
    until_us: int


def read_quarter(name: str) -> Quarter:
    """Return the quarter of a name; ConfigError if the name is invalid.

    >>> quarter = read_quarter("1970Q1")
    >>> (quarter.from_us, quarter.until_us // 86_400_000_000)
    (0, 90)
    """
    match = _WRITTEN.fullmatch(name)
    year, number = (int(match[1]), int(match[2])) if match else (0, 0)
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        raise ConfigError(f"the quarter is {name!r}; it must be a year and a quarter from Q1 to Q4, such as 2026Q3")
    begins = date(year, 3 * number - 2, 1)
    ends = date(year + number // 4, 3 * number % 12 + 1, 1)
    return Quarter(name, to_microseconds(begins), to_microseconds(ends))


def quarter_of(moment_us: int) -> Quarter:
    """Return the quarter that a moment is in, in UTC.

    >>> quarter_of(to_microseconds(date(2026, 10, 1))).name, quarter_of(to_microseconds(date(2026, 10, 1)) - 1).name
    ('2026Q4', '2026Q3')
    """
    day = from_microseconds(moment_us)
    return read_quarter(f"{day.year}Q{(day.month + 2) // 3}")
