"""Rows in memory as one Arrow table, and as histories: rows of requests, Arrow, Polars, pandas."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fivefold.domain.errors import FileFormatError
from fivefold.domain.text import is_unicode
from fivefold.features import schema as c
from fivefold.features.column_names import ABSENCES
from fivefold.features.histories import Histories, Integers
from fivefold.features.reading.columns import (
    ALLOWED_NUMBER,
    ALLOWED_TEXT,
    ALLOWED_TIME,
    ErrorCollector,
    numbers_of_text,
    short_text,
)
from fivefold.features.reading.layout.in_order import count_changes
from fivefold.features.reading.validate import TransactionReader

if TYPE_CHECKING:  # pandas is imported only where a caller passes a pandas frame
    import pandas as pd

Frame: TypeAlias = "pl.DataFrame | pa.Table | pd.DataFrame"
"""The frames that histories can be read from."""

_FIELDS: dict[str, tuple[pa.DataType, str]] = {
    name: (pa.float64(), ALLOWED_NUMBER)
    if name in {c.BALANCE, c.AMOUNT}
    else (pa.string(), ALLOWED_TIME if name in {c.CREATED, c.DATE} else ALLOWED_TEXT)
    for name in c.COLUMNS
}


def table_from_rows(rows: Sequence[Any], errors: ErrorCollector, *, text: bool = False) -> pa.Table:
    """Turn the rows of a request or a JSON file into a table; values of a wrong type are collected.

    With *text* numbers may be written as text, see `features.reading.columns.read_numbers`.
    Unknown fields are ignored. Missing fields become missing values; `TransactionReader` refuses the required ones.
    """
    rows = list(rows)
    if not set(map(type, rows)) <= {dict}:
        bad = np.array([not isinstance(row, Mapping) for row in rows], dtype=np.bool_)
        errors.add(bad, "row", lambda row: f"is {short_text(rows[row])}", "an object with the fields of a transaction")
        errors.raise_if_any()
    columns = {}
    for name, (kind, allowed) in _FIELDS.items():
        values = [row.get(name) for row in rows]
        if rows and name in c.OPTIONAL and values.count(None) == len(values):
            continue
        if text and kind == pa.float64():
            values = _without_texts(values)
        columns[name] = _column(values, name, kind, allowed, errors)
    return pa.table(columns)


def _without_texts(values: list[Any]) -> list[Any]:
    """Read the texts among values as numbers; texts that are not numbers stay, and are wrong."""
    places = [place for place, value in enumerate(values) if isinstance(value, str) and is_unicode(value)]
    if places:
        numbers, unread = numbers_of_text(pa.array([values[place] for place in places], pa.string()))
        for place, number, wrong in zip(places, numbers.to_pylist(), unread, strict=True):
            values[place] = values[place] if wrong else number
    return values


def _column(values: list[Any], name: str, kind: pa.DataType, allowed: str, errors: ErrorCollector) -> pa.Array:
    number = kind == pa.float64()
    if set(map(type, values)) <= (_NUMBERS if number else _TEXTS):  # nearly always: the types are enough
        try:
            return pa.array(values, kind)
        except (pa.ArrowInvalid, UnicodeEncodeError, OverflowError):  # whole numbers beyond 64 bits, half a surrogate
            pass
    accepts: Callable[[Any], bool] = _is_number if number else _is_text
    bad = np.array([not (value is None or accepts(value)) for value in values], dtype=np.bool_)
    errors.add(bad, name, lambda row: f"is {short_text(values[row])}", allowed)
    sound = [None if wrong else value for value, wrong in zip(values, bad, strict=True)]
    return pa.array([None if value is None else _float(value) for value in sound] if number else sound, kind)


_NUMBERS = {int, float, type(None)}
_TEXTS = {str, type(None)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal | np.integer | np.floating) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and (value.isascii() or is_unicode(value))


def _float(value: float | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")
    except ValueError:  # of a signalling NaN of Decimal
        return float("nan")


def too_large(file: str) -> FileFormatError:
    """Create the error for a source that is too large to sort in memory; it says how to sort it.

    Args:
        file: the name of the file; empty for a table.
    """
    how = f"fivefold sort {shlex.quote(file)} --output grouped.parquet" if file else f"sort the table by {c.USER_ID}"
    return FileFormatError(
        f"{file or 'the table'} has more than {c.ROWS_SORTED_IN_MEMORY:,} rows that are not grouped by customer; group "
        f"them first: {how}"
    )


def table_from_frame(source: Frame, errors: ErrorCollector, *, text: bool) -> pa.Table:
    """View a data frame as an Arrow table; NaN in pandas is a missing value. For *text* see `table_from_rows`."""
    if isinstance(source, pl.DataFrame):
        names = [name for name in source.columns if name in c.COLUMNS]
        return source.select(_within_64_bits(name, source[name]) for name in names).to_arrow()
    pandas = sys.modules.get("pandas")  # where pandas was never imported, no value is a pandas frame
    if pandas is not None and isinstance(source, pandas.DataFrame):
        positions = [position for position, name in enumerate(source.columns) if name in c.COLUMNS]
        names = [str(source.columns[position]) for position in positions]
        series = (source.iloc[:, position] for position in positions)
        return pa.table([_from_series(each, errors, text=text) for each in series], names)
    return _without_runs(source) if isinstance(source, pa.Table) else source


def _within_64_bits(name: str, column: pl.Series) -> pl.Series:
    """Write out whole numbers of 128 bits, which Arrow does not have: money as floats, other columns as digits."""
    if column.dtype not in {pl.Int128, pl.UInt128}:
        return column
    return column.cast(pl.Float64 if _FIELDS[name][0] == pa.float64() else pl.String)


def _without_runs(table: pa.Table) -> pa.Table:
    """Decode columns that are encoded by runs of equal values, which the readers do not support."""
    for position, column in enumerate(table.columns):
        if pa.types.is_run_end_encoded(column.type):
            table = table.set_column(position, table.column_names[position], pc.run_end_decode(column))
    return table


def _with_index(source: Frame) -> Frame:
    """Turn levels of a pandas index that have our names into columns, as its Parquet and Arrow do."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(source, pandas.DataFrame):
        return source
    levels = [name for name in source.index.names if name in c.COLUMNS and name not in source.columns]
    return source.reset_index(level=levels) if levels else source


def _column_names(source: Frame) -> list[str]:
    return source.column_names if isinstance(source, pa.Table) else [str(name) for name in source.columns]


def _from_series(series: "pd.Series[Any]", errors: ErrorCollector, *, text: bool) -> pa.Array:
    import pandas as pd  # noqa: PLC0415 (see above)

    if isinstance(series.dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    # Arrow would take True among numbers for 1, and a time among dates for its date.
    if series.dtype != object or not (series.map(_is_truth).any() or has_dates_and_times(series)):
        try:
            return pa.array(series, from_pandas=True, safe=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, UnicodeEncodeError, OverflowError):
            pass  # objects of more than one type, or of one that Arrow does not know
    values = [None if missing else value for value, missing in zip(series, series.isna(), strict=True)]
    kind, allowed = _FIELDS[str(series.name)]
    values = _without_texts(values) if text and kind == pa.float64() else values
    return _column(values, str(series.name), kind, allowed, errors)


def _is_truth(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def has_dates_and_times(series: "pd.Series[Any]") -> bool:
    """Check whether a column has both dates and times as objects: Arrow would take the times for dates."""
    kinds = set(map(type, series.dropna())) if series.dtype == object else set()
    return date in kinds and any(issubclass(kind, datetime) for kind in kinds)


def histories_in_memory(
    source: "Frame | Sequence[Any]", reader: TransactionReader, first_row: int | Integers = 0
) -> Histories:
    """Read rows in memory; if the reader completes absent columns, one without any value counts as absent.

    *first_row* is the number of the first row, or has the number of each row.

    Raises:
        InvalidDataError: rows with bad values, every one of them named.
        FileFormatError: a required column is missing, one is there twice, or there are too many rows to sort.
    """
    errors = reader.collector(first_row)
    rows = list(source) if isinstance(source, Mapping) else source  # a row without its list is wrong, key by key
    if isinstance(rows, Sequence):
        table = table_from_rows(rows, errors, text=reader.text)
        reader.refuse_misspelt(dict.fromkeys(name for row in rows for name in row))
    else:
        rows = _with_index(rows)
        reader.require_columns(_column_names(rows))  # all of them: those of other names are left out of the table
        table = table_from_frame(rows, errors, text=reader.text)
    if reader.completes and table.num_rows:
        nothing = [name for name in ABSENCES if table.column_names.count(name) == 1]  # the reader refuses two
        nothing = [name for name in nothing if table[name].null_count == table.num_rows]
        # A wrong value is null too, and an error: its column is not absent.
        table = table.drop_columns([name for name in nothing if not errors.rows_with_error(name, table.num_rows).any()])
    ids = table.column_names.count(c.USER_ID)  # the reader refuses any number but one
    if table.num_rows > c.ROWS_SORTED_IN_MEMORY and ids == 1 and not is_grouped(table[c.USER_ID]):
        raise too_large(reader.source)
    return reader.read(table, errors)


def codes_of(column: pa.ChunkedArray) -> Integers:
    """Number the identifiers of a column, equal ones alike; each list, struct or UUID gets its own number."""
    if pa.types.is_nested(column.type) or isinstance(column.type, pa.BaseExtensionType):
        return np.arange(len(column))
    whole = pa.table({"id": column}).unify_dictionaries()["id"].combine_chunks()
    encoded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    chunks = encoded.chunks if isinstance(encoded, pa.ChunkedArray) else [encoded]
    return np.concatenate([chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in chunks])


def count_runs(column: pa.ChunkedArray) -> int:
    """Count the runs of rows with one identifier."""
    if not pa.types.is_dictionary(column.type):
        codes = codes_of(column)
        return int(np.count_nonzero(np.diff(codes))) + bool(len(codes))
    runs, before = 0, None
    for chunk in column.chunks:
        if len(chunk):  # without reading the words: they are the same only if the codes are
            places = chunk.indices.fill_null(-1) if chunk.indices.null_count else chunk.indices
            first = chunk[0].as_py()
            runs += count_changes(np.asarray(places.to_numpy(), dtype=np.int32)) + (not runs or first != before)
            before = chunk[-1].as_py()
    return runs


def is_grouped(column: pa.ChunkedArray) -> bool:
    """Check whether the rows of each identifier are adjacent."""
    codes = codes_of(column)
    begins = np.concatenate([codes[:1], codes[1:][np.diff(codes) != 0]])
    return len(np.unique(begins)) == len(begins)
