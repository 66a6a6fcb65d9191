"""Reads columns leniently: one bad value fails its own entity, never the frame.

Fields of entities are read as columns; linked facts, which are many more, as expressions.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from sys import float_info
from typing import Any

import polars as pl

from fivefold.domain.errors import FileFormatError, Finding, InvalidRulesetError
from fivefold.domain.text import nearest
from fivefold.features.reading.columns import ErrorCollector, read_times
from fivefold.features.reading.fast_columns import column_loops
from fivefold.features.schema import LARGEST_MAGNITUDE
from fivefold.risk.facts.portfolio import ENTITY, error_of
from fivefold.risk.language.fields import COUNTRIES, FieldType, OneOf, ValueType, described, value_type_of

LIST_SEPARATOR = ";"
"""Separates the words of a list in a format without lists, such as CSV."""

_OTHER_SEPARATORS = (",", "|", "\t")

_LARGEST = int(float_info.max)
"""The largest whole number that a 64-bit float can represent."""

_TRUTH = {"true": True, "false": False, "1": True, "0": False}


def read_field(column: pl.Series, declared: FieldType) -> tuple[pl.Series, pl.Series | None]:
    """Read a column as its declared type.

    Returns:
        The values, null where unknown (NaN, empty text and a text of spaces alone), in the form of
        `risk.compiler.value_types.InputColumn`; and, as text, the values that could not be read, null elsewhere:
        None if all could be.
    """
    if column.dtype == pl.Null:
        return pl.Series(column.name, [None] * len(column), dtype=_TYPES[value_type_of(declared)]), None
    if column.dtype == pl.Object:
        return _read_mixed(column, declared)
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        blank = (column.str.strip_chars() if declared == "text" else column) == ""
        column = column.set(blank, None) if blank.any() else column
    values = _READERS[value_type_of(declared)](column)
    if value_type_of(declared) is ValueType.TEXT:
        values = values.set(~_allowed(values, declared), None) if not _allowed(values, declared).all() else values
    wrong = values.is_null() & column.is_not_null()
    if column.dtype.is_float():
        wrong &= ~column.is_nan()
    if not wrong.any():
        return values, None
    write = described if declared == "country" else str
    problems = [write(str(value)) if bad else None for value, bad in zip(column.to_list(), wrong, strict=True)]
    return values, pl.Series(error_of(column.name), problems, dtype=pl.String)


def _read_mixed(column: pl.Series, declared: FieldType) -> tuple[pl.Series, pl.Series | None]:
    """Read a column of mixed types: each value as in a column of its own type."""
    cells = column.to_list()
    values, wrong = [None] * len(cells), [None if fits_typed_column(cell) else str(cell) for cell in cells]
    for kind in {type(cell) for cell in cells if cell is not None}:
        places = [place for place, cell in enumerate(cells) if type(cell) is kind and wrong[place] is None]
        read, unread = read_field(pl.Series(column.name, [cells[place] for place in places]), declared)
        for number, place in enumerate(places):
            values[place] = read[number]
            wrong[place] = None if unread is None else unread[number]
    dtype = _TYPES[value_type_of(declared)]
    problems = pl.Series(error_of(column.name), wrong, dtype=pl.String)
    return pl.Series(column.name, values, dtype=dtype), problems if any(wrong) else None


def fits_typed_column(cell: Any) -> bool:
    """Check whether a column of one type can hold a value of JSON: no object, and no whole number beyond 64 bits."""
    if isinstance(cell, list):
        return all(isinstance(word, str) for word in cell)
    return not isinstance(cell, dict) and not (isinstance(cell, int) and abs(cell) >= 2**63)


def _allowed(values: pl.Series, declared: FieldType) -> pl.Series:
    """True for the texts that a field may hold, and for null."""
    if isinstance(declared, OneOf):
        return values.is_in(list(declared.one_of)) | values.is_null()
    if declared == "country":
        return values.is_in(COUNTRIES) | values.is_null()
    return pl.Series([True], dtype=pl.Boolean)


def _numbers(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        column = column.str.strip_chars().cast(pl.Float64, strict=False)
    if not (column.dtype.is_numeric() or column.dtype.is_decimal()):
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    numbers = column.cast(pl.Float64, strict=False)
    return numbers if numbers.is_finite().all() and not numbers.null_count() else _finite(numbers)


def _finite(numbers: pl.Series) -> pl.Series:
    return numbers.to_frame().select(pl.when(pl.first().is_finite()).then(pl.first())).to_series()


def _texts(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return column
    if column.dtype.is_integer():
        return column.cast(pl.String)
    return pl.Series(column.name, [None] * len(column), dtype=pl.String)


def _flags(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Boolean:
        return column
    if column.dtype == pl.String or column.dtype.is_integer():
        return column.cast(pl.String).str.to_lowercase().replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
    return pl.Series(column.name, [None] * len(column), dtype=pl.Boolean)


def read_moments(column: pl.Series) -> pl.Series:
    """Read times of any kind as microseconds UTC: Datetime, Date, or ISO text; null for anything else.

    Finer times are rounded up: a nanosecond after as-of is after it.
    """
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return column.to_frame().select(whole_microseconds(pl.first(), column.dtype)).to_series()
    if column.dtype != pl.String:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Int64)
    errors = ErrorCollector()
    times = read_times(column.to_arrow(compat_level=pl.CompatLevel.oldest()), column.name, errors)
    moments = pl.Series(column.name, times, dtype=pl.Int64)
    return moments.set(pl.Series(errors.rows_with_any_error(len(column))), None) if errors.count else moments


def whole_microseconds(moment: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Convert moments of type Date or Datetime to microseconds, rounded up."""
    if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns":
        return -(-moment.cast(pl.Int64) // _NANOSECONDS)
    return moment.cast(pl.Datetime("us", getattr(dtype, "time_zone", None))).cast(pl.Int64)


_NANOSECONDS = 1_000
"""Nanoseconds in a microsecond."""


def words_of_cell(text: str) -> list[str] | None:
    """Read the words of a list written as one text: `a; b`, or as JSON. None if the separator is unclear.

    A comma or a bar may separate words, or belong to one; read as one word, a list would lack its real words. `a, b;`
    is one word. Blank words are left out: they are missing, as empty text is.

    >>> words_of_cell("a; b"), words_of_cell('["a", "b"]'), words_of_cell("a, b;"), words_of_cell("a, b")
    (['a', 'b'], ['a', 'b'], ['a, b'], None)
    >>> words_of_cell(" ; "), words_of_cell("a;; b"), words_of_cell('["", "a"]')
    ([], ['a', 'b'], ['a'])
    """
    if text.lstrip().startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            return None
        is_list = isinstance(words, list) and all(isinstance(word, str) for word in words)
        return [word for word in words if word.strip()] if is_list else None
    if LIST_SEPARATOR not in text and any(sign in text for sign in _OTHER_SEPARATORS):
        return None
    return [word for part in text.split(LIST_SEPARATOR) if (word := part.strip())]


def _lists(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        cells = {cell: words_of_cell(cell) for cell in column.unique().drop_nulls()}
        words = [None if cell is None else cells[cell] for cell in column]
        return pl.Series(column.name, words, dtype=pl.List(pl.String))
    if not isinstance(column.dtype, pl.List) or column.dtype.inner not in {pl.String, pl.Null}:
        return pl.Series(column.name, [None] * len(column), dtype=pl.List(pl.String))
    # Empty text is missing here, too; the comparison also drops nulls.
    return column.cast(pl.List(pl.String)).list.filter(pl.element().str.strip_chars() != "")


_READERS = {
    ValueType.NUMBER: _numbers,
    ValueType.TEXT: _texts,
    ValueType.FLAG: _flags,
    ValueType.MOMENT: read_moments,
    ValueType.TEXTS: _lists,
}
_TYPES: dict[ValueType, Any] = {
    ValueType.NUMBER: pl.Float64,
    ValueType.TEXT: pl.String,
    ValueType.FLAG: pl.Boolean,
    ValueType.MOMENT: pl.Int64,
    ValueType.TEXTS: pl.List(pl.String),
}
_PYTHON: dict[ValueType, tuple[type, ...]] = {
    ValueType.NUMBER: (int, float, Decimal),
    ValueType.TEXT: (str,),
    ValueType.FLAG: (bool,),
    ValueType.MOMENT: (str, date, datetime),
    ValueType.TEXTS: (list, tuple),
}


def entities_from_rows(rows: Iterable[Mapping[str, Any]], fields: Mapping[str, FieldType]) -> pl.DataFrame:
    """Make the frame of entities from rows, such as those of JSON, whose values may be of any type.

    A value of another type than its field goes to the column of errors beside it. Other keys are left out.

    Raises:
        FileFormatError: a row has no `entity_id`.
    """
    rows = list(rows)
    for number, row in enumerate(rows):
        if not isinstance(row.get(ENTITY), str | int) or isinstance(row.get(ENTITY), bool):
            raise FileFormatError(
                f"entity {number} has no {ENTITY}; every entity must have one, as text (rows count from 0)"
            )
    columns = {ENTITY: pl.Series([str(row[ENTITY]) for row in rows], dtype=pl.String)}
    for name, declared in fields.items():
        columns |= _column_of_rows(name, [row.get(name) for row in rows], declared)
    return pl.DataFrame(columns)


def _column_of_rows(name: str, values: list[Any], declared: FieldType) -> dict[str, pl.Series]:
    kind = value_type_of(declared)
    fits = [value is None or _fits(value, kind) for value in values]
    readable = [_as_read(value, kind) if fit else None for value, fit in zip(values, fits, strict=True)]
    dtype = pl.String if kind is ValueType.MOMENT else _TYPES[kind]
    columns = {name: pl.Series(name, readable, dtype=dtype)}
    if not all(fits):
        wrong = [None if fit else _source_text(value) for value, fit in zip(values, fits, strict=True)]
        columns[error_of(name)] = pl.Series(error_of(name), wrong, dtype=pl.String)
    return columns


def _source_text(value: Any) -> str:
    """Write a value of any type as its source had it; a Decimal is written as a plain number."""
    return str(value) if isinstance(value, Decimal) else repr(value)


def _fits(value: Any, kind: ValueType) -> bool:
    if isinstance(value, bool) and kind is not ValueType.FLAG:
        return False
    if kind is ValueType.TEXTS and isinstance(value, list | tuple):
        return all(isinstance(word, str) for word in value)
    if kind is ValueType.NUMBER and isinstance(value, int) and abs(value) > _LARGEST:
        return False
    return isinstance(value, _PYTHON[kind])


def _as_read(value: Any, kind: ValueType) -> Any:
    if value is None:
        return None
    if kind is ValueType.NUMBER:
        return float(value)
    return value.isoformat() if isinstance(value, date) else value


_LINKED_TYPES: dict[ValueType, Any] = {
    ValueType.FLAG: pl.Boolean,
    ValueType.MOMENT: pl.Int64,
    ValueType.TEXTS: pl.List(pl.String),
}


@dataclass(frozen=True)
class Read:
    """A column that was read.

    Attributes:
        value: the values, null where unknown or unreadable.
        wrong: true where a value could not be read; None if that cannot happen.
    """

    value: pl.Expr
    wrong: pl.Expr | None = None


def read_declared(name: str, dtype: pl.DataType, declared: FieldType) -> Read:
    """Read a declared field of facts as `read_field` reads one of entities; numbers have a limit."""
    kind = value_type_of(declared)
    if dtype == pl.Null:
        return Read(pl.col(name).cast(_LINKED_TYPES.get(kind, pl.Float64 if kind is ValueType.NUMBER else pl.String)))
    if kind is ValueType.NUMBER:
        return read_number(name, dtype)
    if kind is ValueType.TEXT:
        return read_text(name, dtype, _words_of(declared))
    value = pl.col(name).map_batches(
        lambda column: read_field(column, declared)[0], return_dtype=_LINKED_TYPES[kind], is_elementwise=True
    )
    return Read(value, value.is_null() & _has_value(name, dtype))


def _has_value(name: str, dtype: pl.DataType) -> pl.Expr:
    """True where there is a value: null, empty text and NaN are unknown, in columns of any type."""
    raw = pl.col(name)
    if dtype == pl.String:
        return raw != ""
    return raw.is_not_null() & raw.is_not_nan() if dtype.is_float() else raw.is_not_null()


def read_number(name: str, dtype: pl.DataType) -> Read:
    """Read numbers below `LARGEST_MAGNITUDE`, perhaps written as text; NaN is unknown, infinity is not a number."""
    raw = pl.col(name)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        raw, dtype = raw.cast(pl.String), pl.String()
    if dtype == pl.String:
        number = raw.str.strip_chars().cast(pl.Float64, strict=False)
    elif dtype.is_numeric() or dtype.is_decimal():
        number = raw.cast(pl.Float64)
    else:
        return Read(pl.lit(None, pl.Float64), _has_value(name, dtype))
    fits = (number.abs() <= LARGEST_MAGNITUDE).fill_null(False)  # in Polars NaN is larger than any number
    return Read(pl.when(fits).then(number), _has_value(name, dtype) & ~fits)


def read_text(name: str, dtype: pl.DataType, words: Sequence[str] | None = None) -> Read:
    """Read text, only certain *words* if some are given; empty text is unknown, whole numbers become their digits."""
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
    column_loops()  # compiled here: Polars adds its own words to errors of functions that it calls
    value = raw.map_batches(read_moments, return_dtype=pl.Int64, is_elementwise=True)
    return Read(value, value.is_null() & _has_value(name, dtype))


def refuse_link(what: str, name: str, dtype: pl.DataType) -> None:
    """Refuse a column of identifiers that are neither text nor whole numbers: 1.0 is not the identifier 1.

    Raises:
        FileFormatError: the column is of another type.
    """
    if not (dtype in {pl.String, pl.Null} or dtype.is_integer() or isinstance(dtype, pl.Categorical | pl.Enum)):
        raise FileFormatError(f"{what}: {name} is {dtype}; identifiers must be text or whole numbers")


def refuse_missing(
    what: str, schema: pl.Schema, required: Sequence[str], declared: Mapping[str, FieldType], reserved: Collection[str]
) -> None:
    """Refuse facts that lack a column, before any entity is assessed.

    Raises:
        FileFormatError: a required column is missing.
        InvalidRulesetError: a column that the ruleset declares is missing, or has a *reserved* name.
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
    optional = "; a ruleset may name it under optional_transaction_fields, and then it is unknown where it is absent"
    rest = optional if what == "transactions" else ""
    for name in declared:
        if name not in schema:
            near = nearest(name, [column for column in schema.names() if column not in declared])
            hint = f"; perhaps {near} is meant: --map {near}={name}" if near else rest
            findings.append(Finding(f"field {name} of {what}", f"is missing; there are {there}{hint}"))
    if findings:
        raise InvalidRulesetError(findings, "the data")
