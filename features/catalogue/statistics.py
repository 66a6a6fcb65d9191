"""Scalar loops that several indicators share: plain Python when interpreted, compiled with their callers.

No NumPy reductions: `np.sum` and `np.mean` add in another order than a loop, and differ in the last bit.
"""

from math import exp, log, nan, sqrt

from numba.extending import register_jitable

from fivefold.domain.clock import DAY_US
from fivefold.features.histories import Floats, Integers

_DECAY_A_DAY = -log(2.0) / 360.0


@register_jitable
def in_days(duration_us: int) -> float:
    """Turn microseconds into days of 24 hours."""
    return duration_us / DAY_US


@register_jitable
def ratio(part: float, whole: float) -> float:
    """Divide; undefined (NaN) where the divisor is 0."""
    return part / whole if whole != 0.0 else nan


@register_jitable
def mean_of(values: Floats, first_row: int) -> float:
    """Mean of the values from *first_row* on."""
    total = 0.0
    for i in range(first_row, len(values)):
        total += values[i]
    return ratio(total, float(len(values) - first_row))


@register_jitable
def deviation_of(values: Floats, first_row: int) -> float:
    """Sample standard deviation (n - 1) of the values from *first_row* on; undefined below two."""
    if len(values) - first_row < 2:
        return nan
    mean = mean_of(values, first_row)
    squares = 0.0
    for i in range(first_row, len(values)):
        squares += (values[i] - mean) * (values[i] - mean)
    return sqrt(squares / (len(values) - first_row - 1))


@register_jitable
def mean_gap(time: Integers, first_row: int) -> float:
    """Mean days between neighbouring events from *first_row* on; undefined below two events."""
    if len(time) - first_row < 2:
        return nan
    return in_days(time[len(time) - 1] - time[first_row]) / (len(time) - first_row - 1)


@register_jitable
def deviation_of_gaps(time: Integers, first_row: int) -> float:
    """Sample standard deviation of the days between neighbouring events; undefined below three events."""
    if len(time) - first_row < 3:
        return nan
    mean = mean_gap(time, first_row)
    squares = 0.0
    for i in range(first_row + 1, len(time)):
        off = in_days(time[i] - time[i - 1]) - mean
        squares += off * off
    return sqrt(squares / (len(time) - first_row - 2))


@register_jitable
def power(base: float, exponent: int) -> float:
    """Raise to a whole power by squaring; not `**`, whose last bit depends on the library behind it."""
    product = 1.0
    while exponent > 0:
        if exponent % 2 == 1:
            product *= base
        base *= base
        exponent //= 2
    return product


@register_jitable
def held_from(time: Integers, first_row: int, window_start: int) -> int:
    """First row whose balance was held inside the window: the one carried into it, if there is one."""
    if first_row > 0 and (first_row == len(time) or time[first_row] > window_start):
        return first_row - 1
    return first_row


@register_jitable
def held_days(time: Integers, i: int, window_start: int, as_of: int) -> float:
    """Days inside the window for which the balance after row *i* was held."""
    begin = max(time[i], window_start)
    end = time[i + 1] if i + 1 < len(time) else as_of
    return in_days(end - begin)


@register_jitable
def rows_until(time: Integers, first: int, last: int, moment: int) -> int:
    """Find, in time[first:last], the first row after *moment*: an event at exactly that moment counts as before."""
    while first < last:
        middle = (first + last) // 2
        if time[middle] <= moment:
            first = middle + 1
        else:
            last = middle
    return first


@register_jitable
def fill_decay(decay: Floats, time: Integers, as_of: int) -> None:
    """Weigh each row: 1 at as-of, halved every 360 days before it."""
    for i in range(len(time)):
        decay[i] = exp(_DECAY_A_DAY * in_days(as_of - time[i]))
