"""How long a ruleset takes to be read: its canonical form by both readers, its file by ours and by other parsers."""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from statistics import median
from typing import Any

import yaml

from fivefold.risk.language.documents import Document
from fivefold.risk.language.reading import read_ruleset, read_stored
from fivefold.risk.language.ruleset import Ruleset
from fivefold.usecases.portfolio_files.bundled import bundled_rulesets, bundled_text

Readers = Mapping[str, Callable[[str], Any]]
READERS: Readers = {"document": read_ruleset, "canonical": partial(read_stored, Ruleset)}


def parsers() -> Readers:
    """Give the reader of documents, PyYAML's parser in C, and ruamel.yaml (`pip install ruamel.yaml`) as its peers."""
    round_trip = import_module("ruamel.yaml").YAML
    return {
        "Document": Document,
        "yaml.CSafeLoader": lambda text: yaml.load(text, yaml.CSafeLoader),
        "ruamel.yaml": lambda text: round_trip(typ="rt").load(text),
    }


def figures(readers: Readers, text: str, rounds: int) -> str:
    """Time readers in turn on one text, and write the median of each."""
    times: dict[str, list[float]] = {reader: [] for reader in readers}
    for _ in range(rounds):
        for reader, read in readers.items():
            begin = time.process_time()
            read(text)
            times[reader].append(time.process_time() - begin)
    return ", ".join(f"{reader} {median(seconds) * 1e3:.2f} ms" for reader, seconds in times.items())


def main() -> None:
    """Time the readers on every ruleset that ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="readings by each")
    parser.add_argument("--parsers", action="store_true", help="the files, by our reader and by others")
    options = parser.parse_args()
    for name in bundled_rulesets():
        text = bundled_text(name) if options.parsers else read_ruleset(bundled_text(name), name).canonical
        readers = parsers() if options.parsers else READERS
        print(f"{name} ({len(text):,} characters): {figures(readers, text, options.rounds)}")


if __name__ == "__main__":
    main()
