"""Which parameters of commands are files that they write: `cli.parameters` knows them by their names."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fivefold.cli.lazy import LazyCommands
from fivefold.cli.parameters import OUTPUTS, SHARED
from tests.cli.running import Home, refuse, succeed

WORDS = (
    *("score", "realised", "explain", "sort"),
    *("rules", "flows", "groups", "validate", "evidence", "audit", "challenge", "statement", "import"),
)
"""Whose commands have the places of their files checked."""


def files_of(command: Any) -> Iterator[Any]:
    """Give every parameter of a command, and of those under it, that is a path."""
    for each in getattr(command, "commands", {}).values():
        yield from files_of(each)
    yield from (each for each in command.params if each.type_descriptor.annotation is Path)


@pytest.mark.parametrize("word", WORDS)
def test_what_is_said_to_be_written_is_an_output(word: str) -> None:
    files = list(files_of(LazyCommands()[word]))
    said = {each.name for each in files if re.search(r"\b(write|written|overwritten)\b", each.help or "")}
    assert said <= {*OUTPUTS}


def test_each_name_is_that_of_a_parameter() -> None:
    names = {each.name for word in WORDS for each in files_of(LazyCommands()[word])}
    assert {*OUTPUTS, SHARED} <= names


@pytest.fixture
def lake(tmp_path: Path, home: Home) -> Path:
    """A folder of Parquet: two files, a link to a file elsewhere, and a link to a folder elsewhere."""
    for name in ("lake/a", "lake/2024/b", "elsewhere/c", "beside/d"):
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        home.table.head(50).write_parquet(path)
    (tmp_path / "lake" / "c.parquet").symlink_to(tmp_path / "elsewhere" / "c.parquet")
    (tmp_path / "lake" / "2025").symlink_to(tmp_path / "beside")
    return tmp_path


SCORE, SORT = ("score", "--as-of", "2025-01-01", "--output"), ("sort", "--output")
REFUSED = [
    (SCORE, "lake", "lake/2024/b.parquet"),
    (SORT, "lake", "lake/a.parquet"),
    (SORT, "lake", "elsewhere/c.parquet"),
    (SORT, "lake", "lake/new.parquet"),
    (SORT, "lake", "beside/new.parquet"),
    (SCORE, "lake/*.parquet", "lake/a.parquet"),
    (SCORE, "lake/*.parquet", "elsewhere/c.parquet"),
    (SCORE, "lake/*.parquet", "lake/new.parquet"),
    (SORT, "lake/**/*.parquet", "lake/new.parquet"),
    (SORT, "lake/**/*.parquet", "lake/2024/new.parquet"),
    (SORT, "lake/20*", "lake/2024/new.parquet"),
    (SORT, "lake/20*", "beside/new.parquet"),
    (("explain", "--user", "a", "--png"), "lake/*.p*", "lake/new.png"),
]


@pytest.mark.parametrize(("command", "source", "output"), REFUSED)
def test_no_file_of_a_folder_or_a_pattern_is_written(
    command: tuple[str, ...], source: str, output: str, lake: Path, home: Home
) -> None:
    before = {path: path.read_bytes() for path in lake.rglob("*") if path.is_file()}
    word, *options = command
    said = refuse(home.var, word, lake / source, *options, lake / output)
    assert said == (
        f"{options[-1]} is {lake / output}, a file of {lake / source}, which is read as the argument PATH; "
        "write into another folder"
    )
    assert {path: path.read_bytes() for path in lake.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("lake/a*.parquet", "lake/sorted.parquet"),
        ("lake/*.parquet", "lake/2024/sorted.parquet"),
        ("lake/20*", "lake/sorted.parquet"),
        ("lake", "sorted.parquet"),
    ],
)
def test_a_file_beside_what_a_pattern_names_is_written(source: str, output: str, lake: Path, home: Home) -> None:
    succeed(home.var, "sort", lake / source, "--output", lake / output)
    assert (lake / output).exists()


def test_a_pattern_below_the_working_folder(lake: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lake / "lake")
    for output in (Path("a.parquet"), Path("new.parquet"), lake / "lake" / "new.parquet"):
        assert "a file of *.parquet" in refuse(home.var, "sort", "*.parquet", "--output", output)


def test_an_output_is_a_file_of_this_machine(lake: Path, home: Home) -> None:
    for word, *options in (SCORE, SORT):
        said = refuse(home.var, word, lake / "lake", *options, "s3://bank/new.parquet")
        assert said == "--output is s3://bank/new.parquet; it must be a file on this machine"


def test_scores_and_their_transactions_are_not_written_over_by_the_figures_of_both(home: Home, tmp_path: Path) -> None:
    for name in ("scores", "rows"):
        home.table.head(9).write_parquet(tmp_path / f"{name}.parquet")
    scores, rows = tmp_path / "scores.parquet", tmp_path / "rows.parquet"
    before = scores.read_bytes()
    read = ("realised", scores, "--data", rows, "--output")
    assert f"{scores}, which is read as the argument SCORES" in refuse(home.var, *read, scores)
    assert f"{rows}, which is read as --data" in refuse(home.var, *read, rows)
    every = refuse(home.var, "realised", tmp_path / "score*.parquet", *read[2:], tmp_path / "scores-new.parquet")
    assert f"a file of {tmp_path / 'score*.parquet'}, which is read as the argument SCORES" in every
    assert scores.read_bytes() == before
