"""Encodes a rule's outcome as one whole number, and computes the total and its level from these codes.

A code is points × 2^20 + slot. The slot is the number of the case that held, counted from 0, then one each for
`otherwise`, for unknown and for failed. The codes of all rules can be added: the sum's upper part is the total.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from fivefold.risk.language.quantities import POINT_UNITS, WEIGHT_UNITS, point_units, text_of
from fivefold.risk.language.ruleset import Ruleset, TiersScore, Weighted, WeightedScore

Level = Callable[[pl.Expr], pl.Expr]
"""Builds the number of a total's level; null if it has none."""

SHOWN_DIGITS = 2
"""Decimals of a shown total, if rounding does not move it across a cut."""


@dataclass(frozen=True, kw_only=True)
class Total:
    """How the codes of rules become a total, and the total a level.

    Attributes:
        scale: the units of the total in one point.
        sum: builds the total from the codes of rules, by their ids.
        level: builds the level from the total.
        columns: the names of the columns of weights; empty if points are just added.
        column: the position of the column of weights that is used; null if none is, which is a failure.
        weights: the weights of each column, in units, by the rules' ids.
        tiers: the titles of the tiers, if any.
        tier: builds the position of the tier that contains the total.
    """

    scale: int
    sum: Callable[[Sequence[str]], pl.Expr]
    level: Level
    _: KW_ONLY
    columns: tuple[str, ...] = ()
    column: pl.Expr | None = None
    weights: tuple[Mapping[str, int], ...] = ()
    tiers: tuple[str, ...] = ()
    tier: Level | None = None

    def text(self, total: int) -> str:
        """Write a total for people; see `texts`."""
        return self.texts([total])[0]

    def texts(self, totals: Sequence[int]) -> list[str]:
        """Write totals for people: with two decimals, or more or rounded otherwise if that would cross a cut.

        The shown total has the same level as the total.
        """
        step = max(1, self.scale // 10**SHOWN_DIGITS)
        distinct = dict.fromkeys(totals)
        rounded = self._rounded([total for total in distinct if total % step], step)
        words = {total: text_of(rounded.get(total, total), self.scale) for total in distinct}
        return [words[total] for total in totals]

    def _rounded(self, totals: Sequence[int], step: int) -> dict[int, int]:
        """Round each total to a neighbouring step of the same level, the nearest first; else leave it unchanged."""
        if not totals:
            return {}
        beside = [_steps_beside(total, step) for total in totals]
        sides = totals, [nearest for nearest, _ in beside], [other for _, other in beside]
        levels = self._levels([total for side in sides for total in side])
        rounded = {}
        for number, (total, nearest, other) in enumerate(zip(*sides, strict=True)):
            level, of_nearest, of_other = levels[number :: len(totals)]
            rounded[total] = nearest if of_nearest == level else other if of_other == level else total
        return rounded

    def _levels(self, totals: Sequence[int]) -> list[Any]:
        frame = pl.DataFrame({"total": pl.Series(totals, dtype=pl.Int64)})
        levels = frame.with_columns(level=self.level(pl.col("total")), tier=(self.tier or self.level)(pl.col("total")))
        return levels.select("level", "tier").rows()


def _steps_beside(total: int, step: int) -> tuple[int, int]:
    """Return the steps on both sides of a total, the nearer first; if equally near, the even one first."""
    below = total // step * step
    twice_rest = (total - below) * 2
    up = twice_rest > step or (twice_rest == step and below // step % 2 == 1)
    return (below + step, below) if up else (below, below + step)


def total_of(ruleset: Ruleset, condition: Callable[[Any], pl.Expr]) -> Total:
    """Build the total of a ruleset; *condition* compiles conditions on the entity."""
    if isinstance(ruleset.score, WeightedScore):
        return _weighted(ruleset.score.weighted, condition)
    if isinstance(ruleset.score, TiersScore):
        return _tiers(ruleset, ruleset.score)
    return Total(
        scale=POINT_UNITS, sum=_sum_of_points, level=_by_thresholds(ruleset.score.points.thresholds, POINT_UNITS)
    )


def _sum_of_points(rules: Sequence[str]) -> pl.Expr:
    return points_column(pl.sum_horizontal(map(rule_column, rules)))


def _by_thresholds(thresholds: Sequence[Decimal], scale: int) -> Level:
    cuts = [pl.lit(int(threshold * scale), pl.Int64) for threshold in thresholds]
    return lambda total: pl.lit(1, pl.Int8) + pl.sum_horizontal([(total >= cut).cast(pl.Int8) for cut in cuts])


def _tiers(ruleset: Ruleset, score: TiersScore) -> Total:
    def owned(total: pl.Expr, values: Sequence[int]) -> pl.Expr:
        chain: Any = pl
        for tier, value in zip(score.tiers, values, strict=True):
            least, most = (None if end is None else pl.lit(point_units(end), pl.Int64) for end in (tier.min, tier.max))
            above = pl.lit(True) if least is None else total >= least
            below = pl.lit(True) if most is None else total <= most
            chain = chain.when(above & below).then(pl.lit(value, pl.Int8))
        owner: pl.Expr = chain.otherwise(pl.lit(None, pl.Int8))
        return owner

    levels = [ruleset.level_number(tier.level) for tier in score.tiers]
    return Total(
        scale=POINT_UNITS,
        sum=_sum_of_points,
        level=lambda total: owned(total, levels),
        tiers=tuple(tier.title for tier in score.tiers),
        tier=lambda total: owned(total, range(len(levels))),
    )


def _weighted(score: Weighted, condition: Callable[[Any], pl.Expr]) -> Total:
    columns = tuple(score.weights)
    weights = tuple(
        {rule: int(percent * WEIGHT_UNITS) // 100 for rule, percent in column.items()}
        for column in score.weights.values()
    )
    scale = POINT_UNITS * WEIGHT_UNITS

    def weighted_sum(rules: Sequence[str]) -> pl.Expr:
        return pl.sum_horizontal(
            [points_column(pl.col(rule_column(rule))) * _weight(rule, weights) for rule in rules if rule in weights[0]]
        )

    chain: Any = pl
    for choice in score.weights_by:
        holds = pl.lit(True) if choice.when is None else condition(choice.when)
        chain = chain.when(holds).then(pl.lit(columns.index(choice.use), pl.Int8))
    column = chain.otherwise(pl.lit(None, pl.Int8))
    return Total(
        scale=scale,
        sum=weighted_sum,
        level=_by_thresholds(score.bands, scale),
        columns=columns,
        column=column,
        weights=weights,
    )


WEIGHTS_USED = "weights used"
"""The column of the position of the weights' column that an entity has."""


def _weight(rule: str, weights: Sequence[Mapping[str, int]]) -> pl.Expr:
    chain: Any = pl
    for number, column in enumerate(weights):
        chain = chain.when(pl.col(WEIGHTS_USED) == number).then(pl.lit(column[rule], pl.Int64))
    weight: pl.Expr = chain.otherwise(pl.lit(0, pl.Int64))
    return weight


SLOTS = 1 << 20
"""More than the sum of all slots of a thousand rules with two hundred cases, so that a sum's parts do not overlap."""


def rule_column(rule: str) -> str:
    """Name the column of a rule's codes, by a unique prefix, as a rule may be called total or floor.

    >>> rule_column("cash-out")
    'rule cash-out'
    """
    return f"rule {rule}"


def code(point_units: int, slot: int) -> int:
    """Join points (in the smallest unit) and slot.

    >>> code(-500, 3), points_of(code(-500, 3)), slot_of(code(-500, 3))
    (-524287997, -500, 3)
    """
    return point_units * SLOTS + slot


def points_of(joined: int) -> int:
    """Extract the points (in the smallest unit) from a code."""
    return joined // SLOTS


def slot_of(joined: int) -> int:
    """Extract the slot from a code."""
    return joined % SLOTS


def points_column(codes: pl.Expr) -> pl.Expr:
    """Extract the points from a column of codes, or of sums of codes."""
    return codes // SLOTS


def slot_column(codes: pl.Expr) -> pl.Expr:
    """Extract the slot from a column of codes, as UInt8."""
    return codes.cast(pl.UInt8, wrap_numerical=True)  # its lowest byte: no rule has more than 200 cases
