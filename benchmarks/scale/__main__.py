"""Run the benchmark of scale: every size in turn, then the page.

`python -m benchmarks.scale --rows 1_000_000 10_000_000 100_000_000 --write docs/scale.md` simulates, puts in order,
trains and scores as a user does, each command in a process of its own, and computes the indicators by other engines
beside. A hundred million rows need 25 GB of disk. What was measured of a size can be kept, and is not measured again.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import msgspec

from benchmarks.scale.commands import Files, make_ordered, measure_engines, score_twice
from benchmarks.scale.page import Size, page
from benchmarks.scale.steps import train
from fivefold.features.indicator_matrix import warm
from fivefold.models.trees.many_rows import warm_many_rows


def main() -> None:
    """Measure each size, and write the page where it is asked for."""
    options = _options()
    warm()  # compiles the kernel and the loop over trees, so that no measured run does
    warm_many_rows()
    sizes = [_kept_size(rows, options) for rows in options.rows]
    rows = " ".join(f"{count:_}" for count in options.rows)
    text = page(f"python -m benchmarks.scale --rows {rows} --rounds {options.rounds} --write docs/scale.md", sizes)
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000], help="about so many, by size")
    parser.add_argument("--most-by-others", type=int, default=10_000_000, help="rows above which others are left out")
    parser.add_argument("--rounds", type=int, default=3, help="how often engines are measured, in turns")
    parser.add_argument("--folder", type=Path, help="where there is room for the files; that of the machine by default")
    parser.add_argument("--keep", type=Path, help="folder in which is kept what was measured of each size")
    parser.add_argument("--write", type=Path, help="file that the result page is written to")
    options = parser.parse_args()
    if len(options.rows) < 2:
        parser.error("--rows must name two sizes or more: the page says how memory grows from one to the next")
    if min(options.rows) > options.most_by_others:
        parser.error("--most-by-others must reach the least of --rows: the page compares one size with other engines")
    return options


def _kept_size(rows: int, options: argparse.Namespace) -> Size:
    """Give what is kept of a size, or measure it now."""
    path: Path | None = options.keep and options.keep / f"{rows}.json"
    if path is not None and path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Size)
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        size = _size(rows, Path(scratch) / str(rows), options)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(size))
    return size


def _size(rows: int, folder: Path, options: argparse.Namespace) -> Size:
    before = os.getloadavg()[0]
    folder.mkdir()
    files, others = Files(folder), rows <= options.most_by_others
    usage = make_ordered(files, rows)
    usage["train"], steps = train(files)
    usage |= score_twice(files, on_spark=others)
    engines, difference = measure_engines(rows, files, options.rounds) if others else ({}, None)
    load = (before, os.getloadavg()[0])
    size = Size(*files.count(), files.ordered.stat().st_size, load, usage, steps, engines, difference)
    shutil.rmtree(folder)
    return size


if __name__ == "__main__":
    main()
