"""Histories from any source, in batches of whole customers: Parquet streams, everything else is one batch."""

import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from fivefold.domain.errors import FileFormatError, InvalidDataError, ProblemKind, first_row_of
from fivefold.domain.money import RateTable
from fivefold.features import schema as c
from fivefold.features.histories import Histories, Integers, concatenate
from fivefold.features.reading.columns import ErrorCollector, GatheredProblems
from fivefold.features.reading.frames import codes_of, count_runs, histories_in_memory, is_grouped, table_from_rows
from fivefold.features.reading.json_lines import read_json_lines
from fivefold.features.reading.parquet_stream import (
    START,
    ParquetTables,
    StreamPosition,
    columns_without_values,
    one_table,
    whole_customers,
)
from fivefold.features.reading.tables import (
    Source,
    read_csv,
    read_json,
)
from fivefold.features.reading.text_files import MappedFile, TornRow, csv_header, is_parquet, suffix_of, torn_problems
from fivefold.features.reading.validate import TransactionReader

ROWS_A_BATCH = 1 << 18
"""Rows read at once from Parquet; the memory that streaming needs grows with it."""

ROW_NUMBER = "row_number"
"""The column of a row's number in its source, from 0, for rows that left their order."""

PARQUET_ROWS_SORTED = c.ROWS_SORTED_IN_MEMORY
"""Most rows of Parquet that are sorted in memory if they are not grouped by customer."""


def read_histories(
    source: Source,
    rates: RateTable,
    *,
    latest: int | None = None,
    absent: tuple[str, ...] | None = None,
    nullable: bool = False,
) -> Histories:
    """Read a whole source at once; for *latest*, *absent* and *nullable* see `stream_histories`.

    >>> from datetime import date
    >>> from fivefold.domain.money import base_only
    >>> row = {"user_id": "a", "transaction_currency": "EUR", "user_balance": 5, "transaction_amount": 5,
    ...        "user_created": "2024-01-01", "user_category": "WEB", "transaction_date": "2024-06-30T12:00:00"}
    >>> read_histories([row], base_only("EUR", date(2024, 7, 1))).customers
    1

    Raises:
        InvalidDataError: rows with bad values; it has a line for each kind, which names the first rows.
        FileFormatError: a file that cannot be read, lacks a column, or is not grouped and too large to sort.
    """
    parts = [part for part in stream_histories(source, rates, latest, absent=absent, nullable=nullable) if part.rows]
    return concatenate(parts) if parts else TransactionReader(rates).histories(table_from_rows([], ErrorCollector()))


def stream_histories(
    source: Source,
    rates: RateTable,
    latest: int | None = None,
    *,
    absent: tuple[str, ...] | None = None,
    nullable: bool = False,
) -> Iterator[Histories]:
    """Read a source in batches of whole customers; the errors are those of `read_histories`.

    Parquet is read a few hundred thousand rows at a time, and its customers' rows must be adjacent. Only the end of the
    source shows that no customer is in it twice, so results are not final before that. Rows dated after *latest*
    (microseconds) are refused; None for no such limit. For *absent* and *nullable* see `TransactionReader`.
    """
    if isinstance(source, Path | str | MappedFile):
        file = MappedFile.of(source)
        suffix = suffix_of(file.path)
        reader = file_reader(file, rates, latest, absent=absent, nullable=nullable)
        if suffix in {"", ".parquet"} and not _is_small_and_ungrouped(file):
            yield from (part.histories for part in stream_from(file, reader))
        elif suffix in {"", ".parquet"}:
            _refuse_misspelt(file, reader)
            yield histories_in_memory(one_table(ParquetTables(file, ROWS_A_BATCH)), reader)
        elif suffix == ".csv":
            yield _of_csv(file, reader)
        elif suffix == ".json":
            yield histories_in_memory(_with_texts(_renamed_rows(read_json(file.path), file)), reader)
        else:
            yield _of_json_lines(file, reader)
        return
    as_files = not nullable  # rows that may lack a value lack no column
    yield histories_in_memory(
        _with_texts(source) if isinstance(source, Sequence) else source,
        TransactionReader(rates, text=as_files, latest=latest, completes=as_files, absent=absent, nullable=nullable),
    )


def file_reader(
    file: MappedFile,
    rates: RateTable,
    latest: int | None = None,
    *,
    absent: tuple[str, ...] | None = None,
    nullable: bool = False,
) -> TransactionReader:
    """Make the reader of a file's rows; the arguments are those of `stream_histories`."""
    return TransactionReader(
        rates, True, str(file.path), latest=latest, completes=True, absent=absent, nullable=nullable
    )


def require_columns(source: Source, rates: RateTable, *, absent: tuple[str, ...] | None = None) -> None:
    """Check the header of a file, before anything is compiled for its rows; JSON and sources in memory have none.

    Raises:
        FileFormatError: a required column is missing, a column is there twice, or the file cannot be read.
    """
    if isinstance(source, Path | str | MappedFile):
        file = MappedFile.of(source)
        reader = TransactionReader(rates, source=str(file.path), completes=True, absent=absent)
        names = _header(file)
        if names is not None:
            reader.require_columns(names)


def absent_columns(source: Source) -> tuple[str, ...]:
    """Return the columns that the header of a file lacks; empty for JSON and sources in memory, which have no header.

    For Parquet also those in which no row has a value.
    """
    if not isinstance(source, Path | str | MappedFile):
        return ()
    file = MappedFile.of(source)
    names = _header(file)
    if names is None:
        return ()
    nothing = columns_without_values(file) if is_parquet(file.path) else ()
    return tuple(name for name in c.COLUMNS if name not in names or name in nothing)


def _header(file: MappedFile) -> list[str] | None:
    """Return the names of a file's columns under ours; None for JSON, which has no header."""
    suffix = suffix_of(file.path)
    if suffix == ".csv":
        theirs = csv_header(file.path)[0]
    elif suffix in {"", ".parquet"}:
        theirs = file.parquet.parts[0].schema.names
    else:
        return None
    return file.our_names(theirs)


def _of_csv(file: MappedFile, reader: TransactionReader) -> Histories:
    read = read_csv(file.path, file.our_names)
    return _of_lines(lambda: _renamed(read.table, file), read.rows, read.torn, reader)


def _of_json_lines(file: MappedFile, reader: TransactionReader) -> Histories:
    read = read_json_lines(file.path)
    return _of_lines(lambda: _with_texts(_renamed_rows(read.rows, file)), read.numbers, read.torn, reader)


def _of_lines(
    table: Callable[[], pa.Table | list[Any]], rows: Integers, torn: Sequence[TornRow], reader: TransactionReader
) -> Histories:
    """Read rows of text; errors of torn rows and of all others are raised together, with row numbers of the file."""
    first = first_row_of(reader.source)
    problems = torn_problems(torn, reader.source)
    count = len(problems)
    beyond: Mapping[ProblemKind, int] = {}
    try:
        histories = histories_in_memory(table(), reader, np.asarray(rows, dtype=np.int64) - first)
    except InvalidDataError as error:
        problems += error.every
        count += error.count
        beyond = error.beyond
    except FileFormatError:
        if len(rows) or not problems:
            raise
    if count:
        raise InvalidDataError(problems, count, reader.source, beyond)
    return histories


def _renamed(table: pa.Table, file: MappedFile) -> pa.Table:
    return table.rename_columns(file.our_names(table.column_names)) if file.names.ours else table


def _renamed_rows(rows: list[Any], file: MappedFile) -> list[Any]:
    if not file.names.ours:
        return rows
    objects = [row for row in rows if isinstance(row, dict)]
    names = file.rename(list(dict.fromkeys(name for row in objects for name in row)))
    return [
        {names.get(name, name): value for name, value in row.items()} if isinstance(row, dict) else row for row in rows
    ]


def _with_texts(rows: Sequence[Any]) -> list[Any]:
    """Turn identifiers that are whole numbers into their digits, as in a typed column."""
    return [_with_text(row) if isinstance(row, dict) else row for row in rows]


def _with_text(row: dict[str, Any]) -> dict[str, Any]:
    digits = {name: str(row[name]) for name in (c.USER_ID, c.TRANSACTION_ID) if _is_whole_number(row.get(name))}
    return {**row, **digits} if digits else row


def _is_whole_number(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _refuse_misspelt(file: MappedFile, reader: TransactionReader) -> None:
    """Check all columns of Parquet for misspelt names: only those with our names are read."""
    theirs = list(dict.fromkeys(name for part in file.parquet.parts for name in part.schema.names))
    reader.refuse_misspelt(file.our_names(theirs))


def _is_small_and_ungrouped(file: MappedFile) -> bool:
    """Check whether Parquet is not grouped by customer, and small enough to be sorted in memory as CSV is."""
    if file.parquet.rows > PARQUET_ROWS_SORTED:
        return False
    every = ParquetTables(file, ROWS_A_BATCH, (c.USER_ID,))
    tables = [table for table in every if table.column_names == [c.USER_ID]]
    try:
        return bool(tables) and not is_grouped(pa.concat_tables(tables, promote_options="permissive")[c.USER_ID])
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False  # as above


@dataclass(frozen=True)
class StreamPart:
    """Some whole customers of a stream, with the state to continue after them in another process.

    Attributes:
        place: the position of the stream after them.
        hashes: a hash for each of the customers, by which a stream recognises them.
    """

    histories: Histories
    place: StreamPosition
    hashes: npt.NDArray[np.uint64]


def is_streamed(file: MappedFile) -> bool:
    """Check whether a file is read some customers at a time, so that reading can continue from a position."""
    return is_parquet(file.path) and not _is_small_and_ungrouped(file)


def stream_from(
    file: MappedFile,
    reader: TransactionReader,
    place: StreamPosition = START,
    earlier_hashes: Sequence[npt.NDArray[np.uint64]] = (),
) -> Iterator[StreamPart]:
    """Stream Parquet from a position on: the same parts as in a stream from the beginning.

    *earlier_hashes* are those of all parts before. Errors are those of `stream_histories`.
    """

    def refuse(user_id: str) -> FileFormatError:
        return FileFormatError(
            f"{file} is not grouped by customer: the rows of customer {user_id!r} are not adjacent; group them "
            f"first: fivefold sort {shlex.quote(str(file))} --output grouped.parquet"
        )

    _refuse_misspelt(file, reader)
    customers = SeenCustomers(refuse, earlier_hashes)
    nothing = columns_without_values(file) if reader.completes else ()
    columns = tuple(name for name in c.COLUMNS if name not in nothing)
    tables = ParquetTables(file, ROWS_A_BATCH, columns, place)
    for histories, rows, carried in _histories(tables, reader, customers, place):
        yield StreamPart(histories, StreamPosition(tables.file, tables.row, rows, carried), customers.latest)
    again = ParquetTables(file, ROWS_A_BATCH, (c.USER_ID,))
    customers.check(lambda: (table[c.USER_ID] for table, _ in whole_customers(again)))


def stream_tables(
    tables: Iterable[pa.Table], reader: TransactionReader, customers: "SeenCustomers"
) -> Iterator[Histories]:
    """Read tables, in which the rows of each customer are adjacent, in batches of whole customers.

    Every row is checked before the error that names the bad ones is raised. Their numbers are those of the column
    `ROW_NUMBER`, or else counted from the first table on. *customers* records the customers.

    Raises:
        InvalidDataError: rows with bad values.
        FileFormatError: a required column is missing, or rows of a customer are not adjacent.
    """
    return (histories for histories, _, _ in _histories(tables, reader, customers, START))


def _histories(
    tables: Iterable[pa.Table], reader: TransactionReader, customers: "SeenCustomers", place: StreamPosition
) -> Iterator[tuple[Histories, int, pa.Table | None]]:
    """Read as `stream_tables` does, from a position on; also yield the number of rows so far, and the carried rows."""
    problems, first_row = GatheredProblems(), place.rows
    for table, carried in whole_customers(tables, place.carried):
        numbered = ROW_NUMBER in table.column_names
        try:
            part = reader.histories(table, table[ROW_NUMBER].to_numpy() if numbered else first_row)
        except InvalidDataError as error:  # goes on: the error names all bad rows, not only those of the first batch
            problems.add(error.every, error.count, error.beyond)
        else:
            customers.add(table[c.USER_ID], part.user_ids)
            if not problems.count:
                yield part, first_row + table.num_rows, carried
        first_row += table.num_rows
    problems.raise_if_any(reader.source)


class SeenCustomers:
    """Remembers the customers of a stream as 64-bit hashes, and raises an error for a customer who comes twice."""

    def __init__(
        self, refusal: Callable[[str], FileFormatError], earlier_hashes: Sequence[npt.NDArray[np.uint64]] = ()
    ) -> None:
        """Begin with the hashes of earlier customers; *refusal* makes the error for an identifier."""
        self._refusal = refusal
        self._hashes = list(earlier_hashes)

    @property
    def latest(self) -> npt.NDArray[np.uint64]:
        """The hashes of the customers added last."""
        return self._hashes[-1]

    def add(self, column: pa.ChunkedArray, user_ids: pa.Array) -> None:
        """Add the customers of one table, whose column of identifiers is *column*; an error if one is in two runs.

        *user_ids* has each of them once.
        """
        if count_runs(column) > len(user_ids):
            split = _first_split(codes_of(column))
            if split is not None:  # otherwise a dictionary has one word twice
                raise self._refusal(column[split].as_py())
        self._hashes.append(pl.Series(user_ids).hash().to_numpy())

    def check(self, again: Callable[[], Iterable[pa.ChunkedArray]]) -> None:
        """Raise the error if a customer was added twice; *again* returns the columns of identifiers once more."""
        hashes = np.concatenate([*self._hashes, np.empty(0, np.uint64)])
        hashes.sort()  # in place: there is one number for each customer
        twice = hashes[1:][hashes[1:] == hashes[:-1]]
        if not len(twice):
            return
        # Two identifiers may share a hash: only the text itself decides.
        user_ids: set[str] = set()
        for column in again():
            ids = pl.Series(column.cast(pa.string()).unique())
            for user_id in ids.filter(pl.Series(np.isin(ids.hash().to_numpy(), twice))).to_list():
                if user_id in user_ids:
                    raise self._refusal(user_id)
                user_ids.add(user_id)


def _first_split(codes: Integers) -> int | None:
    """Find the first row of a customer who had rows before, with another customer between."""
    begins = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1])
    earlier: set[int] = set()
    for row in begins.tolist():
        if codes[row] in earlier:
            return int(row)
        earlier.add(int(codes[row]))
    return None


def empty_columns(rows: pl.DataFrame) -> tuple[str, ...]:
    """Return the columns of `features.schema.ABSENT` in which no row with a customer has a value."""
    rows = _with_customer(rows)
    return tuple(name for name in c.ABSENT if name in rows.columns and rows[name].null_count() == len(rows))


def _with_customer(rows: pl.DataFrame) -> pl.DataFrame:
    if c.USER_ID not in rows.columns:
        return rows
    return rows.with_columns(pl.col(c.USER_ID).cast(pl.String)).filter(pl.col(c.USER_ID) != "")


def readable_histories(
    rows: pl.DataFrame,
    rates: RateTable,
    source: str,
    *,
    text: bool = False,
    absent: tuple[str, ...] | None = None,
    empty: Collection[str] | None = None,
    row_numbers: str = "",
) -> tuple[Histories, dict[str, str]]:
    """Read the rows of a file as `read_histories` does, without customers who have a bad row.

    A history with gaps would give wrong values, so such a customer is left out with all rows. Rows without a customer
    are left out too. A row without a balance, a creation or a channel is not an error: indicators that read it are
    undefined for its customer from then on.

    Args:
        rows: the columns of transactions, in the order of their source.
        rates: converts money.
        source: the name of the source, for errors.
        text: whether numbers may be written as text, as in CSV.
        absent: columns that the model does not read, see `TransactionReader`.
        empty: columns that get the defaults of a missing one; by default those of `empty_columns`. If the rows are a
            part of a source, give those of the whole.
        row_numbers: the column of the number of each row in the source, from 0, if some rows were left out.

    Returns:
        The histories, and the first problem of each customer who was left out.

    Raises:
        FileFormatError: a column that all rows need is missing.
    """
    reader = TransactionReader(rates, text, source, completes=True, absent=absent, nullable=True)
    rows = _with_customer(rows)
    if not len(rows):
        reader.require_columns([name for name in rows.columns if name != row_numbers])
    rows = rows.drop(empty_columns(rows) if empty is None else empty, strict=False)
    numbers = rows[row_numbers].to_numpy() if row_numbers else np.arange(len(rows))
    rows = rows.drop(row_numbers, strict=False)
    wrong: dict[str, str] = {}
    while len(rows):
        table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
        try:
            return reader.read(table, ErrorCollector(numbers, None, first_row_of(source))), wrong
        except InvalidDataError as error:
            whose = rows[c.USER_ID]
            for problem in error.every:
                place = int(np.searchsorted(numbers, problem.row))
                wrong.setdefault(whose[place], f"{problem.field} {problem.problem}; allowed: {problem.allowed}")
            readable = ~whose.is_in(list(wrong))
            rows, numbers = rows.filter(readable), numbers[readable.to_numpy()]
    return TransactionReader(rates).histories(table_from_rows([], ErrorCollector())), wrong
