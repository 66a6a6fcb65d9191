"""Parquet as tables of a fixed number of rows, cut between customers, from the beginning or from a place on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fivefold.domain.errors import FileFormatError
from fivefold.features import schema as c
from fivefold.features.arrow_files import as_bytes, of_bytes
from fivefold.features.column_names import ABSENCES
from fivefold.features.reading.frames import codes_of
from fivefold.features.reading.places.parquet_source import SourceFile, in_types
from fivefold.features.reading.text_files import MappedFile
from fivefold.features.reading.validate import FEW_VALUES


@dataclass(frozen=True)
class StreamPosition:
    """The position of a stream of whole customers, between two of its parts.

    Attributes:
        file: the number of the next file, from 0.
        row: the next row in that file.
        rows: number of rows of the whole source in the parts before.
        carried: the rows of the customer who was read last, and who may have more rows; None without one.
    """

    file: int = 0
    row: int = 0
    rows: int = 0
    carried: pa.Table | None = None


START = StreamPosition()


class KeptPosition(msgspec.Struct, frozen=True):
    """A stream position in a form for the disk, with the customers read since the position kept before it.

    Attributes:
        file, row, rows, carried: as in the position; a table is in Arrow's format.
        hashes: the hashes of the customers.
    """

    file: int
    row: int
    rows: int
    carried: bytes | None
    hashes: bytes

    @classmethod
    def of(cls, place: StreamPosition, hashes: npt.NDArray[np.uint64]) -> Self:
        """Keep a position."""
        carried = None if place.carried is None else as_bytes(place.carried)
        return cls(place.file, place.row, place.rows, carried, hashes.tobytes())

    def place(self) -> StreamPosition:
        """Return the position."""
        return StreamPosition(self.file, self.row, self.rows, None if self.carried is None else of_bytes(self.carried))

    def customers(self) -> npt.NDArray[np.uint64]:
        """Return the hashes of the customers."""
        return np.frombuffer(self.hashes, dtype=np.uint64)


class ParquetTables:
    """The rows of a source from a place on, in tables that do not depend on that place.

    Attributes:
        file, row: where the next table begins.
    """

    def __init__(
        self, source: MappedFile, rows: int, columns: tuple[str, ...] | None = c.COLUMNS, place: StreamPosition = START
    ) -> None:
        """Read nothing yet. A table has at most *rows* rows, of one file, under our names.

        It has those of *columns* that exist, text of few values as dictionaries; None for all columns as they are.
        """
        self.file, self.row = place.file, place.row
        self._source, self._rows, self._columns = source, rows, columns

    def __iter__(self) -> Iterator[pa.Table]:
        """Read the tables, once."""
        ours, begin = self._source.names.ours, self.file
        few = () if self._columns is None else FEW_VALUES
        types = self._source.parquet.types(self._absent_columns)
        for number, part in enumerate(self._source.parquet.once_through(self._absent_columns)):
            if number < begin:
                continue
            self.file, self.row = number, self.row if number == begin else 0
            dictionaries = [name for name in part.schema.names if ours.get(name, name) in few]
            batches = part.batches(self._absent_columns(part), dictionaries, self._rows, self.row)
            for each in tables_of(batches, self._rows):
                table = in_types(each, types, part.label, dictionaries)
                self.row += table.num_rows
                yield table.rename_columns([ours.get(name, name) for name in table.column_names])

    def _absent_columns(self, part: SourceFile) -> list[str]:
        names = self._source.rename(part.schema.names, part.label)
        order = self._source.parquet.parts[0].schema.names
        every = sorted(part.schema.names, key=lambda name: order.index(name) if name in order else len(order))
        return every if self._columns is None else [name for name in every if names.get(name, name) in self._columns]


def columns_without_values(source: MappedFile) -> tuple[str, ...]:
    """Return the columns of `features.column_names.ABSENCES`, by our names, in which no row has a value.

    They count as absent, as they do in text.
    """
    parts, ours = source.parquet.parts, source.names.ours
    if not source.parquet.rows:
        return ()
    theirs = {own: [name for name in parts[0].schema.names if ours.get(name, name) == own] for own in ABSENCES}
    return tuple(
        own for own, names in theirs.items() if len(names) == 1 and all(part.lacks_values(*names) for part in parts)
    )


def difference_text(first: pa.Schema, other: pa.Schema) -> str:
    """Describe the columns that differ between two files.

    >>> whole, text = pa.schema([("a", pa.int64()), ("b", pa.string())]), pa.schema([("a", pa.string())])
    >>> difference_text(whole, text)
    'all files must have the same columns in the same types: a is int64 in one and string in another; b is in one alone'
    """
    ours, theirs = (dict(zip(schema.names, schema.types, strict=True)) for schema in (first, other))
    differences = [
        f"{name} is {ours[name]} in one and {theirs[name]} in another"
        if name in ours and name in theirs
        else f"{name} is in one alone"
        for name in {**ours, **theirs}
        if ours.get(name) != theirs.get(name)
    ]
    what = "; ".join(differences) or f"{', '.join(first.names)} in one, {', '.join(other.names)} in another"
    return f"all files must have the same columns in the same types: {what}"


def tables_of(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Join and cut batches to tables of *rows* rows each; the last one may have fewer.

    Arrow's own batches would depend on the row group at which reading begins.
    """
    waiting: list[pa.RecordBatch] = []
    row_count = 0
    for batch in batches:
        rest = batch
        while row_count + rest.num_rows >= rows:
            yield pa.Table.from_batches([*waiting, rest.slice(0, rows - row_count)])
            rest, waiting, row_count = rest.slice(rows - row_count), [], 0
        if rest.num_rows:
            waiting.append(rest)
            row_count += rest.num_rows
    if waiting:
        yield pa.Table.from_batches(waiting)


def whole_customers(
    tables: Iterable[pa.Table], carried: pa.Table | None = None
) -> Iterator[tuple[pa.Table, pa.Table | None]]:
    """Move the last customer's rows of each table to the next, so that no customer is cut in two.

    *carried* are rows before the first table. Each table is yielded with the rows that were moved.
    """
    for table in tables:
        joined = table if carried is None else one_table([carried, table])
        if table.column_names.count(c.USER_ID) != 1:
            yield joined, None  # the reader refuses it
            carried = None
            continue
        cut = _last_customer(carried, table)
        carried = joined.slice(cut)
        if cut:
            yield joined.slice(0, cut), carried
    if carried is not None:
        yield carried, None


def one_table(tables: Iterable[pa.Table]) -> pa.Table:
    """Join tables; FileFormatError if a column has types in them that cannot be joined."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise FileFormatError(f"all files of a folder must have their columns in the same types: {error}") from None


_LOOKED_AT = 1 << 12
"""Rows at the end of a table that are searched for its last customer's first row; then ten times as many."""


def _last_customer(carried: pa.Table | None, table: pa.Table) -> int:
    """Find the first row of the last customer in the rows of one customer that are *carried*, and a table after them.

    0 if all of them are of one customer.
    """
    before = 0 if carried is None else int(carried.num_rows)
    column, first, many = table[c.USER_ID], int(table.num_rows), _LOOKED_AT
    while first:
        first = max(len(column) - many, 0)
        begins = np.flatnonzero(np.diff(codes_of(column.slice(first))))
        if len(begins):
            return before + first + int(begins[-1]) + 1
        many *= 10
    if carried is None or not before or not len(column):
        return 0
    return 0 if carried[c.USER_ID][-1].as_py() == column[0].as_py() else before
