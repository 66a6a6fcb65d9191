"""Grouping by customer out of core: rows are partitioned into buckets by customer, and each bucket is sorted alone.

Both steps work part by part. A part of the first step is some rows of the source, in a file with a batch for each
bucket; a part of the second is the sorted rows of a bucket. Finished parts are reused.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet
from tqdm import tqdm

from fivefold.domain.errors import FileFormatError, InvalidDataError, first_row_of
from fivefold.domain.parts import Parts, numbered, passing_parts
from fivefold.domain.text import columns_text
from fivefold.features import schema as c
from fivefold.features.ahead import work_ahead
from fivefold.features.arrow_files import count_batches, read_batch, read_schema, read_table, write_batches, write_table
from fivefold.features.column_names import how_to_rename
from fivefold.features.histories import Integers
from fivefold.features.reading.columns import MOST_NAMED_IN_FILES, ErrorCollector, GatheredProblems, read_numbers
from fivefold.features.reading.csv_file import csv_parts
from fivefold.features.reading.json_lines import read_json_lines
from fivefold.features.reading.parquet_stream import START, ParquetTables, StreamPosition, difference_text, tables_of
from fivefold.features.reading.tables import read_json
from fivefold.features.reading.text_files import (
    MappedFile,
    TornRow,
    changed_meanwhile,
    is_parquet,
    suffix_of,
    torn_problems,
    unchanged,
)

ROWS_A_BUCKET = 1_000_000
"""Rows that are sorted at once: memory depends on this, not on the size of the file."""
ROWS_A_PART = 1 << 19
"""Rows of the source that are partitioned at once."""
ROWS_A_GROUP: Final = 1 << 19
_PIECES: Final = "rows"
_NOTE: Final = b"fivefold"


def sort_by_customer(source: Path | MappedFile, output: Path, parts: Parts | None = None) -> int:
    """Write the rows of *source* to the Parquet file *output*, each customer's together, ordered by date.

    All columns are kept, under our names; in CSV money becomes numbers. Dates as text are ordered as text, whatever
    their zones: readers order them by time. Returns the number of rows; *output* appears only when it is complete.
    Finished *parts* are not done again; by default there is nothing to continue.

    Raises:
        FileFormatError: the source cannot be read, is changed meanwhile, has no column to sort by, or files whose
            columns differ.
        InvalidDataError: money in CSV that is not a number, or torn lines.
    """
    if parts is None:
        with passing_parts(output) as own:
            return sort_by_customer(source, output, own)
    file = MappedFile.of(source)
    partitioned = _partition(file, parts)
    if not partitioned.rows:
        raise FileFormatError(f"{file} has no rows")
    buckets = range(count_batches(partitioned.files[0]))
    with ExitStack() as stack:
        unfinished = stack.enter_context(parts.publishing())
        writer: pyarrow.parquet.ParquetWriter | None = None
        bar = stack.enter_context(
            tqdm(desc="sorting", unit=" rows", unit_scale=True, total=partitioned.rows, disable=None, leave=False)
        )
        for table in work_ahead(partial(_sorted_bucket, partitioned.files, parts), buckets):
            writer = writer or stack.enter_context(pyarrow.parquet.ParquetWriter(unfinished, table.schema))
            writer.write_table(table, row_group_size=ROWS_A_GROUP)
            bar.update(table.num_rows)
        if writer is not None:
            writer.close()
    return partitioned.rows


class _Partitioned(NamedTuple):
    """The files of the partitioned rows, in the order of the source, and their number of rows."""

    files: list[Path]
    rows: int


@dataclass(frozen=True)
class _Piece:
    """Some rows of the source.

    Attributes:
        number: the number of the piece, from 0.
        place: the position of the source after these rows.
    """

    number: int
    rows: pa.Table
    place: StreamPosition


def _partition(source: MappedFile, parts: Parts) -> _Partitioned:
    """Put every row into the bucket of its customer."""
    done = list(parts.series(_PIECES))
    place, total, is_whole = START, 0, False
    if done:
        total, is_whole, place = _read_note(done[-1])
    if is_whole:
        return _Partitioned(done, place.rows)
    is_text = not is_parquet(source.path)
    with unchanged(source.path) if is_text else nullcontext():
        total = total or _count(source)
        buckets = count_batches(done[0]) if done else max(1, -(-total // ROWS_A_BUCKET))
        schema = _plain(read_schema(done[0])) if done else None
        pieces = _with_end(_checked(_pieces(source, len(done), place), source, schema))
        write = partial(_write_piece, source=source, parts=parts, buckets=buckets, total=total)
        with tqdm(desc="partitioning", unit=" rows", unit_scale=True, total=total, disable=None, leave=False) as bar:
            bar.update(place.rows)
            for file, rows in work_ahead(lambda each: write(*each), pieces):
                bar.update(rows)
                done.append(file)
    rows = _read_note(done[-1])[2].rows if done else 0
    if is_text and rows != total:
        raise changed_meanwhile(source)
    return _Partitioned(done, rows)


def _with_end(pieces: Iterable[_Piece]) -> Iterator[tuple[_Piece, bool]]:
    """Yield each piece, and whether it is the last: the source is read to its end before the last piece is kept."""
    waiting: _Piece | None = None
    for piece in pieces:
        if waiting is not None:
            yield waiting, False
        waiting = piece
    if waiting is not None:
        yield waiting, True


def _write_piece(
    piece: _Piece, is_last: bool, *, source: MappedFile, parts: Parts, buckets: int, total: int
) -> tuple[Path, int]:
    """Keep the rows of a piece, those of each bucket in a batch of its own; return the file and the number of rows."""
    name = numbered(_PIECES, piece.number)
    note = {"total": total, "is_last": is_last, "place": [piece.place.file, piece.place.row, piece.place.rows]}
    table = piece.rows.unify_dictionaries().combine_chunks()
    users = pl.Series(_as_text(table[c.USER_ID], source))
    of_row = (users.hash() % buckets).fill_null(0).to_numpy()
    ordered = table.take(pa.array(np.argsort(of_row, kind="stable")))
    noted = {**(table.schema.metadata or {}), _NOTE: json.dumps(note).encode()}
    (whole,) = ordered.replace_schema_metadata(noted).combine_chunks().to_batches()
    ends = np.cumsum(np.bincount(of_row.astype(np.int64), minlength=buckets)).tolist()
    with parts.writing(name) as path:
        write_batches(path, whole.schema, (whole.slice(first, end - first) for first, end in pairwise([0, *ends])))
    return parts.require(name), table.num_rows


def _read_note(file: Path) -> tuple[int, bool, StreamPosition]:
    note = json.loads((read_schema(file).metadata or {})[_NOTE])
    return note["total"], note["is_last"], StreamPosition(*note["place"])


def _plain(schema: pa.Schema) -> pa.Schema:
    """Return the columns of the source itself."""
    metadata = {key: value for key, value in (schema.metadata or {}).items() if key != _NOTE}
    return schema.with_metadata(metadata or None)


def _sorted_bucket(files: Sequence[Path], parts: Parts, bucket: int) -> pa.Table:
    """Return the rows of a bucket, sorted."""
    name = numbered("sorted", bucket)
    if (finished := parts.find(name)) is not None:
        return read_table(finished)
    table = pa.Table.from_batches([read_batch(file, bucket) for file in files])
    table = _sorted(table.replace_schema_metadata(_plain(table.schema).metadata))
    with parts.writing(name) as path:
        write_table(path, table)
    return table


def _pieces(source: MappedFile, number: int, place: StreamPosition) -> Iterator[_Piece]:
    """Read the source from a position on; text is read from its beginning, without the pieces kept already."""
    if is_parquet(source.path):
        tables = ParquetTables(source, ROWS_A_PART, None, place)
        rows = place.rows
        for piece, table in enumerate(tables, number):
            rows += table.num_rows
            yield _Piece(piece, table, StreamPosition(tables.file, tables.row, rows))
        return
    rows = place.rows
    for piece, table in enumerate(islice(tables_of(_text_batches(source), ROWS_A_PART), number, None), number):
        rows += table.num_rows
        yield _Piece(piece, table, StreamPosition(rows=rows))


def _checked(pieces: Iterable[_Piece], source: MappedFile, schema: pa.Schema | None) -> Iterator[_Piece]:
    """Refuse rows without the columns to sort by, or with other columns than the rows before."""
    for piece in pieces:
        names = piece.rows.column_names
        for name in (c.USER_ID, c.DATE):
            if name not in names:
                raise FileFormatError(
                    f"{source} has no column {name}; {columns_text(names)}. "
                    f"{how_to_rename(names, (c.USER_ID, c.DATE), in_file=True)}"
                )
            if names.count(name) > 1:
                raise FileFormatError(f"{source} has more than one column {name}")
        schema = schema or piece.rows.schema
        if not piece.rows.schema.equals(schema):
            raise FileFormatError(f"{source}: {difference_text(schema, piece.rows.schema)}")
        yield piece


def _as_text(column: pa.ChunkedArray, source: MappedFile) -> pa.ChunkedArray:
    """Return identifiers as text; FileFormatError for values that have no text, such as lists."""
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise FileFormatError(
            f"{source} has values of {column.type} in the column {c.USER_ID}; allowed: text that is not empty"
        ) from None


class _TextPart(NamedTuple):
    """Rows of text under our names, their numbers in the file, and the torn rows among them."""

    table: pa.Table
    numbers: Integers
    torn: Sequence[TornRow]


def _text_batches(file: MappedFile) -> Iterator[pa.RecordBatch]:
    """Yield the rows of text; the money of CSV is turned into numbers."""
    for part in _text_parts(file):
        errors = _collector(file, part)
        yield from _with_numbers(part.table, errors, file).to_batches()
        errors.raise_if_any(str(file.path))


def _text_parts(file: MappedFile) -> Iterator[_TextPart]:
    source = file.path
    suffix = suffix_of(source)
    if suffix == ".csv":
        for part in csv_parts(source, our_names=file.our_names):
            yield _TextPart(_renamed(part.table, file), part.rows, part.torn)
    elif suffix == ".json":
        rows = read_json(source)
        yield _TextPart(_renamed(_json_table(rows, source), file), np.arange(1, len(rows) + 1), ())
    else:
        read = read_json_lines(source)
        yield _TextPart(_renamed(_json_table(read.rows, source), file), read.numbers, read.torn)


def _renamed(table: pa.Table, file: MappedFile) -> pa.Table:
    if not table.column_names:  # no line of JSON is a row
        return table
    return table.rename_columns(file.our_names(table.column_names))


def _collector(file: MappedFile, part: _TextPart) -> ErrorCollector:
    first = first_row_of(str(file.path))
    return ErrorCollector(part.numbers - first, MOST_NAMED_IN_FILES, first)


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
    """Count the rows; in text, every bad row is named before any row is kept."""
    if is_parquet(source.path):
        return source.parquet.rows
    problems, rows = GatheredProblems(), 0
    for part in _text_parts(source):
        torn, errors = torn_problems(part.torn, str(source.path)), _collector(source, part)
        problems.add(torn, len(torn), {})
        _with_numbers(part.table, errors, source)
        try:
            errors.raise_if_any()
        except InvalidDataError as error:
            problems.add(error.every, error.count, error.beyond)
        rows += part.table.num_rows
    problems.raise_if_any(str(source.path))
    return rows


def _with_numbers(table: pa.Table, errors: ErrorCollector, file: MappedFile) -> pa.Table:
    """Turn money in CSV from text into numbers, so that a bad one is named by its line in the file."""
    if suffix_of(file.path) != ".csv":
        return table
    for place, name in enumerate(table.column_names):
        if name in {c.AMOUNT, c.BALANCE} and table.num_rows:
            numbers = read_numbers(table[name].combine_chunks(), name, errors, text=True)
            table = table.set_column(place, name, pa.array(numbers))
    return table


def _sorted(table: pa.Table) -> pa.Table:
    # Stable, so that rows of one customer and moment keep the order of the file.
    whole = table.unify_dictionaries().combine_chunks()
    order = pl.DataFrame({"user": pl.Series(whole[c.USER_ID]), "date": pl.Series(whole[c.DATE])})
    places = order.with_row_index().sort("user", "date", "index")["index"]
    return whole.take(places.to_arrow()).combine_chunks()
