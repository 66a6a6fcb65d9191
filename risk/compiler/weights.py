"""Weighted scores: factors and columns that fit each other, so that every total is from 1 to 100."""

from collections.abc import Iterator

from fivefold.domain.suggestions import perhaps
from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.compiler.structure import outcomes_with_paths
from fivefold.risk.language.documents.reader import Path
from fivefold.risk.language.ruleset import Rule, Ruleset
from fivefold.risk.language.scoring import Weighted, WeightedScore

LEAST, MOST = 1, 100
"""What a factor scores, at least and at most."""

_WEIGHTS: Path = ("score", "weighted", "weights")


def weight_diagnostics(ruleset: Ruleset) -> Iterator[Diagnostic]:
    """Find factors without a score, columns without a factor, and choices without a column."""
    if not isinstance(ruleset.score, WeightedScore):
        return
    weighted = ruleset.score.weighted
    factors = dict.fromkeys(name for column in weighted.weights.values() for name in column)
    rules = {rule.id: number for number, rule in enumerate(ruleset.rules)}
    for column, weights in weighted.weights.items():
        for name in weights:
            if name not in rules:
                yield Diagnostic((*_WEIGHTS, column, name), f"there is no rule {name}{perhaps(name, rules)}")
        for name in factors:
            if name not in weights:
                yield Diagnostic(
                    (*_WEIGHTS, column), f"lacks the factor {name}, which other columns have; its weight may be 0"
                )
    yield from _choices(weighted)
    for position, rule in enumerate(ruleset.rules):
        yield from _factor(("rules", position), rule) if rule.id in factors else _other(("rules", position), rule)


def _choices(weighted: Weighted) -> Iterator[Diagnostic]:
    for number, choice in enumerate(weighted.weights_by):
        if choice.use not in weighted.weights:
            columns = ", ".join(weighted.weights)
            yield Diagnostic(
                ("score", "weighted", "weights_by", number, "use"),
                f"there is no column {choice.use}; there are {columns}",
            )


def _factor(path: Path, rule: Rule) -> Iterator[Diagnostic]:
    for at, outcome in outcomes_with_paths(rule):
        if outcome.points is None:
            missing = "needs an otherwise with points" if at == ("otherwise",) else "gives no points"
            yield Diagnostic((*path, *at), f"is a factor of a weighted score and {missing}, {LEAST} to {MOST}")
        elif not LEAST <= outcome.points <= MOST:
            yield Diagnostic((*path, *at, "points"), f"is {outcome.points}; a factor scores {LEAST} to {MOST}")


def _other(path: Path, rule: Rule) -> Iterator[Diagnostic]:
    for at, outcome in outcomes_with_paths(rule):
        if outcome.points:
            without = "has no weight in any column, so its points would count for nothing"
            yield Diagnostic((*path, *at, "points"), f"{without}; give it a weight, or a floor alone")
