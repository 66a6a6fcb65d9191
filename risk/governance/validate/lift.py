"""Rules against labels: where confirmed entities are more frequent, and what each rule adds to the ranking."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from fivefold.features.histories import Floats, Integers
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.explain.describe import condition_words
from fivefold.risk.engine.outcome_codes import points_column, slot_column
from fivefold.risk.engine.program import TOTAL
from fivefold.risk.engine.rules import CompiledRule
from fivefold.risk.engine.totals import WEIGHTS_USED
from fivefold.risk.governance.backtest.hits import slot_name
from fivefold.risk.governance.validate.ranking import Marks, Numbers, Paired, RankingInterval, compare_all, share

CURVE_POINTS = 200


@dataclass(frozen=True)
class Lift:
    """How confirmed the entities are that got one outcome of a rule.

    Attributes:
        rule: its id.
        case: the number of the case, from 1; otherwise, unknown, failed; or any case of the rule.
        asked: what the case asks, in words.
        entities: how many got it.
        confirmed: how many of them are confirmed.
        lift: the share of them that is confirmed over the share of all; None where nobody got it.
        of_confirmed: the share of all confirmed that got it.
    """

    rule: str
    case: int | str
    asked: str
    entities: int
    confirmed: int
    lift: RankingInterval | None
    of_confirmed: float


@dataclass(frozen=True)
class Addition:
    """What a rule adds: Gini of the total, less Gini of the total without the rule, in the same resamples."""

    rule: str
    paired: Paired


def lifts(assessments: Assessments, included: Marks, confirmed: Marks) -> tuple[Lift, ...]:
    """Measure every rule (any of its cases), then each outcome that came; *included* and *confirmed* are n marks."""
    measured = []
    for rule in assessments.program.rules:
        slots = assessments.outcomes.select(slot_column(pl.col(rule.column))).to_series().to_numpy()
        measured.append(_lift(rule, "any case", "", slots < rule.otherwise, included, confirmed))
        for slot in range(rule.failed + 1):
            condition = (
                ""
                if slot >= rule.otherwise
                else rule.rule.cases[slot].title or condition_words(rule.rule.cases[slot].when)
            )
            if (included & (slots == slot)).any() or slot < rule.otherwise:
                measured.append(_lift(rule, slot_name(rule, slot), condition, slots == slot, included, confirmed))
    return tuple(measured)


def _lift(rule: CompiledRule, case: int | str, condition: str, got: Marks, included: Marks, confirmed: Marks) -> Lift:
    got, marked = got & included, confirmed & included
    entities, hits, everyone = int(got.sum()), int((got & marked).sum()), int(marked.sum())
    rate, prevalence = share(hits, entities), everyone / max(1, int(included.sum()))
    lift = None
    if rate is not None and prevalence:
        lift = RankingInterval(rate.estimate / prevalence, rate.low / prevalence, rate.high / prevalence)
    return Lift(rule.rule.id, case, condition, entities, hits, lift, hits / everyone if everyone else 0.0)


def additions(
    assessments: Assessments, included: Marks, confirmed: Marks, seed: int, resamples: int
) -> tuple[Addition, ...]:
    """Take each rule away alone and compare; n marks, of which *included* are looked at."""
    total = assessments.outcomes[TOTAL].to_numpy()[included]
    others: list[Numbers] = [total - _share_of(assessments, rule)[included] for rule in assessments.program.rules]
    compared = compare_all(total, others, confirmed[included], seed, resamples)
    return tuple(
        Addition(rule.rule.id, paired) for rule, paired in zip(assessments.program.rules, compared, strict=True)
    )


def _share_of(assessments: Assessments, rule: CompiledRule) -> Integers:
    """Give what a rule added to the total, in the total's units."""
    points: Integers = assessments.outcomes.select(points_column(pl.col(rule.column))).to_series().to_numpy()
    if not assessments.program.total.weights:
        return points
    weights = np.array([*(column.get(rule.rule.id, 0) for column in assessments.program.total.weights), 0])
    used = assessments.outcomes[WEIGHTS_USED].fill_null(len(weights) - 1).to_numpy()
    weighted: Integers = points * weights[used]
    return weighted


def capture_curve(score: Numbers, confirmed: Marks) -> list[tuple[float, float]]:
    """Follow the share of entities ranked first and the share of the confirmed among them; ties come together.

    >>> capture_curve(np.array([1, 2, 2]), np.array([False, True, False]))
    [(0.0, 0.0), (0.6666666666666666, 1.0), (1.0, 1.0)]
    """
    _, place = np.unique(-score, return_inverse=True)
    everyone: Floats = np.cumsum(np.bincount(place)) / len(score)
    hits: Floats = np.cumsum(np.bincount(place, weights=confirmed)) / max(1, int(confirmed.sum()))
    places = np.unique(np.linspace(0, len(hits) - 1, min(CURVE_POINTS, len(hits))).round().astype(np.int64))
    return [(0.0, 0.0), *((float(everyone[at]), float(hits[at])) for at in places)]
