"""Parquet as found at an address: its files, and the columns that folders or a table give to all rows of a file.

Every pass reads the same: a table is read at one version, and a folder whose files change in between is refused.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from fivefold.domain.errors import FileFormatError
from fivefold.features.reading.text_files import changed_meanwhile

ROWS_COMPARED: Final = 1 << 17
_DICTIONARY: Final = pa.dictionary(pa.int32(), pa.string())
_DIFFERENCES: Final = frozenset({"DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"})
"""Encodings of text that Arrow reads, but not as a dictionary."""


class SourceFile(Protocol):
    """One file of a source: its rows, in order."""

    @property
    def label(self) -> str:
        """The name of the file in errors."""

    @property
    def schema(self) -> pa.Schema:
        """The columns and their types."""

    @property
    def rows(self) -> int:
        """Number of rows; deleted rows of Iceberg count, since only reading shows which they are."""

    @property
    def identity(self) -> str:
        """What identifies its content beside the state of the file: the rows and bytes of its row groups."""

    def lacks_values(self, column: str) -> bool:
        """Check whether no row has a value of a column, without reading it if the file or the table has a count."""

    def batches(
        self, columns: Sequence[str], dictionaries: Collection[str], rows: int, first_row: int = 0
    ) -> Iterator[pa.RecordBatch]:
        """Return some columns, at most *rows* rows at once; text columns in *dictionaries* as dictionaries.

        *first_row* is the first row to return, among the rows of the file that were not deleted.
        """


@dataclass(frozen=True)
class ParquetSource:
    """The files found at an address.

    Attributes:
        address: the address in errors.
        parts: the files in the order of reading.
        stamps: returns the present state of the files; None if they cannot change, as those of a table.
        is_plain: whether the files are complete by themselves, so that other engines may read them.
    """

    address: str
    parts: tuple[SourceFile, ...]
    stamps: Callable[[], object] | None = None
    is_plain: bool = False
    _first_stamps: list[object] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        """Record the state of the files."""
        if self.stamps is not None:
            self._first_stamps.append(self.stamps())

    @property
    def rows(self) -> int:
        """Number of rows, as far as is known without reading them."""
        return sum(part.rows for part in self.parts)

    @property
    def identity(self) -> str:
        """A digest that identifies the content as found: of states, columns and row groups."""
        whole = hashlib.blake2b(repr(self._first_stamps).encode(), digest_size=16)
        for part in self.parts:
            whole.update(f"{part.label}\n{part.schema}\n{part.identity}\n".encode())
        return whole.hexdigest()

    def once_through(self, columns: Callable[[SourceFile], Sequence[str]]) -> Iterator[SourceFile]:
        """Yield the files for one pass, in which *columns* are read.

        Raises:
            FileFormatError: a file was changed, or see `types`.
        """
        self.require_unchanged()
        self.types(columns)
        yield from self.parts
        self.require_unchanged()

    def types(self, columns: Callable[[SourceFile], Sequence[str]]) -> dict[str, pa.DataType]:
        """Return the type in which each of the *columns* is read from all files.

        Raises:
            FileFormatError: a file lacks a column that another has, or has it in a type that cannot be joined.
        """
        types: dict[str, tuple[pa.DataType, str]] = {}
        wanted = {name for part in self.parts for name in columns(part)}
        for part in self.parts:
            for name in sorted(wanted - set(part.schema.names)):
                other = next(each.label for each in self.parts if name in each.schema.names)
                raise FileFormatError(f"{part.label} has no column {name}, which {other} has")
            for name in columns(part):
                kind = _with_room(part.schema.types[part.schema.names.index(name)])
                former, label = types.setdefault(name, (kind, part.label))
                joined = _joined(former, kind)
                if joined is None:
                    raise FileFormatError(
                        f"{part.label} has the column {name} as {kind}, and {label} as {former}: all files of a folder "
                        "must have their columns in the same types"
                    )
                types[name] = joined, label if joined == former else part.label
        return {name: kind for name, (kind, _) in types.items()}

    def require_unchanged(self) -> None:
        """Raise FileFormatError if a file was changed, added or removed since they were found."""
        if self.stamps is not None and self.stamps() != self._first_stamps[0]:
            raise changed_meanwhile(self.address)


def in_types(
    table: pa.Table, types: Mapping[str, pa.DataType], label: str, dictionaries: Collection[str] = ()
) -> pa.Table:
    """Return the columns in the types of all files, text in *dictionaries* as dictionaries of one type.

    FileFormatError if a type cannot hold a value.
    """
    schema = pa.schema(
        each.with_type(_read_as(each.type, types[each.name], as_dictionary=each.name in dictionaries))
        for each in table.schema
    )
    try:
        return table if schema.types == table.schema.types else table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise FileFormatError(
            f"{label}: all files of a folder must have their columns in the same types: {error}"
        ) from None


def _read_as(kind: pa.DataType, joined: pa.DataType, *, as_dictionary: bool) -> pa.DataType:
    """Return the type to read a column in: of one file, given its own type and the *joined* one of all files."""
    if as_dictionary and plain_type(joined) in {pa.string(), pa.large_string()}:
        return _DICTIONARY
    return kind if as_dictionary and pa.types.is_dictionary(kind) else joined


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values, even of a dictionary, such as categories of pandas."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _with_room(kind: pa.DataType) -> pa.DataType:
    """Return the type in which dictionaries are joined: all together may have more values than a small one can hold.

    >>> print(_with_room(pa.dictionary(pa.int8(), pa.string())))
    dictionary<values=string, indices=int32, ordered=0>
    """
    is_small = pa.types.is_dictionary(kind) and kind.index_type.bit_width < pa.int32().bit_width
    return pa.dictionary(pa.int32(), kind.value_type, kind.ordered) if is_small else kind


def are_without_values(batches: Iterable[pa.RecordBatch]) -> bool:
    """Check whether batches of one column have no value; reading ends at the first one."""
    return all(batch.column(0).null_count == batch.num_rows for batch in batches)


def from_row(batches: Iterable[pa.RecordBatch], first_row: int) -> Iterator[pa.RecordBatch]:
    """Leave out the rows before *first_row*.

    >>> [batch.num_rows for batch in from_row([pa.record_batch({"a": [1, 2]})] * 3, 3)]
    [1, 2]
    """
    left = first_row
    for batch in batches:
        if left < batch.num_rows:
            yield batch.slice(left) if left else batch
        left = max(0, left - batch.num_rows)


def _joined(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both, or None: 0.1 in 32 bits is another number in 64.

    >>> print(_joined(pa.int32(), pa.int64()), _joined(pa.float32(), pa.float64()))
    int64 None
    """
    if one == other:
        return one
    one, other = plain_type(one), plain_type(other)
    if one == other:
        return one
    narrow = any(pa.types.is_floating(each) and each != pa.float64() for each in (one, other))
    if narrow and pa.null() not in {one, other}:
        return None
    schemas = [pa.schema({"column": each}) for each in (one, other)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field("column").type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None


@dataclass(frozen=True)
class ParquetPart:
    """A file of Parquet, of this machine or of an object store.

    Attributes:
        label: the name in errors.
        file: the path that Arrow opens; None if *opened* opens the file.
        opened: opens a file of an object store.
        constants: the values that its folder or its table gives to every row.
        columns: the columns of its table, some of which the file may lack; None if the file's own columns count.
        row_mask: marks the rows that were not deleted; None for all.
    """

    label: str
    file: str | None = None
    opened: Callable[[], IO[bytes]] | None = None
    constants: Mapping[str, pa.Scalar] = field(default_factory=dict)
    columns: pa.Schema | None = None
    row_mask: npt.NDArray[np.bool_] | None = None

    @cached_property
    def _head(self) -> tuple[pyarrow.parquet.FileMetaData, pa.Schema]:
        with self._errors(), self._open() as parquet:
            return parquet.metadata, _without_views(parquet.schema_arrow.remove_metadata())

    @property
    def _footer(self) -> pyarrow.parquet.FileMetaData:
        return self._head[0]

    @property
    def _row_groups(self) -> list[pyarrow.parquet.RowGroupMetaData]:
        return [self._footer.row_group(number) for number in range(self._footer.num_row_groups)]

    @property
    def own(self) -> pa.Schema:
        """The columns of the file itself; views of text are large text."""
        return self._head[1]

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the table, or of the file and then of its folders."""
        if self.columns is not None:
            return _without_views(self.columns)
        return pa.schema([*self.own, *(pa.field(name, _type_of(self.constants[name])) for name in self.added)])

    @property
    def added(self) -> list[str]:
        """The columns that its folders or its table alone have."""
        return [name for name in self.constants if name not in self.own.names]

    @property
    def int96(self) -> frozenset[str]:
        """The columns of moments in the old type INT96."""
        columns = self._footer.schema
        every = (columns.column(place) for place in range(len(columns)))
        return frozenset(each.path for each in every if each.physical_type == "INT96")

    @property
    def rows(self) -> int:
        """Number of rows that were not deleted."""
        return int(self._footer.num_rows if self.row_mask is None else self.row_mask.sum())

    @property
    def identity(self) -> str:
        """Its row groups, the values of its folder or table, and the deleted rows."""
        deleted = "" if self.row_mask is None else hashlib.blake2b(self.row_mask.tobytes()).hexdigest()
        sizes = [(one.num_rows, one.total_byte_size) for one in self._row_groups]
        return repr((sizes, sorted(self.constants.items()), deleted))

    def lacks_values(self, column: str) -> bool:
        """Check the footer, which may count missing values, and the values of its folder or its table."""
        if column not in self.own.names:
            return column not in self.constants or not self.constants[column].is_valid
        place = self.own.names.index(column)
        if pa.types.is_null(self.own.types[place]):
            return True
        if len(self.own) == self._footer.num_columns:  # lists and structs have other places
            groups = self._row_groups
            counts = [count for group in groups if (count := _null_count(group.column(place))) is not None]
            if sum(counts) == self._footer.num_rows:
                return True
            if len(counts) == len(groups) and self.row_mask is None:
                return False
        return are_without_values(self.batches([column], (), ROWS_COMPARED))

    def require_agreement(self) -> None:
        """Raise FileFormatError if rows contradict their folder."""
        if both := [name for name in self.constants if name in self.own.names]:
            for _ in self.batches(both, (), ROWS_COMPARED):
                pass

    def batches(
        self, columns: Sequence[str], dictionaries: Collection[str], rows: int, first_row: int = 0
    ) -> Iterator[pa.RecordBatch]:
        """Return some columns; FileFormatError if the file cannot be read, or contradicts its folder."""
        groups, left_out = self._groups_from(first_row)
        return from_row(self._batches(columns, dictionaries, rows, groups), first_row - left_out)

    def _groups_from(self, first_row: int) -> tuple[list[int], int]:
        """Return the row groups that have rows from *first_row* on, and the number of rows before them."""
        sizes = [group.num_rows for group in self._row_groups]
        if self.row_mask is not None:  # places are those of the rows that were not deleted
            return list(range(len(sizes))), 0
        before = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        begin = max(0, int(np.searchsorted(before, first_row, side="right")) - 1)
        return list(range(begin, len(sizes))), int(before[begin])

    def _batches(
        self, columns: Sequence[str], dictionaries: Collection[str], rows: int, groups: list[int]
    ) -> Iterator[pa.RecordBatch]:
        own = [name for name in columns if name in self.own.names]
        # Without a column of its own no batch would show the number of rows.
        read = own if own or not columns else self.own.names[:1]
        first = 0
        with self._errors(), self._open(self._as_dictionaries(own, dictionaries)) as parquet:
            for batch in map(_as_text, parquet.iter_batches(rows, row_groups=groups, columns=read)):
                if not columns or (
                    list(columns) == batch.schema.names and not self.constants and self.row_mask is None
                ):
                    yield batch
                    continue
                table = pa.table([self._column(name, batch, dictionaries) for name in columns], list(columns))
                if self.row_mask is not None:
                    table = table.filter(pa.array(self.row_mask[first : first + batch.num_rows]))
                first += batch.num_rows
                yield from table.combine_chunks().to_batches()

    def _as_dictionaries(self, own: Sequence[str], dictionaries: Collection[str]) -> list[str]:
        """Return the columns that Arrow can read as dictionaries: no lists, structs or delta-encoded texts.

        DuckDB and Spark write the last in the second version of Parquet.
        """
        schema, groups = self._footer.schema, self._row_groups
        paths = [schema.column(place).path for place in range(len(schema))]
        places = {name: paths.index(name) for name in own if name in dictionaries and name in paths}
        return [
            name
            for name, place in places.items()
            if not any(_DIFFERENCES.intersection(group.column(place).encodings) for group in groups)
        ]

    def _column(self, name: str, batch: pa.RecordBatch, dictionaries: Collection[str]) -> pa.Array:
        if name in batch.schema.names:
            column = batch.column(batch.schema.names.index(name))
            if name in self.constants:
                self._require_agreement(name, column)
            return column
        if name in self.constants:
            return _repeated(self.constants[name], batch.num_rows)
        kind = self.schema.field(name).type
        return pa.nulls(batch.num_rows, pa.dictionary(pa.int32(), kind) if name in dictionaries else kind)

    def _require_agreement(self, name: str, column: pa.Array) -> None:
        value = self.constants[name]
        try:
            agrees = column.null_count == len(column) if not value.is_valid else _all_are(column, value)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            agrees = False
        if not agrees:
            raise FileFormatError(
                f"{self.label} has rows whose {name} is not {value.as_py()!r}, which is the value of its folder"
            )

    @contextmanager
    def _open(self, dictionaries: Sequence[str] = ()) -> Iterator[pyarrow.parquet.ParquetFile]:
        # Arrow closes what it opened itself. A file of a store that is left open keeps fetching unread content.
        source = nullcontext(self.file) if self.opened is None else closing(self.opened())
        # Without pre_buffer: with it, the whole compressed file is in memory by the end.
        # INT96 may lie outside of what nanoseconds can hold, and would wrap silently.
        options: dict[str, Any] = {
            "read_dictionary": list(dictionaries),
            "pre_buffer": False,
            "coerce_int96_timestamp_unit": "us",
        }
        with source as place, pyarrow.parquet.ParquetFile(place, **options) as parquet:
            yield parquet

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowInvalid, OSError) as error:
            raise FileFormatError(f"{self.label} cannot be read as Parquet: {error}") from None


def _without_views(schema: pa.Schema) -> pa.Schema:
    """Return the columns as they are read: Arrow does not join views of text with other text."""
    return pa.schema([each.with_type(pa.large_string() if _is_view(each) else each.type) for each in schema])


def _as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Write out views of text."""
    return batch.cast(_without_views(batch.schema)) if any(map(_is_view, batch.schema)) else batch


def _is_view(column: pa.Field) -> bool:
    return bool(pa.types.is_string_view(column.type))


def _null_count(chunk: pyarrow.parquet.ColumnChunkMetaData) -> int | None:
    counts = chunk.statistics if chunk.is_stats_set else None
    return counts.null_count if counts is not None and counts.has_null_count else None


def _type_of(value: pa.Scalar) -> pa.DataType:
    return _DICTIONARY if pa.types.is_string(value.type) else value.type


def _repeated(value: pa.Scalar, rows: int) -> pa.Array:
    if not pa.types.is_string(value.type):
        return pa.repeat(value, rows)
    codes = np.zeros(rows, dtype=np.int32)
    texts: list[Any] = [value.as_py()] if value.is_valid else []
    indices = pa.array(codes) if value.is_valid else pa.nulls(rows, pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))


def _all_are(column: pa.Array, value: pa.Scalar) -> bool:
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    equal = pyarrow.compute.equal(plain, value.cast(plain.type))
    return plain.null_count == 0 and bool(pyarrow.compute.all(equal).as_py() in {True, None})
