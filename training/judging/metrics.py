"""Metrics of predicted against realised value of customers: how well it ranks, and how far it is off at least.

Customers with equal predictions share their value evenly, so that no metric depends on the order of the rows.

The calibration error adds up the absolute distances of the tenths, so chance adds more to it than it takes away: a
model that is right has an error above 0, and draws of its customers have a larger one. So a quantile of these draws is
not a bound. Sources: Kumar, Liang and Ma, "Verified Uncertainty Calibration" (2019), and Roelofs et al., "Mitigating
Bias in Calibration Error Estimation" (2022), on how large the error of a right model is; Fang and Santos, "Inference on
Directionally Differentiable Functions" (2019), on bootstraps of sums of distances.
"""

import itertools
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import polars as pl

from fivefold.domain.segments import SEGMENTS
from fivefold.features.histories import Floats, Integers

DECILES = 10
LIFT_POINTS = 101
"""The points of a curve: each whole percent of the customers, both ends included."""


@dataclass(frozen=True)
class Metrics:
    """How well a prediction ranks and states the value of a window.

    Attributes:
        normalised_gini: Gini of the realised value in predicted order, over that in its own order; 1 is perfect.
        top_decile_capture: value in the predicted top tenth over value in the true top tenth.
        spearman: rank correlation of predicted and realised value.
    """

    normalised_gini: float
    top_decile_capture: float
    spearman: float

    def with_prefix(self, prefix: str) -> dict[str, float]:
        """Return the metrics by their names in the registry."""
        return {f"{prefix}_{name}": value for name, value in vars(self).items()}


def rank_metrics(predicted: Floats, realised: Floats) -> Metrics:
    """Judge a ranking; *predicted* may be on any scale, *realised* is money of 0 or more.

    >>> rank_metrics(np.array([1.0, 2.0, 3.0]), np.array([0.0, 5.0, 9.0])).normalised_gini
    1.0
    """
    by_prediction, by_value = _Order.of(predicted), _Order.of(realised)
    shared, best = by_prediction.shared(realised), by_value.shared(realised)
    return Metrics(_gini_over_best(shared, best), _capture(shared, best), _spearman(by_prediction, by_value))


def normalised_gini(predicted: Floats, realised: Floats) -> float:
    """Gini of realised value in predicted order over the Gini in its own order; NaN where all are worth the same."""
    return _gini_over_best(_in_predicted_order(predicted, realised), _in_predicted_order(realised, realised))


def top_decile_capture(predicted: Floats, realised: Floats) -> float:
    """Value in the predicted top tenth over value in the true top tenth; customers tied at the edge share."""
    return _capture(_in_predicted_order(predicted, realised), _in_predicted_order(realised, realised))


def lift_curve(name: str, predicted: Floats, realised: Floats) -> pl.DataFrame:
    """Share of value held by the best share of customers, from the highest prediction down."""
    shared = _in_predicted_order(predicted, realised)
    value = np.concatenate([[0.0], np.cumsum(shared)]) / max(shared.sum(), np.finfo(float).tiny)
    customers = np.arange(len(value)) / len(shared)
    at = np.linspace(0.0, 1.0, LIFT_POINTS)
    return pl.DataFrame({"name": name, "customer_share": at, "value_share": np.interp(at, customers, value)})


def calibration_table(predicted: Floats, realised: Floats) -> pl.DataFrame:
    """Predicted against realised money in ten equal groups of customers by prediction."""
    sides = (np.sort(predicted), _in_predicted_order(predicted, realised)[::-1])
    predictions, values = ([tenth for tenth in np.array_split(side, DECILES) if len(tenth)] for side in sides)
    return pl.DataFrame(
        {
            "decile": range(1, len(predictions) + 1),
            "customers": [len(tenth) for tenth in predictions],
            "predicted_mean": [float(tenth.mean()) for tenth in predictions],
            "realised_mean": [float(tenth.mean()) for tenth in values],
        }
    )


def calibration_error(table: pl.DataFrame) -> float:
    """Mean distance of predicted from realised money over the tenths, as a share of the mean realised value."""
    off = (table["predicted_mean"] - table["realised_mean"]).abs() * table["customers"]
    total = float((table["realised_mean"] * table["customers"]).sum())
    return float(off.sum()) / total if total else float("nan")


def segment_table(category: np.ndarray, realised: Floats) -> pl.DataFrame:
    """Customers, mean realised value and share of all value of each segment, lowest first; empty ones left out."""
    total = float(realised.sum())
    rows = [
        {
            "segment": segment,
            "customers": int(members.sum()),
            "value_mean": float(realised[members].mean()),
            "value_share": float(realised[members].sum()) / total if total else 0.0,
        }
        for segment in SEGMENTS
        if (members := category == segment).any()
    ]
    return pl.DataFrame(rows)


FEWEST_IN_SEGMENT = 10
"""A segment of fewer customers shows no sure fall: the customers with most of its value may be missing by chance."""


@dataclass(frozen=True)
class SegmentStep:
    """A segment and the next higher one, compared by what their customers were worth.

    Attributes:
        lower: name of the segment.
        upper: name of the next one that has customers.
        lower_mean: realised money of a customer of the lower one.
        upper_mean: realised money of a customer of the upper one.
        surely_falls: whether the upper segment was worth less by more than chance explains.
    """

    lower: str
    upper: str
    lower_mean: float
    upper_mean: float
    surely_falls: bool

    @property
    def rises(self) -> bool:
        """Whether the upper segment was worth more."""
        return self.lower_mean < self.upper_mean


def segment_steps(
    category: np.ndarray, realised: Floats, error: float, shuffles: int, seed: int
) -> tuple[SegmentStep, ...]:
    """Compare each segment with the next one that has customers.

    Args:
        category: the segments of n customers.
        realised: what they were worth.
        error: chance of a fall reported for any pair whose customers are worth alike, shared among the pairs.
        shuffles: how often the customers of a pair are shuffled.
        seed: the seed of the shuffles.
    """
    random = np.random.default_rng(seed)
    pairs = list(itertools.pairwise(segment_table(category, realised).to_dicts()))
    steps = []
    for lower, upper in pairs:
        low, high = (realised[category == side["segment"]] for side in (lower, upper))
        falls = (
            min(len(low), len(high)) >= FEWEST_IN_SEGMENT
            and lower["value_mean"] > upper["value_mean"]
            and _chance_of_fall(low, high, shuffles, random) <= error / len(pairs)
        )
        means = (lower["value_mean"], upper["value_mean"])
        steps.append(SegmentStep(lower["segment"], upper["segment"], *means, falls))
    return tuple(steps)


def _chance_of_fall(low: Floats, high: Floats, shuffles: int, random: np.random.Generator) -> float:
    """Return the chance of a fall as large as that from *low* to *high* if chance alone splits their customers.

    All customers are dealt to the two segments anew, and the observed split counts as one more deal. Falls are measured
    in standard errors. So the test is exact if both segments have one distribution, however skewed, and nearly exact if
    only their means are the same. Source: Chung and Romano, "Exact and asymptotically robust permutation tests", Annals
    of Statistics 41 (2013).
    """
    both = np.concatenate([low, high])
    both, upper, few = both - both.mean(), high - both.mean(), min(len(low), len(high))
    deals = [random.choice(both, few, replace=False, shuffle=False) for _ in range(shuffles)]
    sums, squares = np.array([(deal.sum(), (deal * deal).sum()) for deal in deals]).T
    if few < len(high):  # the deals are the lower segment
        sums, squares = -sums, (both * both).sum() - squares  # of all customers the sum is 0
    rises = _rises(sums, squares, len(high), both)
    stands = _rises(upper.sum(), (upper * upper).sum(), len(high), both)
    slack = 1e-9 * (1.0 + abs(float(stands)))  # so that the order of summation makes no difference
    return (1 + int((rises <= stands + slack).sum())) / (1 + shuffles)


def _rises(sums: Floats, squares: Floats, count: int, both: Floats) -> Floats:
    """Return how many standard errors segments of *count* customers are above the other customers of *both*.

    *sums* and *squares* are the sums of the money of a segment's customers and of its squares; *both* has the mean 0.
    """
    others, of_all = len(both) - count, (both * both).sum()
    spread = np.maximum(squares - sums**2 / count, 0.0) / max(count - 1, 1) / count
    spread = spread + np.maximum(of_all - squares - sums**2 / others, 0.0) / max(others - 1, 1) / others
    means_apart = sums / count + sums / others
    rises: Floats = means_apart / np.sqrt(np.maximum(spread, np.finfo(float).tiny))
    return rises


class _Order(NamedTuple):
    """The order of n customers, highest prediction first: the group of equal predictions of each, and group sizes."""

    group: Integers
    counts: Integers

    @classmethod
    def of(cls, predicted: Floats) -> Self:
        _, group, counts = np.unique(-predicted, return_inverse=True, return_counts=True)
        return cls(group, counts)

    def shared(self, realised: Floats) -> Floats:
        """Realised value in this order, shared evenly among equal predictions."""
        means = np.bincount(self.group, weights=realised) / self.counts
        return np.repeat(means, self.counts)

    @property
    def ranks(self) -> Floats:
        """The rank of each customer from the lowest prediction up; equal predictions have their mean rank."""
        below = len(self.group) - np.cumsum(self.counts)
        ranks: Floats = (below + (self.counts + 1) / 2)[self.group]
        return ranks


def _in_predicted_order(predicted: Floats, realised: Floats) -> Floats:
    """Realised value from the highest prediction down, shared evenly among equal predictions."""
    return _Order.of(predicted).shared(realised)


def _spearman(one: _Order, other: _Order) -> float:
    """Rank correlation; NaN where all are equal in one of the orders."""
    if min(len(one.counts), len(other.counts)) < 2:
        return float("nan")
    return float(np.corrcoef(one.ranks, other.ranks)[1, 0])


def _gini_over_best(shared: Floats, best: Floats) -> float:
    of_best = _gini(best) if np.ptp(best) else 0.0  # rounding would give a Gini that is not 0
    return _gini(shared) / of_best if of_best else float("nan")


def _capture(shared: Floats, best: Floats) -> float:
    of_best = _top_value(best)
    return _top_value(shared) / of_best if of_best else float("nan")


def _gini(shared: Floats) -> float:
    cumulated = np.cumsum(shared) / shared.sum()
    return float((cumulated.sum() - (len(shared) + 1) / 2) / len(shared))


def _top_value(shared: Floats) -> float:
    size = len(shared) / DECILES
    whole = int(size)
    return float(shared[:whole].sum() + (size - whole) * shared[min(whole, len(shared) - 1)])


BOUNDS = 2
"""The error is bounded by tenths and as a whole; the chance of being wrong is shared between the two."""


@dataclass(frozen=True)
class TenthsOff:
    """Predicted less realised money of every tenth of the customers, as shares of all realised money.

    Attributes:
        shares: the shares on the customers as they are, one for each tenth; NaN if no customer is worth anything.
        drawn: the shares on k draws of the customers, k x tenths; NaN in a draw of customers worth nothing.
    """

    shares: Floats
    drawn: Floats

    @property
    def error(self) -> float:
        """The calibration error, as `metrics.calibration_error` defines it."""
        return float(np.abs(self.shares).sum())


def least_error(model: TenthsOff, error: float) -> float:
    """Return the lower bound of the calibration error, 0 or more; NaN if no draw has a value.

    The true error of a tenth is at least its observed error less the distance that chance moved it. So the observed
    error less the sum of these distances is at most the true one, and a quantile over the draws estimates that sum. All
    customers as one group give a second bound, which is closer if all predictions are too high, or too low. The higher
    bound counts.

    Args:
        model: the tenths of the judged model.
        error: chance that the true error is smaller than the bound, shared between the two.
    """
    drawn = _defined_draws(model)
    if not len(drawn):
        return float("nan")
    return max(0.0, _bound(model, drawn - model.shares, 0.0, np.zeros(len(drawn)), error))


def least_difference(model: TenthsOff, rival: TenthsOff, error: float) -> float:
    """Return the lower bound of the model's calibration error less the rival's; NaN if no draw has a value.

    The amounts that chance could have added to the model's error, and taken from the rival's on the same draws, are
    subtracted. The rival's tenths count with their observed signs.

    Args:
        model: the tenths of the judged model.
        rival: the tenths of its rival, judged on the same draws.
        error: chance that the true difference is smaller than the bound.
    """
    mine, theirs = _defined_draws(model), _defined_draws(rival)
    if not len(mine):
        return float("nan")
    rises = (theirs - rival.shares) @ np.sign(rival.shares)
    return _bound(model, mine - model.shares, rival.error, rises, error)


def _bound(model: TenthsOff, moved: Floats, rival: float, rises: Floats, error: float) -> float:
    """Return the higher lower bound of the model's error less the *rival* error, which *rises* in each draw."""
    bounds = (
        error_of_sample - float(np.quantile(distance - rises, 1.0 - error / BOUNDS))
        for error_of_sample, distance in (
            (model.error, np.abs(moved).sum(axis=1)),
            (abs(float(model.shares.sum())), np.abs(moved.sum(axis=1))),
        )
    )
    return max(bounds) - rival


def _defined_draws(model: TenthsOff) -> Floats:
    """Return the draws that have a value; they are the same for all models, since the realised money alone decides."""
    return np.asarray(model.drawn[~np.isnan(model.drawn).any(axis=1)])
