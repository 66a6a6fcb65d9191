"""Parquet as a frame of Polars: the one way to scan it, for code that reads files but no tables."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
import pyarrow as pa

from fivefold.domain.errors import FileFormatError
from fivefold.features.reading.places.parquet_source import ParquetPart, ParquetSource, in_types
from fivefold.features.reading.places.stores import open_files

MOST_DIGITS: Final = 38
"""Most digits of a decimal number in a frame of Polars."""


@contextmanager
def unchanged_parquet(
    path: Path, reads: Callable[[Sequence[str]], Collection[str]] = list, first: int = 0, count: int | None = None
) -> Iterator[pl.LazyFrame]:
    """Scan a file or a folder, with the columns in the names of folders, for a block that reads it.

    Moments of INT96 are in microseconds: nanoseconds would overflow for some. The rows of a file are compared with its
    folder when its first row is scanned, so that scans of all slices of a folder compare each file once.

    Args:
        path: a path of this machine; wildcards in it have no meaning.
        reads: selects the names of columns to read among all names. Others are left out unless all files have them.
        first: the number of the first row, from 0. Files whose rows are all before it are not scanned.
        count: the largest number of rows; None for all. Without rows, the frame has its columns alone.

    Raises:
        FileFormatError: a file cannot be read, is part of a table, contradicts its folder, differs in columns, or was
            changed by the end of the block. The frame raises it too if a value does not fit the type that the column
            has in all files together.
    """
    source = open_files(path)
    yield _scan_source(source, reads, first, count)
    source.require_unchanged()


def _scan_source(
    source: ParquetSource, reads: Callable[[Sequence[str]], Collection[str]], first: int, count: int | None
) -> pl.LazyFrame:
    every = list(dict.fromkeys(name for part in source.parts for name in part.schema.names))
    needs = set(reads(every))
    types = source.types(lambda part: [name for name in part.schema.names if name in needs])
    parts = [part for part in source.parts if isinstance(part, ParquetPart)]
    own = [dict(zip(part.schema.names, part.schema.types, strict=True)) for part in parts]
    for part, kinds in zip(parts, own, strict=True):
        _refuse_wide(part, kinds)
    columns = [name for name in every if name in types or all(each.get(name) == own[0].get(name) for each in own)]
    cuts = _cuts(parts, first, count)
    for cut in cuts:
        if cut.rows and not cut.first:
            cut.part.require_agreement()
    runs = [list(run) for _, run in groupby(cuts, lambda cut: _scanned_as(cut.part, types))]
    return pl.concat([_scan(run, types, columns) for run in runs])


def _refuse_wide(part: ParquetPart, kinds: Mapping[str, pa.DataType]) -> None:
    """Refuse a column that Polars cannot hold: Polars would not name it, nor scan the other columns of the file."""
    for name, kind in kinds.items():
        if pa.types.is_decimal(kind) and kind.precision > MOST_DIGITS:
            raise FileFormatError(
                f"{part.label} cannot be read: the column {name} is {kind}; allowed: at most {MOST_DIGITS} digits"
            )


class _Cut(NamedTuple):
    """Some consecutive rows of a file."""

    part: ParquetPart
    first: int
    rows: int


def _cuts(parts: Sequence[ParquetPart], first: int, count: int | None) -> list[_Cut]:
    """Return the wanted rows of each file that has some, or else no row of the first file."""
    cuts, end = [], 0
    for part in parts:
        begin, end = end, end + part.rows
        last = end if count is None else min(end, first + count)
        cuts.append(_Cut(part, max(first - begin, 0), last - max(first, begin)))
    return [cut for cut in cuts if cut.rows > 0] or [_Cut(parts[0], 0, 0)]


def _scanned_as(part: ParquetPart, types: Mapping[str, pa.DataType]) -> tuple[object, ...]:
    """Return what consecutive files must have in common for one scan; errors of a cast name one file."""
    added = [part.constants[name].as_py() for name in part.added]
    return part.schema, added, part.int96, part.label if _cast_columns(part, types) else None


def _scan(run: Sequence[_Cut], types: Mapping[str, pa.DataType], columns: Sequence[str]) -> pl.LazyFrame:
    part, rows = run[0].part, sum(cut.rows for cut in run)
    added = [pl.lit(part.constants[name].as_py(), pl.String).alias(name) for name in part.added]
    frame = _scan_files([str(cut.part.file) for cut in run], part.int96).with_columns(added).select(columns)
    if rows < sum(cut.part.rows for cut in run):
        frame = frame.slice(run[0].first, rows)
    casts = _cast_columns(part, types)
    if not casts:
        return frame
    schema = {**frame.collect_schema(), **_schema_of(casts)}
    return frame.map_batches(partial(_cast, types=casts, label=part.label), schema=schema, streamable=True)


def _scan_files(files: list[str], int96: Collection[str]) -> pl.LazyFrame:
    frame = pl.scan_parquet(files, glob=False, hive_partitioning=False)
    if not int96:
        return frame
    schema = frame.collect_schema()
    in_nanoseconds = [name for name, kind in schema.items() if name in int96 and kind == pl.Datetime("ns")]
    read_as = {**schema, **dict.fromkeys(in_nanoseconds, pl.Datetime("us"))}
    return pl.scan_parquet(files, schema=read_as, glob=False, hive_partitioning=False)


def _cast_columns(part: ParquetPart, types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Return the joint types of the columns whose type in this file differs from it, to Polars too."""
    own = dict(zip(part.schema.names, part.schema.types, strict=True))
    others = {name: types[name] for name, kind in own.items() if types.get(name, kind) != kind}
    before, after = _schema_of({name: own[name] for name in others}), _schema_of(others)
    return {name: kind for name, kind in others.items() if before[name] != after[name]}


def _cast(frame: pl.DataFrame, types: Mapping[str, pa.DataType], label: str) -> pl.DataFrame:
    """Cast some columns as Arrow does, which refuses what Polars would round."""
    table = frame.select(list(types)).to_arrow(compat_level=pl.CompatLevel.oldest())
    return frame.with_columns(pl.DataFrame(in_types(table, types, label)))


def _schema_of(types: Mapping[str, pa.DataType]) -> pl.Schema:
    return pl.DataFrame(pa.schema(types).empty_table()).schema
