"""Points from log-odds: a ruleset's shape is kept, its points and thresholds are learnt on the tuning half alone.

The procedure is fixed: every rule keeps its input, its cases and their order. Which case each entity gets is read from
the engine's own assessments. A logistic regression with a ridge penalty learns what each case adds to the next weaker
one, which may not go against the rule's direction (that of its first case's points); how strong the penalty is, is
chosen by cross-validation inside the tuning half. Twenty points double the odds, rounded to whole points. Source of
the form: Siddiqi, "Credit Risk Scorecards" (2006); of bounded steps: Tutz and Leitenstorfer, "Generalized smooth
monotonic regression" (2007).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from scipy import optimize

from fivefold.features.histories import Floats
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.outcome_codes import slot_column
from fivefold.risk.engine.outcomes import assess_inputs
from fivefold.risk.engine.program import TOTAL, compile_ruleset
from fivefold.risk.engine.rules import CompiledRule
from fivefold.risk.governance.validate.ranking import Marks
from fivefold.risk.language.base import canonical_form
from fivefold.risk.language.quantities import POINT_UNITS
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Case, Outcome, PointsScore, Rule, Ruleset

DOUBLES_ODDS = 20
"""So many points double the odds of being confirmed."""

PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Strengths of the ridge, per entity. Of those whose cross-validated loss is within one standard error of the least,
the strongest is taken: Breiman and others, "Classification and Regression Trees" (1984), section 3.4.3."""

FOLDS = 5
LOW, MEDIUM, HIGH = 0.65, 0.225, 0.09
"""Shares of the portfolio in the lower levels: the middles of what the governance guide asks, in four levels."""


@dataclass(frozen=True)
class _Step:
    """What one column of the design adds, and between which bounds.

    Attributes:
        rule: its id.
        slots: the outcomes that it is for.
        sign: 1 or -1 for the rule's direction; 0 where it may go either way.
    """

    rule: str
    slots: tuple[int, ...]
    sign: int


def tune(found: Assessments, held: Marks, confirmed: Marks, seed: int) -> Ruleset:
    """Learn points and thresholds.

    Args:
        found: the assessments of n entities by the ruleset whose shape is kept; its points are read for their signs.
        held: n marks: who may be learnt from.
        confirmed: n marks; only those of the held are read.
        seed: of the folds.

    Returns:
        The ruleset with new points and thresholds; everything else is as before.
    """
    rules, marks = found.program.rules, confirmed[held]
    steps = [step for rule in rules for step in _steps(rule)]
    design = np.column_stack([_column(found, step)[held] for step in steps])
    weights = _fitted(design, marks, [step.sign for step in steps], seed)
    points = {step: weight * DOUBLES_ODDS / np.log(2) for step, weight in zip(steps, weights, strict=True)}
    made = _with_points(found.program.ruleset, rules, points)
    return _with_thresholds(made, found, held)


def without(ruleset: Ruleset, rules: Sequence[str]) -> Ruleset:
    """Take rules out; the points of the others stay until they are tuned again."""
    return _changed(ruleset, rules=tuple(rule for rule in ruleset.rules if rule.id not in rules))


def only(ruleset: Ruleset, rules: Sequence[str]) -> Ruleset:
    """Keep some rules alone."""
    return without(ruleset, [rule.id for rule in ruleset.rules if rule.id not in rules])


def _steps(rule: CompiledRule) -> Iterator[_Step]:
    """Give a step for each case, the weakest first (it is part of all stronger ones), and one for unknown."""
    sign = 1 if (rule.rule.cases[0].points or 0) >= 0 else -1
    for last in reversed(range(rule.otherwise)):
        yield _Step(rule.rule.id, tuple(range(last + 1)), sign)
    if rule.rule.on_unknown is not None:
        yield _Step(rule.rule.id, (rule.unknown,), 0)


def _column(found: Assessments, step: _Step) -> Floats:
    column = next(rule.column for rule in found.program.rules if rule.rule.id == step.rule)
    slots = found.outcomes.select(slot_column(pl.col(column))).to_series()
    return slots.is_in(step.slots).cast(pl.Float64).to_numpy()


def _fitted(design: Floats, confirmed: Marks, signs: Sequence[int], seed: int) -> Floats:
    """Choose the penalty by cross-validation, then learn from everyone held."""
    fold = np.random.default_rng(seed).permutation(len(design)) % FOLDS
    losses = np.array(
        [
            [_left_out(design, confirmed, signs, penalty, fold == number) for number in range(FOLDS)]
            for penalty in PENALTIES
        ]
    )
    means, errors = losses.mean(axis=1), losses.std(axis=1, ddof=1) / FOLDS**0.5
    best = int(means.argmin())
    chosen = max(penalty for penalty, mean in zip(PENALTIES, means, strict=True) if mean <= means[best] + errors[best])
    return _learnt(design, confirmed, signs, chosen)[1:]


def _left_out(design: Floats, confirmed: Marks, signs: Sequence[int], penalty: float, fold: Marks) -> float:
    """Give the loss on a fold of what was learnt on the others."""
    learnt = _learnt(design[~fold], confirmed[~fold], signs, penalty)
    return _loss(learnt, design[fold], confirmed[fold], 0.0)[0]


def _learnt(design: Floats, confirmed: Marks, signs: Sequence[int], penalty: float) -> Floats:
    """Minimise the penalised loss: the intercept first, then a weight for each column."""
    bounds = [(None, None), *({1: (0, None), -1: (None, 0), 0: (None, None)}[sign] for sign in signs)]
    start = np.zeros(len(bounds))
    found = optimize.minimize(
        _loss, start, args=(design, confirmed, penalty), jac=True, bounds=bounds, method="L-BFGS-B"
    )
    weights: Floats = found.x
    return weights


def _loss(weights: Floats, design: Floats, confirmed: Marks, penalty: float) -> tuple[float, Floats]:
    """Mean logistic loss with its gradient; the intercept is not penalised."""
    margin = weights[0] + design @ weights[1:]
    loss = np.logaddexp(0, np.where(confirmed, -margin, margin)).mean() + penalty / 2 * (weights[1:] ** 2).sum()
    slope = (1 / (1 + np.exp(-margin)) - confirmed) / len(design)
    return float(loss), np.concatenate([[slope.sum()], design.T @ slope + penalty * weights[1:]])


def _with_points(ruleset: Ruleset, rules: Sequence[CompiledRule], points: dict[_Step, float]) -> Ruleset:
    def given(rule: CompiledRule, slot: int) -> Decimal:
        return Decimal(round(sum(value for step, value in points.items() if _is_for(step, rule, slot))))

    made: list[Rule] = []
    for rule in rules:
        cases: list[Case] = [
            case.model_copy(update={"points": given(rule, slot)}) for slot, case in enumerate(rule.rule.cases)
        ]
        unknown = None if rule.rule.on_unknown is None else Outcome(points=given(rule, rule.unknown))
        made.append(rule.rule.model_copy(update={"cases": tuple(cases), "on_unknown": unknown}))
    return _changed(ruleset, rules=tuple(made))


def _changed(ruleset: Ruleset, **parts: Any) -> Ruleset:
    """Change parts of a ruleset; read again, as a copy would keep the canonical form of what it was copied from."""
    return read_ruleset(canonical_form(ruleset.model_copy(update=parts)))


def _is_for(step: _Step, rule: CompiledRule, slot: int) -> bool:
    return step.rule == rule.rule.id and slot in step.slots


def _with_thresholds(ruleset: Ruleset, found: Assessments, held: Marks) -> Ruleset:
    """Cut the totals of those held so that the shares of levels are near the guide's middles."""
    program = compile_ruleset(AnalysedRuleset(ruleset), {}, found.base)
    total = assess_inputs(program, found.inputs)[TOTAL].to_numpy()[held] / POINT_UNITS
    cuts: list[Decimal] = []
    for above in (1 - LOW, 1 - LOW - MEDIUM, 1 - LOW - MEDIUM - HIGH):
        lowest = int(cuts[-1] if cuts else total.min()) + 1
        candidates = np.arange(lowest, max(lowest, int(total.max()) + 1) + 1)
        shares = np.array([(total >= cut).mean() for cut in candidates])
        cuts.append(Decimal(int(candidates[np.abs(shares - above).argmin()])))
    score: Any = ruleset.score
    assert isinstance(score, PointsScore)
    new = score.model_copy(update={"points": score.points.model_copy(update={"thresholds": tuple(cuts)})})
    return _changed(ruleset, score=new)


_POINTS = re.compile(r"\bpoints: -?\d+")
_THRESHOLDS = re.compile(r"thresholds: \[[^]]*\]")


def written(text: str, tuned: Ruleset) -> str:
    """Put tuned points and thresholds into the text of the ruleset whose shape they have; its comments stay.

    Raises:
        ValueError: the text is not of that ruleset.
    """
    points = iter(
        [str(outcome.points) for rule in tuned.rules for outcome in (*rule.cases, rule.on_unknown) if outcome]
    )
    score: Any = tuned.score
    made = _POINTS.sub(lambda _: f"points: {next(points)}", text)
    made = _THRESHOLDS.sub(f"thresholds: [{', '.join(map(str, score.points.thresholds))}]", made)
    if read_ruleset(made).canonical != tuned.canonical:
        raise ValueError(f"the text is not that of the tuned ruleset {tuned.name}")
    return made
