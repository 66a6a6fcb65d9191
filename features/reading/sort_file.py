"""Grouping by customer out of core: rows are partitioned into buckets by customer, and each bucket is sorted alone."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet
from tqdm import tqdm

from fivefold.domain.errors import FileFormatError, InvalidDataError, first_row_of
from fivefold.domain.files import replacing
from fivefold.features import schema as c
from fivefold.features.reading.columns import MOST_NAMED_IN_FILES, ErrorCollector, read_numbers
from fivefold.features.reading.csv_file import csv_parts
from fivefold.features.reading.json_lines import read_json_lines
from fivefold.features.reading.tables import read_json
from fivefold.features.reading.text_files import MappedFile, TornRow, suffix_of

ROWS_A_BUCKET = 2_000_000
"""Rows that are sorted at once: the memory needed depends on this, not on the size of the file."""


def sort_by_customer(source: Path, output: Path) -> int:
    """Write the rows of *source* to the Parquet file *output*, each customer's together and in time order.

    All columns are kept; in CSV money becomes numbers. Returns the number of rows; *output* appears only when it is
    complete.

    Raises:
        FileFormatError: the source cannot be read, has no column to sort by, or files whose columns differ.
        InvalidDataError: money in CSV that is not a number, or torn lines.
    """
    found = MappedFile(source)
    rows = _count(found)
    buckets = max(1, -(-rows // ROWS_A_BUCKET))
    with ExitStack() as stack:
        unfinished = stack.enter_context(replacing(output))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=".", dir=output.absolute().parent))
        files = [Path(folder) / f"{number}.parquet" for number in range(buckets)]
        rows = _partition(found, files, rows)
        writer: pyarrow.parquet.ParquetWriter | None = None
        for file in tqdm(files, desc="sorting", unit=" buckets", disable=None, leave=False):
            if not file.exists():
                continue
            table = _sorted(pyarrow.parquet.read_table(file))
            writer = writer or stack.enter_context(pyarrow.parquet.ParquetWriter(unfinished, table.schema))
            writer.write_table(table, row_group_size=1 << 19)
            file.unlink()
        if writer is None:
            raise FileFormatError(f"{source} has no rows")
        writer.close()
    return rows


def _batches(file: MappedFile) -> Iterator[pa.RecordBatch]:
    source = file.path
    suffix = suffix_of(source)
    if suffix == ".csv":
        torn: list[TornRow] = []
        for part in csv_parts(source):
            yield from part.table.to_batches()
            torn += part.torn
        _refuse(torn, source)
    elif suffix in {"", ".parquet"}:
        for each in file.parquet.once_through(lambda one: one.schema.names):
            yield from each.batches(each.schema.names, (), 1 << 19)
    elif suffix == ".json":
        yield from _json_table(read_json(source), source).to_batches()
    else:
        read = read_json_lines(source)
        _refuse(read.torn, source)
        yield from _json_table(read.rows, source).to_batches()


def _refuse(torn: Sequence[TornRow], source: Path) -> None:
    """Raise InvalidDataError with the torn rows, if there are any."""
    if torn:
        first = first_row_of(str(source))
        problems = [replace(row.as_problem(), row=row.row - first) for row in torn[:MOST_NAMED_IN_FILES]]
        raise InvalidDataError(problems, len(torn), str(source))


def _json_table(rows: list[Any], source: Path) -> pa.Table:
    try:
        names = dict.fromkeys(name for row in rows for name in row)
        return pa.table({name: _array([row.get(name) for row in rows]) for name in names})
    except (pa.ArrowInvalid, pa.ArrowTypeError, AttributeError, TypeError, OverflowError, UnicodeEncodeError) as error:
        raise FileFormatError(
            f"the rows of {source} are not objects with values of one type for each name: {error}"
        ) from None


def _array(values: list[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if bool in kinds and len(kinds) > 1:  # Arrow would take true among numbers for 1
        raise TypeError("true and false stand among other values")
    return pa.array(values)


def _count(source: MappedFile) -> int:
    if suffix_of(source.path) in {"", ".parquet"}:
        return source.parquet.rows
    return sum(batch.num_rows for batch in _batches(source))


def _with_numbers(batch: pa.RecordBatch, errors: ErrorCollector, source: Path) -> pa.RecordBatch:
    """Turn money from text to numbers: Parquet is read later, where text is not accepted as a number."""
    for place, name in enumerate(batch.schema.names):
        if name in {c.AMOUNT, c.BALANCE}:
            numbers = read_numbers(batch.column(place), name, errors, text=True)
            batch = batch.set_column(place, name, pa.array(numbers))
    errors.raise_if_any(str(source))
    return batch


def _partition(file: MappedFile, files: list[Path], rows: int) -> int:
    """Put every row into the bucket of its customer, and count the rows."""
    source = file.path
    with ExitStack() as stack, tqdm(total=rows, desc="partitioning", unit=" rows", disable=None, leave=False) as bar:
        writers: dict[int, pyarrow.parquet.ParquetWriter] = {}
        text = suffix_of(source) == ".csv"
        first_row = 0
        for raw in _batches(file):
            batch = _with_numbers(raw, ErrorCollector(first_row), source) if text else raw
            first_row += batch.num_rows
            for name in (c.USER_ID, c.DATE):
                if name not in batch.schema.names:
                    raise FileFormatError(f"{source} has no column {name}; it has {', '.join(batch.schema.names)}")
                if batch.schema.names.count(name) > 1:
                    raise FileFormatError(f"{source} has more than one column {name}")
            of_row = (pl.Series(batch[c.USER_ID].cast(pa.string())).hash() % len(files)).fill_null(0).to_numpy()
            for number in np.unique(of_row).tolist():
                part = batch.filter(pa.array(of_row == number))
                if number not in writers:
                    writer = pyarrow.parquet.ParquetWriter(files[number], part.schema)
                    writers[number] = stack.enter_context(writer)
                if not part.schema.equals(writers[number].schema):
                    raise FileFormatError(f"the files of {source} differ in their columns or the types of these")
                writers[number].write_batch(part)
            bar.update(batch.num_rows)
    return first_row


def _sorted(table: pa.Table) -> pa.Table:
    # Stable, so that rows of one customer and moment keep the order of the file.
    order = pl.DataFrame({"user": pl.Series(table[c.USER_ID]), "date": pl.Series(table[c.DATE])})
    places = order.with_row_index().sort("user", "date", "index")["index"]
    return table.take(places.to_arrow())
