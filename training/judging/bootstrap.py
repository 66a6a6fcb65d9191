"""Paired bootstrap by customer: how far chance alone could move a difference between two rankings of one window.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993): customers are drawn with replacement, and
every prediction is judged on the same draw, so that what is easy or hard about a draw cancels out.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fivefold.features.ahead import work_ahead
from fivefold.features.histories import Floats, Integers
from fivefold.features.numba_cache import compile_loops
from fivefold.training.judging import draw_loops
from fivefold.training.judging.metrics import TenthsOff

RESAMPLES = 1_000
TENTHS = 10

Times = npt.NDArray[np.uint16]
"""How often each of n customers was drawn."""


@dataclass(frozen=True)
class Resamples:
    """The figures of each draw of customers.

    Attributes:
        gini: normalised Gini by name, one figure for each draw; NaN if all drawn customers are worth the same.
        tenths: how far the money of the tenths is off, by name; only for predictions in money.
    """

    gini: Mapping[str, Floats]
    tenths: Mapping[str, TenthsOff]


def draws(customers: int, seed: int, resamples: int = RESAMPLES) -> Iterator[Times]:
    """Draw n customers with replacement; yields for each resample how often each customer was drawn.

    >>> [int(times.sum()) for times in draws(5, seed=1, resamples=2)]
    [5, 5]
    """
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        times = np.zeros(customers, dtype=np.uint16)
        compile_loops(draw_loops).count_drawn(random.integers(customers, size=customers, dtype=np.uint32), times)
        yield times


def resample(
    predictions: Mapping[str, Floats],
    realised: Floats,
    drawn: Iterable[Times],
    *,
    money: tuple[str, ...] = (),
) -> Resamples:
    """Judge every prediction on each draw of the customers.

    Args:
        predictions: predictions for n customers by name, on any scale.
        realised: what the n customers were worth, 0 or more.
        drawn: how often each customer was drawn, an array of n for each resample.
        money: names of predictions in money, whose calibration is judged too.
    """
    best = PredictedOrder(realised, realised)
    ranked = {name: PredictedOrder(predicted, realised) for name, predicted in predictions.items()}
    tenths = {name: Tenths(predictions[name], realised) for name in money}

    def judge(times: Times) -> tuple[list[float], list[Floats]]:
        top = best.gini(times)
        ginis = [ranking.gini(times) / top if top > 0 else float("nan") for ranking in ranked.values()]
        return ginis, [groups.off(times) for groups in tenths.values()]

    figures = list(work_ahead(judge, drawn))
    once = np.ones(len(realised), dtype=np.uint16)
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
        """Sort n customers by their predictions, on any scale; *realised* is what they were worth, 0 or more."""
        self._order = np.argsort(-predicted, kind="stable").astype(np.uint32)
        self._starts = _starts_of_equal(predicted[self._order])
        self._realised = np.asarray(realised[self._order], dtype=np.float64)

    def gini(self, times: Times) -> float:
        """Return the Gini, not yet normalised, of a draw; *times* is how often each customer was drawn."""
        return float(compile_loops(draw_loops).gini_of_draw(times, self._order, self._starts, self._realised))

    def top_value(self, times: Times) -> float:
        """Return the value in the predicted top tenth of a draw; customers tied at its edge share their value."""
        drawn = times[self._order].astype(np.float64)
        value = np.add.reduceat(drawn * self._realised, self._starts[:-1])
        customers = np.concatenate([[0.0], np.cumsum(np.add.reduceat(drawn, self._starts[:-1]))])
        return float(np.interp(customers[-1] / TENTHS, customers, np.concatenate([[0.0], np.cumsum(value)])))

    def ranks(self, times: Times) -> Floats:
        """Return the mean rank of each of n customers in a draw, from the highest prediction down."""
        drawn = np.add.reduceat(times[self._order].astype(np.float64), self._starts[:-1])
        ranks = np.cumsum(drawn) - (drawn - 1.0) / 2.0
        of_customers = np.empty(len(self._order))
        of_customers[self._order] = np.repeat(ranks, np.diff(self._starts))
        return of_customers


class Tenths:
    """Ten groups of customers by prediction, equal in size before they are drawn."""

    def __init__(self, predicted: Floats, realised: Floats) -> None:
        """Group n customers by their predictions in money; *realised* is what they were worth, 0 or more."""
        self._order = np.argsort(predicted, kind="stable").astype(np.uint32)
        self._predicted, self._realised = (
            np.asarray(money[self._order], dtype=np.float64) for money in (predicted, realised)
        )
        starts = _starts_of_equal(self._predicted)
        self._tied = np.column_stack([starts[:-1], starts[1:]])[np.diff(starts) > 1]
        sizes = [len(places) for places in np.array_split(self._order, TENTHS)]
        self._bounds: Integers = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def off(self, times: Times) -> Floats:
        """Return predicted less realised money of each group of a draw, as shares of all realised money in it.

        Drawn customers with equal predictions share their value. All shares are NaN if no drawn customer is worth
        anything, whatever was predicted.
        """
        predicted, realised = self.money(times)
        return np.asarray((predicted - realised) / (realised.sum() or np.nan))

    def error(self, times: Times) -> float:
        """Return the calibration error of a draw, as `metrics.calibration_error` defines it."""
        return float(np.abs(self.off(times)).sum())

    def money(self, times: Times) -> Floats:
        """Return the predicted and the realised money of each group of a draw: 2 x groups."""
        money = np.empty((2, len(self._bounds) - 1))
        compile_loops(draw_loops).money_of_draw(
            times, self._order, self._tied, self._predicted, self._realised, self._bounds, money
        )
        return money


def _starts_of_equal(placed: Floats) -> npt.NDArray[np.uint32]:
    """Return the first place of each run of equal values, and the number of values at the end."""
    changes = np.flatnonzero(placed[1:] != placed[:-1]) + 1
    return np.concatenate([[0], changes, [len(placed)]]).astype(np.uint32)
