"""Literals: what a test compares with, in the form that its column has."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl
from pydantic import TypeAdapter, ValidationError

from risk.language.durations import MomentText
from risk.language.fields import Kind

_MOMENT: TypeAdapter[int] = TypeAdapter(MomentText)
_NUMBERS = frozenset({Kind.NUMBER, Kind.MONEY, Kind.FINDING})


@dataclass(frozen=True)
class Column:
    """A column that conditions read.

    Attributes:
        name: in the frame.
        kind: what its values are: Float64 for numbers and findings, Int64 for moments, Int64 (or Float64, for a mean)
            of minor units for money, Boolean for flags and marks, String, or a list of it.
        units: of money, how many minor units make one; 1 for everything else.
    """

    name: str
    kind: Kind
    units: int = 1

    @property
    def expr(self) -> pl.Expr:
        """The column itself."""
        return pl.col(self.name)


def misfit(kind: Kind, value: Any) -> str | None:
    """Tell why a value cannot be compared with that kind; None where it can.

    >>> misfit(Kind.NUMBER, "ten")
    "compares a number with 'ten'; write one as 10000 or 0.5, without quotes and separators"
    """
    if kind is Kind.MOMENT:
        try:
            _MOMENT.validate_python(value)
        except ValidationError:
            return f"compares a date with {_shown(value)}; write one as 2024-07-01"
        return None
    wanted: type = Decimal if kind in _NUMBERS else bool if kind in {Kind.FLAG, Kind.MARK} else str
    if isinstance(value, wanted):
        return None
    return f"compares {named(kind)} with {_shown(value)}{_HINTS.get(wanted, '') if isinstance(value, str) else ''}"


def named(kind: Kind) -> str:
    """Name a kind in a sentence.

    >>> named(Kind.MONEY), named(Kind.FLAG)
    ('an amount of money', 'a flag')
    """
    return "an amount of money" if kind is Kind.MONEY else f"a {kind}"


_HINTS = {Decimal: "; write one as 10000 or 0.5, without quotes and separators", bool: "; write true or false"}


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, Decimal) else repr(value)


def ordinal(kind: Kind, value: Any) -> Any:
    """Give what orders a value among others of its kind: moments by their microseconds, numbers by themselves."""
    return _MOMENT.validate_python(value) if kind is Kind.MOMENT else value


def literal(column: Column, value: Any) -> pl.Expr:
    """Make the literal that *value* is for a column.

    Money is compared in minor units: a bound between two of them is a fraction, which 64-bit floats hold exactly
    enough, as whole minor units are below 2^53.
    """
    if column.kind is Kind.MONEY:
        minor = value * column.units
        return pl.lit(int(minor), pl.Int64) if minor == minor.to_integral_value() else pl.lit(float(minor), pl.Float64)
    if column.kind is Kind.MOMENT:
        return pl.lit(_MOMENT.validate_python(value), pl.Int64)
    return pl.lit(float(value), pl.Float64) if column.kind in _NUMBERS else pl.lit(value)
