"""Sources of transactions read as one Arrow table: rows, JSON, CSV, Arrow, Polars, pandas."""

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet

from fivefold.domain.errors import FileFormatError
from fivefold.features import schema as c
from fivefold.features.reading.columns import ALLOWED_NUMBER, ALLOWED_TEXT, ALLOWED_TIME, ErrorCollector, short_text
from fivefold.features.reading.csv_file import CsvPart, csv_parts
from fivefold.features.reading.text_files import MappedFile, open_text

if TYPE_CHECKING:  # pandas is imported only where a caller passes a pandas frame
    import pandas as pd

    Source = Path | str | MappedFile | Sequence[Mapping[str, Any]] | pa.Table | pl.DataFrame | pd.DataFrame
else:
    Source = Path | str | MappedFile | Sequence[Mapping[str, Any]] | pa.Table | pl.DataFrame
"""The sources that histories can be read from."""

_FIELDS: dict[str, tuple[pa.DataType, str]] = {
    name: (pa.float64(), ALLOWED_NUMBER)
    if name in {c.BALANCE, c.AMOUNT}
    else (pa.string(), ALLOWED_TIME if name in {c.CREATED, c.DATE} else ALLOWED_TEXT)
    for name in c.COLUMNS
}


def table_from_rows(rows: Sequence[Any], errors: ErrorCollector) -> pa.Table:
    """Turn the rows of a request or a JSON file into a table; values of a wrong type are collected.

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
        if name in c.OPTIONAL and values.count(None) == len(values):
            continue
        columns[name] = _column(values, name, kind, allowed, errors)
    return pa.table(columns)


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
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and (value.isascii() or _is_unicode(value))


def _is_unicode(text: str) -> bool:
    """Tell whether a text has no lone surrogate, which JSON can write but UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def read_json(path: Path) -> list[Any]:
    """Read a JSON array of rows; FileFormatError where it is none."""
    try:
        with open_text(path) as file:
            rows = json.load(file)
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and endless nesting
        raise FileFormatError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(rows, list):
        raise FileFormatError(f"{path} holds a JSON {type(rows).__name__}; it must be an array of rows")
    return rows


def read_csv(path: Path) -> CsvPart:
    """Read a whole CSV file, everything as text; FileFormatError beyond the rows that are sorted in memory."""
    parts: list[CsvPart] = []
    rows = 0
    for part in csv_parts(path):
        parts.append(part)
        rows += len(part.rows)
        if rows > c.ROWS_SORTED_IN_MEMORY:
            raise too_large(str(path))
    if not rows and not any(part.torn for part in parts):
        raise FileFormatError(f"{path} has no rows")
    return CsvPart(
        pa.concat_tables([part.table for part in parts]),
        np.concatenate([part.rows for part in parts]),
        tuple(torn for part in parts for torn in part.torn),
    )


def too_large(source: str) -> FileFormatError:
    """Create the error for a source that is too large to sort in memory; it names the command that sorts it."""
    return FileFormatError(
        f"{source} has more than {c.ROWS_SORTED_IN_MEMORY:,} rows that are not grouped by customer; group them first: "
        f"fivefold sort {shlex.quote(source)} --output grouped.parquet"
    )


def table_from_frame(source: "pa.Table | pl.DataFrame | pd.DataFrame", errors: ErrorCollector) -> pa.Table:
    """View a data frame as an Arrow table; NaN in pandas is a missing value."""
    if isinstance(source, pl.DataFrame):
        return source.to_arrow()
    pandas = sys.modules.get("pandas")  # where pandas was never imported, no value is a pandas frame
    if pandas is not None and isinstance(source, pandas.DataFrame):
        known = [position for position, name in enumerate(source.columns) if name in c.COLUMNS]
        names = [str(source.columns[position]) for position in known]
        return pa.table([_from_series(source.iloc[:, position], errors) for position in known], names)
    return source


def _from_series(series: "pd.Series[Any]", errors: ErrorCollector) -> pa.Array:
    import pandas as pd  # noqa: PLC0415 (see above)

    if isinstance(series.dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    if series.dtype != object or not series.map(_is_truth).any():  # Arrow would take True among numbers for 1
        try:
            return pa.array(series, from_pandas=True, safe=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError, OverflowError):
            pass  # objects of more than one type
    values = [None if missing else value for value, missing in zip(series, series.isna(), strict=True)]
    return _column(values, str(series.name), *_FIELDS[str(series.name)], errors)


def _is_truth(value: object) -> bool:
    return isinstance(value, bool | np.bool_)
