"""Proposes thresholds that would bring a portfolio to target shares, as a draft; never puts them in force."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any, Self

import numpy as np
import polars as pl

from fivefold.domain.errors import ConfigError, NotEnoughDataError
from fivefold.domain.text import count_text, percent
from fivefold.features.histories import Floats, Integers
from fivefold.risk.engine.assessments import NOT_IN_FULL, STATUS, Assessments, Status
from fivefold.risk.engine.program import FLOOR, TOTAL
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.governance.backtest.run import list_days, moments_words
from fivefold.risk.governance.thresholds.cuts import CutProposal, drawn_again, levels_by, nearest_cuts, present_cuts
from fivefold.risk.governance.validate.labels import LabelledEntities, doubts_about_failed, doubts_about_labels
from fivefold.risk.governance.validate.measures import Capture, captured_share
from fivefold.risk.governance.validate.ranking import RESAMPLES, Marks
from fivefold.risk.governance.validate.verdicts import AcceptanceLimits
from fivefold.risk.language.quantities import POINT_UNITS, point_units
from fivefold.risk.language.ruleset import Ruleset

LEAST_ENTITIES = 500
"""Below this, a level of 2 % has fewer than ten entities, so a few people would determine its threshold."""


@dataclass(frozen=True)
class LevelProposal:
    """One level as it is now and as it would be.

    Attributes:
        level: its name.
        target: its target share of the portfolio.
        present: its share now.
        proposed: its share by the proposal, the nearest that can be reached.
    """

    level: str
    target: float
    present: float
    proposed: float


@dataclass(frozen=True)
class LevelMove:
    """The number of entities that would move from one level to another."""

    present: str
    proposed: str
    entities: int


@dataclass(frozen=True, kw_only=True)
class CaptureEffect:
    """The share of later confirmed entities in the top levels, by the present and by the draft's thresholds.

    Attributes:
        confirmed: how many were confirmed later.
        failed: how many of the judged could not be assessed in full: they have the level of their floors, or none.
        failed_confirmed: how many of these are confirmed.
    """

    present: Capture
    proposed: Capture
    confirmed: int
    failed: int
    failed_confirmed: int


@dataclass(frozen=True, kw_only=True)
class ThresholdProposal:
    """Proposed thresholds for a new draft.

    Attributes:
        ruleset: the name of the present one.
        content_hash: the content hash of the present one.
        as_of: the moment of the portfolio, in words.
        lists: the days since which the versions of its lists are in force.
        entities: the number of entities whose totals were used.
        left_out: the numbers of the others, by status.
        levels: the present and proposed share of each level.
        cuts: the thresholds.
        moved: how many entities would be in another level, by the rules alone.
        moves: their numbers, by present and proposed level.
        kept: whether every level's share is as near to its target as requested, so that the thresholds are to stay.
        capture: the effect on those who were confirmed later; None without labels, or if no entity was.
        cautions: the limits of what the numbers show.
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
        """Return it as plain data."""
        return asdict(self)

    @property
    def values(self) -> tuple[Decimal, ...]:
        """The proposed thresholds, exactly."""
        return tuple(Decimal(cut.proposed) for cut in self.cuts)


def default_targets() -> tuple[float, ...]:
    """Return the middle of the usual share of each of four levels, scaled to add up to 1.

    >>> [round(share, 4) for share in default_targets()]
    [0.6436, 0.2228, 0.099, 0.0347]
    """
    middles = [(least + most) / 2 for least, most in AcceptanceLimits().shares]
    return tuple(middle / sum(middles) for middle in middles)


@dataclass(frozen=True, kw_only=True)
class PortfolioTotals:
    """The totals that thresholds separate: those of entities that a ruleset assessed in full.

    Attributes:
        ruleset: the present one.
        points: n totals, in hundredths of a point.
        floors: n numbers of levels, 0 for none.
        left_out: the numbers of the other entities, by status.
        as_of: the moment of the portfolio, in words.
        lists: the days since which the versions of its lists are in force.
    """

    ruleset: Ruleset
    points: Integers
    floors: Integers
    left_out: dict[str, int]
    as_of: str
    lists: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, assessments: Assessments) -> Self:
        """Take the totals from assessments."""
        status = assessments.outcomes[STATUS]
        points, floors = _totals(assessments, _is_assessed(assessments))
        return cls(
            ruleset=assessments.program.ruleset,
            points=points,
            floors=floors,
            left_out={each.value: int((status == each.value).sum()) for each in Status if each is not Status.ASSESSED},
            as_of=moments_words(assessments),
            lists=list_days(assessments),
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Join the totals of the parts of one portfolio at one moment."""
        return replace(
            parts[0],
            points=np.concatenate([part.points for part in parts]),
            floors=np.concatenate([part.floors for part in parts]),
            left_out={name: sum(part.left_out[name] for part in parts) for name in parts[0].left_out},
        )


@dataclass(frozen=True, kw_only=True)
class LabelledTotals:
    """The totals of the entities judged by later confirmation; those confirmed before are not counted.

    Attributes:
        points: n totals, in hundredths of a point; without meaning where the assessment was not made in full.
        floors: n numbers of levels, 0 for none.
        in_full: n marks of those assessed in full; the others have their floors, whatever the thresholds.
        confirmed: n marks.
    """

    points: Integers
    floors: Integers
    in_full: Marks
    confirmed: Marks

    @classmethod
    def of(cls, assessments: Assessments, labels: LabelledEntities) -> Self:
        """Take the totals from assessments, with the labels of who was confirmed later."""
        judged = labels.judged(assessments.outcomes)
        points, floors = _totals(assessments, judged)
        return cls(
            points=points,
            floors=floors,
            in_full=_is_assessed(assessments)[judged],
            confirmed=labels.confirmed[judged],
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Join the totals of the parts of one portfolio at one moment."""
        return cls(
            points=np.concatenate([part.points for part in parts]),
            floors=np.concatenate([part.floors for part in parts]),
            in_full=np.concatenate([part.in_full for part in parts]),
            confirmed=np.concatenate([part.confirmed for part in parts]),
        )


def with_capture(ruleset: Ruleset, proposal: ThresholdProposal, totals: LabelledTotals) -> ThresholdProposal:
    """Add the share of the confirmed in the top levels, by present and proposed thresholds, if an entity is confirmed.

    *ruleset* is the present one. The totals may be of another moment than the proposal, such as an earlier one. Those
    not assessed in full count as in a validation: without a level they are missed.
    """
    sides = [
        np.where(totals.in_full, levels, totals.floors)
        for levels in _levels_of(ruleset, totals.points, totals.floors, proposal)
    ]
    present, proposed = (captured_share(side, totals.confirmed, ruleset.levels) for side in sides)
    if present is None or proposed is None:
        return proposal
    effect = CaptureEffect(
        present=present,
        proposed=proposed,
        confirmed=int(totals.confirmed.sum()),
        failed=int((~totals.in_full).sum()),
        failed_confirmed=int((~totals.in_full & totals.confirmed).sum()),
    )
    doubts = doubts_about_failed(
        effect.failed,
        effect.failed_confirmed,
        "of those who were confirmed later, they count as missed without a level",
    )
    return replace(proposal, capture=effect, cautions=(*proposal.cautions, *doubts))


def propose_thresholds(
    assessments: Assessments,
    targets: Sequence[float] | None = None,
    *,
    within: float | None = None,
    earlier: Sequence[Sequence[Decimal]] = (),
    labels: LabelledEntities | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> ThresholdProposal:
    """Find the thresholds whose shares are nearest to the targets, as `propose_for_totals` does.

    Args:
        assessments: the assessments of a portfolio by the present ruleset.
        targets: the share of each level, lowest first; they must add up to 1.
        within: the thresholds are to stay while every level's share is this near to its target; None: never.
        earlier: the thresholds of earlier portfolios, each with one for each level except the lowest.
        labels: which of the assessed were confirmed later.
        seed: the seed of the resamples.
        resamples: the number of resamples.

    Raises:
        ConfigError: the targets do not fit the levels, or the ruleset's tiers are not one for each level in order.
        NotEnoughDataError: too few entities, or too few different totals.
    """
    totals = PortfolioTotals.of(assessments)
    chance = {"seed": seed, "resamples": resamples}
    proposal = propose_for_totals(totals, targets, within=within, earlier=earlier, **chance)
    if labels is None:
        return proposal
    measured = with_capture(totals.ruleset, proposal, LabelledTotals.of(assessments, labels))
    doubts = doubts_about_labels(labels)
    if measured.capture is None:
        doubts.append("The labels confirm no entity that is judged here, so the draft's effect on them is unknown")
    return replace(measured, cautions=(*measured.cautions, *doubts))


def propose_for_totals(
    totals: PortfolioTotals,
    targets: Sequence[float] | None = None,
    *,
    within: float | None = None,
    earlier: Sequence[Sequence[Decimal]] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> ThresholdProposal:
    """Find the thresholds whose shares are nearest to the targets.

    Levels are counted by the rules alone, including floors: an entity raised by a floor is in the level of the floor,
    whatever the thresholds. The sum of the distances of all cumulated shares from their targets is minimized.
    Thresholds have at most two decimals, like all points of the language. With *earlier* ones they are the means of
    these and of this portfolio's, each counted once, so that one unusual quarter moves them only by a part.

    The arguments and errors are those of `propose_thresholds`.
    """
    ruleset, points, floors = totals.ruleset, totals.points, totals.floors
    shares = _targets(targets, ruleset.levels)
    present = present_cuts(ruleset)
    if len(points) < LEAST_ENTITIES:
        raise NotEnoughDataError(
            f"{len(points)} entities were assessed in full; at least {LEAST_ENTITIES} are needed, since below that "
            "a level of 2 % holds fewer than ten"
        )
    below = np.cumsum(shares)[:-1]
    past = [_past_units(values, ruleset.levels) for values in earlier]
    cuts = nearest_cuts(points, floors, below, present.units, ruleset.levels, past)
    intervals = drawn_again(points, floors, below, present.units, seed, resamples)
    before, after = (levels_by(points, floors, sides) for sides in (present.units, [units for units, _ in cuts]))
    rows = tuple(
        LevelProposal(name, float(share), float((before == number).mean()), float((after == number).mean()))
        for number, (name, share) in enumerate(zip(ruleset.levels, shares, strict=True), 1)
    )
    return ThresholdProposal(
        ruleset=ruleset.name,
        content_hash=ruleset.content_hash,
        as_of=totals.as_of,
        lists=totals.lists,
        entities=len(points),
        left_out=totals.left_out,
        levels=rows,
        cuts=tuple(replace(cut, interval=ends) for (_, cut), ends in zip(cuts, intervals, strict=True)),
        moved=int((before != after).sum()),
        moves=_moves(before, after, ruleset.levels),
        kept=within is not None and all(abs(row.present - row.target) <= within + _ROUNDING for row in rows),
        capture=None,
        cautions=(*_nearer(before, after, shares), *_cautions(totals.left_out)),
    )


def _past_units(values: Sequence[Decimal], levels: Sequence[str]) -> list[int]:
    if len(values) != len(levels) - 1:
        raise ConfigError(f"an earlier proposal has {len(values)} thresholds, and there are {len(levels)} levels")
    return [point_units(value) for value in values]


def _is_assessed(assessments: Assessments) -> Marks:
    assessed: Marks = (assessments.outcomes[STATUS] == Status.ASSESSED.value).to_numpy()
    return assessed


def _levels_of(
    ruleset: Ruleset, points: Integers, floors: Integers, proposal: ThresholdProposal
) -> tuple[Integers, Integers]:
    """Return the levels by the present thresholds, and by the proposed ones."""
    sides = present_cuts(ruleset).units, [point_units(value) for value in proposal.values]
    before, after = (levels_by(points, floors, units) for units in sides)
    return before, after


def movers(assessments: Assessments, proposal: ThresholdProposal) -> pl.DataFrame:
    """List the entities that would be in another level: `entity_id`, and the levels `present` and `proposed`."""
    ruleset, assessed = assessments.program.ruleset, _is_assessed(assessments)
    before, after = _levels_of(ruleset, *_totals(assessments, assessed), proposal)
    names = np.array(ruleset.levels)
    frame = assessments.outcomes.filter(assessed).select(
        ENTITY, present=pl.Series(names[before - 1]), proposed=pl.Series(names[after - 1])
    )
    return frame.filter(before != after)


def _totals(assessments: Assessments, sample: Marks) -> tuple[Integers, Integers]:
    """Return the totals in hundredths, and the floors, of those in *sample*."""
    step = assessments.program.total.scale // POINT_UNITS
    rows = assessments.outcomes.filter(sample)
    return (rows[TOTAL].fill_null(0) // step).to_numpy(), rows[FLOOR].to_numpy()


def _moves(before: Integers, after: Integers, levels: Sequence[str]) -> tuple[LevelMove, ...]:
    pairs, counts = np.unique(np.stack([before, after]), axis=1, return_counts=True)
    return tuple(
        LevelMove(levels[first - 1], levels[second - 1], int(count))
        for (first, second), count in zip(pairs.T, counts, strict=True)
        if first != second
    )


def _targets(targets: Sequence[float] | None, levels: Sequence[str]) -> Floats:
    shares = np.array(default_targets() if targets is None else targets, dtype=np.float64)
    if len(shares) != len(levels):
        usual = "usual " if targets is None else ""
        raise ConfigError(
            f"the {len(shares)} {usual}target shares, {', '.join(map(percent, shares))}, do not fit {len(levels)} "
            f"levels: {', '.join(levels)}; name a share for each, the lowest first"
        )
    if not (shares > 0).all() or abs(shares.sum() - 1) > 1e-9:
        texts = ", ".join(f"{share:g}" for share in shares)
        raise ConfigError(f"the target shares are {texts}; each must be above 0, and all must add up to 1")
    return shares


_ROUNDING = 1e-9
"""The largest difference of sums of shares that counts as none."""


def _nearer(before: Integers, after: Integers, targets: Floats) -> tuple[str, ...]:
    """Return a caution if the present thresholds are nearer to the targets, as they may be with an empty level."""
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
    lost = sum(left_out[status] for status in NOT_IN_FULL)
    if lost:
        lost_words = count_text(lost, "entity", "entities")
        cautions.append(f"{lost_words} could not be assessed in full: the thresholds are proposed without them")
    return cautions
