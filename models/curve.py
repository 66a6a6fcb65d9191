"""The score curve: the place of a predicted value in the reference portfolio."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from fivefold.domain.errors import NotEnoughDataError
from fivefold.domain.segments import HIGHEST_SCORE, LOWEST_SCORE
from fivefold.features.histories import Floats


@dataclass(frozen=True)
class ScoreCurve:
    """Percentiles (0 to 1) of the distinct predictions of a reference portfolio.

    A prediction's percentile is the share of the reference below it plus half the share equal to it: linear
    between distinct reference predictions, held at the end values outside.

    Attributes:
        values: distinct reference predictions, money, rising.
        percentiles: the percentile of each.
        customers: number of customers in the reference.
    """

    values: Floats
    percentiles: Floats
    customers: int

    @classmethod
    def of(cls, predictions: Floats) -> Self:
        """Build the curve from the predictions for every customer of the reference portfolio.

        >>> curve = ScoreCurve.of(np.array([10.0, 20.0, 20.0, 40.0]))
        >>> curve.percentiles.tolist()
        [0.125, 0.5, 0.875]
        """
        if not len(predictions):
            raise NotEnoughDataError("the reference portfolio has no customers, so no score can be placed in it")
        values, counts = np.unique(predictions, return_counts=True)
        below = np.cumsum(counts) - counts
        return cls(values, (below + counts / 2) / len(predictions), len(predictions))

    def percentile(self, predictions: Floats) -> Floats:
        """Place predictions (money) in the reference portfolio, 0 to 1."""
        return np.interp(predictions, self.values, self.percentiles)

    def share_below(self, percentile: float) -> float:
        """Give the share of the reference (0 to 1) below a percentile.

        >>> ScoreCurve.of(np.array([10.0, 20.0, 20.0, 40.0])).share_below(0.6)
        0.75
        """
        place = int(np.searchsorted(self.percentiles, percentile))
        # Each percentile is the share below it plus half its own, so the shares below follow one from the other.
        signs = np.where(np.arange(place) % 2 == (place - 1) % 2, 2.0, -2.0)
        return float((signs * self.percentiles[:place]).sum())

    def score(self, predictions: Floats) -> Floats:
        """Turn predictions (money) into scores, 1 to 5.

        >>> ScoreCurve.of(np.array([10.0, 20.0, 30.0])).score(np.array([20.0])).tolist()
        [3.0]
        """
        return score_at(self.percentile(predictions))


def score_at(percentile: Floats) -> Floats:
    """Turn percentiles (0 to 1) into scores, 1 to 5."""
    return LOWEST_SCORE + (HIGHEST_SCORE - LOWEST_SCORE) * percentile
