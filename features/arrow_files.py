"""Tables in files of Arrow: written quickly, read back bit for bit; and the one way to scan Parquet with Polars."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet

_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write batches, which `read_batch` reads one by one; all have the same dictionaries."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema, options=_COMPRESSED) as writer:
        for batch in batches:
            writer.write_batch(batch)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table; it is read back in one piece, whatever pieces it has."""
    whole = table.unify_dictionaries().combine_chunks()
    write_batches(path, table.schema, whole.to_batches())


def read_table(path: Path) -> pa.Table:
    """Read a table into memory."""
    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).read_all()


def read_batch(path: Path, number: int) -> pa.RecordBatch:
    """Read one of the batches of a file into memory."""
    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).get_batch(number)


def read_schema(path: Path) -> pa.Schema:
    """Read the columns of a file, with whatever is said beside them."""
    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).schema


def count_batches(path: Path) -> int:
    """Count the batches of a file."""
    with pa.OSFile(str(path), "rb") as file:
        return int(pa.ipc.open_file(file).num_record_batches)


def as_bytes(table: pa.Table) -> bytes:
    """Write a table into bytes; `of_bytes` gives it back."""
    whole = table.unify_dictionaries().combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, whole.schema, options=_COMPRESSED) as writer:
        writer.write_table(whole)
    return bytes(sink.getvalue())


def of_bytes(content: bytes) -> pa.Table:
    """Read a table that `as_bytes` wrote."""
    return pa.ipc.open_file(pa.BufferReader(content)).read_all()


def scan_parquet(path: Path) -> pl.LazyFrame:
    """Scan Parquet as Polars does, with moments of INT96 in microseconds: in nanoseconds some would be others.

    No sign in the path is a pattern.
    A file that cannot be read raises the error of Polars once it is collected.
    """
    frame = pl.scan_parquet(path, glob=False)
    with suppress(pl.exceptions.PolarsError):
        schema = frame.collect_schema()
        if pl.Datetime("ns") in schema.values():
            columns = pyarrow.parquet.read_metadata(path).schema
            old = {each.name for each in map(columns.column, range(len(columns))) if each.physical_type == "INT96"}
            read_as = {**schema, **dict.fromkeys(old & set(schema), pl.Datetime("us"))}
            return pl.scan_parquet(path, schema=read_as, glob=False)
    return frame
