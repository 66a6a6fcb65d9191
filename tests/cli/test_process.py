"""The real command, in processes of its own: from nothing to scores, without noise, and Ctrl-C."""

import os
import signal
import time
from pathlib import Path

import polars as pl
import pytest

from tests.cli.running import AS_OF, CONFIG, Done, Home, finish, start, succeed


def done(var: Path, *arguments: object) -> str:
    """Run a command to its end; no library may say anything beside it."""
    ended = finish(start(var, *arguments))
    assert (ended.code, ended.err) == (0, ""), ended
    return ended.out


@pytest.mark.full
def test_from_nothing_to_scores(fresh: Path, tmp_path: Path) -> None:
    rows, mixed, grouped = (tmp_path / f"{name}.parquet" for name in ("rows", "mixed", "grouped"))
    config, scores = tmp_path / "tiny.yaml", tmp_path / "scores.csv"
    config.write_text(CONFIG)
    assert "simulated customers" in done(fresh, "simulate", "--output", rows, "--customers", 300)
    pl.read_parquet(rows).sample(fraction=1, shuffle=True, seed=5).write_parquet(mixed)
    assert "grouped by customer" in done(fresh, "sort", mixed, "--output", grouped)
    assert "Version 1 is the champion now." in done(fresh, "train", "--data", grouped, "--config", config)
    assert "\n1        challenger, champion  " in succeed(fresh, "models")
    assert "Written to" in done(fresh, "score", grouped, "-o", scores, "--as-of", AS_OF)
    assert sorted(pl.read_csv(scores)["user_id"]) == sorted(pl.read_parquet(rows)["user_id"].unique())


def test_ctrl_c_leaves_nothing_half_written(home: Home, tmp_path: Path) -> None:
    """The command waits for its input in a pipe, its output begun, when it is stopped."""
    source = tmp_path / "rows.json"
    os.mkfifo(source)
    process = start(home.var, "score", source, "-o", tmp_path / "scores.csv", "--as-of", AS_OF)
    pipe = opened(source, process)
    try:
        begun = sorted(path.suffix for path in tmp_path.iterdir())
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    finally:
        os.close(pipe)
    assert begun == [".json", ".parts"]
    assert finish(process) == Done(130, "", "fivefold: stopped; no file is half written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_a_command_whose_output_is_not_read_ends_with_the_exit_code_of_shells(fresh: Path) -> None:
    """As in `fivefold audit verify | head`: 1 would say that a check found something."""
    read, write = os.pipe()
    os.close(read)
    process = start(fresh, "--version", out=write)
    os.close(write)
    ended = finish(process)
    assert (ended.code, ended.err) == (141, "")


def opened(pipe: Path, process: object, seconds: float = 60) -> int:
    """Open a pipe for writing once somebody reads from it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nobody reads {pipe}: {process}")


@pytest.mark.parametrize("place", ["full", "unread"])
def test_a_refused_command_that_cannot_say_why_ends_as_refused(place: str, fresh: Path) -> None:
    """As where its log is on a full disk: 1 would say that it did its work."""
    if place == "full":
        errors = os.open("/dev/full", os.O_WRONLY)
    else:
        read, errors = os.pipe()
        os.close(read)
    process = start(fresh, "simulate", err=errors)
    os.close(errors)
    assert finish(process).code == 2
