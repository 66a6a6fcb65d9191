"""What is counted of each group of facts, and how that becomes the value of an aggregate."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.values import Column
from fivefold.risk.facts.linked import TIME, LinkedFacts
from fivefold.risk.facts.portfolio import AS_OF, error_of, signal_of
from fivefold.risk.facts.windows import Masks, value_column
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.inputs import Count, Distinct, Least, Mean, Sum, Window

NUMBER_UNITS = 10**9
"""Numbers are added in whole billionths, so that a sum neither drifts nor depends on the order: 0.1 + 0.2 is 0.3."""

NUMBER_DIGITS = 15
"""So many digits of a number are as they were written; a float has no more."""
SMALL_DIGITS = 6
"""Numbers below a million have whole billionths as they are."""
_EXACT = 2**53
"""Up to here every whole number is a float."""


@dataclass
class Partials:
    """Collects what a set of aggregates needs of every group; what several need is computed once.

    Sums are 128-bit integers, which no number of facts can overflow: a value that does not fit its column is an error
    of its entity, never a wrapped number.

    Attributes:
        facts: what is counted.
        masks: which of them count, for each aggregate.
        sums: expressions within a group, by the names of their columns.
        used: the masks that they read.
    """

    facts: LinkedFacts
    masks: Masks
    sums: dict[str, pl.Expr] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    _finals: dict[str, pl.Expr] = field(default_factory=dict)
    _totals: dict[str, pl.Expr] = field(default_factory=dict)

    def add(self, key: str, window: Window, *, signal: bool) -> None:
        """Collect what one aggregate needs, and perhaps the moment of the latest fact that it counted."""
        column = value_column(window, self.facts)
        self._finals[key] = self._lone(window) if column is None else self._over(key, window, column)
        if signal:
            self._finals[signal_of(key)] = pl.col(self._part("max", TIME, self._known_mask(window, column)))

    def values(self, totals: pl.DataFrame) -> pl.DataFrame:
        """Make the values, and the errors where a sum of money is too large, from the row of each entity."""
        values = totals.select(**self._finals)
        for key, total in self._totals.items():
            if values[key].null_count():
                text = pl.format("the sum is {} minor units, more than can be kept", total)
                values = values.with_columns(
                    totals.select(pl.when(values[key].is_null()).then(text).alias(error_of(key)))
                )
        return values

    def _lone(self, window: Window) -> pl.Expr:
        """Make an aggregate of the facts themselves: their number, or the days since the latest."""
        if isinstance(window, Count):
            return self._count(window, None)
        return quotient(pl.col(AS_OF) - pl.col(self._part("max", TIME, self.masks.of(window))), DAY_US)

    def _over(self, key: str, window: Window, column: Column) -> pl.Expr:
        """Make an aggregate of a field's values."""
        match window:
            case Sum():
                return self._sum(key, window, column)
            case Mean():
                count = self._count(window, column)
                return pl.when(count > 0).then(self._total(window, column) / (count * _units(column)))
            case Distinct():
                name = self._part("distinct", column.name, self.masks.of(window, column.name))
                return pl.col(name).fill_null(0).cast(pl.Float64)
            case _:
                how = "min" if isinstance(window, Least) else "max"
                return pl.col(self._part(how, column.name, self.masks.of(window)))

    def _sum(self, key: str, window: Window, column: Column) -> pl.Expr:
        total = self._total(window, column).fill_null(0)
        if column.kind is not ValueType.MONEY:
            return in_numbers(total)
        self._totals[key] = total
        return total.cast(pl.Int64, strict=False)

    def _count(self, window: Window, column: Column | None) -> pl.Expr:
        return pl.col(self._part("count", TIME, self._known_mask(window, column))).fill_null(0).cast(pl.Float64)

    def _total(self, window: Window, column: Column) -> pl.Expr:
        how = "money" if column.kind is ValueType.MONEY else "number"
        return pl.col(self._part(how, column.name, self.masks.of(window)))

    def _known_mask(self, window: Window, column: Column | None) -> str:
        """Name the mask of facts whose value is known; an amount always is."""
        return self.masks.of(window, None if column is None or column.kind is ValueType.MONEY else column.name)

    def _part(self, how: str, column: str, mask: str) -> str:
        """Name the result of *how* over the values of a column where a mask is true."""
        name = f"@{how} {column} {mask}"
        self.used.add(mask)
        self.sums.setdefault(name, _PARTS[how](pl.col(column), pl.col(mask)))
        return name


def quotient(value: pl.Expr, by: int) -> pl.Expr:
    """Divide by a constant as IEEE 754 says: Polars itself multiplies by its inverse, which may be one bit away.

    >>> float(pl.select(quotient(pl.lit(pl.Series([3.0, 7.0])), 10)).item(0, 0))
    0.3
    """
    return value / (value * 0 + by)


def in_numbers(total: pl.Expr) -> pl.Expr:
    """Give whole billionths as numbers: a large one in two parts, as it would lose digits before it is divided."""
    small = quotient(total.cast(pl.Float64), NUMBER_UNITS)
    whole = (total // NUMBER_UNITS).cast(pl.Float64)
    large = whole + quotient((total % NUMBER_UNITS).cast(pl.Float64), NUMBER_UNITS)
    return pl.when(total.abs() <= _EXACT).then(small).otherwise(large)


def billionths(value: pl.Expr) -> pl.Expr:
    """Give numbers in whole billionths as they were written, to 15 digits.

    From a million on a billionth is finer than a float: 100000000.01 times a billion is not 100000000010000000. There
    the part behind the point is rounded to as many decimals as 15 digits leave.
    """
    whole = value.floor()
    large: Any = pl
    for digits in range(SMALL_DIGITS + 1, NUMBER_DIGITS + 1):  # before the point
        decimals = NUMBER_DIGITS - digits
        rounded = ((value - whole) * 10**decimals).round(mode="half_to_even").cast(pl.Int128)
        large = large.when(value.abs() < 10.0**digits).then(rounded * (NUMBER_UNITS // 10**decimals))
    whole_units = whole.cast(pl.Int128) * NUMBER_UNITS
    small = (value * NUMBER_UNITS).round(mode="half_to_even").cast(pl.Int128)
    exact = whole_units + large.otherwise(pl.lit(0, pl.Int128))
    return pl.when(value.abs() < 10.0**SMALL_DIGITS).then(small).otherwise(exact)


def _units(column: Column) -> int:
    return 1 if column.kind is ValueType.MONEY else NUMBER_UNITS


def _where(value: pl.Expr, mask: pl.Expr) -> pl.Expr:
    """Keep the values where the mask is true; inside a group that is half the time of a filter."""
    return pl.when(mask).then(value)


_PARTS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "count": lambda _, mask: mask.sum(),
    "money": lambda value, mask: _where(value, mask).cast(pl.Int128).sum(),
    "number": lambda value, mask: billionths(_where(value, mask)).sum(),
    "min": lambda value, mask: _where(value, mask).min(),
    "max": lambda value, mask: _where(value, mask).max(),
    "distinct": lambda value, mask: value.filter(mask).n_unique(),
}
