"""The same indicators by several engines from one file in order, each ordering rows itself but the kernel."""

import sys

from benchmarks.features.data import plan_of, write_data
from benchmarks.features.equality import Difference, largest_difference
from benchmarks.measure import read_file
from benchmarks.scale.commands import ROOT, Files
from benchmarks.scale.process import Usage, take

KERNEL, SPARK = "kernel", "Spark SQL"
JOBS = {
    KERNEL: "benchmarks.features.kernel.compute",
    "DuckDB": "benchmarks.features.sql.compute_ordering",
    "Polars": "benchmarks.features.polars.compute_ordering",
    SPARK: "benchmarks.scale.spark_sql.compute",
}


def measure_engines(rows: int, files: Files, rounds: int) -> tuple[dict[str, list[Usage]], Difference]:
    """Measure each as a process of its own, that and its import included, in turns.

    Returns:
        What each took in each round, and how far Spark SQL is from the kernel among the first customers.

    Raises:
        AssertionError: it is further than is tolerated.
    """
    data = write_data(rows, files.folder, with_ids=False)  # in which all order tied rows alike
    plan = files.folder / "plan.json"
    plan_of(data).save(plan)
    read_file(data)
    names = list(JOBS)
    usage: dict[str, list[Usage]] = {name: [] for name in names}
    samples = {name: files.folder / f"{name}.parquet" for name in (KERNEL, SPARK)}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            sample = [str(samples[name])] if number == 0 and name in samples else []
            command = [sys.executable, "-m", "benchmarks.measure", JOBS[name], str(plan), *sample]
            usage[name].append(take(command, files.environment, ROOT))
    return usage, largest_difference(samples[KERNEL], samples[SPARK])
