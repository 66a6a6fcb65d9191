"""The interval about an expected value: how far off earlier predictions of the same kind of customer were.

Method: split conformal prediction, apart for each band of predictions, and within it for each part by consistency
(Mondrian): Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World" (2005), chapter 4; Lei et al.,
"Distribution-Free Predictive Inference for Regression" (2018). The distance of a value from its prediction is counted
in parts of the prediction, so that one group serves small and large predictions alike, and all who are worth nothing
are at the same distance, but for the smallest predictions (`least`). Libraries for this (MAPIE, crepes) keep every
distance and wrap an estimator; here a table is kept, and travels as JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fivefold.domain.errors import ConfigError
from fivefold.features.histories import Floats, Integers

BANDS, PARTS = 10, 5
"""Bands of predictions, and parts by consistency, chosen on earlier windows: docs/decisions/0045-intervals.md."""
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
    """The distances of the realised values of some customers from their predictions, by groups of customers.

    The b bands of predictions come first to last. A band is parted by consistency where it has the customers for it:
    then it has a group for each part, and last a group for those whose consistency is not known. So there are c groups,
    b or more.

    Attributes:
        bounds: b - 1 predictions (money), rising: a prediction at a bound is in the band above it.
        parts: of each band, the consistencies (0 to 1, rising) that part it: one at a bound is in the part above it.
            Empty where the band is one group.
        customers: in each of the c groups.
        distances: c x 99, in parts of the prediction: so far off are at the most 1, 2, ... 99 per cent of the group's
            customers and one more; infinite where the group has too few customers to say. Of too few whose consistency
            is not known it has those of all of their band.
        least: money; a smaller prediction counts as this one when its distances are measured.
        level_percent: the level where none is asked for.
        as_ofs: the moments (microseconds) whose customers were predicted, by trees that learnt nothing later; rising.
    """

    bounds: Floats
    parts: tuple[Floats, ...]
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
        consistency: Floats,
        as_ofs: tuple[int, ...],
        level_percent: int = DEFAULT_LEVEL_PERCENT,
        *,
        bands: int = BANDS,
        parts: int = PARTS,
    ) -> "IntervalTable | None":
        """Measure the distances of n realised values from n predictions that nothing was learnt from.

        A group with fewer than `LEAST_CUSTOMERS` is one with the group above it; those of a band whose consistency is
        not known have the distances of all of the band where they are fewer. None where there is nobody, or every
        prediction is 0.

        Args:
            predicted: money, 0 or more.
            realised: money, 0 or more.
            consistency: 0 to 1, NaN where it is not known (`features.consistency`).
            as_ofs: the moments of the predictions, microseconds.
            level_percent: the level where none is asked for.
            bands: of equally many predictions; 1 for no bands.
            parts: of each band, of equally many customers by consistency; 1 for no parts.

        >>> unknown, table_of = np.full(4, np.nan), IntervalTable.of
        >>> table = table_of(np.full(4, 10.0), np.array([0.0, 8.0, 11.0, 14.0]), unknown, as_ofs=(0,))
        >>> table.ends(np.array([20.0]), np.array([0.5]), 60)
        Ends(low=array([12.]), high=array([28.]))
        """
        check_level(level_percent)
        least = LEAST_SHARE_OF_MEAN * float(predicted.mean()) if len(predicted) else 0.0
        if least == 0:  # also of predictions so small that this share of them is rounded to 0
            return None
        bounds = _bounds(predicted, bands)
        band = np.searchsorted(bounds, predicted, side="right")
        distance = np.abs(realised - predicted) / np.maximum(predicted, least)
        parted: list[Floats] = []
        customers: list[int] = []
        members: list[Floats] = []
        for number in range(len(bounds) + 1):
            of = band == number
            edges = _bounds(np.asarray(consistency[of & ~np.isnan(consistency)]), parts)
            parted.append(edges)
            customers += np.bincount(_part_of(consistency[of], edges), minlength=_groups_of(edges)).tolist()
            members += _parted(distance[of], consistency[of], edges)
        distances = np.array([_at_levels(np.sort(each)) for each in members])
        return cls(bounds, tuple(parted), tuple(customers), distances, least, level_percent, as_ofs)

    def group_of(self, predicted: Floats, consistency: Floats) -> Integers:
        """Return the group of each customer, counted from 0."""
        band = np.searchsorted(self.bounds, predicted, side="right")
        begins = [0, *accumulate(map(_groups_of, self.parts))]
        group = np.asarray(begins, dtype=np.int64)[band]
        for number in np.unique(band):
            of = band == number
            group[of] += _part_of(consistency[of], self.parts[number])
        return group

    def ends(self, predicted: Floats, consistency: Floats, level_percent: int | None = None) -> Ends:
        """Return the intervals about n predictions (money); each contains its prediction.

        Args:
            predicted: money, 0 or more.
            consistency: of these customers, 0 to 1; NaN where it is not known.
            level_percent: a whole number from 1 to 99; that of the table where it is not given.
        """
        reach = self._reaches(self.level_percent if level_percent is None else level_percent)[
            self.group_of(predicted, consistency)
        ]
        reach = reach * np.maximum(predicted, self.least)
        high = np.where(np.isinf(reach), np.nan, predicted + reach)
        return Ends(np.maximum(predicted - reach, 0.0), high)

    def held_shares(self, predicted: Floats, consistency: Floats) -> Floats:
        """Give what share of the customers it was measured on the interval about each of n predictions holds.

        That is the level, and more where many are at the same distance, as all who are worth nothing are whose
        prediction is `least` or more: an interval that holds one of them holds all. It is known to one in a hundred,
        and is 1 without a high end.
        """
        reach = self._reaches(self.level_percent)
        within = (self.distances <= reach[:, None]).sum(axis=1) / 100.0
        shares: Floats = np.where(np.isinf(reach), 1.0, within)[self.group_of(predicted, consistency)]
        return shares

    def _reaches(self, level_percent: int) -> Floats:
        """Return how far the intervals of each of the c groups reach at a level, in parts of the prediction."""
        reaches: Floats = self.distances[:, check_level(level_percent) - LEVELS_PERCENT.start]
        return reaches

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON; an unknown distance is null."""
        return {
            "bounds": self.bounds.tolist(),
            "parts": [edges.tolist() for edges in self.parts],
            "customers": list(self.customers),
            "distances": [[None if np.isinf(one) else one for one in group.tolist()] for group in self.distances],
            "least": self.least,
            "level_percent": self.level_percent,
            "as_ofs": list(self.as_ofs),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read the data of `to_dict`; ValueError, KeyError or TypeError if it is invalid.

        A table without parts is one from before there were any: consistency makes no difference to its intervals.
        """
        bounds = np.array(content["bounds"], dtype=np.float64)
        parts = tuple(np.array(edges, dtype=np.float64) for edges in content.get("parts", [[]] * (len(bounds) + 1)))
        rows = [[np.inf if one is None else float(one) for one in group] for group in content["distances"]]
        distances = np.array(rows, dtype=np.float64)
        customers = tuple(map(int, content["customers"]))
        groups = sum(map(_groups_of, parts))
        if distances.shape != (groups, len(LEVELS_PERCENT)) or len(customers) != groups:
            raise ValueError(f"an interval's table has distances of the shape {distances.shape}")
        if len(parts) != len(bounds) + 1:
            raise ValueError(f"an interval's table has {len(bounds)} bounds, and parts of {len(parts)} bands")
        if any((np.diff(edges) <= 0).any() for edges in (bounds, *parts)) or (distances < 0).any():
            raise ValueError("an interval's table has bounds that do not rise, or distances below 0")
        if (distances[:, 1:] < distances[:, :-1]).any():
            raise ValueError("an interval's table has distances that do not rise")
        level = check_level(int(content["level_percent"]))
        return cls(bounds, parts, customers, distances, float(content["least"]), level, tuple(content["as_ofs"]))


def _groups_of(edges: Floats) -> int:
    """Count the groups of a band with these bounds of consistency: its parts, and one where it is not known."""
    return len(edges) + 2 if len(edges) else 1


def _part_of(consistency: Floats, edges: Floats) -> Integers:
    """Return the group of customers within their band."""
    if not len(edges):
        return np.zeros(len(consistency), dtype=np.int64)
    part = np.searchsorted(edges, consistency, side="right")
    return np.where(np.isnan(consistency), len(edges) + 1, part).astype(np.int64)


def _parted(distance: Floats, consistency: Floats, edges: Floats) -> list[Floats]:
    """Part the distances of a band; too few whose consistency is not known have those of all."""
    part = _part_of(consistency, edges)
    *parts, unknown = (distance[part == number] for number in range(_groups_of(edges)))
    return [*parts, unknown if len(unknown) >= LEAST_CUSTOMERS else distance]


def check_level(level_percent: int) -> int:
    """Check the level of an interval; ConfigError if it is not a whole number from 1 to 99."""
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
    """Return the distances of a group at every level; *distances* are sorted."""
    places = [rank_at(len(distances), level) for level in LEVELS_PERCENT]
    return [float(distances[place - 1]) if place <= len(distances) else np.inf for place in places]


def _bounds(values: Floats, parts: int) -> Floats:
    """Part values into so many equal parts, equal ones together, and join what is too thin; a bound begins a part."""
    ordered = np.sort(values)
    if not len(ordered):
        return ordered
    edges = np.unique(ordered[[len(ordered) * number // parts for number in range(1, parts)]])
    bounds: list[float] = []
    begins = 0
    for bound, place in zip(edges.tolist(), np.searchsorted(ordered, edges).tolist(), strict=True):
        if place - begins >= LEAST_CUSTOMERS:
            bounds.append(bound)
            begins = place
    if bounds and len(ordered) - begins < LEAST_CUSTOMERS:
        bounds.pop()
    return np.array(bounds, dtype=np.float64)


def covered(ends: Ends, realised: Floats) -> npt.NDArray[np.bool_]:
    """Mark the values that lie in their intervals, ends included; one without a high end reaches as far as any value.

    >>> covered(Ends(np.array([1.0, 1.0]), np.array([2.0, np.nan])), np.array([3.0, 9.0])).tolist()
    [False, True]
    """
    return np.asarray((ends.low <= realised) & ~(realised > ends.high))
