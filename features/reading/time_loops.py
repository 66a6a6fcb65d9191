"""The loop over times as text, compiled like the kernel; see `features.reading.compiled_loops`."""

import numpy as np
import numpy.typing as npt

from fivefold.features.histories import Integers

Bytes = npt.NDArray[np.uint8]

SIGNATURES = {
    "read_plain_times": "boolean(Array(uint8,1,'C',True), Array(int64,1,'C',True), Array(int64,1,'C',True), int64, "
    "int64, int64[::1])"
}

_MICROSECONDS = 1_000_000
_NO_TIME = -1 << 62
_ZERO, _NINE, _MINUS, _PLUS, _COLON, _POINT, _SPACE, _T, _Z = 48, 57, 45, 43, 58, 46, 32, 84, 90


def _digits(data: Bytes, at: int, count: int) -> int:
    """Read that many digits; -1 where one is none."""
    number = 0
    for place in range(at, at + count):
        digit = int(data[place]) - _ZERO
        if digit < 0 or digit > 9:
            return -1
        number = 10 * number + digit
    return number


def _days(year: int, month: int, day: int) -> int:
    """Count the days since 1970 of a date; the year begins in March, so that a leap day is its last.

    Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
    """
    if month <= 2:
        year -= 1
    century = year // 400
    of_century = year - century * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return century * 146_097 + of_century * 365 + of_century // 4 - of_century // 100 + of_year - 719_468


def _month_days(year: int, month: int) -> int:
    if month == 2:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return 29 if leap else 28
    return 30 + (month + month // 8) % 2


def _plain_date(data: Bytes, at: int) -> int:
    """Read YYYY-MM-DD as microseconds at its midnight; _NO_TIME where it is no such date."""
    if data[at + 4] != _MINUS or data[at + 7] != _MINUS:
        return _NO_TIME
    year, month, day = _digits(data, at, 4), _digits(data, at + 5, 2), _digits(data, at + 8, 2)
    if year < 1 or month < 1 or month > 12 or day < 1 or day > _month_days(year, month):
        return _NO_TIME
    return _days(year, month, day) * 86_400 * _MICROSECONDS


def _plain_clock(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Read [T ]HH:MM[:SS[.f]]: microseconds, -1 where it is none, and where it ends."""
    if end - at < 6 or (data[at] != _T and data[at] != _SPACE) or data[at + 3] != _COLON:
        return -1, at
    hour, minute, second, fraction = _digits(data, at + 1, 2), _digits(data, at + 4, 2), 0, 0
    at += 6
    if end - at >= 3 and data[at] == _COLON:
        second = _digits(data, at + 1, 2)
        at += 3
        if end - at >= 2 and data[at] == _POINT:
            at += 1
            scale = _MICROSECONDS
            begun = at
            finer = 0
            while at < end and data[at] >= _ZERO and data[at] <= _NINE:
                scale //= 10
                fraction += (int(data[at]) - _ZERO) * scale
                if scale == 0 and data[at] != _ZERO:
                    finer = 1  # goes up to the next microsecond: what is after as-of must not count as at as-of
                at += 1
            fraction += finer
            if at == begun or at - begun > 9:
                return -1, at
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return -1, at
    return ((hour * 60 + minute) * 60 + second) * _MICROSECONDS + fraction, at


def _plain_zone(data: Bytes, at: int, end: int) -> int:
    """Read Z or +HH, +HHMM, +HH:MM up to the end: microseconds to take away, _NO_TIME where it is none."""
    left = end - at
    if left == 1 and data[at] == _Z:
        return 0
    if left < 3 or (data[at] != _PLUS and data[at] != _MINUS):
        return _NO_TIME
    hour, minute = _digits(data, at + 1, 2), -1
    if left == 3:
        minute = 0
    elif left == 5:
        minute = _digits(data, at + 3, 2)
    elif left == 6 and data[at + 3] == _COLON:
        minute = _digits(data, at + 4, 2)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59:
        return _NO_TIME
    ahead = (hour * 60 + minute) * 60 * _MICROSECONDS
    return ahead if data[at] == _PLUS else -ahead


def read_plain_times(data: Bytes, begins: Integers, ends: Integers, earliest: int, latest: int, out: Integers) -> bool:
    """Read ISO 8601 times as microseconds; False where one is not plain, or before *earliest* or after *latest*."""
    for row in range(len(begins)):
        at, end = begins[row], ends[row]
        if at < 0 or end - at < 10:
            return False
        time = _plain_date(data, at)
        if time == _NO_TIME:
            return False
        at += 10
        if at < end:
            clock, at = _plain_clock(data, at, end)
            if clock < 0:
                return False
            time += clock
        if at < end:
            zone = _plain_zone(data, at, end)
            if zone == _NO_TIME:
                return False
            time -= zone
        if time < earliest or time > latest:
            return False
        out[row] = time
    return True
