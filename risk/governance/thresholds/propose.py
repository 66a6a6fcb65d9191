"""Thresholds that would bring a portfolio to target shares: proposed as a draft, never put in force."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from fivefold.domain.errors import ConfigError, NotEnoughDataError
from fivefold.features.histories import Floats, Integers
from fivefold.risk.engine.assessments import STATUS, Assessments, Status
from fivefold.risk.engine.program import FLOOR, TOTAL
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.governance.backtest.run import list_days, moments_words
from fivefold.risk.governance.validate.labels import LabelledEntities
from fivefold.risk.governance.validate.measures import Capture, captured_share
from fivefold.risk.governance.validate.ranking import CONFIDENCE, RESAMPLES, Marks
from fivefold.risk.governance.validate.verdicts import AcceptanceLimits
from fivefold.risk.language.quantities import POINT_UNITS, point_units, text_of
from fivefold.risk.language.ruleset import PointsScore, Ruleset, Tier, TiersScore

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Cuts:
    """The thresholds of a ruleset.

    Attributes:
        units: the totals that begin the levels above the lowest, in hundredths of a point, ascending.
        tiers: the positions of the tiers in the file, lowest level first; empty for points and weights.
    """

    units: tuple[int, ...]
    tiers: tuple[int, ...] = ()


def present_cuts(ruleset: Ruleset) -> Cuts:
    """Read the thresholds; ConfigError where tiers are not exactly one for each level, in order and without overlap."""
    if isinstance(ruleset.score, TiersScore):
        return _of_tiers(ruleset, ruleset.score.tiers)
    points = isinstance(ruleset.score, PointsScore)
    values = ruleset.score.points.thresholds if points else ruleset.score.weighted.bands  # type: ignore[union-attr]  # checked above
    return Cuts(tuple(point_units(value) for value in values))


def _of_tiers(ruleset: Ruleset, tiers: Sequence[Tier]) -> Cuts:
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
    return Cuts(units, tuple(order))


def whole_points(ruleset: Ruleset) -> bool:
    """True where every total is a whole number of points: no rule gives, or decays to, a fraction."""
    outcomes = [
        outcome
        for rule in ruleset.rules
        for outcome in (*rule.cases, rule.otherwise, rule.on_unknown or rule.otherwise)
    ]
    points = [point_units(outcome.points) for outcome in outcomes if outcome.points is not None]
    return all(units % POINT_UNITS == 0 for units in points) and not any(rule.decay for rule in ruleset.rules)


LEAST_ENTITIES = 500
"""Below this a level of 2 % holds fewer than ten entities: its threshold would be set by a handful of people."""


@dataclass(frozen=True)
class LevelProposal:
    """One level as it is and as it would be.

    Attributes:
        level: its name.
        target: the share of the portfolio that it is to hold.
        present: the share that it holds now.
        proposed: the share that it would hold: the nearest that can be reached.
    """

    level: str
    target: float
    present: float
    proposed: float


@dataclass(frozen=True, kw_only=True)
class CutProposal:
    """One threshold.

    Attributes:
        level: the level that begins there.
        present: where it is.
        proposed: where it would be.
        target_below: the share of the portfolio that is to be below that level.
        reached_below: the share that would be.
        next_below: the shares on the next lower and the next higher threshold: nothing between them can be reached,
            since equal totals cannot be split.
        interval: between which thresholds 95 % of the cuts were that portfolios drawn again from this one came to; None
            where that was not asked for.
    """

    level: str
    present: str
    proposed: str
    target_below: float
    reached_below: float
    next_below: tuple[float, float]
    interval: tuple[str, str] | None = None


@dataclass(frozen=True)
class LevelMove:
    """How many entities would move from one level to another."""

    present: str
    proposed: str
    entities: int


@dataclass(frozen=True, kw_only=True)
class CaptureEffect:
    """What the top levels hold of those who were confirmed later, by the present thresholds and by the draft's."""

    present: Capture
    proposed: Capture


@dataclass(frozen=True, kw_only=True)
class ThresholdProposal:
    """Thresholds for a new draft.

    Attributes:
        ruleset: the name of the present one.
        content_hash: of the present one.
        as_of: the moment of the portfolio, in words.
        lists: the days since which the versions of its lists are in force.
        entities: whose totals were used.
        left_out: the others, by what became of them.
        levels: shares now and then.
        cuts: the thresholds.
        moved: how many entities would be in another level, by the rules alone.
        moves: from which level to which.
        kept: every level's share is as near to its target as was asked, so the thresholds are to stay.
        capture: of those who were confirmed later; None without labels, or where nobody is.
        cautions: what the numbers do not say.
    """

    ruleset: str
    content_hash: str
    as_of: str
    lists: dict[str, tuple[str, ...]]
    entities: int
    left_out: dict[str, int]
    levels: tuple[LevelProposal, ...]
    cuts: tuple[CutProposal, ...]
    moved: int
    moves: tuple[LevelMove, ...]
    kept: bool
    capture: CaptureEffect | None
    cautions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)

    @property
    def values(self) -> tuple[Decimal, ...]:
        """The proposed thresholds, exactly."""
        return tuple(Decimal(cut.proposed) for cut in self.cuts)


def default_targets() -> tuple[float, ...]:
    """Give the middles of the usual shares of four levels, scaled to add up to 1.

    >>> [round(share, 4) for share in default_targets()]
    [0.6436, 0.2228, 0.099, 0.0347]
    """
    middles = [(least + most) / 2 for least, most in AcceptanceLimits().shares]
    return tuple(middle / sum(middles) for middle in middles)


def propose_thresholds(
    assessments: Assessments,
    targets: Sequence[float] | None = None,
    *,
    within: float | None = None,
    labels: LabelledEntities | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> ThresholdProposal:
    """Find the thresholds whose shares come nearest to the targets.

    Levels are counted as the rules alone give them, floors included: an entity raised by a floor is in the level of the
    floor, wherever the thresholds are. The distances of all cumulated shares from their targets are made as small as
    possible together. Thresholds have at most two decimals, as the language has.

    Args:
        assessments: the assessments of a portfolio by the present ruleset.
        targets: the share of each level, lowest first; they must add up to 1.
        within: thresholds are to stay while every level's share is so near to its target; None: never.
        labels: who of the assessed was confirmed later.
        seed: of the portfolios that are drawn again.
        resamples: how many.

    Raises:
        ConfigError: the targets do not fit the levels, or the ruleset's tiers are not one for each level in order.
        NotEnoughDataError: too few entities, or too few different totals.
    """
    ruleset = assessments.program.ruleset
    shares = _targets(targets, ruleset.levels)
    present = present_cuts(ruleset)
    status = assessments.outcomes[STATUS]
    assessed = (status == Status.ASSESSED.value).to_numpy()
    if assessed.sum() < LEAST_ENTITIES:
        raise NotEnoughDataError(
            f"{assessed.sum()} entities were assessed in full; at least {LEAST_ENTITIES} are needed, since below that "
            "a level of 2 % holds fewer than ten"
        )
    points, floors = _totals(assessments, assessed)
    below = np.cumsum(shares)[:-1]
    cuts = nearest_cuts(points, floors, below, present.units, ruleset.levels)
    intervals = _drawn_again(points, floors, below, present.units, seed, resamples)
    before, after = (levels_by(points, floors, sides) for sides in (present.units, [units for units, _ in cuts]))
    others = {each.value: int((status == each.value).sum()) for each in Status if each is not Status.ASSESSED}
    rows = _level_rows(before, after, shares, ruleset.levels)
    return ThresholdProposal(
        ruleset=ruleset.name,
        content_hash=ruleset.content_hash,
        as_of=moments_words(assessments),
        lists=list_days(assessments),
        entities=int(assessed.sum()),
        left_out=others,
        levels=rows,
        cuts=tuple(replace(cut, interval=ends) for (_, cut), ends in zip(cuts, intervals, strict=True)),
        moved=int((before != after).sum()),
        moves=_moves(before, after, ruleset.levels),
        kept=within is not None and all(abs(row.present - row.target) <= within + _ROUNDING for row in rows),
        capture=None if labels is None else _capture(before, after, labels, assessed, ruleset.levels),
        cautions=(*_nearer(before, after, shares), *_cautions(others)),
    )


def movers(assessments: Assessments, proposal: ThresholdProposal) -> pl.DataFrame:
    """List who would be in another level: `entity_id`, `present` and `proposed`, the names of levels."""
    ruleset = assessments.program.ruleset
    assessed = (assessments.outcomes[STATUS] == Status.ASSESSED.value).to_numpy()
    points, floors = _totals(assessments, assessed)
    units = [point_units(value) for value in proposal.values]
    before, after = (levels_by(points, floors, sides) for sides in (present_cuts(ruleset).units, units))
    names = np.array(ruleset.levels)
    frame = assessments.outcomes.filter(assessed).select(
        ENTITY, present=pl.Series(names[before - 1]), proposed=pl.Series(names[after - 1])
    )
    return frame.filter(before != after)


def _totals(assessments: Assessments, held: Marks) -> tuple[Integers, Integers]:
    """Give totals in hundredths, and floors, of those held."""
    step = assessments.program.total.scale // POINT_UNITS
    rows = assessments.outcomes.filter(held)
    return (rows[TOTAL] // step).to_numpy(), rows[FLOOR].to_numpy()


def _level_rows(before: Integers, after: Integers, shares: Floats, levels: Sequence[str]) -> tuple[LevelProposal, ...]:
    return tuple(
        LevelProposal(name, float(share), float((before == number).mean()), float((after == number).mean()))
        for number, (name, share) in enumerate(zip(levels, shares, strict=True), 1)
    )


def _moves(before: Integers, after: Integers, levels: Sequence[str]) -> tuple[LevelMove, ...]:
    pairs, counts = np.unique(np.stack([before, after]), axis=1, return_counts=True)
    return tuple(
        LevelMove(levels[first - 1], levels[second - 1], int(count))
        for (first, second), count in zip(pairs.T, counts, strict=True)
        if first != second
    )


def _capture(
    before: Integers, after: Integers, labels: LabelledEntities, assessed: Marks, levels: Sequence[str]
) -> CaptureEffect | None:
    judged = ~labels.known_before[assessed]
    confirmed = labels.confirmed[assessed][judged]
    present, proposed = (captured_share(side[judged], confirmed, levels) for side in (before, after))
    return None if present is None or proposed is None else CaptureEffect(present=present, proposed=proposed)


def _drawn_again(
    points: Integers, floors: Integers, below: Floats, present: Sequence[int], seed: int, resamples: int
) -> list[tuple[str, str]]:
    """Draw the portfolio again, so many times, and give the ends between which 95 % of each threshold lie."""
    cells, counts = np.unique(np.stack([points, floors]), axis=1, return_counts=True)
    distinct, place = np.unique(cells[0], return_inverse=True)
    random = np.random.default_rng(seed)
    found = np.empty((resamples, len(below)), dtype=np.int64)
    for number in range(resamples):
        drawn = random.multinomial(len(points), counts / len(points))
        places = _nearest(_reach_of(place, cells[1], drawn, len(distinct), len(below)), below)
        found[number] = [
            _roundest(int(distinct[at - 1]), int(distinct[at]), present[cut]) for cut, at in enumerate(places)
        ]
    ends = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0, method="inverted_cdf")
    return [(text_of(int(low), POINT_UNITS), text_of(int(high), POINT_UNITS)) for low, high in ends.T]


def nearest_cuts(
    points: Integers, floors: Integers, below: Floats, present: Sequence[int], levels: Sequence[str]
) -> list[tuple[int, CutProposal]]:
    """Choose the thresholds: each in hundredths of a point, and as it is shown.

    Args:
        points: n totals, in hundredths.
        floors: n numbers of levels, 0 for none.
        below: the share that is to be below each level but the lowest.
        present: the present thresholds, in hundredths.
        levels: their names.

    Raises:
        NotEnoughDataError: there are too few different totals.
    """
    distinct, reach = _reach(points, floors, len(below))
    cuts = []
    for number, at in enumerate(_nearest(reach, below)):
        units = _roundest(int(distinct[at - 1]), int(distinct[at]), present[number])
        shares = reach[number]
        cut = CutProposal(
            level=levels[number + 1],
            present=text_of(present[number], POINT_UNITS),
            proposed=text_of(units, POINT_UNITS),
            target_below=float(below[number]),
            reached_below=float(shares[at]),
            next_below=(float(shares[at - 1]), float(shares[at + 1])),
        )
        cuts.append((units, cut))
    return cuts


def _targets(targets: Sequence[float] | None, levels: Sequence[str]) -> Floats:
    shares = np.array(default_targets() if targets is None else targets, dtype=np.float64)
    if len(shares) != len(levels):
        raise ConfigError(f"{len(shares)} target shares were given for {len(levels)} levels: {', '.join(levels)}")
    if not (shares > 0).all() or abs(shares.sum() - 1) > 1e-9:
        texts = ", ".join(f"{share:g}" for share in shares)
        raise ConfigError(f"the target shares are {texts}; each must be above 0, and all must add up to 1")
    return shares


def _reach(points: Integers, floors: Integers, cuts: int) -> tuple[Integers, Floats]:
    """Give the distinct totals, and the share below each level if it began at each of them: cuts x (totals + 1)."""
    distinct, place = np.unique(points, return_inverse=True)
    return distinct, _reach_of(place, floors, np.ones(len(points), dtype=np.int64), len(distinct), cuts)


def _reach_of(place: Integers, floors: Integers, counts: Integers, totals: int, cuts: int) -> Floats:
    """Give the shares of `_reach`, of cells that each hold so many entities of one total and floor."""
    reach = np.zeros((cuts, totals + 1))
    for number in range(cuts):
        free = floors <= number + 1  # a floor above keeps an entity out of the levels below, whatever its total
        below = np.bincount(place[free], weights=counts[free], minlength=totals)
        reach[number, 1:] = np.cumsum(below) / counts.sum()
    return reach


def _nearest(reach: Floats, below: Floats) -> list[int]:
    """Choose a rising position for each cut so that the distances from the targets are least in sum."""
    cuts, places = reach.shape[0], reach.shape[1] - 1
    if places <= cuts:
        raise NotEnoughDataError(
            f"there are {places} different totals for {cuts + 1} levels; no thresholds can part them"
        )
    distance = np.abs(reach - below[:, None])
    distance[:, 0] = distance[:, -1] = np.inf  # every level is to hold some total
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

    Every threshold above the lower total and up to the higher one parts them alike.

    >>> _roundest(2950, 3475, 3100), _roundest(2950, 3475, 4000), _roundest(2975, 2998, 0), _roundest(2997, 2998, 0)
    (3100, 3400, 2990, 2998)
    """
    if above < present <= upto:
        return present
    return next(cut for size in (POINT_UNITS, POINT_UNITS // 10, 1) if (cut := upto // size * size) > above)


def levels_by(points: Integers, floors: Integers, cuts: Sequence[int]) -> Integers:
    """Give the levels of n totals by thresholds, all in hundredths, and by floors."""
    by_total = 1 + np.searchsorted(np.array(cuts), points, side="right")
    levels: Integers = np.maximum(by_total, floors)
    return levels


_ROUNDING = 1e-9
"""What sums of shares may differ by without being different."""


def _nearer(before: Integers, after: Integers, targets: Floats) -> tuple[str, ...]:
    """Give a caution where the present thresholds are nearer to the targets, as they may be with an empty level."""
    numbers = np.arange(1, len(targets))
    now, draft = (
        sum(abs((levels <= number).mean() - below) for number, below in zip(numbers, np.cumsum(targets), strict=False))
        for levels in (before, after)
    )
    message = (
        "The present thresholds come nearer to the targets than this draft: there are few different totals, and in a "
        "draft every level has some of its own."
    )
    return (message,) if draft > now + _ROUNDING else ()


def _cautions(left_out: dict[str, int]) -> list[str]:
    cautions = ["Shares say how the portfolio is spread, not where risk begins: a supervisor asks for the latter."]
    lost = sum(left_out[status.value] for status in (Status.FAILED, Status.UNCLASSIFIED, Status.UNDETERMINED))
    if lost:
        cautions.append(f"{lost} entities could not be assessed in full and were left out")
    return cautions
