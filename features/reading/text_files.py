"""Files of transactions by name, and text files in common forms: delimiter, gzip, names of columns."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self, cast

from fivefold.domain.clock import iso_text
from fivefold.domain.errors import ConfigError, FileFormatError, Problem, first_row_of
from fivefold.domain.files import kind_of
from fivefold.domain.text import columns_text, delimiter_of, perhaps
from fivefold.features.column_names import OTHER
from fivefold.features.reading.places.addresses import address_of
from fivefold.features.schema import ABSENT, COLUMNS, REQUIRED

if TYPE_CHECKING:  # pyarrow is imported only where Parquet is read
    from fivefold.features.reading.places.parquet_source import ParquetSource

GZIP: Final = ".gz"
NOT_UNICODE: Final = "is not text in UTF-8"
"""The problem of a line in another encoding, such as Latin-1."""
AS_UNICODE: Final = "text in UTF-8, which a spreadsheet saves as CSV UTF-8"
AS_SAVED: Final = "give it the ending of what it is, or save it as CSV UTF-8"
LINE: Final = "line"
"""The field that a problem with a whole line is about."""
SUFFIXES = (".parquet", ".csv", ".json", ".jsonl", ".ndjson")
_WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")


@dataclass(frozen=True)
class TornRow:
    """A line that is not a row: in CSV without a field for each column, in JSON lines without an object.

    Attributes:
        row: the number of the line from 1; the header of CSV is row 1.
        line: the text of the line in the file.
        fields: the fields, as far as they can be read; empty for JSON.
        problem: the problem, in the form of `domain.errors.Problem`.
        allowed: the correct form.
    """

    row: int
    line: str
    fields: tuple[str, ...]
    problem: str
    allowed: str

    def as_problem(self) -> Problem:
        """Return the problem of this row."""
        return Problem(self.row, LINE, self.problem, self.allowed)


def torn_problems(torn: Sequence[TornRow], source: str) -> list[Problem]:
    """Return the problems of torn rows, numbered from 0 as in `domain.errors.InvalidDataError`."""
    return [replace(one.as_problem(), row=one.row - first_row_of(source)) for one in torn]


def suffix_of_name(path: Path) -> str:
    """Return the format of a file by its name, without a suffix for gzip.

    >>> suffix_of_name(Path("rows.CSV.gz"))
    '.csv'
    """
    name = path.with_suffix("") if path.suffix.lower() == GZIP else path
    return name.suffix.lower()


def is_gzipped(path: Path) -> bool:
    """Check whether a file is gzipped, by its name.

    >>> is_gzipped(Path("rows.csv.gz")), is_gzipped(Path("rows.csv"))
    (True, False)
    """
    return path.suffix.lower() == GZIP


def open_text(path: Path, newline: str | None = "", errors: str = "strict") -> IO[str]:
    """Open a text file in UTF-8, gzipped or not; a byte order mark is left out.

    *newline* and *errors* are those of `open`, for ends of lines and for bytes that are not UTF-8. FileFormatError if
    the first bytes show that it is another kind of file, whatever its name.
    """
    if is_gzipped(path):
        return cast("IO[str]", gzip.open(path, "rt", encoding="utf-8-sig", newline=newline, errors=errors))
    file = path.open(encoding="utf-8-sig", newline=newline, errors=errors)
    if kind := kind_of(cast("BufferedReader", file.buffer).peek(4)):
        file.close()
        raise FileFormatError(f"{path} is {kind} by its first bytes, which its name does not say; {AS_SAVED}")
    return file


def stamp_of(path: Path) -> tuple[int, int]:
    """Return the size and the time of change of a file, which differ after a change.

    Its inode does not help: a mount by sshfs or rclone may return another one while the file is read.
    """
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def changed_meanwhile(source: object) -> FileFormatError:
    """Create the error for a source that was changed while it was read."""
    return FileFormatError(f"{source} was changed while it was read: read it again once it is whole")


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """Raise FileFormatError if a file was changed during the block."""
    before = stamp_of(path)
    yield
    if not path.exists() or stamp_of(path) != before:
        raise changed_meanwhile(path)


def csv_header(path: Path) -> tuple[list[str], str]:
    """Read the header line of a CSV file: the names of its columns, and the delimiter.

    The delimiter is the one that yields the most columns, or else a comma. FileFormatError without a header line.
    """
    try:
        with open_text(path, errors="surrogateescape") as file:
            line = file.readline()
            line.encode()
            delimiter = delimiter_of(line)
            file.seek(0)
            names = next(csv.reader(file, delimiter=delimiter), [])
    except UnicodeEncodeError:  # a byte that is not UTF-8 was read as half a surrogate
        raise FileFormatError(f"{path} {NOT_UNICODE}; a spreadsheet saves it so as CSV UTF-8") from None
    except (csv.Error, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileFormatError(f"{path} is not CSV with a header line: {error}") from None
    if not names:
        is_empty = not path.stat().st_size
        why = "is empty (0 bytes)" if is_empty else "is not CSV with a header line: its first line is empty"
        raise FileFormatError(f"{path} {why}")
    if line.lower().startswith("sep=") and len(line.strip()) <= len("sep=") + 1:
        raise FileFormatError(
            f"{path} is not CSV with a header line: its first line, {line.strip()!r}, is for Excel alone; delete it"
        )
    return names, delimiter


@dataclass(frozen=True)
class ColumnMap:
    """The API's names for the columns of a file.

    Attributes:
        ours: the API's name by the name in the file.
    """

    ours: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, pairs: Sequence[str], option: str = "--map") -> Self:
        """Read pairs such as customer_id=user_id: the file's name, then ours.

        Raises:
            ConfigError: a pair has another form, or a name is in two pairs.
        """
        ours: dict[str, str] = {}
        for pair in pairs:
            theirs, equals, own = (part.strip() for part in pair.partition("="))
            if not (theirs and equals and own):
                raise ConfigError(
                    f"{option} is {pair!r}; it must be the file's column, =, and its name here, "
                    "such as customer_id=user_id"
                )
            if theirs in ours or own in ours.values():
                raise ConfigError(f"{option} {pair}: {theirs if theirs in ours else own} is in another pair already")
            ours[theirs] = own
        return cls(ours)

    def rename(self, names: Sequence[str], source: str) -> dict[str, str]:
        """Return the pairs for the columns of one file.

        Raises:
            FileFormatError: the file lacks a column, or already has a column of the new name.
        """
        missing = [theirs for theirs in self.ours if theirs not in names]
        if missing:
            turned = [f"{self.ours[name]}={name}" for name in missing if self.ours[name] in names]
            hint = f"; the file's column comes first in a pair: {', '.join(turned)}" if turned else ""
            raise FileFormatError(f"{source} has no column {', '.join(missing)} to map; {columns_text(names)}{hint}")
        twice = [own for theirs, own in self.ours.items() if own in names and own not in self.ours and own != theirs]
        if twice:
            raise FileFormatError(f"{source} has a column {twice[0]} itself; map that one to another name as well")
        return dict(self.ours)


def suffix_of(path: Path, others: str = ", or a folder of Parquet") -> str:
    """Return the format of *path*: '' for Parquet at any address but a file; FileFormatError if it cannot be read.

    *others* is the text of that error about what may be given instead of a file.
    """
    if address_of(path) is not None:
        return ""
    if not path.exists():
        raise FileFormatError(f"{path} does not exist; give a file ending in {', '.join(SUFFIXES)}{others}")
    if path.is_dir():
        return ""
    suffix = suffix_of_name(path)
    if suffix not in SUFFIXES or (suffix == ".parquet" and is_gzipped(path)):
        endings = f"{', '.join(SUFFIXES)} (text also with {GZIP})"
        raise FileFormatError(
            f"{path} ends in {path.suffix!r}; files that can be read end in {endings}{workbook_hint(path)}"
        )
    return suffix


def is_parquet(path: Path) -> bool:
    """Check whether a path is Parquet: a file, a folder or another address; for FileFormatError see `suffix_of`."""
    return suffix_of(path) in {"", ".parquet"}


def workbook_hint(path: Path) -> str:
    """Explain how to turn a workbook into a file that can be read; '' for any other file."""
    return "; save it as CSV UTF-8" if suffix_of_name(path) in _WORKBOOKS else ""


def require_parquet(path: Path) -> None:
    """Raise FileFormatError if *path* is not Parquet, see `is_parquet`."""
    if not is_parquet(path):
        raise FileFormatError(f"{path} is not Parquet, and Spark reads nothing else here")


@dataclass(frozen=True)
class MappedFile:
    """A file of transactions whose columns have names of their own.

    Attributes:
        path: the file, or the address of Parquet.
        names: the API's names of its columns.
    """

    path: Path
    names: ColumnMap = field(default_factory=ColumnMap)

    @staticmethod
    def of(source: "MappedFile | Path | str") -> "MappedFile":
        """Return a mapped file unchanged, and a path as one whose columns keep their names."""
        return source if isinstance(source, MappedFile) else MappedFile(Path(source))

    def __post_init__(self) -> None:
        """Raise ConfigError if a column gets a name that is not read.

        A column with one of our names may get any name, which frees its own. Any column may get its name with `OTHER`
        at the end, so that it is not taken for ours.
        """
        for theirs, own in self.names.ours.items():
            if own not in COLUMNS and theirs not in COLUMNS and own != theirs + OTHER:
                near = perhaps(own, COLUMNS, cutoff=0.8)
                raise ConfigError(
                    f"{theirs}={own}: {own} is not a column that is read{near}; they are {', '.join(COLUMNS)}"
                )

    def __str__(self) -> str:
        """Name the file."""
        return str(address_of(self.path) or self.path)

    def our_names(self, theirs: Sequence[str]) -> list[str]:
        """Return the names of columns under our names; the errors are those of `rename`."""
        ours = self.rename(theirs)
        return [ours.get(name, name) for name in theirs]

    def rename(self, theirs: Sequence[str], source: str | None = None) -> dict[str, str]:
        """Return the pairs for the columns of the file, or for those of its part *source*.

        FileFormatError as in `ColumnMap.rename`, and if a required column gets another name and no other gets its name.
        """
        ours = self.names.rename(theirs, source or str(self))
        for name in (name for name in REQUIRED if name not in ABSENT and name in ours and name not in ours.values()):
            raise FileFormatError(
                f"{source or self} has the column {name}, which {name}={ours[name]} gives another name; leave that "
                f"pair out, or give the column that is {name}, its name first, as in customer_id={name}"
            )
        return ours

    @cached_property
    def parquet(self) -> "ParquetSource":
        """The Parquet, found once, so that every pass reads the same; the errors are those of `open_parquet`."""
        from fivefold.features.reading.places.stores import open_parquet  # noqa: PLC0415 (see above)

        return open_parquet(self.path)

    @property
    def state(self) -> str:
        """A text that identifies the present content: size and time of change, columns and row groups.

        FileFormatError if it cannot be read.
        """
        marks = []
        if self.path.is_file():
            status = self.path.stat()
            marks = [f"{status.st_size:,} bytes, changed {iso_text(status.st_mtime_ns // 1_000)}"]
        if is_parquet(self.path):
            marks = [*(marks or [f"{self.parquet.rows:,} rows"]), f"digest {self.parquet.identity}"]
        return ", ".join(marks)
