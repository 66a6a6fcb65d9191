"""`transaction-monitoring` judged on payments: nothing is tuned, labels are read for the figure alone.

`python -m benchmarks.rulesets.monitoring --data <folder of data sets>` prints the table of docs/results-rules.md.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import polars as pl

from benchmarks.rulesets.data import read_trial
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.program import TOTAL
from fivefold.risk.facts.portfolio import ListVersion, NamedList
from fivefold.risk.governance.validate.ranking import ConfidenceInterval, rank
from fivefold.usecases.portfolio_files.bundled import bundled_ruleset
from fivefold.usecases.portfolio_files.reference import peers_wanted, reference_of


def main() -> None:
    """Judge the ruleset on AMLGentex, with peers as of the middle of the year and levels as of its end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the data sets")
    print(judged(parser.parse_args().data))


def judged(data: Path) -> str:
    """Give the table: the whole ruleset, and each rule's own number, as they rank everyone."""
    trial, ruleset = read_trial("amlgentex", data), AnalysedRuleset(bundled_ruleset("transaction-monitoring"))
    before, after = int(trial.tuning_as_of[0]), int(trial.judging_as_of[0])
    reference, _ = reference_of(ruleset, peers_wanted(ruleset), trial.tuning, before)
    name = str(ruleset.definition.reference)
    versions = (ListVersion(since=before, members=reference.lines()),)
    peers = NamedList(name=name, title="Peers", source="AMLGentex", versions=versions)
    found = assess(ruleset, replace(trial.judging, lists={name: peers}), after)
    lines = ["| score | Gini |", "| --- | --- |"]
    lines.append(f"| **the ruleset** | {_words(rank(found.outcomes[TOTAL].to_numpy(), trial.confirmed).gini)} |")
    keys = zip(ruleset.ruleset.rules, found.program.inputs, strict=True)
    for rule, key in keys:
        places = found.inputs[key].fill_null(0).to_numpy()
        lines.append(f"| `{rule.id}` alone | {_words(rank(places, trial.confirmed).gini)} |")
    shares = found.outcomes.group_by("level").len().sort("level")
    named = shares.with_columns(share=pl.col("len") / len(found) * 100)
    rows = [f"{ruleset.ruleset.levels[level - 1]} {share:.1f} %" for level, _, share in named.iter_rows()]
    return "\n".join([*lines, "", f"Levels: {', '.join(rows)}"])


def _words(gini: ConfidenceInterval) -> str:
    return f"{gini.estimate:.3f} ({gini.low:.3f} to {gini.high:.3f})"


if __name__ == "__main__":
    main()
