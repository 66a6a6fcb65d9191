"""The commands that are measured, in the order of a user, the same on Spark, and by other engines."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psutil
import pyarrow.parquet as pq

from benchmarks.features.data import plan_of, write_data
from benchmarks.features.equality import Difference, largest_difference
from benchmarks.measure import read_file
from fivefold.domain.settings import read_settings
from fivefold.training.simulation.simulator import SCHEMA

LOOKS_A_SECOND = 20


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes:
        seconds: from the start of the process to its end, imports included.
        processor_seconds: of all its threads and processes, as they were seen last.
        peak_bytes: most resident memory of all its processes at once; they are looked at twenty times a second.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int


def take(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Usage:
    """Run a command to its end.

    Raises:
        SystemExit: it failed; what it said is in the message.
    """
    ended = threading.Event()
    process = psutil.Popen(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    peaks, used = [0], dict[int, float]()
    looker = threading.Thread(target=_look, args=(process, ended, peaks, used))
    begun = time.perf_counter()
    looker.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - begun
    ended.set()
    looker.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output.decode()[-2000:]}")
    return Usage(seconds, sum(used.values()), peaks[0])


def _look(process: psutil.Process, ended: threading.Event, peaks: list[int], used: dict[int, float]) -> None:
    """Keep the most memory, and the processor seconds of each process: Python does not wait for Spark's Java."""
    while not ended.wait(1 / LOOKS_A_SECOND):
        resident = 0
        try:
            for each in (process, *process.children(recursive=True)):
                resident += each.memory_info().rss
                times = each.cpu_times()
                used[each.pid] = times.user + times.system
        except psutil.Error:  # one of them ended meanwhile
            continue
        peaks[0] = max(peaks[0], resident)


ROOT = Path(__file__).resolve().parents[2]
FIVEFOLD = (sys.executable, "-m", "fivefold.cli.main")
CONFIG = "seed: 7\n"
"""Written, so that no presets are tried: a run without a configuration fits each of them several times."""
AS_OF = "2024-12-31"

ON_SPARK = "score --engine spark"


class Files:
    """The files of one size.

    Attributes:
        simulated: by customers, as the simulator writes them.
        exported: the same rows by time, as a bank exports them.
        ordered: what `fivefold sort` makes of that.
    """

    def __init__(self, folder: Path) -> None:
        """Name them in a folder."""
        self.folder = folder
        self.simulated, self.exported = folder / "simulated.parquet", folder / "exported.parquet"
        self.ordered, self.config = folder / "ordered.parquet", folder / "config.yaml"
        (folder / "var").mkdir()  # where models go; the compiled kernel is that of this machine
        (folder / "var" / "kernels").symlink_to(read_settings().var.resolve() / "kernels")

    @property
    def environment(self) -> dict[str, str]:
        """The folder of models, idle threads that wait without work, and where Python finds this package."""
        return {"FIVEFOLD_VAR": str(self.folder / "var"), "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}

    def count(self) -> tuple[int, int]:
        """Count rows and customers."""
        ((customers,),) = duckdb.sql(f"SELECT count(DISTINCT user_id) FROM '{self.ordered}'").fetchall()
        return pq.read_metadata(self.ordered).num_rows, int(customers)


def make_ordered(files: Files, rows: int) -> dict[str, Usage]:
    """Simulate, and sort what a bank would export; only the ordered rows stay."""
    usage = {"simulate": _fivefold(files, "simulate", "--rows", str(rows), "-o", str(files.simulated))}
    _export(files)
    files.simulated.unlink()
    usage["sort"] = _fivefold(files, "sort", str(files.exported), "-o", str(files.ordered))
    files.exported.unlink()
    return usage


def score_twice(files: Files, *, on_spark: bool) -> dict[str, Usage]:
    """Score the ordered rows by the champion of the files, and again on Spark where that is asked for."""
    usage = {"score": _score(files, "scores.parquet")}
    if on_spark:
        master = f"local[{os.cpu_count()}]"
        usage[ON_SPARK] = _score(files, "spark.parquet", "--engine", "spark", "--spark-master", master)
        _require_equal(files)
    return usage


def _score(files: Files, name: str, *options: str) -> Usage:
    return _fivefold(files, "score", str(files.ordered), "--as-of", AS_OF, "-o", str(files.folder / name), *options)


def _fivefold(files: Files, *arguments: str) -> Usage:
    return take([*FIVEFOLD, *arguments], files.environment, files.folder)


def _export(files: Files) -> None:
    """Order the rows by time; this is not a part of the product, and is not measured."""
    names = ", ".join(SCHEMA.names)
    with duckdb.connect(config={"memory_limit": "4GB", "temp_directory": str(files.folder / "duckdb")}) as connection:
        ordered = f"SELECT {names} FROM '{files.simulated}' ORDER BY transaction_date, transaction_id"
        connection.execute(f"COPY ({ordered}) TO '{files.exported}' (FORMAT parquet, COMPRESSION zstd)")


def _require_equal(files: Files) -> None:
    """Refuse to write a page about scores of Spark that are not those of one process, bit for bit."""
    one, other = (duckdb.sql(f"SELECT * FROM '{files.folder / name}.parquet'") for name in ("scores", "spark"))
    if different := len(one.except_(other).fetchall()) + len(other.except_(one).fetchall()):
        raise SystemExit(f"Spark gives other scores in {different:,} rows")


KERNEL, SPARK = "kernel", "Spark SQL"
JOBS = {
    KERNEL: "benchmarks.features.kernel.compute",
    "DuckDB": "benchmarks.features.sql.compute_ordering",
    "Polars": "benchmarks.features.polars.compute_ordering",
    SPARK: "benchmarks.scale.spark_sql.compute",
}


def measure_engines(rows: int, files: Files, rounds: int) -> tuple[dict[str, list[Usage]], Difference]:
    """Measure the same indicators by each engine from one file in order, in turns, each in a process of its own.

    The process and its imports are included. Each orders the rows itself, but for the kernel.

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
