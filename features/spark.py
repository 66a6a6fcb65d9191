"""Apache Spark as an engine: rows are partitioned by customer, and each partition is read as a file is in one process.

Spark reads Parquet, shuffles and sorts; it computes nothing. Everything else is in `features.partitions`. The context
and the RDDs of Spark are not used, because Spark Connect lacks them; the session's zone has no effect.
"""

import os
import re
import secrets
import shutil
import socket
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as f
from pyspark.sql.types import StructField, StructType, TimestampNTZType, TimestampType
from tqdm import tqdm

from fivefold.domain.errors import ConfigError, FileFormatError, FivefoldError
from fivefold.domain.provenance import release
from fivefold.domain.settings import VARIABLE_VAR, Settings
from fivefold.features import schema as c
from fivefold.features.kept import keep
from fivefold.features.partitions import (
    RECEIPT,
    FileJob,
    FileWork,
    Job,
    Result,
    Work,
    hand_back,
    hand_back_each,
    kept_of,
    marked,
    results_of,
    results_of_each,
)
from fivefold.features.reading.parquet_stream import columns_without_values
from fivefold.features.reading.places.parquet_source import ParquetPart, plain_type
from fivefold.features.reading.places.stores import plain_parts
from fivefold.features.reading.sources import ROW_NUMBER, ROWS_A_BATCH
from fivefold.features.reading.text_files import MappedFile, require_parquet
from fivefold.features.reading.validate import TransactionReader

_PANDAS: Final = "PySpark does not yet fully support pandas"
"""The beginning of PySpark 4.3's warning about pandas 3; no data frame of pandas is made here."""
_TRACEBACK: Final = "Traceback (most recent call last)"
_CAUSE: Final = "Caused by: "
_REMOTE: Final = "sc://"
_LOCAL: Final = "local"
_LOOPBACK: Final = "127.0.0.1"
_FILE: Final = "file"
_HIDDEN: Final = ("_", ".")
_LOOK_SECONDS: Final = 1.0
_MOMENTS: Final = (TimestampType, TimestampNTZType)
_CONNECT_PORT: Final = 15002
"""The port of a server of Spark Connect, unless it is configured otherwise."""
_CONNECT_SECONDS: Final = 5.0
_FIRST_ROW: Final = "first_row"
"""The column with the number of each customer's first row, which decides the partitions of kept histories."""


def open_session(settings: Settings, master: str | None = None) -> SparkSession:
    """Start Spark, or use the existing session; *master* is a URL of Spark's, `sc://` for Spark Connect.

    Without a *master*, Spark's own configuration decides where it runs. With `local[2]` it listens on loopback alone.

    Raises:
        ConfigError: Java is missing, or Spark does not start.
    """
    remote = master is not None and master.startswith(_REMOTE)
    if not remote:
        _require_java()
        # Spark starts its workers with this variable alone; they must have what this interpreter has.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("fivefold")
    if remote:
        _require_server(str(master))
        builder = builder.remote(str(master))
    else:
        builder = builder.config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
        builder = builder.config(f"spark.executorEnv.{VARIABLE_VAR}", str(settings.var))
        # Otherwise a worker that compiled code crashes does not show where.
        builder = builder.config("spark.sql.execution.pyspark.udf.faulthandler.enabled", "true")
        builder = builder if master is None else builder.master(master)
        if master is not None and master.startswith(_LOCAL):
            os.environ.setdefault("SPARK_LOCAL_IP", _LOOPBACK)
    try:
        with _pandas_3():
            return builder.getOrCreate()
    except (PySparkException, Py4JError, OSError) as error:
        needs = "pyspark[connect] and a server there" if remote else "Java 17 or later, and a URL that Spark knows"
        raise ConfigError(f"Spark does not start: {_reason_of(error).rstrip('.')}; it needs {needs}") from error


def _require_server(master: str) -> None:
    """Raise ConfigError if no server answers; Spark Connect would try for many minutes, without a message."""
    place = urlsplit(master)
    try:
        address = (place.hostname or "", place.port or _CONNECT_PORT)
        socket.create_connection(address, _CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ConfigError(f"no server of Spark Connect answers at {place.netloc.rpartition('@')[2]}: {error}") from None


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if shutil.which(str(Path(home) / "bin" / "java") if home else "java") is None:
        where = f"under JAVA_HOME, {home}" if home else "on the PATH"
        raise ConfigError(f"Spark takes Java 17 or later, and there is no java {where}: install it, or set JAVA_HOME")


@dataclass(frozen=True)
class SparkEngine:
    """A session of Spark, and a folder that its workers share with this machine.

    Attributes:
        session: the session of Spark, or of Spark Connect.
        folder: the folder for the model, and for the results until they are read.
        rows_at_once: see `features.partitions.Job`.
    """

    session: SparkSession
    folder: Path
    rows_at_once: int = ROWS_A_BATCH

    def run(self, source: MappedFile, reader: TransactionReader, work: Work) -> Iterator[Result]:
        """Do the work on every partition of Parquet, and return all results.

        Errors are those of `results_of`, and a FivefoldError if Spark itself fails.
        """
        with _own_errors(), _pandas_3():
            rows, job = self._job(source, reader, work)
            by_customer = rows.repartition(f.col(c.USER_ID)).sortWithinPartitions(c.USER_ID, ROW_NUMBER)
            with _shown(job, job.rows, "rows"):
                receipts = _collected(by_customer, partial(hand_back, job=job))
        return results_of(receipts, job, str(source))

    def keep(self, source: MappedFile, reader: TransactionReader) -> list[Path]:
        """Keep the histories of Parquet in files of the folder, in the order of the customers' first rows.

        Each partition has customers who first appear between two rows of the source. Errors are those of `run`.
        """
        with _own_errors(), _pandas_3():
            rows, job = self._job(source, reader, keep)
            appears = f.min(ROW_NUMBER).over(Window.partitionBy(c.USER_ID)).alias(_FIRST_ROW)
            ranged = rows.select("*", appears).repartitionByRange(_FIRST_ROW)
            ordered = ranged.sortWithinPartitions(_FIRST_ROW, ROW_NUMBER).select(*job.columns)
            with _shown(job, job.rows, "rows"):
                receipts = _collected(ordered, partial(hand_back, job=job))
        return kept_of(receipts, job, str(source))

    def run_each(self, files: Sequence[Path], work: FileWork) -> Iterator[Result]:
        """Do the work on each file, as a task of its own, and return all results in the order of the files."""
        with _own_errors(), _pandas_3():
            job = FileJob(work, self.folder, release(), marks=_new_marks())
            number, file = job.columns
            named = [(place, str(path)) for place, path in enumerate(files)]
            frame = self.session.createDataFrame(named, f"{number} long, {file} string")
            apart = frame.repartitionByRange(max(1, len(named)), number)
            with _shown(job, len(named), "files"):
                receipts = _collected(apart, partial(hand_back_each, job=job))
        return results_of_each(receipts, job, len(named))

    def _job(self, source: MappedFile, reader: TransactionReader, work: Work) -> tuple[DataFrame, Job]:
        rows, moments, count = _rows(self.session, source, reader, self.folder)
        job = Job(
            reader=reader,
            columns=tuple(rows.columns),
            moments=moments,
            work=work,
            folder=self.folder,
            release=release(),
            rows=count,
            rows_at_once=self.rows_at_once,
            marks=_new_marks(),
        )
        return rows, job


def _new_marks() -> str:
    """Return the beginning of the names of marks; empty if progress is not shown in a terminal."""
    return f"progress-{secrets.token_hex(8)}" if sys.stderr.isatty() else ""


@contextmanager
def _shown(job: Job | FileJob, total: int, unit: str) -> Iterator[None]:
    """Show the progress of the workers, by the marks that they leave in the shared folder."""
    if not job.marks:
        yield
        return
    ended = threading.Event()
    with tqdm(desc="on Spark", unit=f" {unit}", unit_scale=True, total=total, leave=False) as bar:

        def look() -> None:
            while not ended.wait(_LOOK_SECONDS):
                bar.update(min(total, marked(job)) - bar.n)

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        try:
            yield
        finally:
            ended.set()
            looking.join()


def _collected(rows: DataFrame, hand: Callable[..., Iterator[pa.RecordBatch]]) -> list[bytes]:
    return [bytes(row[RECEIPT]) for row in rows.mapInArrow(hand, f"{RECEIPT} binary").collect()]


def _rows(
    session: SparkSession, source: MappedFile, reader: TransactionReader, folder: Path
) -> tuple[DataFrame, dict[str, pa.TimestampType], int]:
    """Read the known columns of Parquet, each row with its number; Spark must be able to read *folder*.

    Returns:
        The rows, the types of the columns of moments, which come as whole numbers, and the number of rows in the files.
    """
    require_parquet(source.path)
    parts = plain_parts(source.parquet, source.names.ours)
    for part in parts:
        if _file_of(part).name.startswith(_HIDDEN):
            file = _file_of(part)
            raise FileFormatError(f"{file} would be left out by Spark, as its name begins with {file.name[0]}")
    every = list(reduce(or_, (Counter(part.schema.names) for part in parts)).elements())
    ours = source.rename(every)
    reader.require_columns([ours.get(name, name) for name in every])
    nothing = columns_without_values(source) if reader.completes else ()
    own_names = {ours.get(name, name): name for name in every if ours.get(name, name) in c.COLUMNS}
    name_by_column = {own: own_names[own] for own in c.COLUMNS if own in own_names and own not in nothing}
    reader.require_columns(list(name_by_column))
    _require_one_each(name_by_column.values(), parts, source)
    kinds = _one_type_each(source, parts, list(name_by_column.values()))
    if any(map(_is_finest, kinds)):
        session.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    schema = _schema_of(session, parts, kinds, folder)
    moments = {
        own: pa.timestamp("us", kind.tz) if isinstance(schema[name].dataType, _MOMENTS) else kind
        for own, name in name_by_column.items()
        if pa.types.is_timestamp(kind := kinds.field(name).type)
    }
    rows = [
        _numbered(
            session, frame, [_column(frame, kinds, schema, own, name) for own, name in name_by_column.items()], starts
        )
        for frame, starts in _frames(session, parts, schema)
    ]
    return reduce(DataFrame.union, rows), moments, sum(part.rows for part in parts)


def _frames(
    session: SparkSession, parts: Sequence[ParquetPart], schema: StructType
) -> Iterator[tuple[DataFrame, dict[Path, int]]]:
    """Read files that have types for the same columns together, and yield the number of the first row of each.

    Files without a row are not read. A column may have no type in a file in which no row has a value, and Spark would
    read it as whole numbers; such a column is not in the frame.
    """
    starts: dict[tuple[str, ...], dict[Path, int]] = {}
    start = 0
    for part in [part for part in parts if part.rows] or parts[:1]:
        columns = tuple(name for name in schema.names if not pa.types.is_null(part.own.field(name).type))
        starts.setdefault(columns, {})[_file_of(part)] = start
        start += part.rows
    for columns, files in starts.items():
        frame = session.read.schema(StructType([schema[name] for name in columns]))
        yield frame.parquet(*map(_address, files)), files


def _column(frame: DataFrame, kinds: pa.Schema, schema: StructType, own: str, name: str) -> Column:
    """Return a column under our name, in a form that loses nothing on its way to a worker."""
    spark, arrow = schema[name].dataType, kinds.field(name).type
    column = frame[_quoted(name)] if name in frame.columns else f.lit(None).cast(spark)
    if isinstance(spark, TimestampType):
        column = f.unix_micros(column)
    elif isinstance(spark, TimestampNTZType):  # unix_micros would read it in the session's zone
        column = column - f.expr("timestamp_ntz'1970-01-01 00:00:00'")
    elif arrow == pa.uint64() and own in {c.USER_ID, c.TRANSACTION_ID}:  # a decimal in Spark
        column = column.cast("string")
    return column.alias(own)


def _schema_of(session: SparkSession, parts: Sequence[ParquetPart], kinds: pa.Schema, folder: Path) -> StructType:
    """Return Spark's types of columns, which it reads from a file without rows that has these columns alone.

    Otherwise it would read all columns of one file, and refuse types of columns that are not used.
    """
    example = folder / f"{secrets.token_hex(8)}.parquet"
    pyarrow.parquet.write_table(kinds.empty_table(), example)
    int96 = {name for part in parts for name in part.int96}
    schema = session.read.parquet(_address(example)).schema
    example.unlink()
    return StructType([StructField(each.name, TimestampType()) if each.name in int96 else each for each in schema])


def _require_one_each(names: Iterable[str], parts: Sequence[ParquetPart], source: MappedFile) -> None:
    """Raise FileFormatError if Spark, which ignores case, would see a column twice."""
    every = dict.fromkeys(name for part in parts for name in part.own.names)
    for name in names:
        others = [other for other in every if other != name and other.casefold() == name.casefold()]
        if others:
            raise FileFormatError(
                f"{source} has the columns {name} and {others[0]}, which are one to Spark: leave out one of them, or "
                "leave out --engine spark"
            )


def _is_finest(column: pa.Field) -> bool:
    """Check whether a column has nanoseconds, which Spark reads as whole numbers or not at all."""
    return bool(pa.types.is_timestamp(column.type)) and column.type.unit == "ns"


def _numbered(session: SparkSession, frame: DataFrame, columns: list[Column], starts: Mapping[Path, int]) -> DataFrame:
    """Select columns, and number the rows as one process does: across all files, found by their paths."""
    index = f.col("_metadata.row_index")
    if len(starts) == 1:
        return frame.select(*columns, (index + f.lit(*starts.values())).alias(ROW_NUMBER))
    path_of = {_local(each): each for each in frame.inputFiles()}
    first_rows = session.createDataFrame(
        [(_bare(path_of[str(file)]), start) for file, start in starts.items()], "file string, start long"
    )
    path = f.regexp_replace(f.col("_metadata.file_path"), f"^{_FILE}:/+", "/")
    selected = frame.select(*columns, index.alias("index"), path.alias("file"))
    joined = selected.join(f.broadcast(first_rows), "file", "left")
    number = (f.col("start") + f.col("index")).alias(ROW_NUMBER)
    return joined.select(*selected.columns[: len(columns)], number)


def _address(file: Path) -> str:
    """Write a path for Spark, with wildcards escaped."""
    return f"{_FILE}://" + re.sub(r"[][{}*?\\]", r"\\\g<0>", str(file))


def _local(uri: str) -> str:
    """Return the path of a file as this machine writes it."""
    return unquote(urlsplit(uri).path)


def _bare(uri: str) -> str:
    """Return the path as Spark writes it, however many slashes it begins with."""
    return "/" + uri.removeprefix(f"{_FILE}:").lstrip("/")


def _file_of(part: ParquetPart) -> Path:
    return Path(str(part.file)).resolve()


def _one_type_each(source: MappedFile, parts: Sequence[ParquetPart], names: Sequence[str]) -> pa.Schema:
    """Return the one type of each column in all files; to Spark all text is one type, and nulls alone fit any.

    Raises:
        FileFormatError: a file lacks one of the columns, or has it in another type.
    """
    source.parquet.types(lambda part: [name for name in names if name in part.schema.names])
    kinds: dict[str, pa.DataType] = {}
    for name in names:
        types = [(_for_spark(part.own.field(name).type), part) for part in parts]
        first, where = next((each for each in types if not pa.types.is_null(each[0])), types[0])
        for kind, part in types:
            if not pa.types.is_null(kind) and kind != first:
                raise FileFormatError(
                    f"{part.label} has the column {name} as {part.own.field(name).type}, and {where.label} as "
                    f"{where.own.field(name).type}: Spark reads a column in one type alone; leave out --engine spark"
                )
        kinds[name] = first
    return pa.schema(kinds)


def _for_spark(kind: pa.DataType) -> pa.DataType:
    plain = plain_type(kind)
    return pa.string() if pa.types.is_large_string(plain) else plain


def _quoted(name: str) -> str:
    """Quote the name of a column: a dot in it would mean a field."""
    return "`" + name.replace("`", "``") + "`"


@contextmanager
def _own_errors() -> Iterator[None]:
    """Raise FivefoldError with the cause of Spark's error in one line: its own text has two programs' stack traces."""
    try:
        yield
    except (PySparkException, Py4JError, ConnectionError) as error:  # the last where Java itself is gone
        raise FivefoldError(f"Spark ended with an error: {_reason_of(error)}") from error


def _reason_of(error: Exception) -> str:
    """Return the error that a person can act on: that of a worker's Python, or that of Java with its cause."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    tracebacks = [number for number, line in enumerate(lines) if line.strip().startswith(_TRACEBACK)]
    if tracebacks:
        return next((line for line in lines[tracebacks[-1] + 1 :] if not line[0].isspace()), lines[0]).strip()
    if isinstance(error, Py4JJavaError):
        lines = lines[1:]  # the first one has the number of a call
    first = next((line.strip(": \t") for line in lines), type(error).__name__)
    causes = [line.strip() for line in lines if line.strip().startswith(_CAUSE)]
    return f"{first}. {causes[-1]}" if causes else first


@contextmanager
def _pandas_3() -> Iterator[None]:
    """Accept pandas 3, which PySpark warns of at each call."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_PANDAS, category=FutureWarning)
        yield
