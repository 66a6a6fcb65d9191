"""What a ruleset should have, and what in it has no effect."""

from collections.abc import Iterator
from typing import Any

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.diagnostics import Diagnostic, Severity
from fivefold.risk.compiler.structure import outcomes_with_paths
from fivefold.risk.facts.inputs import part_of
from fivefold.risk.language.documents.reader import Path
from fivefold.risk.language.durations import Duration
from fivefold.risk.language.ruleset import Rule
from fivefold.risk.language.scoring import WeightedScore

HALF_LIVES = 2
"""A decaying rule sees its facts for at least so many half-lives: points should fade before they vanish."""


def style_diagnostics(analysed: AnalysedRuleset) -> Iterator[Diagnostic]:
    """Find missing reasons and examples, and parts without effect."""
    ruleset = analysed.ruleset
    if ruleset.rationale is None:
        yield _warning(("ruleset",), "has no written rationale")
    if not ruleset.examples:
        yield _warning(("ruleset",), "has no examples, so nobody sees what it comes to")
    tables = {part_of(each) for each in analysed.simple_inputs}
    for number, table in enumerate(ruleset.optional_tables):
        if table not in tables:
            yield _warning(("optional_tables", number), f"names {table}, which no rule reads")
    for position, rule in enumerate(ruleset.rules):
        path: Path = ("rules", position)
        if rule.rationale is None:
            yield _warning(path, "has no written rationale")
        yield from _effects(path, rule)
        yield from _decay(path, rule)
    if isinstance(ruleset.score, WeightedScore):
        yield from _columns(ruleset.score)


def _effects(path: Path, rule: Rule) -> Iterator[Diagnostic]:
    outcomes = [outcome for _, outcome in outcomes_with_paths(rule)]
    if not any(outcome.points or outcome.floor is not None for outcome in outcomes):
        yield _warning(path, "gives neither points nor a floor in any case")
    if rule.otherwise.floor is not None:
        problem = "raises everyone for whom no case holds"
        yield _warning((*path, "otherwise", "floor"), problem if rule.on_unknown else f"{problem}, or it is unknown")
    if rule.overridable and not any(outcome.floor is not None for outcome in outcomes):
        yield _warning((*path, "overridable"), "says that its floor may be overridden, but it has none")


def _decay(path: Path, rule: Rule) -> Iterator[Diagnostic]:
    if rule.decay is None:
        return
    if not any(case.points for case in rule.cases):
        yield _warning((*path, "decay"), "has no effect: no case gives points")
    least_days = HALF_LIVES * rule.decay.half_life.days
    windows = (((*path, "input"), rule.input), ((*path, "decay", "signal"), rule.decay.signal))
    for at, rule_input in windows:
        over = _window(rule_input)
        if over is not None and over.days < least_days:
            problem = (
                f"looks back {over}, less than two half-lives of {rule.decay.half_life}: points would vanish, not fade"
            )
            yield _warning((*at, "over"), problem)


def _window(rule_input: Any) -> Duration | None:
    over = getattr(rule_input, "over", None) or getattr(rule_input, "active", None)
    return over if isinstance(over, Duration) else None


def _columns(score: WeightedScore) -> Iterator[Diagnostic]:
    weighted, path = score.weighted, ("score", "weighted")
    used = {choice.use for choice in weighted.weights_by}
    for column in weighted.weights:
        if column not in used:
            yield _warning((*path, "weights", column), "is never used: no choice of weights_by names it")
    for number, choice in enumerate(weighted.weights_by[:-1]):
        if choice.when is None:
            problem = "has no condition, so the choices after it are never reached"
            yield _warning((*path, "weights_by", number), problem)
    if all(choice.when is not None for choice in weighted.weights_by):
        problem = "has no choice without a condition: an entity for which none holds fails, visibly"
        yield Diagnostic((*path, "weights_by"), problem, Severity.NOTE)


def _warning(path: Path, problem: str) -> Diagnostic:
    return Diagnostic(path, problem, Severity.WARNING)
