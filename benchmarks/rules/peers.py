"""One ruleset three times: as a ruleset, as Polars expressions written by hand, and as decision tables of GoRules."""

import json
from typing import Any

import numpy as np
import polars as pl

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.program import Program, compile_ruleset
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.language.expressions import FieldInput, input_key
from fivefold.risk.language.ruleset import Ruleset

RULES = 30
THRESHOLDS = (310, 610, 860)
LEVELS = ("low", "medium", "high", "critical")
CASES: tuple[tuple[float, float | None, int], ...] = ((90, None, 60), (70, None, 40), (50, 30, 20), (20, None, 10))
"""Of every rule: its own number is above the first; the next rule's number is below the second, where there is one;
points."""


def field(rule: int) -> str:
    """Name the field that a rule reads; counted around."""
    return f"x{rule % RULES}"


def ruleset() -> Ruleset:
    """Write the ruleset."""
    rules = [
        {
            "id": f"r{rule}",
            "title": f"Rule {rule}",
            "category": "other",
            "input": {"field": field(rule)},
            "cases": [_case(rule, *case) for case in CASES],
        }
        for rule in range(RULES)
    ]
    return Ruleset.model_validate(
        {
            "ruleset": "benchmark",
            "entity_type": "customer",
            "fields": {field(rule): "number" for rule in range(RULES)},
            "levels": LEVELS,
            "score": {"points": {"thresholds": THRESHOLDS}},
            "max_recompute_interval": "180 days",
            "rules": rules,
        }
    )


def _case(rule: int, above: float, below: float | None, points: int) -> dict[str, Any]:
    own = {"above": above}
    both = {"all": [own, {"field": field(rule + 1), "below": below}]}
    return {"when": own if below is None else both, "points": points}


def entities(count: int, seed: int = 1) -> pl.DataFrame:
    """Make entities whose numbers are uniform between 0 and 100, under the names of the fields."""
    random = np.random.default_rng(seed)
    return pl.DataFrame({field(rule): random.uniform(0, 100, count) for rule in range(RULES)})


def as_inputs(frame: pl.DataFrame) -> pl.DataFrame:
    """Give the same frame as the engine resolves it."""
    renamed = frame.rename({name: input_key(FieldInput(field=name)) for name in frame.columns})
    ids = pl.int_range(pl.len(), dtype=pl.Int64).cast(pl.String).alias(ENTITY)
    return renamed.with_columns(ids, pl.lit(0, pl.Int64).alias(AS_OF))


def compiled() -> Program:
    """Compile the ruleset."""
    return compile_ruleset(AnalysedRuleset(ruleset()), {}, "EUR")


def by_hand() -> tuple[list[pl.Expr], list[pl.Expr], pl.Expr]:
    """Write cases, points and total by hand, for these rules alone: null means otherwise."""
    cases, points = [], []
    for rule in range(RULES):
        case: Any = pl
        worths: Any = pl
        for number, (above, below, worth) in enumerate(CASES):
            holds = pl.col(field(rule)) > above
            if below is not None:
                holds &= pl.col(field(rule + 1)) < below
            case = case.when(holds).then(pl.lit(number, pl.Int8))
            worths = worths.when(pl.col(f"case{rule}") == number).then(pl.lit(worth, pl.Int64))
        cases.append(case.otherwise(pl.lit(len(CASES), pl.Int8)).alias(f"case{rule}"))
        points.append(worths.otherwise(pl.lit(0, pl.Int64)).alias(f"points{rule}"))
    total = pl.sum_horizontal([pl.col(f"points{rule}") for rule in range(RULES)]).alias("total")
    return cases, points, total


def decision_tables() -> str:
    """Write thirty decision tables, first hit wins, in GoRules' own format."""
    nodes: list[dict[str, Any]] = [_node("in", "inputNode", {}), _node("out", "outputNode", {})]
    nodes += [_node(f"t{rule}", "decisionTableNode", _table(rule)) for rule in range(RULES)]
    edges = [
        {"id": f"{source}-{target}", "sourceId": source, "targetId": target, "type": "edge"}
        for rule in range(RULES)
        for source, target in (("in", f"t{rule}"), (f"t{rule}", "out"))
    ]
    return json.dumps({"nodes": nodes, "edges": edges})


def _node(name: str, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "name": name, "type": kind, "position": {"x": 0, "y": 0}, "content": content}


def _table(rule: int) -> dict[str, Any]:
    def column(name: str, path: str) -> dict[str, str]:
        return {"id": name, "name": name, "field": path, "type": "expression"}

    rows = [
        {
            "_id": f"row{number}",
            "own": f"> {above}",
            "next": "" if below is None else f"< {below}",
            "case": str(number),
            "points": str(points),
        }
        for number, (above, below, points) in enumerate(CASES)
    ]
    rows.append({"_id": "otherwise", "own": "", "next": "", "case": str(len(CASES)), "points": "0"})
    return {
        "hitPolicy": "first",
        "inputs": [column("own", field(rule)), column("next", field(rule + 1))],
        "outputs": [column("case", f"case{rule}"), column("points", f"points{rule}")],
        "rules": rows,
    }
