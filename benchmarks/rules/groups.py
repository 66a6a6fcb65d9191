"""What values over linked entities cost: households of four, and one device that everybody used."""

import argparse
import json
import time
from datetime import date
from typing import Any

import polars as pl

from fivefold.domain.clock import parse_moment
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.groups.links import Links
from fivefold.risk.facts.portfolio import Portfolio

NOW = parse_moment("2024-06-30", "now")
HOUSEHOLD = 4
PAYMENTS = 5
WINDOW = {"sum": "amount", "over": "30 days"}
GROUPS: dict[str, dict[str, Any]] = {
    "own payments, no group": WINDOW,
    "a field of the household": {"linked": {"by": "household", "itself": True, "sum": {"field": "income"}}},
    "payments of the household": {"linked": {"by": "household", "itself": True, "sum": WINDOW}},
    "a field of who used the device": {"linked": {"by": "device", "itself": True, "sum": {"field": "income"}}},
}


def ruleset(rule_input: dict[str, Any]) -> AnalysedRuleset:
    """Make a ruleset of one rule."""
    cases = [{"when": {"at_least": 1}, "points": 10}]
    content = {
        "ruleset": "groups",
        "entity_type": "customer",
        "fields": {"income": "number"},
        "links": {"household": {"kind": "shared"}, "device": {"kind": "shared"}},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [10, 20]}},
        "max_recompute_interval": "1 year",
        "rules": [{"id": "one", "title": "One", "category": "other", "input": rule_input, "cases": cases}],
    }
    return analyse_text(json.dumps(content))


def portfolio(count: int) -> Portfolio:
    """Make customers in households of four, all of whom used one device."""
    names = [f"c{number}" for number in range(count)]
    everyone = pl.DataFrame({"entity_id": names, "income": pl.Series(range(count), dtype=pl.Float64)})
    payments = pl.DataFrame({"entity_id": names * PAYMENTS}).with_columns(
        transaction_amount=pl.lit(10.0), transaction_currency=pl.lit("EUR"), transaction_date=pl.lit("2024-06-20")
    )
    homes = [f"H{number // HOUSEHOLD}" for number in range(count)]
    kinds = ["household"] * count + ["device"] * count
    links = pl.DataFrame({"type": kinds, "from": names * 2, "to": [*homes, *["D"] * count]})
    return Portfolio(everyone, base_only("EUR", date(2024, 6, 30)), payments, links=Links(links), everyone=everyone)


def main() -> None:
    """Time one assessment of all by each input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    count = parser.parse_args().customers
    for name, rule_input in GROUPS.items():
        analysed, there = ruleset(rule_input), portfolio(count)
        begin = time.process_time()
        assessments = assess(analysed, there, NOW)
        seconds = time.process_time() - begin
        unknown = assessments.inputs[assessments.inputs.columns[2]].null_count()
        print(f"{name}: {seconds:.2f} s of the processor for {count:,} customers, {unknown:,} unknown")


if __name__ == "__main__":
    main()
