"""Paths of files of transactions, and the names of their columns."""

from dataclasses import dataclass, field
from pathlib import Path

from fivefold.domain.errors import ConfigError, FileFormatError
from fivefold.domain.suggestions import perhaps
from fivefold.features.reading.text_files import GZIP, ColumnMap, is_gzipped, suffix_of_name
from fivefold.features.schema import COLUMNS

SUFFIXES = (".parquet", ".csv", ".json", ".jsonl", ".ndjson")


def suffix_of(path: Path) -> str:
    """Give the format of *path*: '' for a folder of Parquet files; FileFormatError where it cannot be read."""
    if not path.exists():
        raise FileFormatError(
            f"{path} does not exist; give a file ending in {', '.join(SUFFIXES)}, or a folder of Parquet"
        )
    if path.is_dir():
        return ""
    suffix = suffix_of_name(path)
    if suffix not in SUFFIXES or (suffix == ".parquet" and is_gzipped(path)):
        known = f"{', '.join(SUFFIXES)} (text also with {GZIP})"
        raise FileFormatError(f"{path} ends in {path.suffix!r}; files that can be read end in {known}")
    return suffix


@dataclass(frozen=True)
class MappedFile:
    """A file of transactions whose columns have names of their own.

    Attributes:
        path: the file, or a folder of Parquet.
        names: the API's names of its columns.
    """

    path: Path
    names: ColumnMap = field(default_factory=ColumnMap)

    def __post_init__(self) -> None:
        """Raise ConfigError where a column gets a name that is not read, unless it frees its own for another column."""
        for theirs, own in self.names.ours.items():
            if own not in COLUMNS and theirs not in COLUMNS:
                near = perhaps(own, COLUMNS, cutoff=0.8)
                raise ConfigError(
                    f"{theirs}={own}: {own} is no column that is read{near}; they are {', '.join(COLUMNS)}"
                )

    def __str__(self) -> str:
        """Name the file."""
        return str(self.path)
