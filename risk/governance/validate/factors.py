"""Measures the factors of a ruleset: the lift of every rule and case, what each rule adds, and drift.

Drift is measured against a reference period, by the population stability index that models use.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fivefold.features.histories import Floats, Integers
from fivefold.models.drift import DriftReference
from fivefold.risk.engine.assessments import COMPUTED, STATUS, Assessments, Status
from fivefold.risk.engine.explain.describe import condition_words
from fivefold.risk.engine.program import APPLIES, TOTAL
from fivefold.risk.engine.rules import CompiledRule
from fivefold.risk.engine.totals import WEIGHTS_USED, points_column, slot_column
from fivefold.risk.governance.backtest.moves import slot_name
from fivefold.risk.governance.validate.labels import input_names
from fivefold.risk.governance.validate.measures import drift_between, holm
from fivefold.risk.governance.validate.ranking import ConfidenceInterval, Marks, Numbers, Paired, compare_all, share
from fivefold.risk.language.fields import ValueType


@dataclass(frozen=True, kw_only=True)
class Lift:
    """The share of confirmed entities among those that got one outcome of a rule.

    Attributes:
        rule: its id.
        case: the number of the case, from 1; otherwise, unknown, failed; or any case of the rule.
        asked: the condition of the case, in words.
        entities: how many got it.
        confirmed: how many of them are confirmed.
        lift: the confirmed share of these divided by that of all entities; None if no entity got it.
        of_confirmed: the share of all confirmed that got it.
    """

    rule: str
    case: int | str
    asked: str
    entities: int
    confirmed: int
    lift: ConfidenceInterval | None
    of_confirmed: float


@dataclass(frozen=True)
class Addition:
    """What a rule adds to the ranking.

    Attributes:
        rule: its id.
        paired: the Gini of the total and of the total without the rule, in the same resamples.
        adjusted_p_value: the p-value of the difference, adjusted because all rules are judged at once.
    """

    rule: str
    paired: Paired
    adjusted_p_value: float


def lifts(assessments: Assessments, included: Marks, confirmed: Marks) -> tuple[Lift, ...]:
    """Measure every rule (any of its cases), then each of its outcomes; *included* and *confirmed* are n marks."""
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
        lift = ConfidenceInterval(rate.estimate / prevalence, rate.low / prevalence, rate.high / prevalence)
    return Lift(
        rule=rule.rule.id,
        case=case,
        asked=condition,
        entities=entities,
        confirmed=hits,
        lift=lift,
        of_confirmed=hits / everyone if everyone else 0.0,
    )


def additions(
    assessments: Assessments, included: Marks, confirmed: Marks, seed: int, resamples: int
) -> tuple[Addition, ...]:
    """Compare the total with the total without each rule; *included* marks the entities that count."""
    total = assessments.outcomes[TOTAL].to_numpy()[included]
    others: list[Numbers] = [total - _share_of(assessments, rule)[included] for rule in assessments.program.rules]
    compared = compare_all(total, others, confirmed[included], seed, resamples)
    adjusted = holm([paired.p_value for paired in compared])
    return tuple(
        Addition(rule.rule.id, paired, p_value)
        for rule, paired, p_value in zip(assessments.program.rules, compared, adjusted, strict=True)
    )


def _share_of(assessments: Assessments, rule: CompiledRule) -> Integers:
    """Return what a rule added to each total, in the total's units."""
    points: Integers = assessments.outcomes.select(points_column(pl.col(rule.column))).to_series().to_numpy()
    if not assessments.program.total.weights:
        return points
    weights = np.array([*(column.get(rule.rule.id, 0) for column in assessments.program.total.weights), 0])
    used = assessments.outcomes[WEIGHTS_USED].fill_null(len(weights) - 1).to_numpy()
    weighted: Integers = points * weights[used]
    return weighted


@dataclass(frozen=True)
class StabilityIndex:
    """The drift of one factor.

    Attributes:
        factor: the rule, the input, the total or the level.
        sort: rule (by the outcome given), input (by tenths of the reference), total or level.
        index: the population stability index; None if too few entities were counted.
        verdict: stable, moving, shifted or unknown.
    """

    factor: str
    sort: str
    index: float | None
    verdict: str


def stability_indices(reference: Assessments, present: Assessments) -> tuple[StabilityIndex, ...]:
    """Compare assessments of a reference period and of now by one ruleset; the largest drift comes first."""
    both = [assessments.outcomes.filter(pl.col(APPLIES)) for assessments in (reference, present)]
    levels = [_counts(side, pl.when(pl.col(STATUS) == Status.ASSESSED.value).then(COMPUTED)) for side in both]
    indices = [_stability_of("level", "level", *_aligned(*levels))]
    for rule in present.program.rules:
        slots = [_counts(side, slot_column(pl.col(rule.column))) for side in both]
        indices.append(_stability_of(rule.rule.title, "rule", *_aligned(*slots)))
    indices += _tenths(reference, present)
    return tuple(sorted(indices, key=lambda assessments: (-(assessments.index or 0.0), assessments.factor)))


def _counts(side: pl.DataFrame, value: pl.Expr) -> dict[int | None, int]:
    """Count each value, always in the same order, so that the sum of the index is always rounded equally."""
    return dict(side.select(value.alias("value")).to_series().value_counts().sort("value").iter_rows())


def _aligned(before: dict[int | None, int], after: dict[int | None, int]) -> tuple[Integers, Integers]:
    keys = list(dict.fromkeys((*before, *after)))
    return (
        np.array([before.get(key, 0) for key in keys], dtype=np.int64),
        np.array([after.get(key, 0) for key in keys], dtype=np.int64),
    )


def _tenths(reference: Assessments, present: Assessments) -> list[StabilityIndex]:
    """Measure the drift of every numeric input and of the total, in buckets cut at the tenths of the reference."""
    columns = [
        name
        for name, column in present.program.inputs.items()
        if column.kind in {ValueType.NUMBER, ValueType.MONEY, ValueType.FINDING}
    ]
    sides = [_matrix(assessments, columns) for assessments in (reference, present)]
    base = DriftReference.of(tuple(columns), *sides[0])
    counts = base.empty()
    base.count(counts, *sides[1])
    words = input_names(present)
    factors = [*((words[name], "input") for name in columns), ("total", "total")]
    return [_stability_of(*name, *pair) for name, *pair in zip(factors, base.counts, counts, strict=True)]


def _matrix(assessments: Assessments, columns: Sequence[str]) -> tuple[Floats, Floats]:
    applies = assessments.outcomes[APPLIES].to_numpy()
    inputs = assessments.inputs.select(pl.col(name).cast(pl.Float64).fill_null(np.nan) for name in columns)
    matrix = inputs.to_numpy()[applies] if columns else np.empty((int(applies.sum()), 0))
    totals = assessments.outcomes[TOTAL].cast(pl.Float64).to_numpy()[applies]
    return np.ascontiguousarray(matrix), totals


def _stability_of(factor: str, sort: str, reference: Integers, counts: Integers) -> StabilityIndex:
    drift = drift_between(reference, counts)
    return StabilityIndex(factor, sort, drift.index, drift.verdict)
