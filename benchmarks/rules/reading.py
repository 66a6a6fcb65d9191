"""How long a stored ruleset takes to be read again: its canonical form as JSON, and as a document that people wrote."""

import argparse
import time
from collections.abc import Callable
from statistics import median

from fivefold.risk.language.reading import read_canonical_ruleset, read_ruleset
from fivefold.risk.language.ruleset import Ruleset
from fivefold.usecases.portfolio_files.bundled import bundled_rulesets, bundled_text

READERS: dict[str, Callable[[str], Ruleset]] = {"document": read_ruleset, "canonical": read_canonical_ruleset}


def main() -> None:
    """Time both readers in turn, and print the median of each for every ruleset that ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="readings by each")
    rounds = parser.parse_args().rounds
    for name in bundled_rulesets():
        canonical = read_ruleset(bundled_text(name), name).canonical
        times: dict[str, list[float]] = {reader: [] for reader in READERS}
        for _ in range(rounds):
            for reader, read in READERS.items():
                begin = time.process_time()
                read(canonical)
                times[reader].append(time.process_time() - begin)
        figures = ", ".join(f"{reader} {median(taken) * 1e3:.2f} ms" for reader, taken in times.items())
        print(f"{name} ({len(canonical):,} characters): {figures}")


if __name__ == "__main__":
    main()
