"""The steps of aggregates: their values as facts leave the window, by the definitions of `risk.facts.aggregates`."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from fivefold.risk.compiler.value_types import InputColumn
from fivefold.risk.facts.aggregates import NUMBER_UNITS, ROW, billionths, in_numbers
from fivefold.risk.facts.moments.steps import AT, VALUE, FactsAhead, newer, stepwise
from fivefold.risk.facts.windows import value_column
from fivefold.risk.language.expressions import Count, DaysSince, Distinct, Least, Mean, Most, Sum, Window
from fivefold.risk.language.fields import ValueType


def aggregate_steps(facts: FactsAhead, window: Window) -> pl.LazyFrame:
    """Give the steps of an aggregate with a window; of days since, only the end, when the latest fact has gone."""
    column = value_column(window, facts.masks.facts)
    if isinstance(window, DaysSince):
        return last_leaves(facts, window).with_columns(pl.lit(None, pl.Float64).alias(VALUE))
    return stepwise(facts.counted(window, *_value_conditions(column)), _VALUES[type(window)](column))


def last_leaves(facts: FactsAhead, window: Window) -> pl.LazyFrame:
    """Give when the latest fact leaves of those that count."""
    conditions = _value_conditions(value_column(window, facts.masks.facts))
    return facts.counted(window, *conditions).group_by(ROW).agg(pl.col(AT).max())


def _value_conditions(column: InputColumn | None) -> list[pl.Expr]:
    """Ask for a value where one can be missing; an amount always is there."""
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
