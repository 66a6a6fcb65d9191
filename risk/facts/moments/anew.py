"""The next values of aggregates that are computed anew at each moment at which a fact enters their window or leaves it.

They are those whose values do not follow from the ones before, newest fact first, and those of windows that end in the
past, into which facts come as well. The values are those of `risk.facts.aggregates` itself, as of these moments.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Final

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.risk.facts.aggregates import ROW, aggregate
from fivefold.risk.facts.linked import TIME, LinkedFacts
from fivefold.risk.facts.moments.leaving import is_on_the_calendar
from fivefold.risk.facts.moments.steps import AT, VALUE, FactsAhead
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, signal_of
from fivefold.risk.facts.windows import closes, looked_at, opens
from fivefold.risk.language.expressions import (
    Largest,
    Median,
    New,
    Percentile,
    Share,
    StandardDeviation,
    Window,
    input_key,
)
from fivefold.risk.language.quantities import back_to_begin

MOST_MOMENTS: Final = 32
"""So many changes of a window ahead its value is looked at; that may be early, and is never late."""

SIGNAL: Final = "@signal"
"""The moment of the latest fact that counts from then on."""

_DAYS_AROUND: Final = 8
"""Months are of 28 to 31 days, so two lengths counted one after the other miss a moment by six days at the most."""

_SOURCE_OF: Final = (Largest, Median, New, Percentile, Share, StandardDeviation)


def is_made_anew(window: Window) -> bool:
    """Tell whether time changes the value of an aggregate, and it does not follow from the one before."""
    return window.ending is not None or (window.over is not None and isinstance(window, _SOURCE_OF))


def turns_of(facts: pl.LazyFrame, window: Window) -> pl.LazyFrame:
    """Give the moments after as-of at which facts enter a window or leave it; exact, on the calendar too.

    Args:
        facts: `@row`, `as_of` and `time`, some of them perhaps later than the window, or earlier.
        window: an aggregate's.

    Returns:
        `@row` and `@at`, one for each fact and change.
    """
    dated = facts.select(ROW, AS_OF, TIME).drop_nulls()
    entering = [pl.col(TIME) if window.ending is None else window.ending.after(pl.col(TIME))]
    leaving = []
    if window.over is not None:
        lengths = back_to_begin(window.over, window.ending)
        leaving.append(reduce(lambda left, length: length.after(left), reversed(lengths), pl.col(TIME)))
    candidates = [one for moment in (*entering, *leaving) for one in _around(moment, window)]
    tried = dated.with_columns(pl.concat_list(candidates).list.unique().alias(AT)).explode(AT)
    changes = _is_inside(window, pl.col(AT)) != _is_inside(window, pl.col(AT) - 1)
    return tried.filter((pl.col(AT) > pl.col(AS_OF)) & changes).select(ROW, AT)


def _around(moment: pl.Expr, window: Window) -> list[pl.Expr]:
    """Give the moments at which a fact may pass an edge: on the calendar at its time of day, and as a day begins."""
    lengths = [length for length in (window.over, window.ending) if length is not None]
    if not any(map(is_on_the_calendar, lengths)):
        return [moment]
    ending = window.ending
    is_shifted = ending is not None and not is_on_the_calendar(ending)
    zero = pl.lit(0, pl.Int64)
    shift = ending.after(zero) if is_shifted and ending is not None else zero
    begins = moment - (moment - shift) % DAY_US
    days = [pl.lit(day * DAY_US, pl.Int64) for day in range(-_DAYS_AROUND, _DAYS_AROUND + 1)]
    return [each + day for each in (moment, begins) for day in days]


def _is_inside(window: Window, moment: pl.Expr) -> pl.Expr:
    inside = pl.col(TIME) <= closes(window, moment)
    return inside if window.over is None else inside & (pl.col(TIME) > opens(window, moment))


@dataclass(frozen=True)
class Anew:
    """The next values of an aggregate.

    Attributes:
        steps: `@row`, `@at`, `@value` and `@signal`, at most `MOST_MOMENTS` of each row.
        later: `@row` and `@at` of the last of these, where others come after it.
    """

    steps: pl.LazyFrame
    later: pl.LazyFrame


def made_anew(facts: FactsAhead, window: Window, source: tuple[str, LinkedFacts], entities: pl.DataFrame) -> Anew:
    """Compute an aggregate as of the next moments at which what it counts changes.

    Args:
        facts: those that time may bring or take.
        window: the aggregate.
        source: the name of its source, and all facts of it.
        entities: `entity_id` and `as_of`.
    """
    whole = looked_at(window)
    counted = facts.rows.lazy().filter(*(pl.col(name) for name, _ in facts.masks.conditions(whole)))
    moments = turns_of(counted, window).unique().sort(ROW, AT).collect()
    next_ones = moments.filter(pl.int_range(pl.len()).over(ROW) < MOST_MOMENTS)
    key, (name, linked) = input_key(window), source
    names = entities[ENTITY].gather(next_ones[ROW])
    entity_moments = pl.DataFrame({ENTITY: names, AS_OF: next_ones[AT]})
    if not len(entity_moments):
        schema = {ROW: pl.UInt32, AT: pl.Int64, VALUE: pl.Float64, SIGNAL: pl.Int64}
        return Anew(pl.LazyFrame(schema=schema), pl.LazyFrame(schema={ROW: pl.UInt32, AT: pl.Int64}))
    values = aggregate(entity_moments, {name: linked}, [window], facts.masks.lists, [key])
    steps = next_ones.with_columns(values[key].alias(VALUE), values[signal_of(key)].alias(SIGNAL))
    ends = next_ones.group_by(ROW).agg(pl.col(AT).max(), pl.len().alias("@count"))
    later = ends.filter(pl.col("@count") == MOST_MOMENTS).select(ROW, AT)
    return Anew(steps.lazy(), later.lazy())
