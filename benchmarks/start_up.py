"""Processor time of commands that do little: this checkout against others, interleaved, medians.

    python -m benchmarks.start_up
    python -m benchmarks.start_up --against OTHER_CHECKOUT --rounds 9

Each checkout runs its own code, by the same interpreter.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parents[1]
COMMANDS = ("--help", "score --help", "models", "rules --help", "rules assess --help", "rules lint fatf-retail")


def processor_seconds(checkout: Path, command: str, var: str) -> float:
    """Run a command of a checkout; give the time in user and system mode."""
    before = os.times()
    subprocess.run(
        [sys.executable, "-m", "fivefold.cli.main", *command.split()],
        env={**os.environ, "PYTHONPATH": str(checkout / "src"), "FIVEFOLD_VAR": var},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,  # `models` ends with 2 where none was trained
    )
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    checkouts = [HERE, *options.against]
    seconds_by_command: dict[tuple[str, int], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as var:
        for round_ in range(options.rounds + 1):
            for command in COMMANDS:
                for number, checkout in enumerate(checkouts):
                    seconds = processor_seconds(checkout, command, var)
                    if round_:  # the first one fills caches
                        seconds_by_command[command, number].append(seconds)
    for command in COMMANDS:
        print(
            f"{command}: "
            + ", ".join(f"{median(seconds_by_command[command, number]):.2f} s" for number in range(len(checkouts)))
        )
