"""The next values of aggregates: by steps as facts leave, or anew at each moment at which one enters or leaves.

A value is computed anew if it does not follow from the previous one, with the newest fact first. So is a value whose
window ends in the past, as facts also enter such a window. The values are those of `risk.facts.aggregates` itself, as
of these moments.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.value_types import InputColumn
from fivefold.risk.facts.aggregates import NUMBER_UNITS, ROW, aggregate, billionths, in_numbers
from fivefold.risk.facts.linked import TIME, LinkedFacts
from fivefold.risk.facts.moments.leaving import is_on_the_calendar
from fivefold.risk.facts.moments.steps import AT, VALUE, FactsAhead, newer, stepwise
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, signal_of
from fivefold.risk.facts.windows import closes, looked_at, opens, value_column
from fivefold.risk.language.expressions import (
    Count,
    DaysSince,
    Distinct,
    Largest,
    Least,
    Mean,
    Median,
    Most,
    New,
    Percentile,
    Share,
    StandardDeviation,
    Sum,
    Window,
    input_key,
)
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.quantities import back_to_begin

MOST_MOMENTS: Final = 32
"""Changes of a window for which its value is computed ahead; the result may be early, and is never late."""

SIGNAL: Final = "@signal"
"""The moment of the latest fact that counts from then on."""

_DAYS_AROUND: Final = 8
"""Days tried around a moment: months have 28 to 31 days, so two lengths in turn miss a moment by at most six."""

_SOURCE_OF: Final = (Largest, Median, New, Percentile, Share, StandardDeviation)


def is_made_anew(window: Window) -> bool:
    """Check whether an aggregate must be computed anew: time changes it, and no value follows from the last."""
    return window.ending is not None or (window.over is not None and isinstance(window, _SOURCE_OF))


def turns_of(facts: pl.LazyFrame, window: Window) -> pl.LazyFrame:
    """Return the moments after as-of at which facts enter or leave a window; exact, also on the calendar.

    Args:
        facts: `@row`, `as_of` and `time`, some perhaps outside the window.
        window: the window of an aggregate.

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
    """Return the moments at which a fact may pass an edge: on the calendar at its time of day, and as a day begins."""
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
        later: `@row` and `@at` of the last of these, in rows where others may follow.
    """

    steps: pl.LazyFrame
    later: pl.LazyFrame


def made_anew(facts: FactsAhead, window: Window, source: tuple[str, LinkedFacts], entities: pl.DataFrame) -> Anew:
    """Compute an aggregate as of the next moments at which the facts that it counts change.

    Args:
        facts: the facts that time may bring or take.
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


def aggregate_steps(facts: FactsAhead, window: Window) -> pl.LazyFrame:
    """Return the steps of an aggregate with a window; for days since, only the end, when the latest fact has gone."""
    column = value_column(window, facts.masks.facts)
    if isinstance(window, DaysSince):
        return last_leaves(facts, window).with_columns(pl.lit(None, pl.Float64).alias(VALUE))
    return stepwise(facts.counted(window, *_value_conditions(column)), _VALUES[type(window)](column))


def last_leaves(facts: FactsAhead, window: Window) -> pl.LazyFrame:
    """Find when the latest fact that counts leaves."""
    conditions = _value_conditions(value_column(window, facts.masks.facts))
    return facts.counted(window, *conditions).group_by(ROW).agg(pl.col(AT).max())


def _value_conditions(column: InputColumn | None) -> list[pl.Expr]:
    """Require a value in fields where it can be missing; amounts always have one."""
    return [] if column is None or column.kind is ValueType.MONEY else [pl.col(column.name).is_not_null()]


def _count(_: InputColumn | None = None) -> pl.Expr:
    return newer(pl.int_range(1, pl.len() + 1).over(ROW)).fill_null(0)


def _total(column: InputColumn) -> pl.Expr:
    value = pl.col(column.name)
    units = value.cast(pl.Int128) if column.kind is ValueType.MONEY else billionths(value)
    return newer(units.fill_null(0).cum_sum().over(ROW)).fill_null(0)


def _sum(column: InputColumn) -> pl.Expr:
    return _total(column).cast(pl.Int64, strict=False) if column.kind is ValueType.MONEY else in_numbers(_total(column))


def _mean(column: InputColumn) -> pl.Expr:
    units = 1 if column.kind is ValueType.MONEY else NUMBER_UNITS
    count = _count().cast(pl.Float64)
    return pl.when(count > 0).then(_total(column) / (count * units))


def _distinct(column: InputColumn) -> pl.Expr:
    first = pl.struct(ROW, column.name).is_first_distinct()
    return newer(first.cast(pl.Int64).cum_sum().over(ROW)).fill_null(0).cast(pl.Float64)


_VALUES: Mapping[type[Window], Callable[[Any], pl.Expr]] = {
    Count: lambda column: _count(column).cast(pl.Float64),
    Sum: _sum,
    Mean: _mean,
    Least: lambda column: newer(pl.col(column.name).cum_min().over(ROW)),
    Most: lambda column: newer(pl.col(column.name).cum_max().over(ROW)),
    Distinct: _distinct,
}
