"""A hundred million rows on one machine: what the commands take that hold no more than some customers at a time.

`python -m benchmarks.scale.largest --write PAGE`; the files need 15 GB of disk.
"""

import argparse
import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.scale.commands import AS_OF, Files, make_ordered, score, train
from benchmarks.scale.page import AIM_BYTES, commands_table
from benchmarks.scale.process import Taken
from fivefold.features.indicator_matrix import warm

TRAINED_ROWS = 1_000_000
"""Rows of the model that scores."""
_PAGE = """# A hundred million rows

`{command}`, {day}; {machine}.
Load average {before:.1f} before and {after:.1f} after; the commands alone make about 2.

Each command is a process of its own, from its start to its end: `simulate`, `sort` of the same rows by time as a bank
exports them, and `score` of every customer as of {as_of}, by a model of a million rows. Memory is that of all processes
of a command together, at most. Training at this size is not measured; [as data grow](scale.md) has what it takes of
fewer rows.

{commands}

Aim: at most 2 GB for each: {verdict}. The million rows are there to compare: where a command is linear, its rows a
second stay, once its start no longer counts.
"""


def main() -> None:
    """Measure, and write the page where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000, help="about so many")
    parser.add_argument("--folder", type=Path, help="where there is room for the files; that of the machine by default")
    parser.add_argument("--write", type=Path, help="file that the result page is written to")
    options = parser.parse_args()
    warm()  # compiles the kernel, so that no measured run does
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        sizes = _measured(Path(scratch), options.rows)
    is_met = all(each.peak_bytes <= AIM_BYTES for *_, taken in sizes for each in taken.values())
    text = _PAGE.format(
        command=f"python -m benchmarks.scale.largest --rows {options.rows:_} --write {options.write or 'PAGE'}",
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=f"{os.cpu_count()} shared processors, {platform.system()}, Python {platform.python_version()}",
        before=before,
        after=os.getloadavg()[0],
        as_of=AS_OF,
        commands=commands_table(sizes),
        verdict="met" if is_met else "**not met**",
    )
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def _measured(folder: Path, rows: int) -> list[tuple[int, int, dict[str, Taken]]]:
    """Measure at the rows that the model learns from, and at the largest number."""
    files, sizes = Files(folder), []
    for size in (TRAINED_ROWS, rows):
        taken = make_ordered(files, size)
        if size == TRAINED_ROWS:
            train(files)
        taken["score"] = score(files, "scores.parquet")
        sizes.append((*files.count(), taken))
    return sizes


if __name__ == "__main__":
    main()
