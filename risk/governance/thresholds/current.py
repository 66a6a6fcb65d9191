"""Where the levels of a ruleset begin at present, in whatever form it scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from fivefold.domain.errors import ConfigError
from fivefold.risk.language.numbers import POINT_UNITS, point_units
from fivefold.risk.language.ruleset import Ruleset
from fivefold.risk.language.scoring import PointsScore, Tier, TiersScore

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
    """Tell whether every total is a whole number of points: no rule gives, or decays to, a part of one."""
    outcomes = [
        outcome
        for rule in ruleset.rules
        for outcome in (*rule.cases, rule.otherwise, rule.on_unknown or rule.otherwise)
    ]
    points = [point_units(outcome.points) for outcome in outcomes if outcome.points is not None]
    return all(units % POINT_UNITS == 0 for units in points) and not any(rule.decay for rule in ruleset.rules)
