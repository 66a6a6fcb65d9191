"""Commands that are interrupted continue from the parts that are finished, with the bytes of an uninterrupted run."""

import os
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from fivefold.cli import terminal
from fivefold.cli.value_model import parts as value_model_parts
from fivefold.domain.clock import now_microseconds
from fivefold.domain.parts import Task, open_parts
from fivefold.domain.provenance import release
from tests.cli.running import AS_OF, Home, refuse, run, succeed
from tests.cli.small_parts import FULL, ended, small_parts

COMMANDS = ("simulate", "sort", "score")
FINISHED = {"simulate": 4, "sort": 20, "score": 9}
"""How many parts are finished when a command ends; of `sort`, all that are partitioned, and some that are sorted."""


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with small_parts():
        yield


def command(name: str, home: Home, folder: Path, output: str = "out.parquet") -> list[object]:
    """Give a command, whose input is in a folder."""
    rows = folder / "rows.parquet"
    if name != "simulate" and not rows.exists():
        table = pl.read_parquet(home.rows)
        (table.sort("transaction_date") if name == "sort" else table).write_parquet(rows)
    more: dict[str, Sequence[object]] = {
        "simulate": ("--customers", 200),
        "sort": (rows,),
        "score": (rows, "--as-of", AS_OF),
    }
    return [name, *more[name], "-o", folder / output]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "rows.parquet")


def whole(name: str, home: Home, folder: Path) -> bytes:
    """Run a command without an interruption; give the bytes of its output, which goes."""
    succeed(home.var, *command(name, home, folder, "whole.parquet"))
    content = (folder / "whole.parquet").read_bytes()
    (folder / "whole.parquet").unlink()
    return content


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_continues_to_the_same_bytes(name: str, home: Home, tmp_path: Path) -> None:
    wanted = whole(name, home, tmp_path)
    arguments = command(name, home, tmp_path)
    assert ended("SIGKILL", FINISHED[name], home.var, *arguments).code == -signal.SIGKILL
    assert names(tmp_path) == [".out.parquet.parts"]
    assert "interrupted" in succeed(home.var, "parts", tmp_path)
    done = run(home.var, *arguments)
    # Threads may have finished another part before the process was killed.
    continues = [f"Continuing with {FINISHED[name] + more} parts of an interrupted run.\n" for more in range(3)]
    assert (done.code, done.err in continues) == (0, True), done
    assert (tmp_path / "out.parquet").read_bytes() == wanted
    assert names(tmp_path) == ["out.parquet"]


def test_a_killed_sort_of_text_continues_to_the_same_bytes(home: Home, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    home.table.sort("transaction_date").write_csv(rows)
    for finished in (5, 20):
        assert ended("SIGKILL", finished, home.var, "sort", rows, "-o", tmp_path / "a.parquet").code < 0
    assert run(home.var, "sort", rows, "-o", tmp_path / "a.parquet").err.startswith("Continuing with ")
    succeed(home.var, "sort", rows, "-o", tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_part_that_is_torn_is_made_again(name: str, home: Home, tmp_path: Path) -> None:
    wanted = whole(name, home, tmp_path)
    arguments = command(name, home, tmp_path)
    ended("SIGKILL", FINISHED[name], home.var, *arguments)
    torn = sorted((tmp_path / ".out.parquet.parts").glob("*.part"))[1]
    os.truncate(torn, torn.stat().st_size // 2)
    done = run(home.var, *arguments)
    assert (done.code, f"{torn} is not as it was written, and is made again" in done.err) == (0, True), done
    assert (tmp_path / "out.parquet").read_bytes() == wanted


@pytest.mark.parametrize(("end", "code"), [("SIGTERM", 128 + signal.SIGTERM), ("SIGINT", 130)])
def test_a_stopped_command_says_what_is_left(end: str, code: int, home: Home, tmp_path: Path) -> None:
    arguments = command("score", home, tmp_path)
    done = ended(end, 3, home.var, *arguments)
    assert done.code == code
    left = len(list((tmp_path / ".out.parquet.parts").glob("*.part")))
    assert f"{left} parts of {tmp_path / 'out.parquet'} are finished. The same command continues with them" in done.err
    assert "With --restart it starts over." in done.err
    assert "Traceback" not in done.err
    assert run(home.var, *arguments).err == f"Continuing with {left} parts of an interrupted run.\n"


def test_scores_as_of_now_continue_with_the_moment_that_is_named(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command a second later is as of another moment."""
    score = [part for part in command("score", home, tmp_path) if part not in {"--as-of", AS_OF}]
    done = ended("SIGTERM", 3, home.var, *score)
    more = done.err.partition("The same command with ")[2].partition(" continues with them")[0]
    assert more.startswith("--as-of 20"), done.err
    monkeypatch.setattr(terminal, "now_microseconds", lambda: now_microseconds() + 60_000_000)
    said = refuse(home.var, *score)
    assert said.endswith(f"Run the first command again with {more} to continue, or add --restart to start over")
    assert run(home.var, *score, *more.split()).err.startswith("Continuing with ")


@pytest.mark.parametrize("name", COMMANDS)
def test_where_the_disk_is_full_the_file_is_named_and_what_is_finished_stays(
    name: str, home: Home, tmp_path: Path
) -> None:
    wanted = whole(name, home, tmp_path)
    done = ended(FULL, FINISHED[name], home.var, *command(name, home, tmp_path))
    assert done.code == 2
    *_, left, said = done.err.splitlines()
    assert said.startswith(f"fivefold: {tmp_path}")
    assert said.endswith(": File too large")  # as the system words a limit; where the disk is full it has its own
    assert "are finished. The same command continues with them" in left
    assert run(home.var, *command(name, home, tmp_path)).code == 0
    assert (tmp_path / "out.parquet").read_bytes() == wanted


def test_another_input_is_refused_by_name(home: Home, tmp_path: Path) -> None:
    arguments = command("score", home, tmp_path)
    ended("SIGKILL", 3, home.var, *arguments)
    rows = tmp_path / "rows.parquet"
    table, size = pq.read_table(rows), rows.stat().st_size
    pq.write_table(table.slice(0, table.num_rows - 1), rows)
    said = refuse(home.var, *arguments)
    assert f"its content was {size:,} bytes, changed " in said
    assert f" and is {rows.stat().st_size:,} bytes, changed " in said
    assert said.endswith("Run the first command again to continue, or add --restart to start over")
    assert names(tmp_path) == [".out.parquet.parts"]
    succeed(home.var, *arguments, "--restart")
    assert names(tmp_path) == ["out.parquet"]


def test_rows_that_change_and_no_size_are_another_input(home: Home, tmp_path: Path) -> None:
    arguments = command("score", home, tmp_path)
    ended("SIGKILL", 3, home.var, *arguments)
    rows = tmp_path / "rows.parquet"
    os.utime(rows, ns=(0, rows.stat().st_mtime_ns + 1_000))
    assert "its content was " in refuse(home.var, *arguments)


def test_other_options_and_another_model_are_refused_by_name(home: Home, tmp_path: Path) -> None:
    arguments = command("score", home, tmp_path)
    ended("SIGKILL", 3, home.var, *arguments)
    other = [*arguments[:3], "2024-07-01", *arguments[4:]]
    said = refuse(home.var, *other, "--explain", "--model", "models:/fivefold-value/2")
    assert "--as-of was 2025-01-01T00:00:00+00:00 and is 2024-07-01T00:00:00+00:00" in said
    assert "--explain was not given and is True" in said
    assert "the model was " in said
    moved = tmp_path / "moved.parquet"
    (tmp_path / "rows.parquet").rename(moved)
    said = refuse(home.var, "score", moved, *arguments[2:])
    assert f"the input was {tmp_path / 'rows.parquet'} and is {moved}" in said
    said = refuse(home.var, "sort", moved, "-o", tmp_path / "out.parquet")
    assert "the command was score and is sort" in said


def test_another_state_of_the_program_within_a_release_is_refused_by_name(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it kept may have another form, or other numbers."""
    arguments = command("score", home, tmp_path)
    ended("SIGKILL", 3, home.var, *arguments)
    monkeypatch.setattr(value_model_parts, "sources_hash", lambda: "another")
    said = refuse(home.var, *arguments)
    assert re.search(
        rf"the program was fivefold {release()} \(\w{{8}}\) .* and is fivefold {release()} \(another\)", said
    )
    assert said.endswith(". Another state of the program cannot continue; add --restart to start over")
    succeed(home.var, *arguments, "--restart")


def test_a_second_process_at_the_same_output_is_refused(home: Home, tmp_path: Path) -> None:
    arguments = command("score", home, tmp_path)
    with open_parts(Task(command="score", output=tmp_path / "out.parquet", conditions={})):
        said = refuse(home.var, *arguments)
        assert "running" in succeed(home.var, "parts", tmp_path)
        (tmp_path / ".other.parquet.parts").mkdir()
        removed = succeed(home.var, "parts", tmp_path, "--remove")
        assert "Not removed: out.parquet is still being written\n" in removed
        assert f"Removed: {tmp_path / '.other.parquet.parts'}\n" in removed
    assert said == (
        f"{tmp_path / 'out.parquet'} is being made by another process; wait until it ends, or give another --output"
    )
    succeed(home.var, *arguments)


def test_bad_rows_after_an_interruption_are_all_named_and_nothing_is_published(home: Home, tmp_path: Path) -> None:
    table = home.table.with_row_index("row")
    bad = [len(table) * 37 // 50, len(table) * 44 // 50]
    changed = pl.when(pl.col("row").is_in(bad)).then(pl.lit("APP")).otherwise("user_category").alias("user_category")
    table.with_columns(changed).drop("row").write_parquet(tmp_path / "rows.parquet")
    arguments = command("score", home, tmp_path)
    at_once = refuse(home.var, *arguments)
    assert names(tmp_path) == []
    assert ended("SIGKILL", 5, home.var, *arguments).code == -signal.SIGKILL
    done = run(home.var, *arguments)
    assert done.err.splitlines()[0].startswith("Continuing with ")
    assert done.err.partition("\n")[2].removeprefix("fivefold: ").rstrip("\n") == at_once
    assert all(f"{row + 1:,}" in at_once or str(row + 1) in at_once for row in bad)
    assert names(tmp_path) == []


def test_what_is_left_is_listed_and_removed(home: Home, tmp_path: Path) -> None:
    assert succeed(home.var, "parts", tmp_path) == f"No interrupted run left anything in {tmp_path}.\n"
    ended("SIGKILL", 3, home.var, *command("simulate", home, tmp_path))
    out = succeed(home.var, "parts", tmp_path, "--remove")
    assert "out.parquet" in out
    assert "simulate" in out
    assert f"Removed: {tmp_path / '.out.parquet.parts'}" in out
    assert names(tmp_path) == []
    assert refuse(home.var, "parts", tmp_path / "none") == f"{tmp_path / 'none'} is not a folder"


def test_files_that_killed_commands_left_unfinished_are_listed_and_removed_a_day_later(tmp_path: Path) -> None:
    """They went once the same file was written again, and one that never was stayed for ever."""
    old, new, other = (tmp_path / name for name in (".a.csv.0123abcd.part", ".b.csv.0123abcd.part", ".c.part"))
    for path in (old, new, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (0, 0))
    assert succeed(tmp_path, "parts", tmp_path) == f"Unfinished, and no command continues it: {old}\n"
    assert succeed(tmp_path, "parts", tmp_path, "--remove") == f"Removed: {old}\n"
    assert [path.exists() for path in (old, new, other)] == [False, True, True]


def test_a_run_that_finished_no_part_is_in_the_way_of_none(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / ".out.parquet.parts"
    folder.mkdir()
    (folder / "manifest.json").write_text("{")
    (folder / "output.parquet").write_text("half")
    succeed(home.var, *command("simulate", home, tmp_path))
    assert names(tmp_path) == ["out.parquet"]


def test_scores_in_every_format_continue(home: Home, tmp_path: Path) -> None:
    for suffix in ("csv", "json", "jsonl"):
        wanted = tmp_path / f"whole.{suffix}"
        rows = command("score", home, tmp_path)[1]
        score = ["score", rows, "--as-of", AS_OF, "--compare-as-of", "2024-07-01", "-o"]
        out = succeed(home.var, *score, wanted)
        assert ended("SIGKILL", 4, home.var, *score, tmp_path / f"out.{suffix}").code == -signal.SIGKILL
        done = run(home.var, *score, tmp_path / f"out.{suffix}")
        assert done.out == out.replace("whole.", "out.")
        assert (tmp_path / f"out.{suffix}").read_bytes() == wanted.read_bytes()
