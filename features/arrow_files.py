"""Tables in files of Arrow: written quickly, read back bit for bit."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write batches, which `read_batch` reads one by one; all have the same dictionaries."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema, options=_COMPRESSED) as writer:
        for batch in batches:
            writer.write_batch(batch)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table, which is read back as one chunk however many it has."""
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
    """Read the schema of a file, with its metadata."""
    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).schema


def count_batches(path: Path) -> int:
    """Count the batches of a file."""
    with pa.OSFile(str(path), "rb") as file:
        return int(pa.ipc.open_file(file).num_record_batches)


def as_bytes(table: pa.Table) -> bytes:
    """Write a table into bytes, which `of_bytes` reads."""
    whole = table.unify_dictionaries().combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, whole.schema, options=_COMPRESSED) as writer:
        writer.write_table(whole)
    return bytes(sink.getvalue())


def of_bytes(content: bytes) -> pa.Table:
    """Read a table that `as_bytes` wrote."""
    return pa.ipc.open_file(pa.BufferReader(content)).read_all()
