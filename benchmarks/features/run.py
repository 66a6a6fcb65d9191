"""The order of the feature benchmark: data, rounds, comparison, page. `__main__.py` is its command."""

import argparse
import os
import shlex
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from benchmarks.features import data as data_files
from benchmarks.features.equality import Difference, largest_difference
from benchmarks.features.page import Page, page
from benchmarks.measure import Measured, measure, read_file
from fivefold.domain.settings import read_settings
from fivefold.features.indicator_matrix import catalogue, warm

JOBS = {
    "read": "benchmarks.features.read.compute",
    "read as the kernel does": "benchmarks.features.read.compute_as_kernel",
    "kernel": "benchmarks.features.kernel.compute",
    "DuckDB": "benchmarks.features.sql.compute",
    "Polars": "benchmarks.features.polars.compute",
    "DuckDB, ordering rows": "benchmarks.features.sql.compute_ordering",
    "Polars, ordering rows": "benchmarks.features.polars.compute_ordering",
}
WITH_IDS = "kernel, with transaction_id"
COMPARED = ("DuckDB", "Polars", "DuckDB, ordering rows", "Polars, ordering rows")
LARGE_JOBS = {
    "read": "benchmarks.features.read.compute",
    "kernel, written to Parquet": "benchmarks.features.kernel.compute_to_parquet",
}


def main() -> None:
    """Run the benchmark, print the page, and write it where asked."""
    options = _options()
    folder = read_settings().var / "benchmarks"
    warm()  # compiles the kernel, so that no measured run does
    load_before = os.getloadavg()[0]
    data = {with_ids: data_files.write_data(options.rows, folder, with_ids=with_ids) for with_ids in (False, True)}
    large_data = data_files.write_data(options.large, folder, with_ids=False) if options.large else None
    with tempfile.TemporaryDirectory() as scratch:
        runs, differences = _rounds(options.rounds, data, Path(scratch))
        large = _large(large_data, Path(scratch)) if large_data else {}
    text = page(
        Page(
            command=shlex.join(["python", "-m", "benchmarks.features", *sys.argv[1:]]),
            data=data[False],
            indicators=len(catalogue().names),
            runs=runs,
            differences=differences,
            large_data=large_data,
            large=large,
            load=(load_before, os.getloadavg()[0]),
        )
    )
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure indicators from Parquet, engine beside engine.")
    parser.add_argument("--rows", type=int, default=10_000_000, help="about so many simulated rows")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured, in turns")
    parser.add_argument("--large", type=int, default=0, help="rows of a further run of reading and kernel alone")
    parser.add_argument("--write", type=Path, help="file that the result page is written to")
    return parser.parse_args()


def _rounds(
    rounds: int, data: dict[bool, Path], scratch: Path
) -> tuple[dict[str, list[Measured]], dict[str, Difference]]:
    """Measure every job once a round, each round beginning with another; compare the values in the first."""
    plans = {with_ids: scratch / f"plan_{with_ids}.json" for with_ids in data}
    for with_ids, path in plans.items():
        data_files.plan_of(data[with_ids]).save(path)
        read_file(data[with_ids])
    jobs = {**{name: (job, plans[False]) for name, job in JOBS.items()}, WITH_IDS: (JOBS["kernel"], plans[True])}
    runs: dict[str, list[Measured]] = {name: [] for name in jobs}
    differences: dict[str, Difference] = {}
    with tqdm(total=rounds * len(jobs)) as progress:
        for number in range(rounds):
            names = [*jobs]
            for name in names[number:] + names[:number]:
                progress.set_description(f"{name}, round {number + 1}")
                sample = scratch / f"{name}.parquet" if number == 0 else None
                runs[name].append(measure(*jobs[name], sample))
                progress.update()
            if number == 0:
                differences = {name: _compare(name, runs, scratch) for name in COMPARED}
    return runs, differences


def _compare(name: str, runs: dict[str, list[Measured]], scratch: Path) -> Difference:
    customers, expected = runs[name][0].customers, runs["kernel"][0].customers
    if customers != expected:
        sys.exit(f"{name} gives {customers} customers, the kernel {expected}")
    return largest_difference(scratch / "kernel.parquet", scratch / f"{name}.parquet")


def _large(data: Path, scratch: Path) -> dict[str, list[Measured]]:
    """Measure reading and the kernel once over the larger file."""
    plan = scratch / "large.json"
    data_files.plan_of(data).save(plan)
    runs = {}
    for name, job in LARGE_JOBS.items():
        read_file(data)
        runs[name] = [measure(job, plan)]
    data.with_suffix(".indicators.parquet").unlink()
    return runs
