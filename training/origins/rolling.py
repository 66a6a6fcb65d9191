"""The figures of several origins: means, spreads, and differences with intervals by shared draws of the customers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fivefold.domain.clock import day_text
from fivefold.features.histories import Floats, Integers
from fivefold.training.config import GateSettings
from fivefold.training.judging.bootstrap import PredictedOrder, Times, draws
from fivefold.training.judging.evaluate import MODEL
from fivefold.training.origins.judge import JudgedOrigin

GINI, CAPTURE = "normalised_gini", "top_decile_capture"
FIGURES = (GINI, CAPTURE)


@dataclass(frozen=True)
class FigureDifference:
    """A figure of the model less that of a rival, with its bootstrap interval by customer.

    Attributes:
        rival: the name of the rival.
        figure: `normalised_gini` or `top_decile_capture`.
        moment: the origin, microseconds; None for the mean over origins.
        origins: the number of origins in the mean.
        estimate: the difference on the customers as they are.
        low, high: ends of the interval; NaN if no draw has a value.
    """

    rival: str
    figure: str
    moment: int | None
    origins: int
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Rolling:
    """The same settings at several origins.

    Attributes:
        origins: two or more, the earliest first.
        differences: the differences from each rival at each origin at which both have a figure, and their means.
        confidence: the confidence of every interval, which is two-sided.
    """

    origins: tuple[JudgedOrigin, ...]
    differences: tuple[FigureDifference, ...]
    confidence: float

    @property
    def names(self) -> tuple[str, ...]:
        """The model and its rivals; the champion is among them if it was judged at an origin."""
        return tuple(dict.fromkeys(name for origin in self.origins[::-1] for name in origin.by_name))

    def values(self, name: str, figure: str) -> dict[int, float]:
        """Return a figure by origin; origins without it are left out."""
        value_by_moment = {
            each.moment: float(getattr(each.by_name[name], figure)) for each in self.origins if name in each.by_name
        }
        return {moment: value for moment, value in value_by_moment.items() if np.isfinite(value)}

    def mean(self, name: str, figure: str) -> float:
        """Return the mean over the origins that have the figure; NaN if none has."""
        return _mean(list(self.values(name, figure).values()))

    def spread(self, name: str, figure: str) -> float:
        """Return the standard deviation over the origins that have the figure; NaN for fewer than two."""
        values = list(self.values(name, figure).values())
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    def difference(self, rival: str, figure: str, moment: int | None = None) -> FigureDifference | None:
        """Return the difference at an origin, by default the mean; None without both figures."""
        return next(
            (one for one in self.differences if (one.rival, one.figure, one.moment) == (rival, figure, moment)), None
        )

    def figures(self) -> dict[str, float]:
        """Return means, spreads and worst figures by their names in the registry; undefined ones are left out."""
        figures = {"origins": float(len(self.origins))}
        for name in self.names:
            for figure in FIGURES:
                values = list(self.values(name, figure).values())
                figures[f"origins_{name}_{figure}_mean"] = _mean(values)
                figures[f"origins_{name}_{figure}_spread"] = self.spread(name, figure)
                figures[f"origins_{name}_{figure}_worst"] = min(values, default=float("nan"))
        figures["origins_calibration_error_mean"] = _mean([each.calibration_error for each in self.origins])
        figures["origins_calibration_error_worst"] = max(each.calibration_error for each in self.origins)
        for one in self.differences:
            if one.moment is None:
                name = f"origins_{one.figure}_over_{one.rival}"
                figures |= {f"{name}_mean": one.estimate, f"{name}_low": one.low, f"{name}_high": one.high}
        return {name: value for name, value in figures.items() if np.isfinite(value)}

    def figures_at(self, origin: JudgedOrigin) -> dict[str, float]:
        """Return the figures of one origin by their names in the registry; undefined ones are left out."""
        figures = {
            "calibration_error": origin.calibration_error,
            "test_customers": float(origin.customers),
            "rows": float(origin.rows),
            "rounds": float(origin.rounds),
            "window_times_judged": float(origin.times_judged),
        }
        for name, metrics in origin.by_name.items():
            figures |= metrics.with_prefix(name)
        for one in self.differences:
            if one.moment == origin.moment:
                name = f"{one.figure}_over_{one.rival}"
                figures |= {name: one.estimate, f"{name}_low": one.low, f"{name}_high": one.high}
        return {name: value for name, value in figures.items() if np.isfinite(value)}

    def write_csv(self) -> str:
        """Write a line for each figure of each prediction, at each origin and over all of them."""
        lines: list[dict[str, object]] = []
        for origin in [*self.origins, None]:
            as_of = "mean" if origin is None else day_text(origin.moment)
            for name in self.names if origin is None else origin.by_name:
                for figure in FIGURES:
                    value = self.mean(name, figure) if origin is None else float(getattr(origin.by_name[name], figure))
                    less = self.difference(name, figure, None if origin is None else origin.moment)
                    lines.append(
                        {
                            "origin": as_of,
                            "customers": None if origin is None else origin.customers,
                            "name": name,
                            "figure": figure,
                            "value": _none_for_nan(value),
                            "model_less_this": less and _none_for_nan(less.estimate),
                            "low": less and _none_for_nan(less.low),
                            "high": less and _none_for_nan(less.high),
                        }
                    )
        return pl.DataFrame(lines, infer_schema_length=None).write_csv()


def roll(origins: Sequence[JudgedOrigin], first_rows: Integers, gate: GateSettings, seed: int) -> Rolling:
    """Compare the model with every rival over all origins.

    Every window uses the same draws of the customers of the whole data: one who is drawn twice is so everywhere.

    Args:
        origins: two or more, the earliest first.
        first_rows: each customer's first moment, microseconds, in the order of the data.
        gate: confidence and number of draws.
        seed: the seed of the draws.
    """
    drawn: dict[tuple[int, str, str], list[float]] = {}
    placed = [(each, first_rows <= each.moment - each.dates.lag_us, _rankings(each)) for each in origins]
    for times in draws(len(first_rows), seed, gate.resamples):
        for origin, is_known, rankings in placed:
            for name, figure, value in _drawn_figures(rankings, times[is_known]):
                drawn.setdefault((origin.moment, name, figure), []).append(value)
    arrays = {key: np.array(values) for key, values in drawn.items()}
    return Rolling(tuple(origins), tuple(_differences(origins, arrays, gate.confidence)), gate.confidence)


_BEST = ""
"""The ranking by what the customers were worth."""


def _rankings(origin: JudgedOrigin) -> dict[str, PredictedOrder]:
    predictions = {_BEST: origin.realised, **origin.predictions}
    return {name: PredictedOrder(predicted, origin.realised) for name, predicted in predictions.items()}


def _drawn_figures(rankings: dict[str, PredictedOrder], times: Times) -> Iterator[tuple[str, str, float]]:
    best_gini, best_value = rankings[_BEST].gini(times), rankings[_BEST].top_value(times)
    for name, ranking in rankings.items():
        if name != _BEST:
            yield name, GINI, ranking.gini(times) / best_gini if best_gini > 0 else float("nan")
            yield name, CAPTURE, ranking.top_value(times) / best_value if best_value > 0 else float("nan")


def _differences(
    origins: Sequence[JudgedOrigin], drawn: dict[tuple[int, str, str], Floats], confidence: float
) -> Iterator[FigureDifference]:
    rivals = tuple(dict.fromkeys(name for origin in origins[::-1] for name in origin.by_name if name != MODEL))
    for rival in rivals:
        for figure in FIGURES:
            estimates, draws_of = [], []
            for origin in origins:
                if rival not in origin.by_name:
                    continue
                estimate = float(getattr(origin.by_name[MODEL], figure) - getattr(origin.by_name[rival], figure))
                if not np.isfinite(estimate):
                    continue
                less = drawn[origin.moment, MODEL, figure] - drawn[origin.moment, rival, figure]
                estimates.append(estimate)
                draws_of.append(less)
                yield FigureDifference(rival, figure, origin.moment, 1, estimate, *_ends(less, confidence))
            if estimates:
                ends = _ends(np.mean(draws_of, axis=0), confidence)
                yield FigureDifference(rival, figure, None, len(estimates), _mean(estimates), *ends)


def _ends(drawn: Floats, confidence: float) -> tuple[float, float]:
    numbers = drawn[~np.isnan(drawn)]
    if not len(numbers):
        return float("nan"), float("nan")
    low, high = np.quantile(numbers, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _none_for_nan(value: float) -> float | None:
    return value if np.isfinite(value) else None
