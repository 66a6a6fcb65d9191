"""Reads columns to plain values as `risk.facts.reading` does; anything unexpected is left to that."""

import math
import re
from datetime import date, datetime
from typing import Any

import polars as pl

from fivefold.domain.clock import DAY_WRITTEN, to_microseconds
from fivefold.features.schema import LARGEST_MAGNITUDE
from fivefold.risk.facts.portfolio import ENTITY, NOT_READ
from fivefold.risk.language.fields import COUNTRIES, FieldType, OneOf, ValueType, value_type_of

Values = list[Any]
"""A value for each row; None where unknown."""

_UTC_WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?(Z|\+00:00)", re.ASCII)
_COUNTRIES = frozenset(COUNTRIES)


class LeftToColumnsError(ValueError):
    """Plain reading met something unexpected, so that columns must be used: they read or refuse it."""


def read_plain(column: pl.Series, declared: FieldType, *, of_facts: bool = False) -> Values:
    """Read a column as its declared type.

    Args:
        column: a column of entities, or of facts.
        declared: the type of the field.
        of_facts: whether it is of facts: numbers have a limit, and text of spaces alone is text.

    Raises:
        LeftToColumnsError: a value, or the type of the column, is unusual.
    """
    if column.dtype == pl.Null:
        return [None] * len(column)
    match value_type_of(declared):
        case ValueType.NUMBER:
            return _numbers(column, LARGEST_MAGNITUDE if of_facts else math.inf)
        case ValueType.TEXT:
            return _texts(column, declared, of_facts=of_facts)
        case ValueType.FLAG if column.dtype == pl.Boolean:
            return column.to_list()
        case ValueType.MOMENT:
            return plain_moments(column)
        case ValueType.TEXTS if column.dtype == pl.List(pl.String):
            return [None if words is None else list(filter(None, words)) for words in _visible(column.to_list())]
    raise LeftToColumnsError(column.name)


def _visible(lists: Values) -> Values:
    """Return lists of words unchanged; raises LeftToColumnsError if a word may be of spaces alone."""
    if any(word and not word.strip() for words in lists for word in words or ()):
        raise LeftToColumnsError("list")  # columns decide which characters are spaces
    return lists


def _numbers(column: pl.Series, limit: float) -> Values:
    if column.dtype != pl.Float64:
        raise LeftToColumnsError(column.name)
    numbers = [None if value is None or value != value else value for value in column.to_list()]  # noqa: PLR0124 (NaN)
    if any(number is not None and (math.isinf(number) or abs(number) > limit) for number in numbers):
        raise LeftToColumnsError(column.name)
    return numbers


def _texts(column: pl.Series, declared: FieldType, *, of_facts: bool) -> Values:
    texts = plain_texts(column)
    if isinstance(declared, OneOf) or declared == "country":
        allowed = frozenset(declared.one_of) if isinstance(declared, OneOf) else _COUNTRIES
        if not allowed.issuperset(text for text in texts if text is not None):
            raise LeftToColumnsError(column.name)
    elif not of_facts and any(text is not None and not text.strip() for text in texts):
        raise LeftToColumnsError(column.name)  # columns decide which characters are spaces
    return texts


def plain_texts(column: pl.Series) -> Values:
    """Return texts, None for empty ones; raises LeftToColumnsError if the column does not hold text."""
    if column.dtype == pl.Null:
        return [None] * len(column)
    if column.dtype != pl.String:
        raise LeftToColumnsError(column.name)
    return [text or None for text in column.to_list()]


def plain_moments(column: pl.Series) -> Values:
    """Return moments in microseconds UTC; raises LeftToColumnsError if they have an unusual form."""
    if column.dtype == pl.Null:
        return [None] * len(column)
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_unit == "us":
        return column.cast(pl.Int64).to_list()
    if column.dtype == pl.String:
        return [_moment(text) if text else None for text in column.to_list()]
    raise LeftToColumnsError(column.name)


def _moment(text: str) -> int:
    try:
        if DAY_WRITTEN.fullmatch(text):
            return to_microseconds(datetime.combine(date.fromisoformat(text), datetime.min.time()))
        if _UTC_WRITTEN.fullmatch(text):
            return to_microseconds(datetime.fromisoformat(text))
    except ValueError:
        pass
    raise LeftToColumnsError(text)


def own_rows(frame: pl.DataFrame, entity: str) -> pl.DataFrame:
    """Return the rows of an entity; raises LeftToColumnsError if some may be unreadable, or entities are not text."""
    if frame.schema.get(ENTITY) != pl.String or NOT_READ in frame.columns:
        raise LeftToColumnsError(ENTITY)
    is_small = len(frame) <= FEW_ROWS
    return (
        frame
        if is_small and all(one == entity for one in frame[ENTITY].to_list())
        else frame.filter(pl.col(ENTITY) == entity)
    )


FEW_ROWS = 100_000
"""Up to this many rows, comparing each costs less than a query."""
