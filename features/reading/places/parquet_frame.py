"""Parquet as a frame of Polars: the one way to scan it, for what reads files and no tables."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from fivefold.features.reading.places.parquet_source import ParquetPart
from fivefold.features.reading.places.stores import open_files


def scan_parquet(path: Path, reads: Callable[[Sequence[str]], Collection[str]] = list) -> pl.LazyFrame:
    """Scan a file or a folder, with the columns that its names give.

    Moments of INT96 are in microseconds: in nanoseconds some would be others.

    Args:
        path: of this machine; no sign in it is a pattern.
        reads: gives those names of columns that are read, of all names. Others are left out unless all files have them.

    Raises:
        FileFormatError: a file cannot be read, is of a table, contradicts its folder, or differs in columns.
    """
    source = open_files(path)
    every = list(dict.fromkeys(name for part in source.parts for name in part.schema.names))
    needs = set(reads(every))
    types = source.types(lambda part: [name for name in part.schema.names if name in needs])
    parts = [part for part in source.parts if isinstance(part, ParquetPart)]
    own = [dict(zip(part.schema.names, part.schema.types, strict=True)) for part in parts]
    columns = [name for name in every if name in types or all(each.get(name) == own[0].get(name) for each in own)]
    return pl.concat([_scan(part, types).select(columns) for part in parts])


def _scan(part: ParquetPart, types: Mapping[str, pa.DataType]) -> pl.LazyFrame:
    part.require_agreement()
    added = [pl.lit(part.constants[name].as_py(), pl.String).alias(name) for name in part.added]
    own = zip(part.schema.names, part.schema.types, strict=True)
    others = pa.schema({name: types[name] for name, kind in own if types.get(name, kind) != kind})
    return _scan_file(str(part.file)).with_columns(added).cast(pl.DataFrame(others.empty_table()).schema)


def _scan_file(file: str) -> pl.LazyFrame:
    frame = pl.scan_parquet(file, glob=False, hive_partitioning=False)
    schema = frame.collect_schema()
    if pl.Datetime("ns") not in schema.values():
        return frame
    columns = pyarrow.parquet.read_metadata(file).schema
    old = {each.name for each in map(columns.column, range(len(columns))) if each.physical_type == "INT96"}
    read_as = {**schema, **dict.fromkeys(old & set(schema), pl.Datetime("us"))}
    return pl.scan_parquet(file, schema=read_as, glob=False, hive_partitioning=False)
