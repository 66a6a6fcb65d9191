"""Work on histories partition by partition, on machines that share a folder: what a worker does and hands back.

A worker calls the functions that read a file in one process. Results go to files in the shared folder, each under its
own name once it is whole; only receipts come back. A worker that dies leaves a file that no receipt names.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec
import pyarrow as pa

from fivefold.domain import errors
from fivefold.domain.errors import ConfigError, FileFormatError, FivefoldError, InvalidDataError, Kind, Problem
from fivefold.domain.files import replacing
from fivefold.domain.provenance import release
from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.reading.sources import ROW_NUMBER, ROWS_A_BATCH, SeenCustomers, stream_tables
from fivefold.features.reading.text_files import MappedFile
from fivefold.features.reading.validate import TransactionReader

RECEIPT: Final = "receipt"
"""The one column that workers hand back: with one, no two can change places."""


class Result(NamedTuple):
    """What the work made of some customers: a table, and whatever else is to be known of it, encoded."""

    table: pa.Table
    note: bytes


Work: TypeAlias = Callable[[Iterator[Histories]], Iterator[Result]]
"""Of one partition; it can be pickled, and is the same function that one process calls."""


class Engine(Protocol):
    """Many machines that work on the partitions of one source."""

    @property
    def folder(self) -> Path:
        """A folder that they share with this machine."""

    def run(self, source: MappedFile, reader: TransactionReader, work: Work) -> Iterator[Result]:
        """Do the work on every partition, and give all results; errors as of `results_of`."""


@dataclass(frozen=True)
class Job:
    """What every worker does with its partition.

    Attributes:
        reader: checks the rows.
        columns: of the rows, in this order; the last is `features.reading.sources.ROW_NUMBER`.
        ticks: the columns of moments that come as whole numbers, with Arrow's unit: they have no zone to lose.
        work: on the histories.
        folder: where the results go, which all machines share.
        release: of fivefold, which every worker must have.
        rows: of the whole source, which all partitions must have together.
        rows_at_once: rows of a partition that are read together, and those of their last customer.
    """

    reader: TransactionReader
    columns: tuple[str, ...]
    ticks: Mapping[str, str]
    work: Work
    folder: Path
    release: str
    rows: int
    rows_at_once: int = ROWS_A_BATCH


class _Made(msgspec.Struct, frozen=True, tag=True):
    """A result was written to a file."""

    file: str
    note: bytes


class _Met(msgspec.Struct, frozen=True, tag=True):
    """The identifiers of the partition's customers were written to a file; it had so many rows."""

    file: str
    rows: int


class _BadRows(msgspec.Struct, frozen=True, tag=True):
    """Rows cannot be taken: the contents of an InvalidDataError."""

    problems: tuple[Problem, ...]
    count: int
    beyond: tuple[tuple[Kind, int], ...]


class _Refused(msgspec.Struct, frozen=True, tag=True):
    """Another error of fivefold, by its name."""

    error: str
    text: str


_Receipt: TypeAlias = _Made | _Met | _BadRows | _Refused


def hand_back(batches: Iterable[pa.RecordBatch], job: Job) -> Iterator[pa.RecordBatch]:
    """Do the work on one partition, and give a receipt for each thing done; errors of fivefold are receipts too.

    So they reach the caller whole, and no machine tries in vain again.
    """
    for receipt in _receipts(batches, job):
        yield pa.record_batch([pa.array([msgspec.msgpack.encode(receipt)], pa.binary())], names=[RECEIPT])


def results_of(receipts: Iterable[bytes], job: Job, source: str) -> Iterator[Result]:
    """Read the results of all partitions, once every receipt is there.

    Raises:
        InvalidDataError: rows with bad values, of all partitions together.
        FileFormatError: a customer is in two partitions, or the partitions have not the rows of the source.
        FivefoldError: what else a worker refused.
    """
    every = [msgspec.msgpack.decode(receipt, type=_Receipt) for receipt in receipts]
    _raise_refusals(every, job.reader.source)
    met = [each for each in every if isinstance(each, _Met)]
    rows = sum(each.rows for each in met)
    if rows != job.rows:
        raise FileFormatError(
            f"{source} holds {job.rows:,} rows, and the workers saw {rows:,}: was it changed meanwhile?"
        )
    _require_whole_customers([_read(job.folder / each.file) for each in met], source)
    for each in every:
        if isinstance(each, _Made):
            yield Result(_read(job.folder / each.file), each.note)


def _receipts(batches: Iterable[pa.RecordBatch], job: Job) -> Iterator[_Receipt]:
    met: list[pa.Array] = []
    counted = _Counted(batches)
    try:
        if release() != job.release:
            raise ConfigError(f"a worker has fivefold {release()}; it must have {job.release}, as the driver")
        for result in job.work(_histories(counted, job, met)):
            yield _Made(_write(result.table, job.folder), result.note)
    except InvalidDataError as error:
        yield _BadRows(error.every, error.count, tuple(error.beyond.items()))
    except FivefoldError as error:
        yield _Refused(type(error).__name__, str(error))
    else:
        column = pa.chunked_array(met, pa.string())
        yield _Met(_write(pa.table({c.USER_ID: column}), job.folder), counted.rows)


class _Counted:
    """Batches, whose rows are counted as they pass."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = batches
        self.rows = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.rows += batch.num_rows
            yield batch


def _histories(batches: Iterable[pa.RecordBatch], job: Job, met: list[pa.Array]) -> Iterator[Histories]:
    """Read the rows of a partition as those of a file are read; *met* collects the customers."""
    customers = SeenCustomers(lambda user_id: _split(job.reader.source, user_id))
    for part in stream_tables(_tables(batches, job), job.reader, customers):
        met.append(part.user_ids.cast(pa.string()))
        yield part
    customers.check(lambda: (pa.chunked_array([user_ids]) for user_ids in met))


def _tables(batches: Iterable[pa.RecordBatch], job: Job) -> Iterator[pa.Table]:
    """Join batches, which end anywhere, until they have enough rows for a table."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        names = tuple(batch.schema.names)
        if names != job.columns:
            raise ConfigError(
                f"the columns of a partition are {', '.join(names)}; they must be in the order of the job"
            )
        if not batch.num_rows:
            continue
        if batch.column(ROW_NUMBER).null_count:
            raise FileFormatError(f"{job.reader.source} was changed while it was read: rows have no number")
        waiting.append(_with_moments(batch, job.ticks))
        rows += batch.num_rows
        if rows >= job.rows_at_once:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting, rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def _with_moments(batch: pa.RecordBatch, ticks: Mapping[str, str]) -> pa.RecordBatch:
    """View whole numbers as the moments that they are."""
    for name, unit in ticks.items():
        place = batch.schema.names.index(name)
        numbers = batch.column(place).cast(pa.int64())
        batch = batch.set_column(place, name, numbers.view(pa.timestamp(unit, "UTC")))
    return batch


def _write(table: pa.Table, folder: Path) -> str:
    """Write a table under a name of its own, which it has once it is whole; give the name."""
    name = f"{secrets.token_hex(16)}.arrow"
    with replacing(folder / name) as unfinished, pa.ipc.new_file(unfinished, table.schema) as file:
        file.write_table(table)
    return name


def _read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as mapped:
        return pa.ipc.open_file(mapped).read_all()


def _raise_refusals(receipts: list[Any], source: str) -> None:
    for each in receipts:
        if isinstance(each, _Refused):
            kind = getattr(errors, each.error, FivefoldError)
            raise kind(each.text)
    bad = [each for each in receipts if isinstance(each, _BadRows)]
    if bad:
        beyond: dict[Kind, int] = {}
        for kind_, count in (pair for each in bad for pair in each.beyond):
            beyond[kind_] = beyond.get(kind_, 0) + count
        problems = [problem for each in bad for problem in each.problems]
        raise InvalidDataError(problems, sum(each.count for each in bad), source, beyond)


def _require_whole_customers(met: list[pa.Table], source: str) -> None:
    """Raise FileFormatError where the rows of one customer were in two partitions: each saw half a history."""
    seen = SeenCustomers(lambda user_id: _split(source, user_id))
    columns = [table[c.USER_ID] for table in met if table.num_rows]
    for column in columns:
        seen.add(column, column.combine_chunks())
    seen.check(lambda: columns)


def _split(source: str, user_id: str) -> FileFormatError:
    return FileFormatError(f"{source}: the rows of customer {user_id!r} are in two places of the partitions")
