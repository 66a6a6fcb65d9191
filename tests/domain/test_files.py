"""Files that are never half written, and folders that are closed to other accounts."""

import errno
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pytest

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import make_private_folder, protect_folder, replacing, require_place

FULL_DISK = Path("/dev/full")


def test_the_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with replacing(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_a_day_ago_is_removed(tmp_path: Path) -> None:
    path, old = tmp_path / "out[1].csv", tmp_path / ".out[1].csv.0123abcd.part"
    others = tmp_path / ".out[1].csv.4567abcd.part", tmp_path / ".other.csv.0123abcd.part"
    for left in (old, *others):
        left.write_text("half")
    for left in (old, others[1]):
        os.utime(left, (0, 0))
    with replacing(path) as unfinished:
        unfinished.write_text("new")
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])


def test_an_error_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as unfinished:
        unfinished.write_text("half" * (1 // (unfinished == path)))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no folder .*none"), replacing(tmp_path / "none" / "out.csv"):
        pass


def test_a_folder_of_that_name_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.mkdir()
    with pytest.raises(ConfigError, match=r"out\.csv cannot be written: it is a folder"), replacing(path):
        pass
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_is_tried_before_anything_is_computed_for_it(tmp_path: Path) -> None:
    require_place(tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"^/proc/out\.csv cannot be written: No such file"):
        require_place(Path("/proc/out.csv"))


def test_an_error_of_the_temporary_file_names_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with pytest.raises(FileNotFoundError) as caught, replacing(path):
        pass
    assert caught.value.filename == str(path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
@pytest.mark.parametrize("words", ["", "parquet: underlying IO error: full (os error {})"])
def test_a_full_disk_is_told_with_the_file_that_was_to_be_made(tmp_path: Path, number: int, words: str) -> None:
    """Polars raises an error of its own; Python and pyarrow raise one that names no file."""
    path = tmp_path / "out.csv"
    error = ValueError(words.format(number)) if words else OSError(number, "Error writing bytes to file")
    with pytest.raises(OSError, match=os.strerror(number)) as caught, replacing(path):
        raise error
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [pl.DataFrame.write_csv, pl.DataFrame.write_ndjson, pl.DataFrame.write_parquet])
def test_a_disk_that_is_full_while_polars_writes_is_told_with_the_file(
    tmp_path: Path, write: Callable[[pl.DataFrame, BinaryIO], None]
) -> None:
    path = tmp_path / "out.csv"
    with pytest.raises(OSError, match=re.escape(str(path))) as told, replacing(path), FULL_DISK.open("wb") as file:
        write(pl.DataFrame({"a": range(100_000)}), file)
    assert told.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_a_file_and_its_name_are_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "heads.json"
    flushed: list[tuple[bool, bool]] = []
    monkeypatch.setattr(
        os, "fsync", lambda number: flushed.append((stat.S_ISDIR(os.fstat(number).st_mode), path.exists()))
    )
    with replacing(path) as unfinished:
        unfinished.write_text("new")
    assert flushed == [(False, False), (True, True)]
    with replacing(path, for_this_run=True) as unfinished:
        unfinished.write_text("newer")
    assert len(flushed) == 2


def test_an_error_that_no_disk_led_to_stays_as_it_is(tmp_path: Path) -> None:
    for error in (OSError("no number"), ConnectionResetError(errno.ECONNRESET, "gone"), ConfigError("(os error 28)")):
        with pytest.raises(type(error)) as caught, replacing(tmp_path / "out.csv"):
            raise error
        assert caught.value is error


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_folders_are_private_and_old_ones_stay_as_they_are(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path / "a" / "b")
    assert [mode(path) for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")] == [0o755, 0o700, 0o700]


def test_one_of_our_own_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    protect_folder(tmp_path)
    assert mode(tmp_path) == 0o700


def test_one_of_another_account_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path.stat().st_uid or 12345
    os.chown(tmp_path, there, -1)
    monkeypatch.setattr(os, "geteuid", lambda: there + 1)
    with pytest.raises(ConfigError, match="it must belong to this account"):
        protect_folder(tmp_path)


def test_one_of_root_that_everybody_may_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if tmp_path.stat().st_uid != 0:
        pytest.skip("only root can make a folder of root's")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    tmp_path.chmod(0o755)
    protect_folder(tmp_path)
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="with mode 700"):
        protect_folder(tmp_path)
