"""Paired bootstrap by customer: how far chance alone could move a difference between two rankings of one window.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993): customers are drawn with replacement, and
every prediction is judged on the same draw, so that what is easy or hard about a draw cancels out.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from fivefold.features.ahead import work_ahead
from fivefold.features.histories import Floats, Integers
from fivefold.training.judging.calibration import TenthsOff

RESAMPLES = 1_000
TENTHS = 10


@dataclass(frozen=True)
class Resamples:
    """The figures of each draw of customers.

    Attributes:
        gini: normalised Gini by name, one figure for each draw; NaN where all drawn customers are worth the same.
        tenths: by how much the money of the tenths is off, by name; predictions in money alone have it.
    """

    gini: Mapping[str, Floats]
    tenths: Mapping[str, TenthsOff]


def draws(customers: int, seed: int, resamples: int = RESAMPLES) -> Iterator[Floats]:
    """Draw n customers with replacement; yields for each resample how often each customer was drawn.

    >>> [int(times.sum()) for times in draws(5, seed=1, resamples=2)]
    [5, 5]
    """
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(random.integers(customers, size=customers), minlength=customers).astype(np.float64)


def resample(
    predictions: Mapping[str, Floats], realised: Floats, drawn: Iterable[Floats], *, money: tuple[str, ...] = ()
) -> Resamples:
    """Judge every prediction on each draw of the customers.

    Args:
        predictions: by name, one for each of n customers, on any scale.
        realised: what the n customers were worth, 0 or more.
        drawn: how often each customer was drawn, an array of n for each resample.
        money: names of predictions in money, whose calibration is judged too.
    """
    best = PredictedOrder(realised, realised)
    ranked = {name: PredictedOrder(predicted, realised) for name, predicted in predictions.items()}
    tenths = {name: Tenths(predictions[name], realised) for name in money}

    def judge(times: Floats) -> tuple[list[float], list[Floats]]:
        top = best.gini(times)
        ginis = [ranking.gini(times) / top if top > 0 else float("nan") for ranking in ranked.values()]
        return ginis, [groups.off(times) for groups in tenths.values()]

    figures = list(work_ahead(judge, drawn))
    once = np.ones(len(realised))
    return Resamples(
        {name: np.array([ginis[place] for ginis, _ in figures]) for place, name in enumerate(ranked)},
        {
            name: TenthsOff(groups.off(once), np.array([off[place] for _, off in figures]))
            for place, (name, groups) in enumerate(tenths.items())
        },
    )


class PredictedOrder:
    """Customers in predicted order, highest first; equal predictions share their value evenly."""

    def __init__(self, predicted: Floats, realised: Floats) -> None:
        """Place n customers by their predictions, on any scale; *realised* is what they were worth, 0 or more."""
        self._order = np.argsort(-predicted, kind="stable")
        placed = predicted[self._order]
        self._starts = np.flatnonzero(np.concatenate([[True], placed[1:] != placed[:-1]]))
        self._ties = len(self._starts) < len(placed)
        self._realised = realised[self._order]

    def _drawn(self, times: Floats) -> tuple[Floats, Floats]:
        """Give the customers and the value of each place, highest first, where each was drawn so many *times*."""
        drawn = times[self._order]
        value = drawn * self._realised
        if self._ties:
            drawn, value = np.add.reduceat(drawn, self._starts), np.add.reduceat(value, self._starts)
        return drawn, value

    def gini(self, times: Floats) -> float:
        """Give the Gini, not yet normalised, of customers that were drawn so many *times* each."""
        drawn, value = self._drawn(times)
        customers, total = drawn.sum(), value.sum()
        if not total:
            return 0.0
        before = np.cumsum(value) - value
        area = float((drawn * before + value * (drawn + 1.0) / 2.0).sum() / total)
        return float((area - (customers + 1.0) / 2.0) / customers)

    def top_value(self, times: Floats) -> float:
        """Give the value in the predicted top tenth of a draw; customers tied at the edge share."""
        drawn, value = self._drawn(times)
        customers = np.concatenate([[0.0], np.cumsum(drawn)])
        return float(np.interp(customers[-1] / TENTHS, customers, np.concatenate([[0.0], np.cumsum(value)])))

    def ranks(self, times: Floats) -> Floats:
        """Give each of the n customers the mean rank of its place in a draw, from the highest down."""
        drawn, _ = self._drawn(times)
        ranks = np.cumsum(drawn) - (drawn - 1.0) / 2.0
        of_customers = np.empty(len(self._order))
        sizes = np.diff(np.append(self._starts, len(self._order)))
        of_customers[self._order] = np.repeat(ranks, sizes)
        return of_customers


class Tenths:
    """Ten groups of customers by prediction, equal in size before they are drawn."""

    def __init__(self, predicted: Floats, realised: Floats, groups: int = TENTHS) -> None:
        """Group n customers by their predictions in money; *realised* is what they were worth, 0 or more."""
        self._group: Integers = np.empty(len(predicted), dtype=np.int64)
        for number, members in enumerate(np.array_split(np.argsort(predicted, kind="stable"), groups)):
            self._group[members] = number
        _, self._same = np.unique(predicted, return_inverse=True)
        self._predicted, self._realised = predicted, realised
        self._groups = groups

    def off(self, times: Floats) -> Floats:
        """Give predicted less realised money of each group of a draw, as shares of all that is realised in it.

        Those of a draw who have equal predictions share their value. All is NaN where nobody who was drawn is worth
        anything, whatever was predicted.
        """
        total = float((times * self._realised).sum())
        off = times * (self._predicted - self._shared(times))
        return np.bincount(self._group, weights=off, minlength=self._groups) / (total or np.nan)

    def ratios(self, times: Floats) -> Floats:
        """Give predicted over realised money of each group of a draw; NaN where nothing is realised in it."""
        predicted, realised = (
            np.bincount(self._group, weights=times * money, minlength=self._groups)
            for money in (self._predicted, self._shared(times))
        )
        ratios: Floats = np.divide(predicted, realised, out=np.full(self._groups, np.nan), where=realised > 0)
        return ratios

    def _shared(self, times: Floats) -> Floats:
        """Give each customer the mean realised money of those of a draw who have the same prediction."""
        drawn = np.bincount(self._same, weights=times)
        shared = np.bincount(self._same, weights=times * self._realised) / np.maximum(drawn, 1.0)
        return np.asarray(shared[self._same], dtype=np.float64)

    def error(self, times: Floats) -> float:
        """Give the calibration error, as `metrics.calibration_error` defines it, of a draw."""
        return float(np.abs(self.off(times)).sum())
