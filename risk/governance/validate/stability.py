"""Drift of a ruleset's factors against a reference period, by the population stability index that models use."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fivefold.features.histories import Floats, Integers
from fivefold.models.drift import LEAST_CUSTOMERS, DriftReference, stability_index, stability_verdict
from fivefold.risk.engine.assessments import COMPUTED, STATUS, Assessments, Status
from fivefold.risk.engine.outcome_codes import slot_column
from fivefold.risk.engine.program import APPLIES, TOTAL
from fivefold.risk.governance.validate.leaks import input_names
from fivefold.risk.language.fields import ValueType


@dataclass(frozen=True)
class StabilityIndex:
    """How far one factor has moved.

    Attributes:
        factor: the rule, the input, the total or the level.
        sort: rule (by the case that came), input (by tenths of the reference), total or level.
        index: population stability index; None where too few entities were counted.
        verdict: stable, moving, shifted or unknown.
    """

    factor: str
    sort: str
    index: float | None
    verdict: str


def stability_indices(reference: Assessments, present: Assessments) -> tuple[StabilityIndex, ...]:
    """Compare two assessments by one ruleset: of a reference period, and of now; the furthest first."""
    both = [assessments.outcomes.filter(pl.col(APPLIES)) for assessments in (reference, present)]
    levels = [_counts(side, pl.when(pl.col(STATUS) == Status.ASSESSED.value).then(COMPUTED)) for side in both]
    indices = [_stability_of("level", "level", *_aligned(*levels))]
    for rule in present.program.rules:
        slots = [_counts(side, slot_column(pl.col(rule.column))) for side in both]
        indices.append(_stability_of(rule.rule.title, "rule", *_aligned(*slots)))
    indices += _tenths(reference, present)
    return tuple(sorted(indices, key=lambda assessments: (-(assessments.index or 0.0), assessments.factor)))


def _counts(side: pl.DataFrame, value: pl.Expr) -> dict[int | None, int]:
    return dict(side.select(value.alias("value")).to_series().value_counts().iter_rows())


def _aligned(before: dict[int | None, int], after: dict[int | None, int]) -> tuple[Integers, Integers]:
    keys = list(dict.fromkeys((*before, *after)))
    return (
        np.array([before.get(key, 0) for key in keys], dtype=np.int64),
        np.array([after.get(key, 0) for key in keys], dtype=np.int64),
    )


def _tenths(reference: Assessments, present: Assessments) -> list[StabilityIndex]:
    """Cut every numeric input, and the total, at the tenths of the reference."""
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
    enough = reference.sum() >= LEAST_CUSTOMERS  # a small reference says as little as a small present
    index = stability_index(reference, counts) if enough else None
    return StabilityIndex(factor, sort, index, stability_verdict(index))
