"""Ratios of two inputs: written numbers, divided once; columns and single rows give the same bits."""

from typing import Any, Final

import polars as pl

from fivefold.domain.money import minor_units
from fivefold.risk.compiler.value_types import Vocabulary, value_type_of_input
from fivefold.risk.language.expressions import Ratio, input_key
from fivefold.risk.language.fields import ValueType

DECIMALS: Final = 6
"""Numbers of up to this many decimals are divided as whole numbers: 0.6 over 0.2 is 3, which floats just miss."""
_WHOLE: Final = 2.0**53
"""Up to here every whole number is a float, and a quotient of two is the float nearest to the exact one."""


def units_of_ratio(ratio: Ratio, names: Vocabulary, base: str) -> tuple[int, int]:
    """Return the factors that bring both sides to one unit."""

    def units(part: Any) -> int:
        money = value_type_of_input(part, names) is ValueType.MONEY
        return minor_units(getattr(part, "in_currency", None) or base) if money else 1

    over, under = map(units, ratio.ratio)
    least = min(over, under)  # powers of ten
    return under // least, over // least


def decimals_of_ratio(ratio: Ratio, names: Vocabulary) -> int:
    """Return how many decimals are tried; 0 if both sides are money, which is in whole minor units already."""
    is_money = all(value_type_of_input(part, names) is ValueType.MONEY for part in ratio.ratio)
    return 0 if is_money else DECIMALS


def ratio_of(ratio: Ratio, names: Vocabulary, base: str) -> pl.Expr:
    """Build the quotient of both columns, divided once: each over its units first would put 3 of 30 cents below 0.1."""
    over, under = (pl.col(input_key(part)).cast(pl.Float64) for part in ratio.ratio)
    times, by = units_of_ratio(ratio, names, base)
    chain: Any = pl
    for decimals in range(1, decimals_of_ratio(ratio, names) + 1):
        (first, is_first), (second, is_second) = (_whole(side, decimals) for side in (over, under))
        first, second = first * times, second * by
        fits = (first.abs() <= _WHOLE) & (second.abs() <= _WHOLE)
        chain = chain.when(is_first & is_second & fits).then(first / second)
    quotient = (over * times) / (under * by)
    if chain is not pl:
        are_whole = (over == over.round()) & (under == under.round())
        quotient = pl.when(are_whole).then(quotient).otherwise(chain.otherwise(quotient))
    return pl.when(under != 0).then(quotient)


def divided(over: float, under: float, times: int, by: int, decimals: int) -> float:
    """Divide two numbers, the second not 0, as `ratio_of` divides columns.

    >>> divided(0.6, 0.2, 1, 1, DECIMALS), divided(133133.0, 1024.1, 1, 100, DECIMALS)
    (3.0, 1.3)

    Args:
        over: the first number, as in its column.
        under: the second number.
        times: the factor of the first, from `units_of_ratio`.
        by: the factor of the second.
        decimals: the result of `decimals_of_ratio`.
    """
    if not (over.is_integer() and under.is_integer()):
        for units in (10.0**each for each in range(1, decimals + 1)):
            first, second = float(round(over * units)), float(round(under * units))
            is_written = first / units == over and second / units == under
            if is_written and max(abs(first * times), abs(second * by)) <= _WHOLE:
                return (first * times) / (second * by)
    return (over * times) / (under * by)


def _whole(side: pl.Expr, decimals: int) -> tuple[pl.Expr, pl.Expr]:
    """Return numbers as whole units of a number of decimals, and whether they were written with no more."""
    units = 10.0**decimals
    whole = (side * units).round()
    return whole, whole / (whole * 0 + units) == side  # Polars multiplies by the inverse of a constant
