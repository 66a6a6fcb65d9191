"""The yardstick: value models on public data, window by window, under one protocol.

    python -m benchmarks.yardstick --data ../shared/data --write docs/benchmark.md

writes the page, and beside it the table with a line for every figure (`docs/benchmark.csv`). Answers are kept by window
and method (`--kept`), so that a run which was stopped goes on where it was; another folder asks every method anew.

    python -m benchmarks.yardstick --data ../shared/data --tasks build/tasks

writes what a method may see, for methods that are not in this repository. What such a method predicts is judged with
`--rival NAME=FOLDER`, where FOLDER has a file SET/WINDOW.csv (`customer`, `predicted`) for each window.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.yardstick.answers import AnswerFolder, as_asked, from_files
from benchmarks.yardstick.data_sets import DATA_SETS, DataSet
from benchmarks.yardstick.figures import Drawn, as_table, figures_of, lines, mean
from benchmarks.yardstick.methods import FIVEFOLD, methods
from benchmarks.yardstick.page import MEAN, Finding, page
from benchmarks.yardstick.protocol import WINDOWS, Method, ProtocolError, until, windows
from benchmarks.yardstick.purchases import environment
from fivefold.domain.errors import FivefoldError, NotEnoughDataError
from fivefold.features.indicator_matrix import warm
from fivefold.training.judging.bootstrap import RESAMPLES, draws


def main() -> None:
    """Judge every method on every data set whose file is there, and write the page and the table."""
    options = _arguments().parse_args()
    warm()
    begun = time.monotonic()
    tables, absent = {}, []
    for name in options.sets:
        try:
            tables[name] = DATA_SETS[name].table(options.data)
        except NotEnoughDataError as error:
            absent.append(str(error))
            print(error, file=sys.stderr)
    try:
        if options.tasks:
            for name, table in tables.items():
                write_tasks(DATA_SETS[name], table, options.windows, options.tasks)
            return
        every = dict(methods(environment(options.environment, options.python)))
        for rival in options.rival:
            name, _, folder = rival.partition("=")
            every[name] = from_files(name, Path(folder))
        findings = [judge(DATA_SETS[name], table, every, options) for name, table in tables.items()]
    except (FivefoldError, ProtocolError) as error:
        sys.exit(str(error))
    if not findings:
        sys.exit("there is no data set to judge on")
    minutes = (time.monotonic() - begun) / 60
    text = page(findings, absent, options.resamples, f"{minutes:.0f} minutes at a load of {os.getloadavg()[2]:.0f}")
    options.write.write_text(text, encoding="utf-8")
    pl.concat([finding.lines for finding in findings]).write_csv(options.write.with_suffix(".csv"))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with a folder for each data set")
    parser.add_argument("--write", type=Path, default=Path("docs/benchmark.md"))
    parser.add_argument("--sets", nargs="+", choices=DATA_SETS, default=list(DATA_SETS))
    parser.add_argument("--windows", type=int, default=WINDOWS)
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    parser.add_argument("--kept", type=Path, default=Path("build/yardstick"), help="answers, by window and method")
    parser.add_argument("--environment", type=Path, default=Path("build/purchases"), help="of pymc-marketing")
    parser.add_argument("--python", type=Path, help="a Python of 3.12 or later to make that environment with")
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=FOLDER", help="predictions of another")
    parser.add_argument("--tasks", type=Path, help="write what a method may see of each window into a folder, and stop")
    return parser


def judge(data_set: DataSet, table: pa.Table, every: dict[str, Method], options: argparse.Namespace) -> Finding:
    """Ask every method about every window of a data set, and judge the answers."""
    folder = AnswerFolder(options.kept / data_set.name)
    figures: list[dict[str, object]] = []
    reasons: list[str] = []
    chosen: dict[str, str] = {}
    drawn: list[Drawn] = []
    customers = 0
    for window in windows(table, data_set.config(), options.windows):
        answers = {name: folder.ask(name, method, window) for name, method in every.items()}
        reasons += [f"{name}, {window.day}: {why}" for name, one in answers.items() for why in one.reasons]
        if preset := answers[FIVEFOLD].report.get("preset"):
            chosen[window.day] = preset
        again = draws(len(window.is_known), data_set.config().seed, options.resamples)
        drawn.append(figures_of(answers, window.realised, (times[window.is_known] for times in again)))
        labels = {"data_set": data_set.name, "window": window.day, "customers": len(window.realised)}
        figures += lines(drawn[-1], FIVEFOLD, **labels)
        customers = max(customers, len(window.realised))
    figures += lines(mean(drawn), FIVEFOLD, data_set=data_set.name, window=MEAN, customers=customers)
    return Finding(data_set, as_table(figures), tuple(reasons), chosen)


def write_tasks(data_set: DataSet, table: pa.Table, wanted: int, folder: Path) -> None:
    """Write, for every window, the transactions up to the as-of and the customers to predict for."""
    for window in windows(table, data_set.config(), wanted):
        place = folder / data_set.name
        place.mkdir(parents=True, exist_ok=True)
        pq.write_table(until(table, window.task.dates.test), place / f"{window.day}.transactions.parquet")
        as_asked(window.task).write_csv(place / f"{window.day}.customers.csv")


if __name__ == "__main__":
    main()
