"""Thresholds as cuts between totals: those of a ruleset, and those whose shares are nearest to targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

import numpy as np

from fivefold.domain.errors import ConfigError, NotEnoughDataError
from fivefold.features.histories import Floats, Integers
from fivefold.risk.governance.validate.ranking import CONFIDENCE
from fivefold.risk.language.quantities import POINT_UNITS, point_units, text_of
from fivefold.risk.language.ruleset import PointsScore, Ruleset, Tier, TiersScore


@dataclass(frozen=True)
class LevelThresholds:
    """The thresholds of a ruleset.

    Attributes:
        units: the totals that begin the levels above the lowest, in hundredths of a point, ascending.
        tiers: the positions of the tiers in the file, lowest level first; empty for points and weights.
    """

    units: tuple[int, ...]
    tiers: tuple[int, ...] = ()


def present_cuts(ruleset: Ruleset) -> LevelThresholds:
    """Read the thresholds; raise ConfigError unless there is one tier for each level, in order, without overlap."""
    if isinstance(ruleset.score, TiersScore):
        return _of_tiers(ruleset, ruleset.score.tiers)
    points = isinstance(ruleset.score, PointsScore)
    values = ruleset.score.points.thresholds if points else ruleset.score.weighted.bands  # type: ignore[union-attr]  # checked above
    return LevelThresholds(tuple(point_units(value) for value in values))


def _of_tiers(ruleset: Ruleset, tiers: Sequence[Tier]) -> LevelThresholds:
    levels = [ruleset.level_number(tier.level) for tier in tiers]
    order = sorted(range(len(tiers)), key=lambda number: levels[number])
    ordered = [tiers[number] for number in order]
    if sorted(levels) != list(range(1, len(ruleset.levels) + 1)):
        raise ConfigError(f"{ruleset.name} does not have exactly one tier for each level, so no tiers can be proposed")
    begins = [tier.min for tier in ordered[1:]]
    if any(begin is None for begin in begins) or any(tier.max is None for tier in ordered[:-1]):
        raise ConfigError(f"a tier of {ruleset.name} between the outermost has no min or max, so none can be proposed")
    units = tuple(point_units(begin) for begin in begins if begin is not None)
    if any(higher <= lower for lower, higher in pairwise(units)):
        raise ConfigError(f"the tiers of {ruleset.name} do not rise with their levels, so none can be proposed")
    return LevelThresholds(units, tuple(order))


def whole_points(ruleset: Ruleset) -> bool:
    """Check whether every total is a whole number of points: no rule adds, or decays to, a fraction."""
    outcomes = [
        outcome
        for rule in ruleset.rules
        for outcome in (*rule.cases, rule.otherwise, rule.on_unknown or rule.otherwise)
    ]
    points = [point_units(outcome.points) for outcome in outcomes if outcome.points is not None]
    return all(units % POINT_UNITS == 0 for units in points) and not any(rule.decay for rule in ruleset.rules)


@dataclass(frozen=True, kw_only=True)
class CutProposal:
    """One threshold.

    Attributes:
        level: the level that begins at the threshold.
        present: the present threshold.
        proposed: the proposed threshold.
        target_below: the share of the portfolio that is to be below that level.
        reached_below: the share that would be below it.
        next_below: the shares for the next lower and the next higher threshold: nothing between them can be reached,
            since equal totals cannot be split.
        interval: the thresholds between which 95 % of the cuts of resampled portfolios lie; None if not requested.
        alone: the threshold from this portfolio alone, if `proposed` is the mean with earlier ones; otherwise None.
    """

    level: str
    present: str
    proposed: str
    target_below: float
    reached_below: float
    next_below: tuple[float, float]
    interval: tuple[str, str] | None = None
    alone: str | None = None


def drawn_again(
    points: Integers, floors: Integers, below: Floats, present: Sequence[int], seed: int, resamples: int
) -> list[tuple[str, str]]:
    """Resample the portfolio *resamples* times; return the ends between which 95 % of each threshold's cuts lie."""
    cells, counts = np.unique(np.stack([points, floors]), axis=1, return_counts=True)
    distinct, place = np.unique(cells[0], return_inverse=True)
    random = np.random.default_rng(seed)
    thresholds = np.empty((resamples, len(below)), dtype=np.int64)
    for number in range(resamples):
        drawn = random.multinomial(len(points), counts / len(points))
        places = _nearest(_reach_of(place, cells[1], drawn, len(distinct), len(below)), below)
        thresholds[number] = [
            _roundest(int(distinct[at - 1]), int(distinct[at]), present[cut]) for cut, at in enumerate(places)
        ]
    ends = np.quantile(thresholds, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0, method="inverted_cdf")
    return [(text_of(int(low), POINT_UNITS), text_of(int(high), POINT_UNITS)) for low, high in ends.T]


def nearest_cuts(
    points: Integers,
    floors: Integers,
    below: Floats,
    present: Sequence[int],
    levels: Sequence[str],
    earlier: Sequence[Sequence[int]] = (),
) -> list[tuple[int, CutProposal]]:
    """Choose the thresholds: each in hundredths of a point, and as a proposal.

    Args:
        points: n totals, in hundredths.
        floors: n numbers of levels, 0 for none.
        below: the share that is to be below each level except the lowest.
        present: the present thresholds, in hundredths.
        levels: the names of the levels.
        earlier: the thresholds of earlier portfolios, in hundredths; the result is the mean of these and this one's.

    Raises:
        NotEnoughDataError: there are too few different totals.
    """
    distinct, reach = _reach(points, floors, len(below))
    nearest = _nearest(reach, below)
    alone = [_roundest(int(distinct[at - 1]), int(distinct[at]), now) for at, now in zip(nearest, present, strict=True)]
    chosen = _means([*earlier, alone]) if earlier else alone
    cuts = []
    for number, units in enumerate(chosen):
        at, shares = int((distinct < units).sum()), reach[number]
        cut = CutProposal(
            level=levels[number + 1],
            present=text_of(present[number], POINT_UNITS),
            proposed=text_of(units, POINT_UNITS),
            target_below=float(below[number]),
            reached_below=float(shares[at]),
            next_below=(float(shares[max(at - 1, 0)]), float(shares[min(at + 1, len(distinct))])),
            alone=text_of(alone[number], POINT_UNITS) if earlier else None,
        )
        cuts.append((units, cut))
    return cuts


def _means(thresholds: Sequence[Sequence[int]]) -> list[int]:
    """Return the mean of each threshold, rising; whole points if all of them are. A level may then contain no total.

    >>> _means([(1000, 2000), (1300, 2000)]), _means([(1000, 1100), (1000, 1250)]), _means([(100, 300), (300, 200)])
    ([1200, 2000], [1000, 1175], [200, 300])
    """
    size = POINT_UNITS if all(units % POINT_UNITS == 0 for each in thresholds for units in each) else 1
    means: list[int] = []
    for column in zip(*thresholds, strict=True):
        mean = Decimal(sum(column)) / len(column) / size
        least = means[-1] + size if means else mean * size
        means.append(int(max(mean.to_integral_value(ROUND_HALF_UP) * size, least)))
    return means


def _reach(points: Integers, floors: Integers, cuts: int) -> tuple[Integers, Floats]:
    """Return the distinct totals, and the share below each level for each place to begin: cuts x (totals + 1)."""
    distinct, place = np.unique(points, return_inverse=True)
    return distinct, _reach_of(place, floors, np.ones(len(points), dtype=np.int64), len(distinct), cuts)


def _reach_of(place: Integers, floors: Integers, counts: Integers, totals: int, cuts: int) -> Floats:
    """Return the shares of `_reach` for cells of equal total and floor; *counts* are their numbers of entities."""
    reach = np.zeros((cuts, totals + 1))
    for number in range(cuts):
        free = floors <= number + 1  # a higher floor keeps an entity out of the levels below, whatever its total
        below = np.bincount(place[free], weights=counts[free], minlength=totals)
        reach[number, 1:] = np.cumsum(below) / counts.sum()
    return reach


def _nearest(reach: Floats, below: Floats) -> list[int]:
    """Choose a rising position for each cut so that the sum of the distances from the targets is smallest."""
    cuts, places = reach.shape[0], reach.shape[1] - 1
    if places <= cuts:
        raise NotEnoughDataError(
            f"there are {places} different totals for {cuts + 1} levels; no thresholds can part them"
        )
    distance = np.abs(reach - below[:, None])
    distance[:, 0] = distance[:, -1] = np.inf  # every level is to contain some total
    cost, steps = distance[0].copy(), []
    for number in range(1, cuts):
        best = np.minimum.accumulate(cost)
        at = np.maximum.accumulate(np.where(cost == best, np.arange(len(cost)), 0))
        steps.append(np.concatenate([[0], at[:-1]]))
        cost = distance[number] + np.concatenate([[np.inf], best[:-1]])
    chosen = [int(np.argmin(cost))]
    for back in reversed(steps):
        chosen.insert(0, int(back[chosen[0]]))
    return chosen


def _roundest(above: int, upto: int, present: int) -> int:
    """Choose the threshold between two neighbouring totals: the present one, or the one with the fewest decimals.

    Every threshold above the lower total and up to the higher one separates them equally.

    >>> _roundest(2950, 3475, 3100), _roundest(2950, 3475, 4000), _roundest(2975, 2998, 0), _roundest(2997, 2998, 0)
    (3100, 3400, 2990, 2998)
    """
    if above < present <= upto:
        return present
    return next(cut for size in (POINT_UNITS, POINT_UNITS // 10, 1) if (cut := upto // size * size) > above)


def levels_by(points: Integers, floors: Integers, cuts: Sequence[int]) -> Integers:
    """Return the levels of n totals, by thresholds (both in hundredths) and floors."""
    by_total = 1 + np.searchsorted(np.array(cuts), points, side="right")
    levels: Integers = np.maximum(by_total, floors)
    return levels
