"""`transaction-monitoring` judged on payments: nothing is tuned, labels are read for the figure alone.

`python -m benchmarks.rulesets.monitoring --data <folder of data sets>` prints the table of docs/results-rules.md for
AMLGentex; `--set` names another data set.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import polars as pl

from benchmarks.rulesets.monitoring_data import SETS, Payments
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.program import TOTAL
from fivefold.risk.facts.peers.reference import made_reference
from fivefold.risk.facts.portfolio import ListVersion, NamedList
from fivefold.risk.governance.validate.ranking import ConfidenceInterval, rank
from fivefold.usecases.portfolio_files.bundled import bundled_ruleset
from fivefold.usecases.portfolio_files.reference import peer_numbers, peers_wanted


def main() -> None:
    """Judge the ruleset on one data set and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the data sets")
    parser.add_argument("--set", choices=tuple(SETS), default="amlgentex", help="the data set to judge it on")
    arguments = parser.parse_args()
    print(judged(SETS[arguments.set](arguments.data)))


def judged(payments: Payments) -> str:
    """Give the table: the whole ruleset, and each rule's own number, as they rank everyone; and the levels."""
    ruleset = AnalysedRuleset(bundled_ruleset("transaction-monitoring"))
    assessments = assessed(ruleset, payments)
    lines = ["| score | Gini |", "| --- | --- |"]
    lines.append(
        f"| **the ruleset** | {_words(rank(assessments.outcomes[TOTAL].to_numpy(), payments.confirmed).gini)} |"
    )
    keys = zip(ruleset.ruleset.rules, assessments.program.inputs, strict=True)
    for rule, key in keys:
        places = assessments.inputs[key].fill_null(0).to_numpy()
        lines.append(f"| `{rule.id}` alone | {_words(rank(places, payments.confirmed).gini)} |")
    shares = assessments.outcomes.group_by("level").len().sort("level")
    named = shares.with_columns(share=pl.col("len") / len(assessments) * 100)
    rows = [f"{ruleset.ruleset.levels[level - 1]} {share:.1f} %" for level, _, share in named.iter_rows()]
    return "\n".join([*lines, "", f"Levels: {', '.join(rows)}"])


def assessed(ruleset: AnalysedRuleset, payments: Payments) -> Assessments:
    """Assess everyone among the peers of the data set itself; nothing of it reads a label."""
    wanted, portfolio = peers_wanted(ruleset), payments.portfolio
    numbers = peer_numbers(ruleset, wanted, portfolio, payments.as_of)
    reference = made_reference(wanted, numbers, payments.as_of, portfolio.rates.base)
    name = str(ruleset.definition.reference)
    versions = (ListVersion(since=payments.as_of, members=reference.lines()),)
    peers = NamedList(name=name, title="Peers", source=payments.source, versions=versions)
    return assess(ruleset, replace(portfolio, lists={name: peers}), payments.as_of)


def _words(gini: ConfidenceInterval) -> str:
    return f"{gini.estimate:.3f} ({gini.low:.3f} to {gini.high:.3f})"


if __name__ == "__main__":
    main()
