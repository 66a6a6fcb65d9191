"""Running a command as a person at the terminal would, and looking at what it said."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import polars as pl
import pytest

from fivefold.cli.main import main
from fivefold.features.numba_cache import COMPILING
from tests.pace import slowness

AS_OF = "2025-01-01"
"""The day after the simulated customers' last one."""

CONFIG = """\
snapshots: {most: 4, spacing_days: 60}
trees: {threads: 1, rounds: 25, leaves: 7, min_rows_in_leaf: 20}
gate: {confidence: 0.6, most_calibration_error: 1}
"""
"""Trees that are grown in a blink."""


@dataclass(frozen=True)
class Done:
    """What a command came to: its exit code, what it printed, and what it said beside that."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Home:
    """A folder of everything generated: a champion, version 1, and a challenger that tied with it, version 2.

    Attributes:
        var: the folder itself, the `FIVEFOLD_VAR` of the commands.
        rows: simulated transactions, grouped by customer.
        config: the training configuration of both versions.
        demo: the command that made version 1.
        retrained: the command that made version 2.
    """

    var: Path
    rows: Path
    config: Path
    demo: Done
    retrained: Done

    @property
    def table(self) -> pl.DataFrame:
        return pl.read_parquet(self.rows)


def run(var: Path, *arguments: object, columns: int = 100) -> Done:
    """Run a command in this process, with everything that its entry point does about errors."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("FIVEFOLD_VAR", str(var))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("COLUMNS", str(columns))
        patch.setattr(sys, "argv", ["fivefold", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
    # Where a test is the first on a machine, its command says that it compiles; no test here is about that.
    return Done(int(end.value.code or 0), out.getvalue(), err.getvalue().replace(f"{COMPILING}\n", ""))


def last_number(var: Path) -> int:
    """Give the number after which those of events go on, on SQLite."""
    with closing(sqlite3.connect(var / "fivefold.db")) as database:
        [[number]] = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")
    return int(number)


def succeed(var: Path, *arguments: object, columns: int = 100) -> str:
    """Run a command that has nothing to say but its result."""
    done = run(var, *arguments, columns=columns)
    assert (done.code, done.err) == (0, ""), done
    return done.out


def refuse(var: Path, *arguments: object) -> str:
    """Run a command that is refused, in plain words and without a result; give the words."""
    done = run(var, *arguments)
    assert (done.code, done.out) == (2, ""), done
    assert done.err.startswith("fivefold: "), done.err
    assert "Traceback" not in done.err
    return done.err.removeprefix("fivefold: ").rstrip("\n")


def start(
    var: Path, *arguments: object, out: int = subprocess.PIPE, err: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Start a command as a process of its own, whose input does not end and which writes to *out* and *err*."""
    command = [Path(sys.executable).with_name("fivefold"), *map(str, arguments)]
    environment = {**os.environ, "FIVEFOLD_VAR": str(var), "COLUMNS": "100"}
    # A shell that starts tests in the background switches Ctrl-C off for all that they start, but for what is handled.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdin=pipe, stdout=out, stderr=err, text=True)
    finally:
        signal.signal(signal.SIGINT, before)


LONGEST_SECONDS = 120 * slowness()


def finish(process: subprocess.Popen[str], seconds: float = LONGEST_SECONDS) -> Done:
    """Wait until a process has ended."""
    out, err = process.communicate(timeout=seconds)
    return Done(process.returncode, out, err)


def cells(out: str, title: str) -> list[list[str]]:
    """Read the rows of the printed table below *title*, without its heading."""
    lines = out.splitlines()
    below = lines[lines.index(title) + 2 :]
    until = below.index("") if "" in below else len(below)
    rows = (re.split(r"\s{2,}", line.strip()) for line in below[:until])
    return [row for row in rows if len(row) > 1]
