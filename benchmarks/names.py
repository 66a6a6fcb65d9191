"""A name against a list of 10,000, by each measure of likeness: beside rapidfuzz asked of every member; write the page.

python -m benchmarks.names --write docs/benchmarks-names.md
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import rapidfuzz
from rapidfuzz import process

from fivefold.risk.compiler.likeness import FEW, PREFILTER, SCORERS, Targets, folded

MEMBERS, NAMES = 10_000, 200
AIM_MS = 0.2
_TEXT = """
an ma ri ka ro lin ber gen ov ski son de la cruz mo ham med ali yu ki zen fer nan dez smi th wal esa le ch ol
ga pe ter iv nik jo han cla ra el sa wil hel to mas pa vel dra gan fa ti
"""
SYLLABLES = _TEXT.split()


def main() -> None:
    """Take turns, compare the answers, print the page, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each")
    parser.add_argument("--write", type=Path, help="the page to write")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    random = Random(1)
    members, names = ([_name(random) for _ in range(count)] for count in (MEMBERS, NAMES))
    lines = [_measure(members, names, scorer, cut, options.rounds) for scorer in SCORERS for cut in (80, 90)]
    text = _page(lines, options.rounds, (load, os.getloadavg()[0]))
    sys.stdout.write(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def _name(random: Random) -> str:
    """Make up a name of two to four words."""
    words = ("".join(random.choices(SYLLABLES, k=random.randint(1, 4))) for _ in range(random.choice((2, 2, 2, 3, 4))))
    return " ".join(words).title()


def _measure(members: list[str], names: list[str], scorer: str, at_least: int, rounds: int) -> str:
    """Give a line of the table: milliseconds of processor time a name, of the medians."""
    texts = [text for text in map(folded, members) if text]
    how = SCORERS[scorer]
    least = (at_least - PREFILTER) * how.whole / 100

    def everyone() -> list[bool]:
        answers = []
        for name in names:
            best = process.extractOne(folded(name), texts, scorer=how.similarity, score_cutoff=least)
            answers.append(best is not None and best[1] >= (at_least - 1e-6) * how.whole / 100)
        return answers

    began = time.process_time()
    targets = Targets(members, scorer)
    targets.has_near("anna", at_least)
    built = time.process_time() - began

    def product() -> list[bool]:
        return [targets.has_near(name, at_least) for name in names]

    assert everyone() == product()
    taken: dict[Callable[[], list[bool]], list[float]] = {everyone: [], product: []}
    for _ in range(rounds):
        for job, seconds in taken.items():
            began = time.process_time()
            job()
            seconds.append((time.process_time() - began) / len(names) * 1e3)
    own, peer = statistics.median(taken[product]), statistics.median(taken[everyone])
    verdict = "met" if own <= AIM_MS else "**missed**"
    cells = (
        scorer,
        at_least,
        sum(product()),
        f"{own:.3f}",
        f"{peer:.3f}",
        f"{peer / own:.1f}",
        round(built * 1e3),
        verdict,
    )
    return f"| {' | '.join(map(str, cells))} |"


def _page(lines: list[str], rounds: int, load: tuple[float, float]) -> str:
    command = "python -m benchmarks.names " + " ".join(sys.argv[1:])
    table = "\n".join(lines)
    return f"""# Names against a list, measured

`{command.strip()}`, {datetime.now(UTC):%Y-%m-%d}: {rounds} rounds in turn, medians of processor time;
2 processors shared with other work, load {load[0]:.1f} before and {load[1]:.1f} after; rapidfuzz
{rapidfuzz.__version__}. Trust the ratios.

{NAMES} names of two to four words, each against a list of {MEMBERS:,}, as `fuzzy: {{list: …}}` compares them, by the
measure and from the cut-off of the first columns; folding of the name included. The peer is rapidfuzz's `extractOne`,
with the same cut-off, over all members. Both give the same answer for every name; that is checked first.
The aim is {AIM_MS} ms a name.

| measure | at least | found | ms a name | rapidfuzz alone, ms | times as quick | ms to prepare the list | aim |
|---|---|---|---|---|---|---|---|
{table}

How like two texts are at most follows from the letters, pairs of letters and words that they share. This is computed
for the whole list at once, in arrays; rapidfuzz is asked of those members alone that may reach the cut-off, first of
the {FEW} that may be the likest: one that is near is enough. So a name that is near none costs the most, and a measure
that asks for little (`partial` from 80 on looks for any part of a name that is a little like the shorter one) leaves
the more members the fewer names are found. It is one process on one processor; a batch gains nothing by others here.
"""


if __name__ == "__main__":
    main()
