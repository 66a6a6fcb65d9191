"""Finds the moment from which an assessment may change by time alone, without a new fact."""

from collections.abc import Mapping
from enum import StrEnum

import polars as pl

from fivefold.risk.engine.assessments import STATUS, Assessments, Status
from fivefold.risk.engine.levels import FLOOR_HELD_UNTIL, MAY_MOVE_DOWN_ON, OVERRIDDEN, WITHHELD
from fivefold.risk.engine.rules import CompiledRule, length_us
from fivefold.risk.engine.time_changes import NEVER, next_by_time
from fivefold.risk.engine.totals import points_column, slot_column
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, NamedList

NEXT, WHY = "next_us", "why"


class NextChange(StrEnum):
    """The kind of change; of several at the same moment, the first of these."""

    EXPIRY = "expiry"
    MOVE_DOWN = "move down"
    DECAY = "decay"
    LIST = "list"
    TIME = "time"
    INTERVAL = "interval"


def next_changes(
    assessments: Assessments, overrides: pl.DataFrame | None = None, lists: Mapping[str, NamedList] | None = None
) -> pl.DataFrame:
    """Find the moment at which each entity must be assessed again, and why.

    Args:
        assessments: the assessments.
        overrides: the overrides that they were computed with: `entity_id`, `level`, `until`.
        lists: the named lists; a version that begins later may change the result.

    If the assessments have the moments of their inputs, the first at which time alone may change a rule's case counts
    as well: `risk.engine.time_changes`.

    Returns:
        n rows: `entity_id`, `next_us` (after as-of), `why` (a `NextChange`).
    """
    frame = assessments.outcomes
    signals = [rule for rule in assessments.program.rules if rule.signal is not None]
    if signals:
        columns = dict.fromkeys(str(rule.signal) for rule in signals)  # several rules may share one
        frame = frame.with_columns(assessments.inputs[column] for column in columns)
    if overrides is not None:
        ends = overrides.select(ENTITY, pl.col("until").cast(pl.Int64).alias("override_until"))
        frame = frame.join(ends, on=ENTITY, how="left", maintain_order="left")
    moments = {
        NextChange.EXPIRY: pl.when(OVERRIDDEN).then("override_until")
        if overrides is not None
        else pl.lit(None, pl.Int64),
        NextChange.MOVE_DOWN: pl.min_horizontal(
            pl.when(pl.col(WITHHELD).is_not_null()).then(MAY_MOVE_DOWN_ON), FLOOR_HELD_UNTIL
        ),
        NextChange.DECAY: pl.when(pl.col(STATUS) != pl.lit(Status.NOT_APPLICABLE.value)).then(
            _earliest([_next_step(rule) for rule in signals])
        ),
        NextChange.LIST: _next_version(assessments, lists or {}),
        NextChange.INTERVAL: assessments.program.ruleset.max_recompute_interval.after(pl.col(AS_OF)),
    }
    # Moments already reached are part of the assessment: an override that ended, a level that may move down now.
    later = [pl.when(moment > pl.col(AS_OF)).then(moment).fill_null(NEVER) for moment in moments.values()]
    following = frame.select(ENTITY, *(each.alias(change) for change, each in zip(moments, later, strict=True)))
    following = following.with_columns(pl.min_horizontal(*moments).alias(NEXT))
    if assessments.moments is not None:
        by_time = next_by_time(assessments, following[NEXT]).alias(NextChange.TIME)
        following = following.with_columns(by_time, pl.min_horizontal(NEXT, by_time).alias(NEXT))
    changes = [change for change in NextChange if change in following.columns]
    chain = pl.coalesce(pl.when(pl.col(change) == pl.col(NEXT)).then(pl.lit(change.value)) for change in changes)
    return following.select(ENTITY, NEXT, chain.alias(WHY))


def _earliest(moments: list[pl.Expr]) -> pl.Expr:
    return pl.min_horizontal(moments) if moments else pl.lit(None, pl.Int64)


def _next_step(rule: CompiledRule) -> pl.Expr:
    """Return the moment at which a rule's points next halve, a half-life after the last step; null without points."""
    assert rule.rule.decay is not None
    half_life = length_us(rule.rule.decay.half_life)
    signal = pl.col(str(rule.signal))
    elapsed = (pl.col(AS_OF) - signal).clip(lower_bound=0)
    fades = (slot_column(pl.col(rule.column)) < rule.otherwise) & (points_column(pl.col(rule.column)) != 0)
    return pl.when(fades).then(signal + (elapsed // half_life + 1) * half_life)


def _next_version(assessments: Assessments, lists: Mapping[str, NamedList]) -> pl.Expr:
    begins = sorted(
        version.since
        for name in {name for versions in assessments.versions for name in versions}
        if name in lists
        for version in lists[name].versions
    )
    return _earliest([pl.when(pl.col(AS_OF) < begin).then(pl.lit(begin, pl.Int64)) for begin in begins])
