"""Literals: what a test compares with, in the form that its column has."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl
from pydantic import TypeAdapter, ValidationError

from fivefold.risk.language.durations import MomentText
from fivefold.risk.language.fields import ValueType

_MOMENT: TypeAdapter[int] = TypeAdapter(MomentText)
_NUMBERS = frozenset({ValueType.NUMBER, ValueType.MONEY, ValueType.FINDING})


@dataclass(frozen=True)
class Column:
    """A column that conditions read.

    Attributes:
        name: in the frame.
        kind: what its values are: Float64 for numbers and findings, Int64 for moments, Int64 (or Float64, for a mean)
            of minor units for money, Int64 from 1 for levels, Boolean for flags and marks, String, or a list of it.
        units: of money, how many minor units make one; 1 for everything else.
        levels: the names of levels, lowest first; empty for everything else.
    """

    name: str
    kind: ValueType
    units: int = 1
    levels: tuple[str, ...] = ()

    @property
    def expr(self) -> pl.Expr:
        """The column itself."""
        return pl.col(self.name)


def misfit(kind: ValueType, value: Any) -> str | None:
    """Tell why a value cannot be compared with that kind; None where it can.

    >>> misfit(ValueType.NUMBER, "ten")
    "compares a number with 'ten'; write one as 10000 or 0.5, without quotes and separators"
    """
    if kind is ValueType.MOMENT:
        try:
            _MOMENT.validate_python(value)
        except ValidationError:
            return f"compares a date with {_quoted(value)}; write one as 2024-07-01"
        return None
    if kind is ValueType.LEVEL:
        return None if isinstance(value, str | Decimal) else f"compares a level with {_quoted(value)}; write its name"
    required: type = Decimal if kind in _NUMBERS else bool if kind in {ValueType.FLAG, ValueType.MARK} else str
    if isinstance(value, required):
        return None
    hint = _HINTS.get(required, "") if isinstance(value, str) else ""
    return f"compares {value_type_phrase(kind)} with {_quoted(value)}{hint}"


def value_type_phrase(kind: ValueType) -> str:
    """Name a kind in a sentence.

    >>> value_type_phrase(ValueType.MONEY), value_type_phrase(ValueType.FLAG)
    ('an amount of money', 'a flag')
    """
    return "an amount of money" if kind is ValueType.MONEY else f"a {kind}"


_HINTS = {Decimal: "; write one as 10000 or 0.5, without quotes and separators", bool: "; write true or false"}


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, Decimal) else repr(value)


def ordinal(kind: ValueType, value: Any, levels: Sequence[str] = ()) -> Any:
    """Give what orders a value among others of its kind: moments by microseconds, levels by their number from 1."""
    if kind is ValueType.LEVEL:
        return level_number(value, levels)
    return _MOMENT.validate_python(value) if kind is ValueType.MOMENT else value


def level_number(level: Any, levels: Sequence[str]) -> int | None:
    """Give the number of a level, from 1 (lowest), that is written as its name or number; None where there is none.

    Levels that are numbers in text, such as "3", go by their name first.

    >>> level_number("high", ("low", "high")), level_number(Decimal(1), ("low", "high")), level_number("3", ("a", "b"))
    (2, 1, None)
    """
    if level in levels:
        return levels.index(level) + 1
    is_number = isinstance(level, int | Decimal) and level == int(level) and 1 <= level <= len(levels)
    return int(level) if is_number else None


def literal(column: Column, value: Any) -> pl.Expr:
    """Make the literal that *value* is for a column.

    Money is compared in minor units: a bound between two of them is a fraction, which 64-bit floats hold exactly
    enough, as whole minor units are below 2^53.
    """
    if column.kind is ValueType.MONEY:
        minor = value * column.units
        return pl.lit(int(minor), pl.Int64) if minor == minor.to_integral_value() else pl.lit(float(minor), pl.Float64)
    if column.kind in {ValueType.MOMENT, ValueType.LEVEL}:
        return pl.lit(ordinal(column.kind, value, column.levels), pl.Int64)
    return pl.lit(float(value), pl.Float64) if column.kind in _NUMBERS else pl.lit(value)
