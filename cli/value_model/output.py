"""Writing scores: Parquet, CSV, JSON or JSON lines, batch by batch, by the suffix of the file."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing, require_folder
from fivefold.domain.parts import Parts
from fivefold.features.reading.formulas import escape_formulas_of_frame

Write = Callable[[pl.DataFrame], None]


def require_output(path: Path, option: str = "--output") -> None:
    """Raise ConfigError if the suffix is not one that can be written, or the file has no place: *path* is a folder."""
    if path.suffix.lower() not in _OPENERS:
        raise ConfigError(f"{option} is {path}; it must end in {', '.join(_OPENERS)}")
    if path.is_dir():
        raise ConfigError(f"{option} is {path}, which is a folder; it must be a file")
    require_folder(path)


@contextmanager
def open_output(path: Path, parts: Parts | None = None) -> Iterator[Write]:
    """Give a function that appends a batch to *path*; the file appears only when all of it is written.

    It is written among the *parts* that it is made of, where there are some. ConfigError where the suffix is none that
    can be written.
    """
    require_output(path)
    place = replacing(path) if parts is None else parts.publishing()
    with place as unfinished, _OPENERS[path.suffix.lower()](unfinished) as write:
        yield write


def write_together(*files: tuple[Path | None, Callable[[], pl.DataFrame | Iterable[str]]]) -> None:
    """Write a table, or lines, to each path; None for no file. None is replaced before all are written and closed.

    So the files are of one run, even if the disk is full at the last one.
    """
    with ExitStack() as stack:
        for path, content in files:
            if path is not None:
                write_whole(stack.enter_context(replacing(path)), content(), path.suffix)


def write_whole(unfinished: Path, content: pl.DataFrame | Iterable[str], suffix: str) -> None:
    """Write a table, in the format of the *suffix*, or lines to a path, and close it."""
    if isinstance(content, pl.DataFrame):
        with _OPENERS[suffix.lower()](unfinished) as write:
            write(content)
    else:
        with unfinished.open("w", encoding="utf-8") as file:
            file.writelines(content)


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    with ExitStack() as stack:
        writers: list[pyarrow.parquet.ParquetWriter] = []

        def write(table: pl.DataFrame) -> None:
            arrow: pa.Table = table.to_arrow(compat_level=pl.CompatLevel.oldest())
            if not writers:
                writers.append(stack.enter_context(pyarrow.parquet.ParquetWriter(path, arrow.schema)))
            writers[0].write_table(arrow)

        yield write


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with path.open("wb") as file:

        def write(table: pl.DataFrame) -> None:
            escape_formulas_of_frame(table).write_csv(file, include_header=file.tell() == 0)

        yield write


@contextmanager
def _json_lines(path: Path) -> Iterator[Write]:
    with path.open("wb") as file:
        yield lambda table: table.write_ndjson(file)


@contextmanager
def _json(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:
        before = "[\n"

        def write(table: pl.DataFrame) -> None:
            nonlocal before
            for line in table.write_ndjson().splitlines():
                file.write(before + line)
                before = ",\n"

        yield write
        file.write("[]\n" if before == "[\n" else "\n]\n")


_OPENERS = {".parquet": _parquet, ".csv": _csv, ".json": _json, ".jsonl": _json_lines, ".ndjson": _json_lines}
