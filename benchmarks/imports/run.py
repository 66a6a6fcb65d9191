"""Do it, step by step, and write what each step took."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from benchmarks.imports.data import BANKS, Bank, write_lists
from benchmarks.platform.data import postgresql
from fivefold.domain.clock import parse_moment
from fivefold.store.sql.database import open_database, upgrade
from fivefold.usecases.accounts.organisations import actor_in
from fivefold.usecases.changes.backtests import list_backtests, request_backtest
from fivefold.usecases.levels.distribution import distribution
from fivefold.usecases.portfolio_files.bundled import bundled_text
from fivefold.usecases.rulesets.activate import activate
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.context import Context

ROOT = Path(__file__).resolve().parents[2]
RULESET = "fatf-retail"
DATABASES = ("SQLite", "PostgreSQL")


@dataclass(frozen=True)
class Step:
    """What a step took: seconds by the clock, of the processors, and the most memory of its process."""

    command: str
    seconds: float
    processor_seconds: float
    peak_mb: float
    last_line: str


def main() -> None:
    """Import both banks on both databases, and write the page where it is asked for."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    arguments.add_argument("--write", type=Path)
    options = arguments.parse_args()
    before = os.getloadavg()[0]
    results = []
    for kind in options.databases:
        for bank in BANKS:
            with tempfile.TemporaryDirectory() as folder, database_of(kind, Path(folder)) as engine:
                results.append((bank, kind, *_import(bank, options.data, Path(folder), engine)))
    page = _page(results, before)
    sys.stdout.write(page)
    if options.write:
        options.write.write_text(page, encoding="utf-8")


@contextmanager
def database_of(kind: str, folder: Path) -> Iterator[Engine]:
    """Make a database of one of `DATABASES` that has every table; it is gone with its folder."""
    if kind == "PostgreSQL":
        with postgresql() as engine:
            yield engine
        return
    engine = open_database(f"sqlite:///{folder / 'fivefold.db'}")
    upgrade(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def _import(bank: Bank, data: Path, folder: Path, engine: Engine) -> tuple[list[Step], str]:
    bank.entities(data).write_parquet(folder / "entities.parquet")
    bank.transactions(data).write_parquet(folder / "transactions.parquet")
    write_lists(folder / "lists")
    past = ("--as-of", bank.as_of)
    steps = [
        run_command(engine, folder, "import", "setup", RULESET, "--base", bank.base, "--lists", "lists"),
        run_command(engine, folder, "import", "entities", "entities.parquet", *past),
        run_command(engine, folder, "import", "transactions", "transactions.parquet", *past),
    ]
    steps += govern(engine, folder, bank.as_of)
    steps.append(run_command(engine, folder, "audit", "verify"))
    return steps, _levels(engine)


def govern(engine: Engine, folder: Path, day: str, model: str | None = None) -> list[Step]:
    """One person writes and commits the ruleset and asks for a backtest; another activates it.

    Workers carry out the backtest, and then what follows from the activation, as of *day*. The first has no model: the
    clock of each runs on from *day*, and a value that one gave would be earlier or later than a level of the other, as
    the machine has it.
    """
    author, publisher = (actor_in(engine, "default", f"member:{number}") for number in (1, 2))
    now = parse_moment(day)
    saved = save_draft(Context(engine, author).at(now), bundled_text(RULESET), 0)
    commit(Context(engine, author).at(now), RULESET, saved.revision, "A ruleset that ships, as it is.")
    request_backtest(Context(engine, author).at(now), RULESET, 1)
    working = partial(run_command, engine, folder, "worker", "--once", "--as-of", day)
    steps = [working()]
    backtest = list_backtests(Context(engine, author), RULESET)[0]
    if backtest.state != "done":
        raise RuntimeError(f"the backtest is {backtest.state}: {backtest.error}")
    activate(Context(engine, publisher).at(now), RULESET, 1, "It is measured.", 10_000)
    steps.append(working(model=model))
    return steps


def run_command(engine: Engine, folder: Path, *arguments: str, model: str | None = None) -> Step:
    """Run a command of fivefold on a database, in a process of its own.

    Args:
        engine: of the database.
        folder: in which it runs; it keeps what it makes in `var` there.
        arguments: of the command.
        model: the registered value model; that of the settings where none is named.

    Raises:
        RuntimeError: it did not end well.
    """
    environment = {
        **os.environ,
        "FIVEFOLD_VAR": str(folder / "var"),
        "FIVEFOLD_DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "PYTHONPATH": str(ROOT),
        **({} if model is None else {"FIVEFOLD_MODEL": model}),
    }
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "fivefold.cli.main", *arguments],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read().strip().splitlines()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"fivefold {' '.join(arguments)} ended with {process.returncode}")
    command = "fivefold " + " ".join(arguments)
    took = time.perf_counter() - begun
    return Step(command, took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output[-1] if output else "")


def _levels(engine: Engine) -> str:
    levels = distribution(Context(engine, actor_in(engine, "default", "member:1")), "customer")
    return json.dumps(levels, default=vars)


def _page(results: list[tuple[Bank, str, list[Step], str]], before: float) -> str:
    parts = [_part(bank, kind, steps, json.loads(levels)) for bank, kind, steps, levels in results]
    return f"""# Two banks on the platform

`python -m benchmarks.imports {" ".join(sys.argv[1:])}`, {datetime.now(UTC):%Y-%m-%d};
2 processors shared with other work, load {before:.1f} before and {os.getloadavg()[0]:.1f} after.

The ruleset that ships for private customers decides, with lists whose first version always held; most of what it asks
about a customer these banks do not tell. One person writes and commits it and asks for a backtest, which the first run
of the worker makes (beside assessing everybody for whom no ruleset is active yet); another person activates it, and the
second run assesses everybody by it, as of the day after the last transaction. Each line is a process of its own; its
peak counts at least the script that starts it, some 500 MB.

{_NEWLINE.join(parts)}"""


_NEWLINE = "\n"


def _part(bank: Bank, kind: str, steps: list[Step], levels: dict[str, Any]) -> str:
    rows = [
        f"| `{step.command}` | {step.seconds:.1f} | {step.processor_seconds:.1f} | {step.peak_mb:,.0f} "
        f"| {step.last_line} |"
        for step in steps
    ]
    (version,) = levels["versions"]
    shares = ", ".join(f"{name} {count:,}" for name, count in version["levels"].items())
    return f"""## {bank.name} on {kind}

| | seconds | of the processors | peak MB | |
|---|---|---|---|---|
{_NEWLINE.join(rows)}

Of {levels["entities"]:,} customers: {shares}; failed {version["failed"]}, no level {levels["no_level"]}, not assessed
{levels["not_assessed"]}, quarantined {levels["quarantined"]}.
"""
