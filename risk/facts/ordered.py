"""Aggregates of the single values in a window: the median, percentiles, the largest, the standard deviation.

They are made of exact numbers, one entity at a time: whole minor units, or numbers as they were written. What is kept
is the float that compares as the exact result does, as that of a calculation is: `risk.compiler.formulas.float_of`.
"""

from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, Decimal, localcontext
from fractions import Fraction
from typing import Any

import polars as pl

from fivefold.risk.compiler.formulas import float_of, written_number
from fivefold.risk.language.expressions import Largest, Median, Percentile, StandardDeviation, Window

_ROOT_DIGITS = 60
"""Roots are taken to so many digits: more than three times those of a number that a ruleset can write."""

_LEAST_FOR_DEVIATION = 2


def of_values(window: Window, values: pl.Expr, *, is_money: bool) -> pl.Expr:
    """Make an aggregate of lists of values.

    Args:
        window: a median, a percentile, the largest or a standard deviation.
        values: of each entity a list of Int64 (money in minor units) or Float64; null is an empty one.
        is_money: they are money.

    Returns:
        Of money Int128 for the largest, Int64 for a percentile; otherwise Float64. Null where unknown.
    """
    find = _FUNCTIONS[type(window)]
    kind = _MONEY_TYPES.get(type(window), pl.Float64) if is_money else pl.Float64

    def compute(lists: pl.Series) -> pl.Series:
        results = [_result(find(window, _numbers(each, is_money=is_money)), kind) for each in lists.to_list()]
        return pl.Series(lists.name, results, dtype=kind)

    return values.map_batches(compute, return_dtype=kind)


_MONEY_TYPES: dict[type, Any] = {Largest: pl.Int128, Percentile: pl.Int64}


def of_plain_values(window: Window, values: Sequence[Any], *, is_money: bool) -> Any:
    """Give the same of one entity's values, none of them unknown; money as a whole number of any size."""
    kind = _MONEY_TYPES.get(type(window), pl.Float64) if is_money else pl.Float64
    return _result(_FUNCTIONS[type(window)](window, _numbers(values, is_money=is_money)), kind)


def _numbers(values: Sequence[Any] | None, *, is_money: bool) -> list[Any]:
    """Give the values in order, each exact."""
    ordered = sorted(values or ())
    return ordered if is_money else [written_number(value) for value in ordered]


def _result(result: Any, kind: Any) -> Any:
    return float_of(Fraction(result)) if result is not None and kind == pl.Float64 else result


def _median(_: Window, values: Sequence[Any]) -> Fraction | None:
    if not values:
        return None
    middle = len(values) // 2
    return Fraction(values[middle] + values[-middle - 1]) / 2


def rank(percentile: Decimal, count: int) -> int:
    """Give the number, from 1, of the value that is a percentile of so many: the nearest rank.

    >>> rank(Decimal(95), 20), rank(Decimal(95), 21), rank(Decimal("0.5"), 3)
    (19, 20, 1)
    """
    return int((percentile * count / 100).to_integral_value(ROUND_CEILING))


def _percentile(window: Any, values: Sequence[Any]) -> Any:
    return values[rank(window.percentile, len(values)) - 1] if values else None


def _largest(window: Any, values: Sequence[Any]) -> Any:
    return sum(values[-window.n :], 0)


def _deviation(_: Window, values: Sequence[Any]) -> Fraction | None:
    count = len(values)
    if count < _LEAST_FOR_DEVIATION:
        return None
    variance = (count * sum(value * value for value in values) - sum(values) ** 2) / Fraction(count * (count - 1))
    with localcontext() as context:
        context.prec = _ROOT_DIGITS
        return Fraction((Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt())


_FUNCTIONS: dict[type, Callable[[Any, Sequence[Any]], Any]] = {
    Median: _median,
    Percentile: _percentile,
    Largest: _largest,
    StandardDeviation: _deviation,
}
