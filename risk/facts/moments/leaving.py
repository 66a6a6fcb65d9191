"""When a fact leaves a window as time passes: the moments from which (as-of - w, as-of] does not contain it.

In days and hours that is the fact's own moment plus the length. On the calendar it is the inverse of `Duration.before`,
which rises by steps and falls back: one month before 28, 29, 30 and 31 March is 28 February each time. So a fact of 28
February at noon leaves at noon, is inside again from midnight, and leaves again.
"""

from datetime import date

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.risk.facts.portfolio import AS_OF
from fivefold.risk.language.quantities import EPOCH_DAY, MONTHS_OF, Duration


def is_on_the_calendar(over: Duration) -> bool:
    """Check whether a length is counted in months or years."""
    return over.unit in MONTHS_OF


def leaves(moment: pl.Expr, over: Duration) -> pl.Expr:
    """Return the next moment after `as_of` at which facts that are inside leave; exact.

    Args:
        moment: the moment of each fact (microseconds), inside the window as of `as_of`.
        over: the length of the window.
    """
    after = over.after(moment)
    if not is_on_the_calendar(over):
        return after
    last = pl.max_horizontal(after, AS_OF)
    by_day = last - last % DAY_US + moment % DAY_US
    # A day that the later month lacks: 31 January is inside throughout 28 February, and leaves on 1 March.
    return pl.when(_day(after) < _day(moment)).then(_next_month(after)).otherwise(by_day)


def returns(moment: pl.Expr, over: Duration) -> pl.Expr:
    """Return the first midnight after `as_of`, and after it has left, from which a fact is inside again; null for none.

    Args:
        moment: the moment of each fact, inside the window or not, not after `as_of`.
        over: the length of the window.
    """
    if not is_on_the_calendar(over):
        return pl.lit(None, pl.Int64)
    after = over.after(moment)
    last = pl.max_horizontal(after, AS_OF)
    midnight = last - last % DAY_US + DAY_US
    is_last_day = _day(moment + DAY_US) == 1
    return pl.when(is_last_day & (moment % DAY_US > 0) & (midnight < _next_month(after))).then(midnight)


def _day(moment: pl.Expr) -> pl.Expr:
    return moment.cast(pl.Datetime("us")).dt.day()


def _next_month(moment: pl.Expr) -> pl.Expr:
    return moment.cast(pl.Datetime("us")).dt.truncate("1mo").dt.offset_by("1mo").cast(pl.Int64)


def leaves_at(moment: int, over: Duration, as_of: int) -> int:
    """Compute `leaves` for one fact; raises ValueError or OverflowError beyond the years of Python's calendar.

    >>> leaves_at(0, Duration(1, "day"), 1)
    86400000000
    """
    after = over.moment_after(moment)
    if not is_on_the_calendar(over):
        return after
    if _day_at(after) < _day_at(moment):
        return _next_month_at(after)
    last = max(after, as_of)
    return last - last % DAY_US + moment % DAY_US


def returns_at(moment: int, over: Duration, as_of: int) -> int | None:
    """Compute `returns` for one fact; raises as `leaves_at` does."""
    if not is_on_the_calendar(over) or moment % DAY_US == 0 or _day_at(moment + DAY_US) != 1:
        return None
    after = over.moment_after(moment)
    last = max(after, as_of)
    midnight = last - last % DAY_US + DAY_US
    return midnight if midnight < _next_month_at(after) else None


def _date_at(moment: int) -> date:
    return date.fromordinal(EPOCH_DAY + moment // DAY_US)


def _day_at(moment: int) -> int:
    return _date_at(moment).day


def _next_month_at(moment: int) -> int:
    begin = _date_at(moment)
    following = date(begin.year + begin.month // 12, begin.month % 12 + 1, 1)
    return (following.toordinal() - EPOCH_DAY) * DAY_US
