"""The figures of the yardstick, each with the interval that drawing the customers again gives it.

Customers are drawn with replacement, the same ones for every method and in every window: what is easy or hard about a
draw cancels out of differences, and a customer who is drawn twice is so in every window.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from benchmarks.yardstick.protocol import Prediction
from fivefold.features.histories import Floats
from fivefold.training.judging.bootstrap import PredictedOrder, Tenths, Times
from fivefold.training.judging.metrics import calibration_error, calibration_table, rank_metrics

CONFIDENCE = 0.95
GINI, CAPTURE, SPEARMAN = "normalised_gini", "top_decile_capture", "spearman"
RATIO, ERROR = "predicted_over_realised", "calibration_error"
RANKS, MONEY = (GINI, CAPTURE, SPEARMAN), (RATIO, ERROR)
LESS = "_less"
"""Ending of a figure that is a difference: fivefold's less this method's, on the same draws."""

Drawn = Mapping[tuple[str, str], Floats]
"""By method and figure: the figure itself, and then that of each draw."""


def figures_of(predictions: Mapping[str, Prediction], realised: Floats, draws: Iterable[Times]) -> Drawn:
    """Judge the methods that have an answer on the customers as they are, and on each draw."""
    judged = {name: one for name, one in predictions.items() if not one.reasons}
    best = PredictedOrder(realised, realised)
    ranked = {name: PredictedOrder(one.values, realised) for name, one in judged.items()}
    tenths = {name: Tenths(one.values, realised) for name, one in judged.items() if one.money}
    figures: dict[tuple[str, str], list[float]] = {}
    for name, one in judged.items():
        for figure, value in _plain(one, realised).items():
            figures[name, figure] = [value]
    for times in draws:
        top_gini, top_value, true_ranks = best.gini(times), best.top_value(times), best.ranks(times)
        worth = float((times * realised).sum())
        for name, ranking in ranked.items():
            figures[name, GINI].append(_share(ranking.gini(times), top_gini))
            figures[name, CAPTURE].append(_share(ranking.top_value(times), top_value))
            figures[name, SPEARMAN].append(correlation(ranking.ranks(times), true_ranks, times))
        for name, groups in tenths.items():
            figures[name, RATIO].append(_share(float((times * judged[name].values).sum()), worth))
            figures[name, ERROR].append(groups.error(times))
    return {key: np.array(values) for key, values in figures.items()}


def _plain(one: Prediction, realised: Floats) -> dict[str, float]:
    figures = vars(rank_metrics(one.values, realised))
    if not one.money:
        return figures
    table = calibration_table(one.values, realised)
    return figures | {RATIO: float(one.values.sum() / realised.sum()), ERROR: calibration_error(table)}


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def correlation(one: Floats, other: Floats, times: Times) -> float:
    """Give the correlation of two arrays of n, each entry counted so many *times*; NaN where one is constant."""
    count = times.sum()
    left, right = one - (times * one).sum() / count, other - (times * other).sum() / count
    spread = float((times * left * left).sum() * (times * right * right).sum())
    return float((times * left * right).sum()) / spread**0.5 if spread > 0 else float("nan")


def lines(drawn: Drawn, model: str, **labels: str | int) -> list[dict[str, object]]:
    """Write every figure, and *model*'s less each rival's, as lines of the table that others add to."""
    of = dict(drawn)
    for (name, figure), values in drawn.items():
        if name != model and figure in RANKS and (model, figure) in drawn:
            of[name, figure + LESS] = drawn[model, figure] - values
    return [labels | {"method": name, "figure": figure} | interval(values) for (name, figure), values in of.items()]


def interval(values: Floats) -> dict[str, float]:
    """Give a figure and the interval of its draws; NaN ends where no draw has a value."""
    defined = values[1:][~np.isnan(values[1:])]
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    low, high = np.quantile(defined, tails) if len(defined) else (float("nan"), float("nan"))
    return {"estimate": float(values[0]), "low": float(low), "high": float(high)}


def mean(windows: list[Drawn]) -> Drawn:
    """Give the mean over windows of what every window has, draw by draw: these are of the same customers."""
    shared = set(windows[0]).intersection(*windows[1:])
    return {key: np.mean([one[key] for one in windows], axis=0) for key in windows[0] if key in shared}


def as_table(figures: list[dict[str, object]]) -> pl.DataFrame:
    """Give the lines as a table, with six digits."""
    return pl.DataFrame(figures).with_columns(pl.col("estimate", "low", "high").round(6))
