"""Files that are never half written."""

from pathlib import Path

import pytest

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing


def test_the_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with replacing(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


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
    with pytest.raises(OSError, match=r"out\.csv"), replacing(path) as unfinished:
        unfinished.write_text("new")
    assert list(tmp_path.iterdir()) == [path]
