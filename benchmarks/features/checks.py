"""What it costs that own indicators check every index: the same text with checks and without, on the same histories.

    python -m benchmarks.features.checks own_indicators.py

Each run is a process of its own, in turns. Numba's setting NUMBA_BOUNDSCHECK=0 leaves the checks out of all that a
process compiles, so the two keep what they compiled in folders of their own.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

from fivefold.domain.clock import to_microseconds
from fivefold.features.catalogue.own import read_own_indicators
from fivefold.features.indicator_matrix import walk_over, warm_own
from fivefold.features.reading.sources import read_histories
from fivefold.training.config import TrainingConfig
from fivefold.training.simulation.simulator import Simulation, simulate

TIMES = 7
"""How often a process computes the indicators; the first time is not measured."""
CHECKS = {"with checks": {}, "without": {"NUMBA_BOUNDSCHECK": "0"}}


def main() -> None:
    """Measure both, and print how long the indicators of all customers take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("own", type=Path, help="the file of indicators")
    parser.add_argument("--customers", type=int, default=50_000, help="who are simulated, of some 40 rows each")
    parser.add_argument("--rounds", type=int, default=5, help="processes with checks, and without")
    parser.add_argument("--once", action="store_true", help="measure this process alone")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure(options.own, options.customers)))
        return
    runs_by_check: dict[str, list[dict[str, object]]] = {name: [] for name in CHECKS}
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(options.rounds):
            for name in CHECKS:
                runs_by_check[name].append(_in_process(name, options, Path(scratch)))
    same = {str(each["values"]) for runs in runs_by_check.values() for each in runs}
    verdict = "the same" if len(same) == 1 else "NOT THE SAME"
    print(f"{runs_by_check['without'][0]['rows']:,} rows; the values are {verdict}")
    for name, runs in runs_by_check.items():
        seconds = [float(str(each["seconds"])) for each in runs]
        print(f"{name}: {median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f})")


def _in_process(name: str, options: argparse.Namespace, scratch: Path) -> dict[str, object]:
    command = [
        sys.executable,
        "-m",
        __spec__.name,
        str(options.own),
        "--customers",
        str(options.customers),
        "--once",
    ]
    environment = {**os.environ, **CHECKS[name], "FIVEFOLD_VAR": str(scratch / name.replace(" ", "_"))}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    line: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return line


def measure(path: Path, customers: int) -> dict[str, object]:
    """Compute the indicators of simulated customers by this process: rows, median seconds, and a hash of the values."""
    own, simulation = read_own_indicators(path), Simulation(customers=customers)
    histories = read_histories(pa.concat_tables(simulate(simulation)), TrainingConfig().rate_table())
    as_ofs = np.array([to_microseconds(simulation.end)], dtype=np.int64)
    walk, seconds = warm_own(own), []
    for _ in range(TIMES):
        began = time.perf_counter()
        values = walk_over(walk, histories, as_ofs, own.catalogue).values
        seconds.append(time.perf_counter() - began)
    return {
        "rows": len(histories.time),
        "seconds": median(seconds[1:]),
        "values": hashlib.sha256(values.tobytes()).hexdigest(),
    }


if __name__ == "__main__":
    main()
