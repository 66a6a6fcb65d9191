"""An object store is read as a folder is; one that changes, refuses or does not answer is named."""

import logging
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from fivefold.domain.errors import ConfigError, FileFormatError
from fivefold.features.histories import Histories
from fivefold.features.reading.places import stores
from fivefold.features.reading.places.stores import open_parquet
from fivefold.features.reading.sources import require_columns
from fivefold.training.data import TransactionSource
from tests.features.oracle.equality import same
from tests.features.oracle.strategies import RATES
from tests.features.reading.places.lakes import WHOLE, moments, read, write_partitions


@pytest.fixture
def memory() -> Any:
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def test_an_object_store_is_read_as_a_folder_is(memory: Any, lake: Path, expected: Histories) -> None:
    write_partitions(WHOLE, lake, "transaction_currency")
    memory.put(str(lake), "/bank/rows", recursive=True)
    assert same(read("memory://bank/rows"), expected)
    assert same(read("memory://bank/rows/*/*.parquet"), expected)
    assert same(read(f"file://{lake}"), expected)
    with memory.open("/bank/rows/_temporary/a.parquet", "wb") as file:
        pq.write_table(WHOLE, file)
    memory.pipe("/bank/rows/transaction_currency=EUR_$folder$", b"")
    assert same(read("memory://bank/rows"), expected)


def test_a_file_of_a_store_is_closed_when_it_was_read(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries fetch ahead: what was left open printed of tasks that were destroyed, at the end of a command."""
    opened: list[Any] = []
    open_file = MemoryFileSystem.open

    def opening(*given: Any, **named: Any) -> Any:
        opened.append(kept := Kept(open_file(*given, **named)))
        return kept

    with memory.open("/bank/rows/a.parquet", "wb") as file:
        pq.write_table(WHOLE, file)
    monkeypatch.setattr(MemoryFileSystem, "open", opening)
    read("memory://bank/rows")
    assert opened
    assert all(file.times_closed == 1 for file in opened)


class Kept:
    """A file that counts how often it was closed."""

    def __init__(self, file: Any) -> None:
        self.file, self.times_closed = file, 0

    def close(self) -> None:
        self.times_closed += 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_an_object_that_changes_between_two_passes_is_refused(memory: Any) -> None:
    with memory.open("/bank/rows.parquet", "wb") as file:
        pq.write_table(WHOLE, file)
    source = TransactionSource("memory://bank/rows.parquet", RATES)
    list(source.batches("a pass"))
    with memory.open("/bank/rows.parquet", "wb") as file:
        pq.write_table(WHOLE.slice(1), file)
    with pytest.raises(FileFormatError, match=r"memory://bank/rows\.parquet was changed while it was read"):
        list(source.batches("a second"))


@pytest.mark.parametrize(("tells", "asked_alone"), [(True, 3), (True, 4), (False, 3)])
def test_the_state_of_many_objects_is_asked_for_once_where_a_list_tells_it(
    tells: bool, asked_alone: int, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some lists tell nothing of a file that another in its place would not have as well."""
    for number in range(4):
        with memory.open(f"/bank/rows/{number}.parquet", "wb") as file:
            pq.write_table(WHOLE, file)
    listing, state = MemoryFileSystem.ls, MemoryFileSystem.info
    asked: list[str] = []

    def asking(files: Any, path: str, **named: Any) -> Any:
        asked.append(path)
        return state(files, path, **named)

    def bare(files: Any, path: str, detail: bool = True, **named: Any) -> Any:
        return [{**each, "created": None} if detail else each for each in listing(files, path, detail, **named)]

    source = open_parquet(Path("memory://bank/rows"))
    assert source.stamps is not None
    monkeypatch.setattr(MemoryFileSystem, "info", asking)
    monkeypatch.setattr(stores, "ASKED_ALONE", asked_alone)
    if not tells:
        monkeypatch.setattr(MemoryFileSystem, "ls", bare)
    before = source.stamps()
    assert sum(path.endswith(".parquet") for path in asked) == (0 if tells and asked_alone < 4 else 4)
    with memory.open("/bank/rows/3.parquet", "wb") as file:
        pq.write_table(WHOLE, file)
    assert source.stamps() != before


def test_tables_in_a_store_are_not_read_as_folders(memory: Any, lake: Path) -> None:
    write_deltalake(str(lake), moments(WHOLE))
    memory.put(str(lake), "/bank/table", recursive=True)
    with pytest.raises(FileFormatError, match=r"is inside the table of Delta|cannot be read as a table of Delta"):
        read("memory://bank/table")
    with pytest.raises(FileFormatError, match="holds a table of Delta"):
        read("memory://bank")


def test_what_a_store_does_not_have(memory: Any) -> None:
    with pytest.raises(FileFormatError, match="memory://bank/none does not exist"):
        read("memory://bank/none")
    with pytest.raises(ConfigError, match=r"s3://bank/rows: .*s3fs"):
        read("s3://bank/rows")
    with pytest.raises(FileFormatError, match="has no scheme that fsspec knows"):
        read("nowhere://bank/rows")
    with pytest.raises(ConfigError, match="must not have a password") as refused:
        read("ftp://me:secret@bank/rows")
    assert "secret" not in str(refused.value)


class StoreDownError(Exception):
    """As libraries of stores have them: no OSError."""


@pytest.mark.parametrize("step", ["exists", "isdir", "find", "glob", "info", "_open", "read"])
def test_a_store_that_does_not_answer_is_named(step: str, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked of it: whether there is a table, what lies in a folder, or the rows themselves."""
    with memory.open("/bank/rows/a.parquet", "wb") as file:
        pq.write_table(WHOLE, file)

    def down(*_: object, **__: object) -> None:
        raise StoreDownError("no route to the store")

    if step == "read":
        monkeypatch.setattr(MemoryFile, "read", down)
    else:
        monkeypatch.setattr(MemoryFileSystem, step, down)
    address = "memory://bank/rows/*.parquet" if step == "glob" else "memory://bank/rows"
    with pytest.raises(FileFormatError, match=r"^memory://bank/.* cannot be read: StoreDownError: no route to"):
        read(address)


def test_a_store_that_refuses_is_one_line(
    memory: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its library logs a traceback as well, which Python prints where nobody handles it, and its words have lines."""

    def down(*_: object, **__: object) -> None:
        logging.getLogger("fsspec.memory").error("out of retries")
        raise StoreDownError("no key\nRequestId: 1\n")

    monkeypatch.setattr(MemoryFileSystem, "exists", down)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with pytest.raises(FileFormatError) as refused:
        read("memory://bank/rows")
    assert str(refused.value) == "memory://bank/rows cannot be read: StoreDownError: no key RequestId: 1"
    assert capfd.readouterr().err == ""


def test_a_column_that_is_missing_is_named_before_anything_is_read(memory: Any) -> None:
    with memory.open("/bank/rows.parquet", "wb") as file:
        pq.write_table(WHOLE.drop_columns(["user_id"]), file)
    with pytest.raises(FileFormatError, match="user_id"):
        require_columns("memory://bank/rows.parquet", RATES)
