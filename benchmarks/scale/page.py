"""The page of the benchmark of scale."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from benchmarks.features.equality import Difference
from benchmarks.scale.commands import AS_OF, ON_SPARK, Usage
from benchmarks.scale.steps import FIT
from fivefold.domain.text import percent

AIM_BYTES = 2 * 10**9
AIM_SHARE = 0.3
LEAST_SHARE = 0.01
LARGEST_ROWS = 10**10
MACHINES = (10, 30, 100)


@dataclass(frozen=True)
class Size:
    """What was measured at one size.

    Attributes:
        rows, customers, file_bytes: of the file in order.
        load: the load average of the machine before and after.
        commands: what each took.
        steps: of a training run, seconds.
        engines: what each took in each round; empty where others were left out.
        difference: of Spark SQL from the kernel.
    """

    rows: int
    customers: int
    file_bytes: int
    load: tuple[float, float]
    commands: Mapping[str, Usage]
    steps: Mapping[str, float]
    engines: Mapping[str, Sequence[Usage]]
    difference: Difference | None


_PAGE = """# As data grow

`{command}`, {day}; {machine}.
Load average, of which the benchmark alone makes about 2: {load}. Where there was more, the work of others is in the
seconds; the processor seconds say less of that.

What a user runs, on files of simulated customers, each command as a process of its own from its start to its end:
`simulate`, `sort` of the same rows by time as a bank exports them, `train` with a configuration, so that no presets are
tried, `score` as of {as_of}, and up to {compared:,} rows the same `score` on Spark with all processors of this machine.
Memory is the resident memory of all processes of a command together, at most: pages that two of them share count twice.
`train` is one process, and 0.2 GB of it are code of libraries. Busy are the processor seconds by the seconds, of
{processors}.

{commands}

Aim: at most 2 GB for each command but Spark's, at {rows:,} rows: {memory}. The scores of Spark are those of one
process, bit for bit: otherwise there is no page.

## A training run by step

{steps}

## The same indicators by other engines

From one file in order to the whole catalogue in memory, start of the process and imports included; the kernel besides
checks every value, and that no customer comes twice. The others order the rows, as they must where its order is not
known; [a page of its own](benchmarks-features.md) has the lines where they trust it, and shows that the values are
equal. Spark SQL runs DuckDB's query in its own dialect; its value furthest from the kernel's among 2,000 customers:
{difference}. Medians.

{engines}

## After an interruption

`simulate`, `sort`, `score` and `train` continue with the same command after Ctrl-C, `kill -9`, a full disk or the end
of memory; the result is that of an uninterrupted run, bit for bit. `--restart` starts over, and `fivefold parts`
lists what is left. Other rows, settings, rates or releases are refused by name; `train --when` starts over then.

What `train` keeps until its end is in `var/trainings`: the trees of each fit, and of Parquet of four million rows or
more the results of each pass, every four million rows. That takes 0.63 GB for 10,067,356 rows (2026-11-28), 62 MB for
each million: 554 MB are the rows that trees learn from, 64 what is predicted, 6 the summary, and 0.3 the trees of
each fit. Trees learn from a million rows at most, so 100 million rows take about 0.9 GB, 9 MB for each million: that
is worked out, not measured. Fits of CSV and on Spark are kept, their passes are not, and neither is the judgement:
[what is kept](decisions/0065-interrupted-trainings.md).

## Where memory ends

A command that gets no memory says so in one line and exits with 2; no file is half written. Libraries in C, C++ and
Rust end the process instead, with an abort and a code from 132 to 139, which nothing can catch; so does the system,
with 137, where the memory of the machine or of a container ends.

`ulimit -v` does not limit memory. It counts addresses, of which a process reserves far more than it uses: a
`train` of 400 customers on 2 processors reserved 71 GB and used 0.95 GB, and `score` 3.1 GB and 0.42 GB
(2026-11-28). With 10 GB of addresses `train` was aborted; `simulate` runs with 3 GB of them, and was aborted with 2 GB.
What counts memory is the limit of a container, or `systemd-run --scope -p MemoryMax=4G fivefold train ...`.

## Ten billion rows, on paper

{on_paper}
"""
_STEPS = """

Steps are the functions that `training.retrain.retrain` calls, without those of less than 1 %; {fit}'s own fits are
counted apart wherever they happen. Aim: everything but them under 30 % of a run: {rest}.
The share grows with the rows: trees learn from a sample of the customers, of at most a million rows
(`snapshots.most_rows`), and every customer is read, predicted and judged."""
_ON_PAPER = """Not measured: this takes the figures above as they are, and the times of {rows:,} rows. Ten billion rows
of this kind are {size:,.0f} GB of Parquet from {customers:,.0f} million customers. One process scores them here
in {process:.1f} h.

Memory grows with the number of customers, and not with the rows of each. To detect a customer who comes twice,
the process that reads a file keeps 8 bytes for each, and as much again to compare them at the end: {seen:.1f} GB.
The memory of `score` grew by {score:.0f} bytes a customer from {few:,} to {many:,} customers. That of `train` grew
by {train:.0f}, because it keeps what it predicts and judges of each. At ten billion rows that is
{score_gigabytes:.0f} GB and {train_gigabytes:.0f} GB: one process trains on as many customers as its memory holds.

Spark takes {spark:.1f} h of a machine as this one to score, by the {compared:,} rows above, which divide by customers:
every row goes once through the network to the partition of its customer. The machine that started it compares all
customers as above, and needs {seen:.1f} GB for that.

{machines}

At best, because stragglers, the network and the start of a cluster are not in it."""


def page(command: str, sizes: Sequence[Size]) -> str:
    """Write the page, by rising sizes; the first of them is compared with other engines."""
    compared = max((size for size in sizes if size.engines), key=lambda size: size.rows)
    return _PAGE.format(
        command=command,
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=f"{os.cpu_count()} shared processors, {platform.system()}, Python {platform.python_version()}",
        load="; ".join(f"{size.load[0]:.1f} before and {size.load[1]:.1f} after {size.rows:,} rows" for size in sizes),
        compared=compared.rows,
        processors=os.cpu_count(),
        as_of=AS_OF,
        commands=commands_table((size.rows, size.customers, size.commands) for size in sizes),
        rows=sizes[-1].rows,
        memory=_memory(sizes[-1]),
        steps=_steps(sizes),
        engines="\n".join(_engines(sizes)),
        difference=compared.difference,
        on_paper=_on_paper(sizes, compared),
    )


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def commands_table(sizes: Iterable[tuple[int, int, Mapping[str, Usage]]]) -> str:
    """Write what commands took, by their names, for files of so many rows and customers."""
    lines = [
        _row(("rows", "customers", "command", "seconds", "processor seconds", "busy", "rows a second", "most memory")),
        "|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for rows, customers, commands in sizes:
        for name, usage in commands.items():
            rate = f"{rows / usage.seconds:,.0f}"
            busy = f"{usage.processor_seconds / usage.seconds:.2f}"
            figures = (f"{usage.seconds:.1f}", f"{usage.processor_seconds:.1f}", busy, rate)
            lines.append(_row((f"{rows:,}", f"{customers:,}", f"`{name}`", *figures, _gigabytes(usage.peak_bytes))))
    return "\n".join(lines)


def _gigabytes(count: float) -> str:
    return f"{count / 10**9:.2f} GB"


def _memory(size: Size) -> str:
    beyond = {name: each for name, each in size.commands.items() if name != ON_SPARK and each.peak_bytes > AIM_BYTES}
    if not beyond:
        return "met"
    return "**not met** by " + ", ".join(f"`{name}` ({_gigabytes(each.peak_bytes)})" for name, each in beyond.items())


def _steps(sizes: Sequence[Size]) -> str:
    totals = [sum(size.steps.values()) for size in sizes]
    shares = [
        {name: took / total for name, took in size.steps.items()} for size, total in zip(sizes, totals, strict=True)
    ]
    lines = [_row(("step", *(f"{size.rows:,} rows" for size in sizes))), _row(["---", *["---:"] * len(sizes)])]
    for name in sorted(shares[-1], key=lambda one: -shares[-1][one]):
        parts = [share.get(name, 0.0) for share in shares]
        if max(parts) >= LEAST_SHARE:
            cells = (f"{percent(part, 0)} ({part * total:.1f} s)" for part, total in zip(parts, totals, strict=True))
            lines.append(_row((name if name == FIT else f"`{name}`", *cells)))
    rests = []
    for size, share in zip(sizes, shares, strict=True):
        rest = 1 - share[FIT]
        rests.append(f"{percent(rest, 0)} at {size.rows:,} rows, {'met' if rest < AIM_SHARE else '**not met**'}")
    return "\n".join(lines) + _STEPS.format(fit=FIT, rest="; ".join(rests))


def _engines(sizes: Sequence[Size]) -> list[str]:
    lines = [
        _row(("rows", "engine", "time, kernel = 1", "seconds", "processor seconds", "most memory")),
        "|---:|---|---:|---:|---:|---:|",
    ]
    for size in sizes:
        for name, runs in size.engines.items():
            seconds = median(each.seconds for each in runs)
            ratio = seconds / median(each.seconds for each in size.engines["kernel"])
            processor = median(each.processor_seconds for each in runs)
            peak = _gigabytes(median(each.peak_bytes for each in runs))
            lines.append(_row((f"{size.rows:,}", name, f"{ratio:.2f}", f"{seconds:.1f}", f"{processor:.1f}", peak)))
    return lines


def _on_paper(sizes: Sequence[Size], compared: Size) -> str:
    largest = sizes[-1]
    customers = LARGEST_ROWS / largest.rows * largest.customers
    spark_hours = LARGEST_ROWS / compared.rows * compared.commands[ON_SPARK].seconds / 3600
    machines = [_row((count, f"{spark_hours / count:.2f}")) for count in MACHINES]
    score, train = (_bytes_a_customer(sizes[-2], largest, name) for name in ("score", "train"))
    return _ON_PAPER.format(
        rows=largest.rows,
        size=LARGEST_ROWS / largest.rows * largest.file_bytes / 10**9,
        customers=customers / 10**6,
        process=LARGEST_ROWS / largest.rows * largest.commands["score"].seconds / 3600,
        seen=2 * 8 * customers / 10**9,
        score=score,
        train=train,
        few=sizes[-2].customers,
        many=largest.customers,
        score_gigabytes=(largest.commands["score"].peak_bytes + score * customers) / 10**9,
        train_gigabytes=(largest.commands["train"].peak_bytes + train * customers) / 10**9,
        spark=spark_hours,
        compared=compared.rows,
        machines="\n".join([_row(("machines", "hours at best")), "|---:|---:|", *machines]),
    )


def _bytes_a_customer(smaller: Size, larger: Size, command: str) -> float:
    """Give by how much the memory of a command grows with each customer."""
    more = larger.commands[command].peak_bytes - smaller.commands[command].peak_bytes
    return more / (larger.customers - smaller.customers)
