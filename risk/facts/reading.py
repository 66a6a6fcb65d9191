"""Columns of linked facts, read leniently as expressions: a value, and whether there was one that cannot be read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from fivefold.domain.errors import FileFormatError, Finding, InvalidRulesetError
from fivefold.features.schema import LARGEST_MAGNITUDE
from fivefold.risk.facts.fields import read_field, read_moments, whole_microseconds
from fivefold.risk.language.countries import COUNTRIES
from fivefold.risk.language.fields import FieldType, OneOf, ValueType, value_type_of

_TYPES: dict[ValueType, Any] = {
    ValueType.FLAG: pl.Boolean,
    ValueType.MOMENT: pl.Int64,
    ValueType.TEXTS: pl.List(pl.String),
}


@dataclass(frozen=True)
class Read:
    """A column that was read.

    Attributes:
        value: null where unknown or unreadable.
        wrong: true where there was a value that could not be read; None where that cannot happen.
    """

    value: pl.Expr
    wrong: pl.Expr | None = None


def read_declared(name: str, dtype: pl.DataType, declared: FieldType) -> Read:
    """Read a declared field of facts as `risk.facts.fields.read_field` reads one of entities; numbers have a limit."""
    kind = value_type_of(declared)
    if dtype == pl.Null:
        return Read(pl.col(name).cast(_TYPES.get(kind, pl.Float64 if kind is ValueType.NUMBER else pl.String)))
    if kind is ValueType.NUMBER:
        return read_number(name, dtype)
    if kind is ValueType.TEXT:
        return read_text(name, dtype, _words_of(declared))
    value = pl.col(name).map_batches(
        lambda column: read_field(column, declared)[0], return_dtype=_TYPES[kind], is_elementwise=True
    )
    return Read(value, value.is_null() & _has_value(name, dtype))


def _has_value(name: str, dtype: pl.DataType) -> pl.Expr:
    """Tell where there is a value: null, empty text and NaN are unknown, whatever is wanted of the column."""
    raw = pl.col(name)
    if dtype == pl.String:
        return raw != ""
    return raw.is_not_null() & raw.is_not_nan() if dtype.is_float() else raw.is_not_null()


def read_number(name: str, dtype: pl.DataType) -> Read:
    """Read numbers below `LARGEST_MAGNITUDE`, perhaps written as text; NaN is unknown, infinity is not a number."""
    raw = pl.col(name)
    if dtype == pl.String:
        number = raw.str.strip_chars().cast(pl.Float64, strict=False)
    elif dtype.is_numeric() or dtype.is_decimal():
        number = raw.cast(pl.Float64)
    else:
        return Read(pl.lit(None, pl.Float64), _has_value(name, dtype))
    fits = (number.abs() <= LARGEST_MAGNITUDE).fill_null(False)  # Polars says that NaN is larger than any number
    return Read(pl.when(fits).then(number), _has_value(name, dtype) & ~fits)


def read_text(name: str, dtype: pl.DataType, words: Sequence[str] | None = None) -> Read:
    """Read text, only certain *words* where some are given; empty text is unknown, whole numbers are their digits."""
    if not (dtype == pl.String or dtype.is_integer() or isinstance(dtype, pl.Categorical | pl.Enum)):
        return Read(pl.lit(None, pl.String), _has_value(name, dtype))
    text = pl.col(name) if dtype == pl.String else pl.col(name).cast(pl.String)
    if words is None:
        return Read(pl.when(text != "").then(text))
    word = text.cast(pl.Enum(words), strict=False).cast(pl.String)
    return Read(word, word.is_null() & (text != ""))


def _words_of(declared: FieldType) -> tuple[str, ...] | None:
    if isinstance(declared, OneOf):
        return declared.one_of
    return COUNTRIES if declared == "country" else None


def read_time(name: str, dtype: pl.DataType) -> Read:
    """Read moments as microseconds UTC: Datetime, Date, or ISO text."""
    raw = pl.col(name)
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return Read(whole_microseconds(raw, dtype))
    if dtype != pl.String:
        return Read(pl.lit(None, pl.Int64), _has_value(name, dtype))
    value = raw.map_batches(read_moments, return_dtype=pl.Int64, is_elementwise=True)
    return Read(value, value.is_null() & _has_value(name, dtype))


def refuse_link(what: str, name: str, dtype: pl.DataType) -> None:
    """Refuse a column of identifiers that are neither text nor whole numbers: 1.0 would be nobody's, not that of 1.

    Raises:
        FileFormatError: it is one.
    """
    if not (dtype in {pl.String, pl.Null} or dtype.is_integer() or isinstance(dtype, pl.Categorical | pl.Enum)):
        raise FileFormatError(f"{what}: {name} is {dtype}; identifiers must be text or whole numbers")


def refuse_missing(
    what: str, schema: pl.Schema, required: Sequence[str], declared: Mapping[str, FieldType], reserved: Collection[str]
) -> None:
    """Refuse facts that lack a column, before anyone is assessed.

    Raises:
        FileFormatError: a column that all such facts have is missing.
        InvalidRulesetError: one that the ruleset declares is missing, or has a name that is *reserved*.
    """
    there = ", ".join(schema.names()) or "none"
    missing = [name for name in required if name not in schema]
    if missing:
        raise FileFormatError(f"{what} have no {', '.join(missing)}; there are {there}")
    findings = [
        Finding(f"field {name} of {what}", "has a name that means something else")
        for name in declared
        if name in reserved
    ]
    findings += [
        Finding(f"field {name} of {what}", f"is missing; there are {there}") for name in declared if name not in schema
    ]
    if findings:
        raise InvalidRulesetError(findings, "what the ruleset needs")
