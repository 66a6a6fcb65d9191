"""Measure one job in a process of its own: wall time, processor time and peak memory.

`measure` starts this file as a script; there it imports the job's module (imports are not measured), runs it once,
and prints what that took as one line of JSON.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.features.plan import load_plan

SAMPLE_CUSTOMERS = 2_000

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Measured:
    """What one run took.

    Attributes:
        seconds: from opening the file to the result in hand.
        processor_seconds: of all threads, in user and system mode.
        peak_bytes: most resident memory of the process, interpreter and libraries included.
        customers: how many the result has.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int
    customers: int


def measure(job: str, plan: Path, sample: Path | None = None) -> Measured:
    """Run *job*, `module.function`, on a plan; *sample* receives the result's first customers.

    Raises:
        subprocess.CalledProcessError: the job failed; its own message is on standard error.
    """
    arguments = [sys.executable, "-m", __spec__.name, job, str(plan), *([] if sample is None else [str(sample)])]
    done = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def read_file(path: Path) -> None:
    """Bring a file into the page cache."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def _run(job: str, plan_path: str, sample: str | None) -> Measured:
    module_name, function = job.rsplit(".", 1)
    module = importlib.import_module(module_name)
    plan = load_plan(Path(plan_path))
    processor_began, began = _processor_seconds(), time.perf_counter()
    result = getattr(module, function)(plan)
    seconds, processor_seconds = time.perf_counter() - began, _processor_seconds() - processor_began
    peak_bytes = _peak_bytes()
    table = module.as_arrow(result)
    if sample is not None:
        _write_sample(table, plan.path, sample)
    return Measured(seconds, processor_seconds, peak_bytes, table.num_rows)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_bytes() -> int:
    """Tell the most memory that was resident; Linux's ru_maxrss would carry over what the parent had."""
    status = Path("/proc/self/status")
    if not status.exists():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024


def _write_sample(table: pa.Table, data: str, path: str) -> None:
    """Write the rows of the file's first customers, in the order of their identifiers."""
    customers = pa.array([], pa.string())
    for batch in pq.ParquetFile(data).iter_batches(columns=["user_id"]):
        customers = pc.unique(pa.concat_arrays([customers, batch["user_id"].cast(pa.string())]))
        if len(customers) >= SAMPLE_CUSTOMERS:
            break
    user_ids = table["user_id"].cast(pa.string())
    sample = table.set_column(table.schema.get_field_index("user_id"), "user_id", user_ids)
    first = customers[:SAMPLE_CUSTOMERS]
    pq.write_table(sample.filter(pc.is_in(user_ids, first)).sort_by("user_id"), path)


def _main(arguments: list[str]) -> None:
    job, plan, sample = [*arguments, None][:3]
    assert job is not None
    assert plan is not None
    print(json.dumps(asdict(_run(job, plan, sample))))
    sys.stdout.flush()
    os._exit(0)  # taking a large result apart would only cost time


if __name__ == "__main__":
    _main(sys.argv[1:])
