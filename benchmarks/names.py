"""A name against a list of 10,000, by each measure of likeness: beside rapidfuzz asked of every member; write the page.

python -m benchmarks.names --write docs/benchmarks-names.md
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import product
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
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of a batch")
    parser.add_argument("--write", type=Path, help="the page to write")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    random = Random(1)
    members, names = ([_name(random) for _ in range(count)] for count in (MEMBERS, NAMES))
    with ThreadPoolExecutor(options.threads) as pool:
        lines = [_measure(members, names, how, options.rounds, pool) for how in product(SCORERS, (80, 90))]
    text = _page(lines, options.rounds, options.threads, (load, os.getloadavg()[0]))
    sys.stdout.write(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def _name(random: Random) -> str:
    """Make up a name of two to four words."""
    words = ("".join(random.choices(SYLLABLES, k=random.randint(1, 4))) for _ in range(random.choice((2, 2, 2, 3, 4))))
    return " ".join(words).title()


def _measure(members: list[str], names: list[str], how: tuple[str, int], rounds: int, pool: Executor) -> str:
    """Give a line of the table: of each way, milliseconds a name, of the medians."""
    measure, at_least = how
    scorer = SCORERS[measure]
    texts = [text for text in map(folded, members) if text]
    least = (at_least - PREFILTER) * scorer.whole / 100

    def everyone() -> list[bool]:
        answers = []
        for name in names:
            best = process.extractOne(folded(name), texts, scorer=scorer.similarity, score_cutoff=least)
            answers.append(best is not None and best[1] >= (at_least - 1e-6) * scorer.whole / 100)
        return answers

    began = time.process_time()
    targets = Targets(members, measure)
    targets.has_near("anna", at_least)
    built = time.process_time() - began

    def one_by_one() -> list[bool]:
        return [targets.has_near(name, at_least) for name in names]

    def together() -> list[bool]:
        return targets.have_near(names, at_least, pool)

    matches = everyone()
    assert matches == one_by_one() == together()
    durations: dict[Callable[[], list[bool]], list[tuple[float, float]]] = {everyone: [], one_by_one: [], together: []}
    for _ in range(rounds):
        for job, times in durations.items():
            began, busy = time.perf_counter(), time.process_time()
            job()
            times.append((time.perf_counter() - began, time.process_time() - busy))
    peer, one, all_ = (
        [statistics.median(each) / len(names) * 1e3 for each in zip(*times, strict=True)]
        for times in durations.values()
    )
    passed_and_busy = [f"{value:.3f}" for value in (one[1], all_[1], one[0], all_[0])]
    verdict = "met" if all_[1] <= AIM_MS else "**missed**"
    cells = (
        measure,
        at_least,
        sum(matches),
        *passed_and_busy,
        f"{peer[1]:.3f}",
        f"{peer[1] / all_[1]:.1f}",
        round(built * 1e3),
        verdict,
    )
    return f"| {' | '.join(map(str, cells))} |"


def _page(lines: list[str], rounds: int, threads: int, load: tuple[float, float]) -> str:
    command = "python -m benchmarks.names " + " ".join(sys.argv[1:])
    table = "\n".join(lines)
    return f"""# Names against a list, measured

`{command.strip()}`, {datetime.now(UTC):%Y-%m-%d}: {rounds} rounds in turn, medians;
2 processors shared with other work, load {load[0]:.1f} before and {load[1]:.1f} after; rapidfuzz
{rapidfuzz.__version__}. Trust the ratios.

{NAMES} names of two to four words, each against a list of {MEMBERS:,}, as `fuzzy: {{list: …}}` compares them, by the
measure and from the cut-off of the first columns; folding of the name included: one by one, and as a batch in {threads}
threads. The peer is rapidfuzz's `extractOne`, with the same cut-off, over all members, one by one. All give the same
answer for every name; that is checked first. The aim is {AIM_MS} ms a name of processor time, all threads together.

| measure | at least | found | one by one: processor ms | batch | one by one: passed ms | batch | \
rapidfuzz alone: processor ms | times as quick | ms to prepare the list | aim |
|---|---|---|---|---|---|---|---|---|---|---|
{table}

How like two texts are at most follows from the letters, pairs of letters and words that they share. The letters are
counted for the whole list at once, in arrays of bytes; rapidfuzz is asked of those members alone that may reach the
cut-off, first of the {FEW} that may be the likest: one that is near is enough. So a name that is near none costs the
most, and a measure that asks for little (`partial` from 80 on looks for any part of a name that is a little like the
shorter one) leaves the more members the fewer names are found.

The names of a batch are shared out among as many threads as Polars has: one for each processor, or as many as
`POLARS_MAX_THREADS` says. Threads run beside each other while arrays are added and while rapidfuzz compares more than
{FEW} members; the rest is Python's, one thread at a time. Neither the answers nor their order depend on the threads.
On a machine whose processors are busy with other work a batch gains little: more threads find no more processors.
"""


if __name__ == "__main__":
    main()
