"""Coverage: the share of the realised values of a window that lie in the intervals predicted before it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import polars as pl

from fivefold.domain.segments import SEGMENTS
from fivefold.domain.text import is_same_figure
from fivefold.features.histories import Floats, Integers
from fivefold.models.certainty.intervals import Ends, covered
from fivefold.models.value_model import ValueModel
from fivefold.training.config import DueSettings
from fivefold.training.judging.metrics import DECILES
from fivefold.training.judging.predictions import WindowPredictions

FIFTHS = 5
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class IntervalCoverage:
    """The coverage of a window by the intervals of a model.

    Attributes:
        level_percent: how many of a hundred values the intervals should hold.
        as_ofs: the moments (microseconds) whose customers the intervals were measured on.
        covered_share: the share of the window's values in their intervals.
        expected_share: the share that the intervals held of the customers that they were measured on: the level, or
            more if many are worth nothing.
        is_off: whether the covered share is further off than the settings and chance allow, see `is_surely_off`.
        width_mean: the mean of money from the low end to the high end; NaN if no customer has a high end.
        segments: one row a segment, lowest first: customers, covered_share, zero_share (of those worth nothing),
            expected_share, low_mean and high_mean (money); empty ones left out.
        tenths: the same for ten equal groups of customers by prediction, lowest first.
        fifths: the same for five equal groups of customers whose consistency is known, least consistent first.
    """

    level_percent: int
    as_ofs: tuple[int, ...]
    covered_share: float
    expected_share: float
    is_off: bool
    width_mean: float
    segments: pl.DataFrame
    tenths: pl.DataFrame
    fifths: pl.DataFrame

    @property
    def doubt(self) -> str:
        """The consequence if the share is off, as the end of a sentence about it; empty if it is not."""
        if not self.is_off:
            return ""
        side, which = ("below", "narrow") if self.covered_share < self.level_percent / 100 else ("above", "wide")
        return (
            f"further {side} {self.level_percent} % than the settings and chance allow: this window differs from "
            "those that the intervals were measured on, and intervals of later customers may be too "
            f"{which} as well"
        )

    def figures(self) -> dict[str, float]:
        """Return every figure by its name in the registry."""
        by_segment = {f"segment_{row['segment']}_coverage": row["covered_share"] for row in self.segments.to_dicts()}
        return {
            "interval_level": self.level_percent / 100,
            "interval_coverage": self.covered_share,
            "interval_coverage_expected": self.expected_share,
            "interval_width_mean": self.width_mean,
            **by_segment,
        }


def coverage_bounds(
    level_percent: int, most_held_share: float, customers: int, due: DueSettings
) -> tuple[float, float]:
    """Return the least and the largest share that intervals may hold by the settings and by chance.

    Args:
        level_percent: the level of the intervals.
        most_held_share: the share that they held of the customers that they were measured on. It is rightly more than
            the level if many are worth nothing. NaN if it is unknown.
        customers: the number of customers in the window.
        due: the bounds.
    """
    level = level_percent / 100
    # How far chance alone moves the share that correct intervals hold.
    reach = NormalDist().inv_cdf((1 + due.confidence) / 2) * sqrt(level * (1 - level) / customers)
    most = level if isnan(most_held_share) else max(level, most_held_share)
    allowed = max(due.most_coverage_distance, reach)
    return level - allowed, most + allowed


def is_surely_off(covered_share: float, bounds: tuple[float, float]) -> bool:
    """Check whether a share lies outside the bounds of `coverage_bounds`; rounding errors do not count."""
    low, high = bounds
    return not low <= covered_share <= high and not any(is_same_figure(covered_share, bound) for bound in bounds)


def is_beyond(distance: float, allowed: float) -> bool:
    """Check whether a distance is more than is allowed; rounding errors do not count.

    >>> is_beyond(1 - 0.85, 0.15), is_beyond(1 - 0.8499, 0.15)
    (False, True)
    """
    return distance > allowed and not is_same_figure(distance, allowed)


def coverage(
    model: ValueModel, window: WindowPredictions, category: npt.NDArray[np.str_], due: DueSettings
) -> IntervalCoverage | None:
    """Judge a model's intervals, which were measured on earlier customers, on a window; None if it has none.

    *category* has the segments that the model puts the customers in, and *due* the bounds of the share that intervals
    may hold.
    """
    table, predicted, realised = model.intervals, window.predicted, window.realised
    if table is None:
        return None
    ends = table.ends(predicted, window.consistency)
    hits = IntervalHits(ends, covered(ends, realised), table.held_shares(predicted, window.consistency), realised == 0)
    is_bounded = ~np.isnan(ends.high)
    width = float((ends.high - ends.low)[is_bounded].mean()) if is_bounded.any() else float("nan")
    segments = {segment: category == segment for segment in SEGMENTS}
    share, expected = float(hits.covered.mean()), float(hits.expected.mean())
    return IntervalCoverage(
        level_percent=table.level_percent,
        as_ofs=table.as_ofs,
        covered_share=share,
        expected_share=expected,
        is_off=is_surely_off(share, coverage_bounds(table.level_percent, expected, len(realised), due)),
        width_mean=width,
        segments=hits.by("segment", segments),
        tenths=hits.by("decile", dict(tenths(predicted))),
        fifths=hits.by("fifth", dict(consistency_fifths(window.consistency))),
    )


def tenths(predicted: Floats) -> Iterator[tuple[int, Marks]]:
    """Return ten equal groups of n customers by prediction, lowest first: the number from 1, and n marks of members."""
    return _equal_groups(np.argsort(predicted, kind="stable"), len(predicted), DECILES)


def consistency_fifths(consistency: Floats) -> Iterator[tuple[int, Marks]]:
    """Return five equal groups of the customers whose consistency is known, least consistent first."""
    order = np.argsort(consistency, kind="stable")  # NaN comes last
    return _equal_groups(order[: int((~np.isnan(consistency)).sum())], len(consistency), FIFTHS)


def _equal_groups(order: Integers, customers: int, groups: int) -> Iterator[tuple[int, Marks]]:
    for number, members in enumerate(np.array_split(order, groups), start=1):
        marks = np.zeros(customers, dtype=np.bool_)
        marks[members] = True
        yield number, marks


@dataclass(frozen=True)
class IntervalHits:
    """Which of n values lay in their intervals.

    Attributes:
        ends: the intervals.
        covered: marks the values that lay in them.
        expected: the share that each interval held of the customers that it was measured on.
        worthless: marks the customers who were worth nothing.
    """

    ends: Ends
    covered: Marks
    expected: Floats
    worthless: Marks

    def by(self, name: str, groups: Mapping[str, Marks] | Mapping[int, Marks]) -> pl.DataFrame:
        """Return the figures of each group of customers; empty groups are left out."""
        return pl.DataFrame(
            [
                {
                    name: group,
                    "customers": int(members.sum()),
                    "covered_share": float(self.covered[members].mean()),
                    "expected_share": float(self.expected[members].mean()),
                    "zero_share": float(self.worthless[members].mean()),
                    "low_mean": float(self.ends.low[members].mean()),
                    "high_mean": float(self.ends.high[members].mean()),
                }
                for group, members in groups.items()
                if members.any()
            ]
        )
