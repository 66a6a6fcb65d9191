"""Small rulesets and portfolios that the tests of governance share."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset

AS_OF = to_microseconds(date(2024, 7, 1))
DAY = DAY_US

TEXT = """\
# Ours; remarks must survive.
ruleset: retail
entity_type: customer
fields: {kind: {one_of: [person, company]}, country: text, income: number}
applies_to: {field: kind, equals: person}
levels: [low, medium, high, critical]
score:
  points: {thresholds: [20, 40, 60]}   # a total of 20 is medium
max_recompute_interval: 180 days
cooldown: 30 days
rationale: Ours.
rules:
  - id: country
    title: Country
    category: geography
    rationale: Where.
    input: {field: country}
    cases:
      - {when: {equals: ZA}, points: 45, floor: high}
      - {when: {equals: ZW}, points: 25}
    on_unknown: {points: 10}
  - id: income
    title: Income
    category: customer features
    rationale: How much.
    input: {field: income}
    cases:
      - {when: {at_least: 1000}, points: 20}
      - {when: {at_least: 100}, points: 10.5}
    otherwise: {points: -5}
"""

TIERS = """
score:
  tiers:
    - {title: Low, min: -50, max: 19.99, level: low}
    - {title: Medium, min: 20, max: 39.99, level: medium}
    - {title: High, min: 40, max: 59.99, level: high}
    - {title: Critical, min: 60, max: 200, level: critical}
"""

WEIGHTED = """
score:
  weighted:
    bands: [31, 61, 86]
    weights: {all: {country: 40, income: 60}}
    weights_by: [{use: all}]
"""

SCORE = TEXT[TEXT.index("score:") : TEXT.index("max_recompute")]

TIERED_TEXT = TEXT.replace(SCORE, TIERS.lstrip())

WEIGHTED_TEXT = (
    TEXT.replace(SCORE, WEIGHTED.lstrip())
    .replace("    on_unknown: {points: 10}", "    otherwise: {points: 1}\n    on_unknown: {points: 10}")
    .replace("points: -5", "points: 5")
)


def ruleset(text: str = TEXT) -> Ruleset:
    return read_ruleset(text)


def analysed(text: str = TEXT) -> AnalysedRuleset:
    return AnalysedRuleset(ruleset(text))


def portfolio(rows: Sequence[Mapping[str, Any]], **parts: Any) -> Portfolio:
    """Entities; what a row does not say is a person of ZM with an income of 50."""
    made = [
        {"entity_id": f"e{number:04d}", "kind": "person", "country": "ZM", "income": "50", **row}
        for number, row in enumerate(rows)
    ]
    return Portfolio(pl.DataFrame(made, infer_schema_length=None), base_only("EUR", date(2024, 7, 1)), **parts)


def mixed(size: int) -> Portfolio:
    """Everything that can happen, in fixed shares: every level, other kinds, missing countries, unreadable incomes."""
    cases: list[dict[str, Any]] = [
        {},
        {"income": "150"},
        {"country": "ZW"},
        {"country": "ZW", "income": "2000"},
        {"country": "ZA", "income": "2000"},
        {"country": "ZA"},
        {"country": None},
        {"kind": "company"},
        {"income": "much"},
        {},
    ]
    return portfolio([cases[number % len(cases)] for number in range(size)])
