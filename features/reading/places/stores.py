"""The content of an address: the files of a folder, a pattern or an object store, or a table of Delta or Iceberg.

The libraries for tables and stores are extras, and are imported only for addresses that need them.
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import pyarrow as pa

from fivefold.domain.errors import ConfigError, FileFormatError, FivefoldError
from fivefold.domain.text import one_line
from fivefold.features.reading.places.addresses import ICEBERG_FILE, Address, address_of
from fivefold.features.reading.places.parquet_source import ParquetPart, ParquetSource
from fivefold.features.reading.text_files import SUFFIXES, stamp_of
from fivefold.features.schema import COLUMNS

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

PARQUET: Final = ".parquet"
DELTA_LOG: Final = "_delta_log"
METADATA: Final = "metadata"
_NOTHING: Final = "__HIVE_DEFAULT_PARTITION__"
"""The folder of rows without a value in the column of a partition."""
_SAME_AFTER_CHANGE: Final = {"name", "size", "type"}
"""The fields of a listed file that may stay the same when another file replaces it."""
ASKED_ALONE: Final = 50
"""Up to this many files of a folder are queried one by one: a list has all others too, such as a table's old files."""
_ENDING_REMEDY: Final = (
    "all files of a folder or a pattern must: if it is Parquet, give it that ending, and if not, move it to another "
    "folder, or begin its name with _"
)
_GIVE_TABLE: Final = "give the address of the table itself"
_FILES_ALONE: Final = "files alone are read here: write the rows of the table into a file of Parquet first"
_FOLDER_MARKER: Final = "_$folder$"
"""Hadoop and EMR write an empty object `year=2024_$folder$` beside the files of a folder `year=2024`."""
_ANY_FOLDERS: Final = re.compile(r"(?:^|(?<=/))\*\*/")


def open_parquet(path: Path) -> ParquetSource:
    """Find the Parquet of an address.

    Raises:
        FileFormatError: there is nothing to read, or a table would be read as a mere folder.
        ConfigError: the address cannot be understood, or a library for its store is missing.
        ModuleNotFoundError: an extra is missing; the command names it.
    """
    address = address_of(path) or Address("", str(path))
    if address.is_iceberg:
        from fivefold.features.reading.places.table_formats import open_iceberg  # noqa: PLC0415 (an extra)

        return open_iceberg(address)
    store = _Local() if not address.scheme else _Remote(address)
    if not address.is_pattern and store.exists(_under(address.place, DELTA_LOG)):
        from fivefold.features.reading.places.table_formats import open_delta  # noqa: PLC0415 (an extra)

        return open_delta(address, store.opener)
    if address.version is not None:
        raise FileFormatError(f"{address} is not a table of Delta or Iceberg, so there is no version {address.version}")
    return _files_as_source(address, store)


def open_files(path: Path) -> ParquetSource:
    """Find the Parquet of a file or a folder of this machine, for code that reads no tables.

    Raises:
        FileFormatError: there is nothing to read, or it is a table, or in one.
    """
    if (path / DELTA_LOG).exists():
        raise FileFormatError(f"{path} is a table of Delta; {_FILES_ALONE}")
    return _files_as_source(Address("", str(path)), _Local(), _FILES_ALONE)


def _files_as_source(address: Address, store: "_Local | _Remote", remedy: str | None = None) -> ParquetSource:
    """Find files; if they are of a table, the error has the *remedy*, or else explains how to give the table itself."""
    _require_no_table(address, store, store.whole(address.base), remedy)
    files = _files(address, store, remedy)
    for folder in _linked_folders(address, store, files):
        _require_no_table(address, store, folder, remedy)
    parts = tuple(_part(address, store, file) for file in files)
    _require_same_folders(parts)
    return ParquetSource(str(address), parts, lambda: _stamps(address, store), is_plain=not address.scheme)


def takes_in(source: Path, file: Path) -> bool:
    """Check whether *file* is among the files of an address of this machine, or would be once it is written.

    Links are followed. In a folder, every file with one of `SUFFIXES` counts; in a pattern, every file that matches; in
    a folder of Parquet alone, any file, because one that is not Parquet would be refused. Hidden files with other
    suffixes do not count: they are not read.
    """
    address = address_of(source) or Address("", str(source))
    is_rows = file.suffix.lower() in SUFFIXES
    if address.scheme or not (is_rows or address.is_pattern or _has_parquet_alone(address)):
        return False
    if address.is_iceberg:  # the data of its table lie beside the folder of its metadata
        address = Address("", str(Path(address.place).parent.parent))
    there = [path for path in map(Path, _there(address, _Local())) if path.exists()]
    base, folder = Path(address.base), file.parent.resolve()

    def counts(place: Path) -> bool:
        return is_rows or not _is_hidden(_relative(str(place), str(base)))

    if file.exists() and any(file.samefile(each) for each in there if counts(each)):
        return True
    folders = {path.parent for path in there if path.parent.is_relative_to(base)}
    if folder.is_relative_to(base.resolve()):
        folders.add(base / folder.relative_to(base.resolve()))
    pattern = PurePosixPath(address.pattern).parts
    here = [each / file.name for each in folders if each.resolve() == folder]
    return any(_is_named(each.relative_to(base).parts, pattern) for each in here if counts(each))


def _has_parquet_alone(address: Address) -> bool:
    try:
        return not address.is_iceberg and bool(_files(address, _Local()))
    except FileFormatError:
        return False


def _is_named(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Check whether a path, or a folder that it is in, matches a pattern.

    >>> _is_named(["2024", "05", "a.parquet"], ["20*"]), _is_named(["2024", "a.parquet"], ["**", "b*.parquet"])
    (True, False)
    """
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_is_named(names[start:], pattern[1:]) for start in range(len(names)))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _is_named(names[1:], pattern[1:])


def plain_parts(source: ParquetSource, ours: Mapping[str, str]) -> list[ParquetPart]:
    """List the files that another engine reads by itself; *ours* are our names of columns, by those of the files.

    Raises:
        FileFormatError: they are not complete by themselves, or lie in an object store.
    """
    parts = [part for part in source.parts if isinstance(part, ParquetPart) and part.file is not None]
    columns = sorted({name for part in parts for name in part.constants if ours.get(name, name) in COLUMNS})
    if not source.is_plain or columns:
        what = (
            f"has the column {columns[0]} in the names of folders" if columns else "is a table, or in an object store"
        )
        raise FileFormatError(f"{source.address} {what}, which Spark does not read here: leave out --engine spark")
    return parts


class _Local:
    """Files of this machine."""

    def exists(self, place: str) -> bool:
        return Path(place).exists()

    def is_folder(self, place: str) -> bool:
        return Path(place).is_dir()

    def below(self, place: str) -> list[str]:
        files = (Path(folder, name) for folder, names in _folders(place) for name in names)
        return [str(file) for file in files if file.is_file()]

    def matches(self, base: str, pattern: str) -> list[str]:
        deep = _ANY_FOLDERS.search(pattern)
        if deep is None:
            return [str(path) for path in Path(base).glob(pattern)]
        head, tail = pattern[: deep.start()], pattern[deep.end() :]
        starts = [str(path) for path in Path(base).glob(head)] if head else [base]
        return [path for start in starts for folder, _ in _folders(start) for path in self.matches(folder, tail)]

    def stamps(self, places: Sequence[str]) -> Mapping[str, object]:
        # Parquet is replaced by whole files, which may have the size and the time of those before.
        return {place: (*stamp_of(Path(place)), Path(place).stat().st_ino) for place in places}

    def opener(self, _place: str) -> Callable[[], Any] | None:
        return None

    def whole(self, place: str) -> str:
        return str(Path(place).resolve())


def _folders(place: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and the folders in it, with the names of their files; links to folders are followed.

    No folder is yielded twice, unless one of its paths is hidden: so circular links end, and folders come before links
    to them.
    """
    starts, met = [place], set()
    for start in starts:  # grows by the links that are met
        for folder, below, names in os.walk(start):
            state = os.path.realpath(folder), _is_hidden(_relative(folder, place))
            if state in met:
                below.clear()
                continue
            met.add(state)
            starts += [str(path) for path in (Path(folder, name) for name in sorted(below)) if path.is_symlink()]
            yield folder, names


class _Remote:
    """Files of an object store, by fsspec, which has its own settings to log in.

    FileFormatError if the store does not answer, or refuses.
    """

    def __init__(self, address: Address) -> None:
        import fsspec  # noqa: PLC0415 (an extra)

        self._scheme, self._address = address.scheme, str(address)
        try:
            library = fsspec.get_filesystem_class(address.scheme).__module__.partition(".")[0]
        except ImportError as error:
            raise ConfigError(f"{address}: {error}") from None
        except ValueError as error:
            raise FileFormatError(f"{address} has no scheme that fsspec knows: {error}") from None
        # Without a handler Python prints log records, and gcsfs logs the traceback of each error that it raises.
        logging.getLogger(library).addHandler(logging.NullHandler())
        with _refusals(self._address):
            self._files: AbstractFileSystem = fsspec.filesystem(address.scheme)

    def exists(self, place: str) -> bool:
        with _refusals(self._address):
            return bool(self._files.exists(self._uri(place)))

    def is_folder(self, place: str) -> bool:
        with _refusals(self._address):
            return bool(self._files.isdir(self._uri(place)))

    def below(self, place: str) -> list[str]:
        with _refusals(self._address):
            return self._places(self._files.find(self._uri(place)))

    def matches(self, base: str, pattern: str) -> list[str]:
        with _refusals(self._address):
            return self._places(self._files.glob(self._uri(_under(base, pattern) if base else pattern)))

    def stamps(self, places: Sequence[str]) -> Mapping[str, object]:
        with _refusals(self._address):
            self._files.invalidate_cache()
            listed = self._listed(places)
            states = {place: listed.get(place) or self._files.info(self._uri(place)) for place in places}
            self._files.invalidate_cache()  # or the next look would find the files of this one
        return {place: {name: str(value) for name, value in state.items()} for place, state in states.items()}

    def _listed(self, places: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """List large folders with one request each; states that may stay the same after a change are left out."""
        folders = Counter(place.rpartition("/")[0] for place in places)
        large = [folder for folder, count in folders.items() if count > ASKED_ALONE]
        states = [state for folder in large for state in self._files.ls(self._uri(folder), detail=True)]
        names = self._places([state["name"] for state in states])
        return {
            name: state
            for name, state in zip(names, states, strict=True)
            if any(value is not None for word, value in state.items() if word not in _SAME_AFTER_CHANGE)
        }

    def opener(self, place: str) -> Callable[[], Any]:
        return lambda: _RemoteFile(self._files, self._uri(place))

    def whole(self, place: str) -> str:
        return place

    def _uri(self, place: str) -> str:
        return f"{self._scheme}://{place}"

    def _places(self, names: Sequence[str]) -> list[str]:
        return [name.removeprefix(f"{self._scheme}://").lstrip("/") for name in names]


class _RemoteFile:
    """A file of an object store as pyarrow reads it."""

    def __init__(self, files: "AbstractFileSystem", uri: str) -> None:
        self._uri = uri
        with _refusals(uri):
            self._file = files.open(uri, "rb")

    def read(self, size: int = -1) -> bytes:
        with _refusals(self._uri):
            content: bytes = self._file.read(size)
            return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def _refusals(address: str) -> Iterator[None]:
    """Raise FileFormatError for errors of a store's library: each has its own, few of them an OSError."""
    try:
        yield
    except (FivefoldError, NotImplementedError):
        raise
    except Exception as error:  # noqa: BLE001 (as above)
        text = one_line(str(error)) or "it gives no reason"
        raise FileFormatError(f"{address} cannot be read: {type(error).__name__}: {text}") from None


_Store = _Local | _Remote


def _under(place: str, name: str) -> str:
    return f"{place.rstrip('/')}/{name}"


def _files(address: Address, store: _Store, remedy: str | None = None) -> list[str]:
    """List the files of a file, a folder or a pattern, by name, without those that are hidden."""
    there = _there(address, store)
    base = address.base
    _require_plain(address, there, base, remedy)
    shown = _each_once([file for file in there if not _is_hidden(_relative(file, base))], base, store)
    one = not address.is_pattern and there == {address.place}
    files = [file for file in shown if one or file.lower().endswith(PARQUET)]
    # Hive writes Parquet without an ending: rows of a file that is left out because of its name would be lost.
    if len(files) < len(shown) and (files or address.is_pattern):
        other = next(file for file in shown if file not in files)
        raise FileFormatError(f"{other} does not end in {PARQUET}; {_ENDING_REMEDY}")
    if not files and address.is_pattern:
        raise FileFormatError(f"no file is called as {address} says")
    if not files:
        is_there = bool(there) or store.exists(address.place)
        alone = f"is a folder without a file ending in {PARQUET}; of other formats one file is read, not a folder"
        what = alone if is_there else "does not exist"
        raise FileFormatError(f"{address} {what}")
    return files


def _there(address: Address, store: _Store) -> set[str]:
    """List the files of a file, a folder or a pattern, including those that are not read."""
    try:
        places = store.matches(address.base, address.pattern) if address.is_pattern else [address.place]
        return {
            file
            for place in places
            for file in (store.below(place) if store.is_folder(place) else [place] if store.exists(place) else [])
        }
    except (OSError, ValueError, NotImplementedError) as error:
        raise FileFormatError(f"{address} cannot be read: {type(error).__name__}: {error}") from None


def _each_once(files: Sequence[str], base: str, store: _Store) -> list[str]:
    """Return one path of each file, in order: the one without a link, or else the first by name."""
    root, whole = store.whole(base), {file: store.whole(file) for file in files}
    by_link = {file: whole[file] != _under(root, "/".join(_relative(file, base))) for file in files}
    path_of = {whole[file]: file for file in sorted(files, key=lambda file: (by_link[file], file), reverse=True)}
    return sorted(path_of.values())


def _linked_folders(address: Address, store: _Store, files: Sequence[str]) -> list[str]:
    """List the folders outside an address to which links in it lead."""
    root = PurePosixPath(store.whole(address.base))
    folders = {PurePosixPath(store.whole(file)).parent for file in files}
    return sorted(str(folder) for folder in folders if not folder.is_relative_to(root))


def _relative(file: str, base: str) -> tuple[str, ...]:
    return PurePosixPath(file.removeprefix(base).lstrip("/")).parts


def _is_hidden(names: tuple[str, ...]) -> bool:
    """Check whether a file, or a folder that it is in, is hidden: Spark, Delta, Hadoop and others name them so.

    >>> _is_hidden(("_temporary", "a.parquet")), _is_hidden(("_year=2024", "a.parquet")), _is_hidden(("y=1_$folder$",))
    (True, False, True)
    """
    return any(
        name.startswith(".") or (name.startswith("_") and "=" not in name) or name.endswith(_FOLDER_MARKER)
        for name in names
    )


def _require_plain(address: Address, files: set[str], base: str, remedy: str | None) -> None:
    """Raise FileFormatError if a table lies below an address: not all of its files have present rows."""
    for file in sorted(files):
        names = _relative(file, base)
        if DELTA_LOG in names[:-1]:
            table = _under(base, "/".join(names[: names.index(DELTA_LOG)]))
            raise FileFormatError(f"{address} holds a table of Delta, {table}; {remedy or _GIVE_TABLE}")
        if file.endswith(ICEBERG_FILE) and METADATA in names[:-1]:
            raise FileFormatError(_iceberg_refusal(address, file, remedy))


def _require_no_table(address: Address, store: _Store, place: str, remedy: str | None) -> None:
    """Raise FileFormatError if a place of an address is inside a table."""
    start = PurePosixPath(place)
    for folder in [start, *start.parents]:
        if str(folder) in {".", "/"}:
            continue
        if store.exists(_under(str(folder), DELTA_LOG)):
            raise FileFormatError(f"{address} is inside the table of Delta {folder}; {remedy or _GIVE_TABLE}")
        try:
            inside = store.matches(_under(str(folder), METADATA), f"*{ICEBERG_FILE}")
        except (OSError, ValueError, NotImplementedError):  # not every store can list
            inside = []
        if inside:
            raise FileFormatError(_iceberg_refusal(address, max(inside), remedy))


def _iceberg_refusal(address: Address, file: str, remedy: str | None) -> str:
    give_table = f"give iceberg://CATALOG/TABLE, or its present file of metadata, such as {file}"
    return f"{address} has files of a table of Iceberg, of which some may be deleted; {remedy or give_table}"


def _part(address: Address, store: _Store, file: str) -> ParquetPart:
    label = f"{address.scheme}://{file}" if address.scheme else file
    names = _relative(file, address.base)[:-1]
    above = [name for name in PurePosixPath(store.whole(file)).parts[:-1] if name.partition("=")[0] in COLUMNS]
    constants = {}
    for name in [*above, *names]:
        key, equals, value = name.partition("=")
        if equals and key:
            constants[unquote(key)] = pa.scalar(None if value == _NOTHING else unquote(value), pa.string())
    return ParquetPart(label, None if address.scheme else file, store.opener(file), constants)


def _require_same_folders(parts: Sequence[ParquetPart]) -> None:
    for part in parts:
        if set(part.constants) != set(parts[0].constants):
            raise FileFormatError(
                f"{part.label} is in folders of other columns ({', '.join(part.constants) or 'none'}) than "
                f"{parts[0].label} ({', '.join(parts[0].constants) or 'none'})"
            )


def _stamps(address: Address, store: _Store) -> object:
    try:
        return store.stamps(_files(address, store))
    except (OSError, FileFormatError):
        return None
