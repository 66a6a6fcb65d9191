"""Run the benchmark of scale: every size in turn, then the page.

`python -m benchmarks.scale --rows 1_000_000 10_000_000 --write docs/scale.md` simulates, puts in order, trains and
scores as a user does, each command in a process of its own, and computes the indicators by other engines beside.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.scale.commands import Files, run_commands
from benchmarks.scale.engines import measure_engines
from benchmarks.scale.page import Size, page
from benchmarks.scale.steps import training_steps
from fivefold.features.indicator_matrix import warm


def main() -> None:
    """Measure each size, and write the page where it is asked for."""
    options = _options()
    warm()  # compiles the kernel, so that no measured run does
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        sizes = [_size(rows, Path(scratch) / str(rows), options) for rows in options.rows]
    rows, rounds = " ".join(f"{count:_}" for count in options.rows), options.rounds
    command = f"python -m benchmarks.scale --rows {rows} --rounds {rounds} --write docs/scale.md"
    text = page(command, sizes, (before, os.getloadavg()[0]))
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000], help="about so many, by size")
    parser.add_argument("--most-by-others", type=int, default=10_000_000, help="rows above which others are left out")
    parser.add_argument("--rounds", type=int, default=3, help="how often engines are measured, in turns")
    parser.add_argument("--folder", type=Path, help="where there is room for the files; that of the machine by default")
    parser.add_argument("--write", type=Path, help="file that the result page is written to")
    return parser.parse_args()


def _size(rows: int, folder: Path, options: argparse.Namespace) -> Size:
    folder.mkdir()
    files = Files(folder)
    taken = run_commands(files, rows)
    steps = training_steps(files)
    engines, difference = measure_engines(rows, files, options.rounds) if rows <= options.most_by_others else ({}, None)
    counted = files.count()
    size = Size(*counted, files.ordered.stat().st_size, taken, steps, engines, difference)
    shutil.rmtree(folder)
    return size


if __name__ == "__main__":
    main()
