"""When days since a moment cross a bound: exact to the microsecond, in the floats that conditions compare."""

import math
from functools import lru_cache
from typing import Final

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.risk.facts.aggregates import quotient
from fivefold.risk.facts.moments.cuts import Cuts
from fivefold.risk.facts.portfolio import AS_OF

FARTHEST_US: Final = 1 << 62
"""Longer than any time past or ahead; twice as much still fits 64 bits."""
EXACT_DAYS: Final = 25_000.0
"""Up to here, 68 years, days as a float distinguish each microsecond from the next."""
COARSEST_US: Final = 16
"""Beyond that, up to this many microseconds are one float, within the range of dates."""


@lru_cache(maxsize=4096)
def least_elapsed(days: float, *, beyond: bool) -> int:
    """Return the fewest microseconds that are at least *days*, or more with *beyond*, as `quotient` divides.

    >>> least_elapsed(1.0, beyond=False), least_elapsed(1.0, beyond=True)
    (86400000000, 86400000001)
    """

    def is_passed(elapsed: int) -> bool:
        value = float(elapsed) / float(DAY_US)
        return value > days if beyond else value >= days

    if not is_passed(FARTHEST_US):
        return FARTHEST_US
    low, high = -FARTHEST_US, FARTHEST_US
    while high - low > 1:  # days as a float never fall as microseconds rise
        middle = (low + high) // 2
        low, high = (low, middle) if is_passed(middle) else (middle, high)
    return high


def crossing(days: pl.Expr, elapsed: pl.Expr, cuts: Cuts) -> pl.Expr:
    """Return the next moment after `as_of` at which days since a moment pass a cut; null for none.

    Args:
        days: the days as they are compared; null if there is no moment.
        elapsed: the same in microseconds, or a little more.
        cuts: the cuts of the days.
    """
    ahead = []
    for bound, beyond in cuts.at:
        end = least_elapsed(float(bound), beyond=beyond)
        is_ahead = (days <= float(bound)) if beyond else (days < float(bound))
        if end < FARTHEST_US:
            ahead.append(pl.when(is_ahead).then(pl.col(AS_OF) + (end - elapsed).clip(lower_bound=1)))
    return pl.min_horizontal(ahead) if ahead else pl.lit(None, pl.Int64)


def elapsed_of(days: pl.Expr) -> pl.Expr:
    """Convert days as a float to microseconds: the most that give this float, so that no result is late.

    Beyond 68 years that may be 16 too many; results are then early by as much, and are computed again.
    """
    around = (days * DAY_US).round().cast(pl.Int64)
    same = [pl.when(quotient(around + by, DAY_US) == days).then(around + by) for by in (-1, 0, 1)]
    return pl.when(days.abs() > EXACT_DAYS).then(around + COARSEST_US).otherwise(pl.max_horizontal(same))


def crossing_at(days: float | None, elapsed: int | None, as_of: int, cuts: Cuts) -> int | None:
    """Compute `crossing` for one entity."""
    ahead = []
    for bound, beyond in cuts.at if days is not None and elapsed is not None else ():
        assert days is not None  # or there is no cut
        assert elapsed is not None
        end = least_elapsed(float(bound), beyond=beyond)
        is_ahead = days <= float(bound) if beyond else days < float(bound)
        if is_ahead and end < FARTHEST_US:
            ahead.append(as_of + max(end - elapsed, 1))
    return min(ahead, default=None)


def elapsed_at(days: float | None) -> int | None:
    """Compute `elapsed_of` for one entity."""
    if days is None:
        return None
    size = days * DAY_US
    around = math.floor(abs(size) + 0.5) * (1 if size >= 0 else -1)
    if abs(days) > EXACT_DAYS:
        return around + COARSEST_US
    same = [around + by for by in (-1, 0, 1) if float(around + by) / float(DAY_US) == days]
    return max(same, default=None)
