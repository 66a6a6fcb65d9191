"""Reading files of earlier scores: the predicted value of each customer, the as-of, and the model."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import polars as pl

from fivefold.domain.clock import DAY_US, parse_moment
from fivefold.domain.errors import ConfigError, FileFormatError, InvalidDataError
from fivefold.domain.segments import SEGMENTS
from fivefold.domain.text import cut_text
from fivefold.features.reading.csv_file import csv_frame, csv_parts
from fivefold.features.reading.formulas import unescape_formulas_of_frame
from fivefold.features.reading.json_lines import read_json_lines
from fivefold.features.reading.places.parquet_frame import unchanged_parquet
from fivefold.features.reading.tables import read_json
from fivefold.features.reading.text_files import TornRow, suffix_of, torn_problems

SCHEMA: dict[str, type[pl.DataType]] = {
    "user_id": pl.String,
    "category": pl.String,
    "currency": pl.String,
    "expected_value": pl.Float64,
    "expected_value_low": pl.Float64,
    "expected_value_high": pl.Float64,
    "interval_level_percent": pl.Int64,
    "model_hash": pl.String,
    "as_of": pl.Int64,
}
"""The columns of scores that are compared with realised values; `as_of` in microseconds."""
_NEEDED = ("user_id", "category", "currency", "expected_value")
_LEAST_LEVEL, _MOST_LEVEL = 1, 99
"""Levels of intervals that `fivefold score` takes."""
_PLAIN = (str, int, float, NoneType)
"""The kinds of values that scores in JSON have; Polars would take true for the number 1."""


def _of_parquet(path: Path) -> pl.DataFrame:
    with unchanged_parquet(path) as rows:
        return rows.select(name for name in SCHEMA if name in rows.collect_schema().names()).collect()


def _of_csv(path: Path) -> pl.DataFrame:
    parts = list(csv_parts(path, with_decimals=True))
    _refuse_torn([row for part in parts for row in part.torn], path)
    return unescape_formulas_of_frame(pl.concat([csv_frame(part.table, path) for part in parts]))


def _of_json(path: Path) -> pl.DataFrame:
    return _of_objects(read_json(path), path)


def _of_json_lines(path: Path) -> pl.DataFrame:
    read = read_json_lines(path)
    _refuse_torn(read.torn, path)
    return _of_objects(read.rows, path)


def _of_objects(rows: Sequence[Any], path: Path) -> pl.DataFrame:
    if not all(isinstance(row, dict) for row in rows):
        raise FileFormatError(f"{path} is not a file of scores: a row of it is not an object")
    if not rows:
        return pl.DataFrame(schema=dict.fromkeys(SCHEMA, pl.String))
    names = [name for name in SCHEMA if any(name in row for row in rows)]
    for name in names:
        wrong = next((row[name] for row in rows if type(row.get(name)) not in _PLAIN), None)
        if wrong is not None:
            raise _wrong_value(path, name, json.dumps(wrong))
    try:
        plain = [{name: _as_text(name, row.get(name)) for name in names} for row in rows]
        return pl.from_dicts(plain, infer_schema_length=None)
    except (OverflowError, TypeError, UnicodeEncodeError) as error:  # JSON has more values than columns can hold
        raise FileFormatError(f"{path} is not a file of scores: {str(error).splitlines()[0]}") from None


def _as_text(name: str, value: Any) -> Any:
    """Turn a float of a text column into text, unchanged: among texts Polars would write 8.0 as 8."""
    return str(value) if isinstance(value, float) and SCHEMA[name] == pl.String else value


def _wrong_value(path: Path, name: str, value: object) -> FileFormatError:
    allowed = "text" if SCHEMA[name] == pl.String or name == "as_of" else "a finite number"
    if SCHEMA[name] == pl.Int64 and name != "as_of":
        allowed = f"a whole number from {_LEAST_LEVEL} to {_MOST_LEVEL}"
    return FileFormatError(f"{path} is not a file of scores: {name} is {cut_text(str(value))}; allowed: {allowed}")


def _refuse_torn(torn: Sequence[TornRow], path: Path) -> None:
    if torn:
        raise InvalidDataError(torn_problems(torn, str(path)), len(torn), str(path))


_READERS: Mapping[str, Callable[[Path], pl.DataFrame]] = {
    ".parquet": _of_parquet,
    ".csv": _of_csv,
    ".json": _of_json,
    ".jsonl": _of_json_lines,
    ".ndjson": _of_json_lines,
}
"""The reader of each suffix, which reads rows as those of transactions; the errors are those of `read_scores`."""


def read_scores(paths: Sequence[Path], as_of: int | None = None, model_hash: str | None = None) -> pl.DataFrame:
    """Read files that `fivefold score` wrote, in the columns of `SCHEMA`; each prediction once.

    The latest prediction of a customer by a model on a day (UTC) counts, and at equal moments that of the later file: a
    repeated run replaces its earlier predictions.

    Args:
        paths: the files, whose suffix gives the format.
        as_of: the moment (microseconds) of files without the column `as_of`.
        model_hash: the model of files without the column `model_hash`, as `domain.provenance.hash_text` writes it.

    Raises:
        FileFormatError: a file is not a file of scores, or is changed while it is read.
        InvalidDataError: a text file has lines that are not rows.
        ConfigError: a file has no as-of or model and none was given, or it has the column and one was given.
    """
    scores = pl.concat([_read(path, as_of, model_hash) for path in paths])
    day = (pl.col("as_of") // DAY_US).alias("day")
    return (
        scores.with_columns(day)
        .sort("as_of", maintain_order=True)
        .unique(["user_id", "model_hash", "day"], keep="last", maintain_order=True)
    )


def _read(path: Path, as_of: int | None, model_hash: str | None) -> pl.DataFrame:
    suffix = suffix_of(path, others="")
    if suffix not in _READERS:
        raise FileFormatError(f"{path} is not a file of scores; its name must end in {', '.join(_READERS)}")
    try:
        table = _READERS[suffix](path)
        missing = [name for name in _NEEDED if name not in table.columns]
        if missing:
            raise FileFormatError(f"{path} is not a file of scores: it has no column {', '.join(missing)}")
        if table.is_empty():  # no customer was scored, and JSON without rows has no columns
            return pl.DataFrame(schema=SCHEMA)
        return _typed(table, path, as_of, model_hash)
    except pl.exceptions.PolarsError as error:
        raise FileFormatError(f"{path} is not a file of scores: {str(error).splitlines()[0]}") from None


def _typed(table: pl.DataFrame, path: Path, as_of: int | None, model_hash: str | None) -> pl.DataFrame:
    """Cast every column to its type; a column that the file lacks is null, or has the value given for it."""
    for name, value, option in (("as_of", as_of, "--as-of"), ("model_hash", model_hash, "--model")):
        if name not in table.columns and value is None:
            raise ConfigError(f"{path} has no column {name}; name it by {option}")
    for name, value, option in (("as_of", as_of, "--as-of"), ("model_hash", model_hash, "--model")):
        if name in table.columns and value is not None:
            raise ConfigError(f"{path} has the column {name}, so {option} must not be given")
    if "as_of" in table.columns:
        if table.schema["as_of"] != pl.String:
            raise FileFormatError(
                f"{path}: as_of must be text as fivefold score writes it, not {table.schema['as_of']}"
            )
        texts = table["as_of"].unique().to_list()
        moments = [parse_moment(text or "", f"{path}: as_of") for text in texts]
        table = table.with_columns(pl.col("as_of").replace_strict(texts, moments, return_dtype=pl.Int64))
    else:
        table = table.with_columns(as_of=pl.lit(as_of))
    if "model_hash" not in table.columns:
        table = table.with_columns(model_hash=pl.lit(model_hash))
    absent = [pl.lit(None, kind).alias(name) for name, kind in SCHEMA.items() if name not in table.columns]
    table = table.with_columns(absent)
    typed = pl.DataFrame([_cast(table, name, kind, path) for name, kind in SCHEMA.items()])
    _refuse_wrong_rows(typed, path)
    return typed


def _refuse_wrong_rows(typed: pl.DataFrame, path: Path) -> None:
    if typed.select(*_NEEDED, "model_hash").null_count().sum_horizontal().item():
        raise FileFormatError(f"{path} has a row without {', '.join(_NEEDED)} or model_hash")
    if (typed["user_id"] == "").any():
        raise FileFormatError(f"{path} has a row whose user_id is empty; allowed: text")
    unknown = typed.filter(~pl.col("category").is_in(SEGMENTS))["category"]
    if len(unknown):
        what = f"category is {cut_text(unknown[0])}; allowed: {', '.join(SEGMENTS)}"
        raise FileFormatError(f"{path} is not a file of scores: {what}")
    turned = typed.filter(pl.col("expected_value_low") > pl.col("expected_value_high"))
    if len(turned):
        low, high = turned.row(0, named=True)["expected_value_low"], turned.row(0, named=True)["expected_value_high"]
        what = f"expected_value_low is {low}; allowed: a number of at most {high}, its expected_value_high"
        raise FileFormatError(f"{path} is not a file of scores: {what}")


def _cast(table: pl.DataFrame, name: str, kind: type[pl.DataType], path: Path) -> pl.Series:
    """Cast a column to its type; numbers as text may have spaces around them, as in transactions."""
    column, dtype = table[name], table.schema[name]
    if dtype == pl.Boolean or dtype.is_nested() or dtype.is_temporal():
        raise _wrong_value(path, name, f"of the type {dtype}")
    if kind == pl.String or name == "as_of":
        return column.cast(kind)
    numbers = (column.str.strip_chars() if dtype == pl.String else column).cast(pl.Float64, strict=False)
    wrong = column.is_not_null() & ~numbers.is_finite().fill_null(False)
    if kind == pl.Int64:
        wrong |= (numbers != numbers.round()) | ~numbers.is_between(_LEAST_LEVEL, _MOST_LEVEL)
    if wrong.any():
        raise _wrong_value(path, name, column.filter(wrong)[0])
    return numbers.cast(kind)
