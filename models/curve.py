"""The score curve: the place of a predicted value in the reference portfolio."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from fivefold.domain.errors import NotEnoughDataError
from fivefold.domain.segments import HIGHEST_SCORE, LOWEST_SCORE
from fivefold.features.histories import Floats, Integers
from fivefold.features.reading.fast_columns import column_loops


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
        """Place predictions (money, an array of any shape) in the reference portfolio, 0 to 1."""
        money = np.asarray(predictions, dtype=np.float64)  # a stored end of an interval may be a whole number
        places = np.empty(money.size)
        column_loops().interpolate(money.ravel(), self.values, self.percentiles, places)
        return places.reshape(money.shape)

    def share_below(self, percentile: float) -> float:
        """Return the share of the reference (0 to 1) below a percentile.

        >>> ScoreCurve.of(np.array([10.0, 20.0, 20.0, 40.0])).share_below(0.6)
        0.75
        """
        return int(self._customers_below[np.searchsorted(self.percentiles, percentile)]) / self.customers

    def below_and_equal(self, prediction: float) -> tuple[int, int]:
        """Count the customers of the reference below a prediction (money), and those equal to it.

        >>> curve = ScoreCurve.of(np.array([10.0, 20.0, 20.0, 40.0]))
        >>> curve.below_and_equal(20.0), curve.below_and_equal(30.0), curve.below_and_equal(50.0)
        ((1, 2), (3, 0), (4, 0))
        """
        below, not_above = (
            int(self._customers_below[np.searchsorted(self.values, prediction, side)]) for side in ("left", "right")
        )
        return below, not_above - below

    @cached_property
    def _customers_below(self) -> Integers:
        """The customers below each of the distinct values, and all of them in the end."""
        # Twice a percentile is the share below it plus the share not above, so each count follows from the one before.
        twice = np.rint(2 * self.customers * self.percentiles).astype(np.int64)
        signs = np.where(np.arange(len(twice)) % 2, -1, 1)
        return np.concatenate([[0], signs * np.cumsum(signs * twice)])

    def score(self, predictions: Floats) -> Floats:
        """Turn predictions (money) into scores, 1 to 5.

        >>> ScoreCurve.of(np.array([10.0, 20.0, 30.0])).score(np.array([20.0])).tolist()
        [3.0]
        """
        return score_at(self.percentile(predictions))


def score_at(percentile: Floats) -> Floats:
    """Turn percentiles (0 to 1) into scores, 1 to 5."""
    return LOWEST_SCORE + (HIGHEST_SCORE - LOWEST_SCORE) * percentile
