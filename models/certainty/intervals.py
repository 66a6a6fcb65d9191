"""The interval about an expected value: how far off earlier predictions of the same size were.

Method: split conformal prediction, apart for each tenth of the predictions (Mondrian): Vovk, Gammerman and Shafer,
"Algorithmic Learning in a Random World" (2005), chapter 4; Lei et al., "Distribution-Free Predictive Inference for
Regression" (2018). The distance of a value from its prediction is counted in parts of the prediction, so that one group
serves small and large predictions alike, and all who are worth nothing are at the same distance.
Libraries for this (MAPIE, crepes) keep every distance and wrap an estimator; here a table is kept, and travels as JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fivefold.domain.errors import ConfigError
from fivefold.features.histories import Floats, Integers

GROUPS = 10
LEAST_CUSTOMERS = 100
"""Fewer customers do not make a group: with a hundred an interval of 99 % still has an upper end."""
LEVELS_PERCENT = range(1, 100)
DEFAULT_LEVEL_PERCENT = 80
LEAST_SHARE_OF_MEAN = 0.01
"""A prediction below this share of the mean one counts as this large: a distance in parts of 0 would be endless."""


@dataclass(frozen=True)
class Ends:
    """The ends of n intervals of money: 0 or more, and not below the low end; NaN where the high end is unknown."""

    low: Floats
    high: Floats


@dataclass(frozen=True)
class IntervalTable:
    """The distances of the realised values of some customers from their predictions, by groups of similar predictions.

    Attributes:
        bounds: g - 1 predictions (money), rising: a prediction at a bound is in the group above it.
        customers: in each of the g groups.
        distances: g x 99, in parts of the prediction: so far off are at the most 1, 2, ... 99 per cent of the group's
            customers and one more; infinite where the group has too few customers to say.
        least: money; a smaller prediction counts as this one when its distances are measured.
        level_percent: the level where none is asked for.
        as_ofs: the moments (microseconds) whose customers were predicted, by trees that learnt nothing later; rising.
    """

    bounds: Floats
    customers: tuple[int, ...]
    distances: Floats
    least: float
    level_percent: int
    as_ofs: tuple[int, ...]

    @classmethod
    def of(
        cls,
        predicted: Floats,
        realised: Floats,
        as_ofs: tuple[int, ...],
        level_percent: int = DEFAULT_LEVEL_PERCENT,
    ) -> "IntervalTable | None":
        """Measure the distances of n realised values from n predictions that nothing was learnt from.

        Groups are tenths of the predictions; one with fewer than `LEAST_CUSTOMERS` is one with the group above it.
        None where there is nobody, or every prediction is 0.

        >>> table = IntervalTable.of(np.array([10.0, 10.0, 10.0, 10.0]), np.array([0.0, 8.0, 11.0, 14.0]), as_ofs=(0,))
        >>> table.ends(np.array([20.0]), 60)
        Ends(low=array([12.]), high=array([28.]))
        """
        check_level(level_percent)
        if not len(predicted) or not predicted.any():
            return None
        least = LEAST_SHARE_OF_MEAN * float(predicted.mean())
        bounds = _bounds(predicted)
        group = np.searchsorted(bounds, predicted, side="right")
        distance = np.abs(realised - predicted) / np.maximum(predicted, least)
        members = [np.sort(distance[group == number]) for number in range(len(bounds) + 1)]
        distances = np.array([_at_levels(each) for each in members])
        return cls(bounds, tuple(map(len, members)), distances, least, level_percent, as_ofs)

    def group_of(self, predicted: Floats) -> Integers:
        """Give the group of each prediction, counted from 0."""
        return np.asarray(np.searchsorted(self.bounds, predicted, side="right"), dtype=np.int64)

    def ends(self, predicted: Floats, level_percent: int | None = None) -> Ends:
        """Give the interval about n predictions (money); each contains its prediction.

        Args:
            predicted: money, 0 or more.
            level_percent: a whole number from 1 to 99; that of the table where it is not given.
        """
        level = check_level(self.level_percent if level_percent is None else level_percent)
        reach = self.distances[self.group_of(predicted), level - LEVELS_PERCENT.start]
        reach = reach * np.maximum(predicted, self.least)
        high = np.where(np.isinf(reach), np.nan, predicted + reach)
        return Ends(np.maximum(predicted - reach, 0.0), high)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON; a distance that is not known is null."""
        return {
            "bounds": self.bounds.tolist(),
            "customers": list(self.customers),
            "distances": [[None if np.isinf(one) else one for one in group.tolist()] for group in self.distances],
            "least": self.least,
            "level_percent": self.level_percent,
            "as_ofs": list(self.as_ofs),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave; ValueError, KeyError or TypeError where it is none."""
        bounds = np.array(content["bounds"], dtype=np.float64)
        rows = [[np.inf if one is None else float(one) for one in group] for group in content["distances"]]
        distances = np.array(rows, dtype=np.float64)
        customers = tuple(map(int, content["customers"]))
        if distances.shape != (len(bounds) + 1, len(LEVELS_PERCENT)) or len(customers) != len(bounds) + 1:
            raise ValueError(f"an interval's table has distances of the shape {distances.shape}")
        if (np.diff(bounds) <= 0).any() or (distances < 0).any() or (distances[:, 1:] < distances[:, :-1]).any():
            raise ValueError("an interval's table has bounds or distances that do not rise")
        level = check_level(int(content["level_percent"]))
        return cls(bounds, customers, distances, float(content["least"]), level, tuple(content["as_ofs"]))


def check_level(level_percent: int) -> int:
    """Check the level of an interval; ConfigError where it is no whole number from 1 to 99."""
    if level_percent not in LEVELS_PERCENT:
        first, last = LEVELS_PERCENT[0], LEVELS_PERCENT[-1]
        raise ConfigError(f"the level of the interval is {level_percent}; it must be a whole number, {first} to {last}")
    return level_percent


def rank_at(customers: int, level_percent: int) -> int:
    """Give the place, counted from 1, of the distance that so many per cent of the customers and one more are within.

    It is beyond the last customer where they are too few for that level.

    >>> rank_at(99, 80), rank_at(4, 80), rank_at(3, 80)
    (80, 4, 4)
    """
    return -(-(customers + 1) * level_percent // 100)


def _at_levels(distances: Floats) -> list[float]:
    """Give the distance of a group, sorted, at every level."""
    places = [rank_at(len(distances), level) for level in LEVELS_PERCENT]
    return [float(distances[place - 1]) if place <= len(distances) else np.inf for place in places]


def _bounds(predicted: Floats) -> Floats:
    """Part predictions into tenths, equal ones together, and join what is too thin; each bound begins a group."""
    ordered = np.sort(predicted)
    tenths = np.unique(ordered[[len(ordered) * number // GROUPS for number in range(1, GROUPS)]])
    bounds: list[float] = []
    begins = 0
    for bound, place in zip(tenths.tolist(), np.searchsorted(ordered, tenths).tolist(), strict=True):
        if place - begins >= LEAST_CUSTOMERS:
            bounds.append(bound)
            begins = place
    if bounds and len(ordered) - begins < LEAST_CUSTOMERS:
        bounds.pop()
    return np.array(bounds)


def covered(ends: Ends, realised: Floats) -> npt.NDArray[np.bool_]:
    """Mark the values that lie in their intervals, ends included; one without a high end reaches as far as any value.

    >>> covered(Ends(np.array([1.0, 1.0]), np.array([2.0, np.nan])), np.array([3.0, 9.0])).tolist()
    [False, True]
    """
    return np.asarray((ends.low <= realised) & ~(realised > ends.high))
