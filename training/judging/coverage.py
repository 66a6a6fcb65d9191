"""Coverage: how many of the realised values of a window lie in the intervals that were given before it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from fivefold.domain.segments import SEGMENTS
from fivefold.features.histories import Floats
from fivefold.models.certainty.intervals import Ends, covered
from fivefold.models.value_model import ValueModel
from fivefold.training.judging.metrics import DECILES


@dataclass(frozen=True)
class Coverage:
    """What the intervals of a model held of a window.

    Attributes:
        level_percent: so many of a hundred were to be held.
        as_ofs: the moments (microseconds) whose customers the intervals were measured on.
        covered_share: of all customers of the window.
        width_mean: money from the low end to the high end; NaN where no customer has a high end.
        segments: one row a segment, lowest first: customers, covered_share, zero_share (of those worth nothing),
            low_mean and high_mean (money); empty ones left out.
        tenths: the same for ten equal groups of customers by prediction, lowest first.
    """

    level_percent: int
    as_ofs: tuple[int, ...]
    covered_share: float
    width_mean: float
    segments: pl.DataFrame
    tenths: pl.DataFrame

    def figures(self) -> dict[str, float]:
        """Give every figure by its name in the registry."""
        by_segment = {f"segment_{row['segment']}_coverage": row["covered_share"] for row in self.segments.to_dicts()}
        return {
            "interval_level": self.level_percent / 100,
            "interval_coverage": self.covered_share,
            "interval_width_mean": self.width_mean,
            **by_segment,
        }


def coverage(model: ValueModel, predicted: Floats, realised: Floats) -> Coverage | None:
    """Judge a model's intervals on n customers of a window; None where it keeps none.

    Args:
        model: whose intervals were measured on earlier customers.
        predicted: by the model, money.
        realised: what the customers were worth, money of 0 or more.
    """
    table = model.intervals
    if table is None:
        return None
    ends = table.ends(predicted)
    known = ~np.isnan(ends.high)
    width = float((ends.high - ends.low)[known].mean()) if known.any() else float("nan")
    category = model.segments_of(model.curve.score(predicted))
    segments = {segment: category == segment for segment in SEGMENTS}
    return Coverage(
        table.level_percent,
        table.as_ofs,
        float(covered(ends, realised).mean()),
        width,
        _table("segment", segments, ends, realised),
        _table("decile", dict(tenths(predicted)), ends, realised),
    )


def tenths(predicted: Floats) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """Give ten equal groups of n customers by prediction, lowest first: the number from 1, and n marks of who is in."""
    order = np.argsort(predicted, kind="stable")
    for number, members in enumerate(np.array_split(order, DECILES), start=1):
        marks = np.zeros(len(predicted), dtype=np.bool_)
        marks[members] = True
        yield number, marks


def _table(
    name: str, groups: Mapping[str, npt.NDArray[np.bool_]] | Mapping[int, npt.NDArray[np.bool_]], ends: Ends,
    realised: Floats,
) -> pl.DataFrame:  # fmt: skip
    is_covered = covered(ends, realised)
    return pl.DataFrame(
        [
            {
                name: group,
                "customers": int(members.sum()),
                "covered_share": float(is_covered[members].mean()),
                "zero_share": float((realised[members] == 0).mean()),
                "low_mean": float(ends.low[members].mean()),
                "high_mean": float(ends.high[members].mean()),
            }
            for group, members in groups.items()
            if members.any()
        ]
    )
