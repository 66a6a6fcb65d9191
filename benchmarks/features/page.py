"""The page that tells what the feature benchmark found, written by the benchmark itself."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from benchmarks.features.equality import ABSOLUTE, RELATIVE, Difference
from benchmarks.measure import SAMPLE_CUSTOMERS, Measured

Runs = dict[str, list[Measured]]

READ_AT_MOST = 1.2
ENGINES_AT_LEAST = 2.0
IDENTIFIERS_AT_MOST = 1.3
PEAK_AT_MOST_BYTES = 1_000_000_000
"""The aims: kernel against read, each engine against kernel, with identifiers against without, and the memory of the
large run."""

LIBRARIES = ("pyarrow", "numba", "numpy", "duckdb", "polars")

METHOD = """\
## What is measured

- Every run is a process of its own, so that peak memory (interpreter and libraries included) is the engine's own; the
  file is in the page cache. Time runs from opening the file to the result in hand; imports are left out, and so is the
  kernel's compilation (its compiled code is on disk and loaded when the process starts). Results stay in memory and
  are not put in one piece: blocks for the kernel, whatever table or frame the engine gives for the others.
- Runs take turns over the rounds, each round beginning with another job. Figures are medians (lowest to highest).
  Other work on the same processors shows in the time; processor time, of all threads, suffers less from it.
- *read* is pyarrow's `iter_batches` with its defaults over the same columns, each batch let go at once; *read as the
  kernel does* takes larger batches and leaves repeated text as dictionaries. With `pre_buffer`, a default of pyarrow,
  a reader holds the whole compressed file in memory by the end.
- All compute the same indicators, the whole catalogue, as of one day, and convert money with one table of rates
  (European Central Bank, the currencies that occur). Besides, the kernel checks every value and that no customer comes
  twice, and orders rows that are not in order; the engines take values as they are. They have two lines: one trusts
  the file's order, and is wrong where a file has another; *ordering rows* gives the kernel's values in any order.
- Data are `training.simulation.simulator`'s, without the column transaction_id (the last line of the table has it),
  zstd, rows of a customer together and in order of time; tied rows already stand in the order that histories give
  them. The kernel's path reads such rows in one pass; where rows have another order it sorts first, which is not
  measured here.

## What each engine relies on

- **DuckDB** (one SQL query): the file's order, for the last row of a customer (`file_row_number`) and for neighbours
  (`lag` and `lead` over the stream, without partition); where it orders rows, one window by customer. Conditions stand
  inside the aggregates: `FILTER` clauses took twice the processor time.
- **Polars** (one lazy query, streaming engine): the file's order, for `last` and for neighbours (`shift`); where it
  orders rows, one sort before. Conditions stand beside the aggregates: filters inside the groups took twice the
  processor time; grouping by a sorted key took 1.4 times, and a join for the rates a little more.
- **kernel**: rows of a customer together; order it checks, and restores where it is another.

## What is not

Other machines and more processors, cold disks, many as-of dates at once (which the kernel takes in one pass), data
that must be sorted first, and writing the result, except in the run over the larger file.
"""


@dataclass(frozen=True)
class Page:
    """The results of all runs.

    Attributes:
        command: what was typed.
        data: the file of most jobs.
        indicators: how many.
        runs: by job, one measurement a round.
        differences: by engine, its value furthest from the kernel's.
        large_data: the file of the larger run; None without one.
        large: its runs.
        load: processes that wanted a processor, before and after.
    """

    command: str
    data: Path
    indicators: int
    runs: Runs
    differences: dict[str, Difference]
    large_data: Path | None
    large: Runs
    load: tuple[float, float]


def page(results: Page) -> str:
    """Write the page in Markdown."""
    customers = results.runs["kernel"][0].customers
    parts = [
        "# Indicators from Parquet: the kernel beside other engines",
        _summary(results, customers),
        _table(results.runs),
        _aims(results),
        *([_large(results)] if results.large_data else []),
        _equality(results.differences, customers),
        METHOD,
    ]
    return "\n\n".join(parts)


def _summary(results: Page, customers: int) -> str:
    return (
        f"`{results.command}`, {datetime.now(UTC).date()}: {results.indicators} indicators of {customers:,} simulated "
        f"customers in {_size(results.data)}. {_machine(results.load)}"
    )


def _size(path: Path) -> str:
    rows = pq.ParquetFile(path).metadata.num_rows
    return f"{rows:,} rows ({path.stat().st_size / 1e6:,.0f} MB)"


def _machine(load: tuple[float, float]) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{os.cpu_count()} shared processors, {memory:.0f} GB, {platform.system()}, "
        f"Python {platform.python_version()}, {libraries}. Load average {load[0]:.1f} before and {load[1]:.1f} after; "
        f"the benchmark alone makes about {os.cpu_count()}, and what is above it is the work of others, which makes "
        f"seconds, and to a lesser degree ratios, uncertain."
    )


def _middle(runs: list[Measured], what: Callable[[Measured], float]) -> float:
    return median(what(run) for run in runs)


def _wall(run: Measured) -> float:
    return run.seconds


def _processor(run: Measured) -> float:
    return run.processor_seconds


def _table(runs: Runs) -> str:
    kernel, read = runs["kernel"], runs["read"]
    lines = [
        "| | time, kernel = 1 | time, read = 1 | processor, kernel = 1 | seconds | processor seconds | peak memory |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, measured in runs.items():
        wall, processor = _middle(measured, _wall), _middle(measured, _processor)
        cells = [
            f"**{name}**" if name == "kernel" else name,
            f"{wall / _middle(kernel, _wall):.2f}",
            f"{wall / _middle(read, _wall):.2f}",
            f"{processor / _middle(kernel, _processor):.2f}",
            _range(measured, _wall),
            _range(measured, _processor),
            f"{_middle(measured, lambda run: run.peak_bytes) / 1e9:.2f} GB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _range(runs: list[Measured], what: Callable[[Measured], float]) -> str:
    values = sorted(map(what, runs))
    return f"{median(values):.2f} ({values[0]:.2f}-{values[-1]:.2f})"


def _aims(results: Page) -> str:
    kernel = results.runs["kernel"]
    lines = [
        f"- kernel at most {READ_AT_MOST:g} x the read: {_at_most(READ_AT_MOST, kernel, results.runs['read'])}",
        f"- with transaction_id at most {IDENTIFIERS_AT_MOST:g} x without: "
        + _at_most(IDENTIFIERS_AT_MOST, results.runs["kernel, with transaction_id"], kernel),
    ]
    for name in results.differences:
        times, processor_times = _times(results.runs[name], kernel)
        lines.append(
            f"- at least {ENGINES_AT_LEAST:g} x faster than {name}: {times:.2f} (processor {processor_times:.2f}), "
            f"{_met(times >= ENGINES_AT_LEAST)}"
        )
    return "Aims, judged by time:\n\n" + "\n".join(lines)


def _at_most(limit: float, slower: list[Measured], faster: list[Measured]) -> str:
    times, processor_times = _times(slower, faster)
    return f"{times:.2f} (processor {processor_times:.2f}), {_met(times <= limit)}"


def _times(slower: list[Measured], faster: list[Measured]) -> tuple[float, float]:
    return (
        _middle(slower, _wall) / _middle(faster, _wall),
        _middle(slower, _processor) / _middle(faster, _processor),
    )


def _met(yes: bool) -> str:
    return "met" if yes else "**not met**"


def _large(results: Page) -> str:
    assert results.large_data is not None
    lines = [
        f"## {_size(results.large_data)}",
        "",
        "One run each; the kernel writes its result to Parquet as it goes.",
        "",
    ]
    lines += ["| | seconds | processor seconds | peak memory |", "|---|---:|---:|---:|"]
    for name, (run,) in results.large.items():
        lines.append(f"| {name} | {run.seconds:.1f} | {run.processor_seconds:.1f} | {run.peak_bytes / 1e9:.2f} GB |")
    *_, (kernel,) = results.large.values()
    met = _met(kernel.peak_bytes < PEAK_AT_MOST_BYTES)
    lines += ["", f"Aim, kernel under {PEAK_AT_MOST_BYTES / 1e9:g} GB: {met}"]
    return "\n".join(lines)


def _equality(differences: dict[str, Difference], customers: int) -> str:
    sentence = (
        f"All give {customers:,} customers, and for the first {min(customers, SAMPLE_CUSTOMERS):,} every value is the "
        f"kernel's within {RELATIVE:g} of it or {ABSOLUTE:g} (no value counts as undefined). Furthest from it:"
    )
    lines = [f"- {name}: {difference}" for name, difference in differences.items()]
    return "\n".join(["## Equal values", "", sentence, "", *lines])
