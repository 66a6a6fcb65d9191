"""Work on histories partition by partition, on machines that share a folder: what a worker does and returns.

A worker calls the functions that read a file in one process. Results go to files in the shared folder, each under its
own name once it is whole; only receipts come back. A worker that dies leaves a file that no receipt names.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec
import pyarrow as pa

from fivefold.domain import errors
from fivefold.domain.errors import ConfigError, FileFormatError, FivefoldError, InvalidDataError, Problem, ProblemKind
from fivefold.domain.files import replacing
from fivefold.domain.provenance import release
from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.reading.sources import ROW_NUMBER, ROWS_A_BATCH, SeenCustomers, stream_tables
from fivefold.features.reading.text_files import MappedFile
from fivefold.features.reading.validate import TransactionReader

RECEIPT: Final = "receipt"
"""The only column that workers return: a single column cannot be reordered."""

_MARK: Final = ".mark"


class Result(NamedTuple):
    """The result of the work on some customers: a table, and an encoded note about it."""

    table: pa.Table
    note: bytes


Work: TypeAlias = Callable[[Iterator[Histories]], Iterator[Result]]
"""The work on one partition; it can be pickled, and is the same function that one process calls."""


FileWork: TypeAlias = Callable[[Path], Iterator[Result]]
"""The work on one file in the shared folder; it can be pickled too."""


class Engine(Protocol):
    """Many machines that work on the partitions of one source."""

    @property
    def folder(self) -> Path:
        """A folder that the machines share with this one."""

    def run(self, source: MappedFile, reader: TransactionReader, work: Work) -> Iterator[Result]:
        """Do the work on every partition, and return all results; errors are those of `results_of`."""

    def keep(self, source: MappedFile, reader: TransactionReader) -> list[Path]:
        """Check and group the rows once, and keep the histories in files of the folder; errors as in `results_of`.

        Customers are in the order of their first rows, as in one process: across files, and within each.
        """

    def run_each(self, files: Sequence[Path], work: FileWork) -> Iterator[Result]:
        """Do the work on each of some files of the folder, and return all results in the order of the files."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """The task of every worker on its partition.

    Attributes:
        reader: checks the rows.
        columns: the columns of the rows, in this order; the last is `features.reading.sources.ROW_NUMBER`.
        moments: the columns of moments that come as whole numbers, with Arrow's type: they have no zone to lose.
        work: the work on the histories.
        folder: the folder for the results, which all machines share.
        release: the release of fivefold that every worker must have.
        rows: number of rows of the whole source, which all partitions must have together.
        rows_at_once: rows of a partition that are read together, and those of their last customer.
        marks: beginning of the names of empty files by which workers report progress; if it is empty, they make none.
    """

    reader: TransactionReader
    columns: tuple[str, ...]
    moments: Mapping[str, pa.TimestampType]
    work: Work
    folder: Path
    release: str
    rows: int
    rows_at_once: int = ROWS_A_BATCH
    marks: str = ""


@dataclass(frozen=True)
class FileJob:
    """The task of every worker on its files; the attributes are those of `Job`.

    Attributes:
        columns: the columns of the rows: the number of a file from 0, and its path.
    """

    work: FileWork
    folder: Path
    release: str
    columns: tuple[str, str] = ("number", "file")
    marks: str = ""


class _ResultFile(msgspec.Struct, frozen=True, tag=True):
    """A result was written to a file.

    Attributes:
        place: the place among all results: the number of the partition's first row, or of the file worked on, and the
            number of the result in it.
    """

    file: str
    note: bytes
    place: tuple[int, int] = (0, 0)


class _Done(msgspec.Struct, frozen=True, tag=True):
    """A file was worked on to its end."""

    number: int


class _IdentifierFile(msgspec.Struct, frozen=True, tag=True):
    """The identifiers of the partition's customers were written to a file; `rows` counts the partition's rows."""

    file: str
    rows: int


class _BadRows(msgspec.Struct, frozen=True, tag=True):
    """Rows are refused: the contents of an InvalidDataError."""

    problems: tuple[Problem, ...]
    count: int
    beyond: tuple[tuple[ProblemKind, int], ...]


class _Refused(msgspec.Struct, frozen=True, tag=True):
    """Another error of fivefold, by its name."""

    error: str
    text: str


_Receipt: TypeAlias = _ResultFile | _Done | _IdentifierFile | _BadRows | _Refused


def hand_back(batches: Iterable[pa.RecordBatch], job: Job) -> Iterator[pa.RecordBatch]:
    """Do the work on one partition, and return a receipt for each result; errors of fivefold are receipts too.

    So errors reach the caller whole, and no machine retries in vain.
    """
    return _encoded(_receipts(batches, job))


def hand_back_each(batches: Iterable[pa.RecordBatch], job: FileJob) -> Iterator[pa.RecordBatch]:
    """Do the work on each named file, and return receipts as `hand_back` does."""
    return _encoded(_receipts_each(batches, job))


def marked(job: Job | FileJob) -> int:
    """Count the rows, or the files, that workers have done so far; repeated work counts again."""
    marks = job.folder.glob(f"{job.marks}-*{_MARK}")
    return sum(int(each.name.removesuffix(_MARK).rpartition("-")[2]) for each in marks)


def _mark(job: Job | FileJob, count: int) -> None:
    """Report that *count* more rows, or files, are done."""
    if job.marks and count:
        (job.folder / f"{job.marks}-{secrets.token_hex(8)}-{count}{_MARK}").touch()


def _encoded(receipts: Iterable["_Receipt"]) -> Iterator[pa.RecordBatch]:
    for receipt in receipts:
        yield pa.record_batch([pa.array([msgspec.msgpack.encode(receipt)], pa.binary())], names=[RECEIPT])


def results_of(receipts: Iterable[bytes], job: Job, source: str) -> Iterator[Result]:
    """Read the results of all partitions, once every receipt is there.

    Raises:
        InvalidDataError: rows with bad values, of all partitions together.
        FileFormatError: a customer is in two partitions, or the partitions lack or repeat rows of the source.
        FivefoldError: any other refusal of a worker.
    """
    for each in _results_of(receipts, job, source):
        yield Result(read_table(job.folder / each.file), each.note)


def kept_of(receipts: Iterable[bytes], job: Job, source: str) -> list[Path]:
    """Return the files of the results, by the first rows of their customers; errors are those of `results_of`."""
    return [job.folder / each.file for each in _results_of(receipts, job, source)]


def results_of_each(receipts: Iterable[bytes], job: FileJob, files: int) -> Iterator[Result]:
    """Yield the results of the work on *files* files, in order; the file of each result is deleted once it is read.

    Raises:
        FivefoldError: a worker refused something, or a file was not worked on.
    """
    every = [msgspec.msgpack.decode(receipt, type=_Receipt) for receipt in receipts]
    _raise_refusals(every, "")
    if sorted(each.number for each in every if isinstance(each, _Done)) != list(range(files)):
        raise FivefoldError(f"the workers did not work on each of {files:,} files once")
    for each in _in_order(every):
        path = job.folder / each.file
        result = Result(read_table(path), each.note)
        path.unlink()
        yield result


def _in_order(receipts: Iterable["_Receipt"]) -> list[_ResultFile]:
    return sorted((each for each in receipts if isinstance(each, _ResultFile)), key=lambda each: each.place)


def _results_of(receipts: Iterable[bytes], job: Job, source: str) -> list[_ResultFile]:
    """Check the receipts of all partitions together, see `results_of`."""
    every = [msgspec.msgpack.decode(receipt, type=_Receipt) for receipt in receipts]
    _raise_refusals(every, job.reader.source)
    met = [each for each in every if isinstance(each, _IdentifierFile)]
    rows = sum(each.rows for each in met)
    if rows != job.rows:
        raise FileFormatError(
            f"{source} holds {job.rows:,} rows, and the workers saw {rows:,}: was it changed meanwhile?"
        )
    _require_whole_customers([read_table(job.folder / each.file) for each in met], source)
    return _in_order(every)


def _receipts(batches: Iterable[pa.RecordBatch], job: Job) -> Iterator[_Receipt]:
    met: list[pa.Array] = []
    counted, done = _Counted(batches), 0
    try:
        _require_release(job.release)
        for number, result in enumerate(job.work(_histories(counted, job, met))):
            yield _ResultFile(_write(result.table, job.folder), result.note, (counted.first_row, number))
            _mark(job, counted.rows - done)
            done = counted.rows
    except InvalidDataError as error:
        yield _BadRows(error.every, error.count, tuple(error.beyond.items()))
    except FivefoldError as error:
        yield _Refused(type(error).__name__, str(error))
    else:
        column = pa.chunked_array(met, pa.string())
        yield _IdentifierFile(_write(pa.table({c.USER_ID: column}), job.folder), counted.rows)


def _receipts_each(batches: Iterable[pa.RecordBatch], job: FileJob) -> Iterator[_Receipt]:
    try:
        _require_release(job.release)
        for batch in batches:
            numbers, paths = (batch.column(name).to_pylist() for name in job.columns)
            for number, path in zip(numbers, paths, strict=True):
                for place, result in enumerate(job.work(Path(path))):
                    yield _ResultFile(_write(result.table, job.folder), result.note, (number, place))
                _mark(job, 1)
                yield _Done(number)
    except FivefoldError as error:
        yield _Refused(type(error).__name__, str(error))


def _require_release(wanted: str) -> None:
    if release() != wanted:
        raise ConfigError(f"a worker has fivefold {release()}; it must have {wanted}, as the driver")


class _Counted:
    """Batches whose rows are counted as they pass; it keeps the number of the first row."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = batches
        self.rows = 0
        self.first_row = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            if not self.rows and batch.num_rows and ROW_NUMBER in batch.schema.names:
                self.first_row = batch.column(ROW_NUMBER)[0].as_py() or 0  # a row without one is refused below
            self.rows += batch.num_rows
            yield batch


def _histories(batches: Iterable[pa.RecordBatch], job: Job, met: list[pa.Array]) -> Iterator[Histories]:
    """Read the rows of a partition as those of a file; *met* collects the customers."""
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
        waiting.append(_with_moments(batch, job.moments))
        rows += batch.num_rows
        if rows >= job.rows_at_once:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting, rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def _with_moments(batch: pa.RecordBatch, moments: Mapping[str, pa.TimestampType]) -> pa.RecordBatch:
    """View whole numbers as moments of their types."""
    for name, kind in moments.items():
        place = batch.schema.names.index(name)
        numbers = batch.column(place).cast(pa.int64())
        batch = batch.set_column(place, name, numbers.view(kind))
    return batch


def _write(table: pa.Table, folder: Path) -> str:
    """Write a table under a new name, which the file gets once it is whole; return the name."""
    name = f"{secrets.token_hex(16)}.arrow"
    with replacing(folder / name, for_this_run=True) as unfinished, pa.ipc.new_file(unfinished, table.schema) as file:
        file.write_table(table)
    return name


def read_table(path: Path) -> pa.Table:
    """Read a table that a worker wrote; its columns stay on disk until they are used."""
    with pa.memory_map(str(path)) as mapped:
        return pa.ipc.open_file(mapped).read_all()


def _raise_refusals(receipts: list[Any], source: str) -> None:
    for each in receipts:
        if isinstance(each, _Refused):
            kind = getattr(errors, each.error, FivefoldError)
            raise kind(each.text)
    bad = [each for each in receipts if isinstance(each, _BadRows)]
    if bad:
        beyond: dict[ProblemKind, int] = {}
        for kind_, count in (pair for each in bad for pair in each.beyond):
            beyond[kind_] = beyond.get(kind_, 0) + count
        problems = [problem for each in bad for problem in each.problems]
        raise InvalidDataError(problems, sum(each.count for each in bad), source, beyond)


def _require_whole_customers(met: list[pa.Table], source: str) -> None:
    """Raise FileFormatError if the rows of one customer were in two partitions: each saw part of a history."""
    customers = SeenCustomers(lambda user_id: _split(source, user_id))
    columns = [table[c.USER_ID] for table in met if table.num_rows]
    for column in columns:
        customers.add(column, column.combine_chunks())
    customers.check(lambda: columns)


def _split(source: str, user_id: str) -> FileFormatError:
    return FileFormatError(f"{source}: the rows of customer {user_id!r} are in two places of the partitions")
