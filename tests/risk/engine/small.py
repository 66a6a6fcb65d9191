"""Small rulesets and portfolios, written by hand."""

import json
from datetime import date
from typing import Any

import polars as pl

from fivefold.domain.clock import parse_moment
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.facts.reading import entities_from_rows
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset

Data = dict[str, Any]
DAY = parse_moment("2024-07-01")
FIELDS: Data = {
    "kind": {"one_of": ["person", "company"]},
    "income": "number",
    "opened_on": "date",
    "country": "country",
    "flag": "flag",
    "products": ["text"],
    **{f"n{number}": "number" for number in range(4)},
}


def ruleset(*rules: Data, **parts: Any) -> Ruleset:
    """Write a ruleset of points with thresholds 31 and 61, where *parts* says nothing else."""
    whole = {
        "ruleset": "small",
        "entity_type": "customer",
        "fields": FIELDS,
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [31, 61]}},
        "max_recompute_interval": "180 days",
        "rules": rules,
        **parts,
    }
    return read_ruleset(json.dumps(whole, default=float))


def rule(name: str, *cases: Data, **parts: Any) -> Data:
    title = name.replace("-", " ").capitalize()
    return {"id": name, "title": title, "category": "other", "cases": list(cases), **parts}


def case(when: Any, points: Any = None, floor: Any = None) -> Data:
    """Write a case; without points or floor where they are not given."""
    return {"when": when} | {word: value for word, value in (("points", points), ("floor", floor)) if value is not None}


def exactly(number: int, **parts: Any) -> Data:
    """Write a rule that gives as many points as its field n0 to n3 says, of a few."""
    worth = (-50, -1, 0, 1, 20, 30, "30.99", 31, "60.99", 61, 1000)
    cases = [case({"field": f"n{number}", "equals": float(one)}, float(one)) for one in worth]
    return rule(f"n{number}", *cases, **parts)


def portfolio(rows: list[Data], base: str = "EUR", **parts: Any) -> Portfolio:
    named = [{"entity_id": f"e{number}", **row} for number, row in enumerate(rows)]
    return Portfolio(entities_from_rows(named, ruleset(exactly(0)).fields), base_only(base, date(2024, 7, 1)), **parts)


def assessed(made: Ruleset, *rows: Data, previous: Any = None, overrides: Any = None, **parts: Any) -> Assessments:
    """Assess rows as of 2024-07-01; *previous* is one level number for all, entered long ago."""
    held = None
    if previous is not None:
        held = pl.DataFrame(
            [{"entity_id": f"e{number}", "level": previous, "entered": 0} for number in range(len(rows))]
        )
    return assess(AnalysedRuleset(made), portfolio(list(rows), **parts), DAY, held, overrides)
