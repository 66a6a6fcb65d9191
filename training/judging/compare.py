"""Comparison of a model with its rivals on one window: the differences, and their lower bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fivefold.domain.clock import DAY_US
from fivefold.domain.segments import SEGMENTS
from fivefold.features.histories import Floats
from fivefold.models.registry import DATA_DIGEST_TAG, JUDGED_HASH_TAG, Registry
from fivefold.training.config import GateSettings
from fivefold.training.dates import Dates
from fivefold.training.judging.bootstrap import draws, resample
from fivefold.training.judging.metrics import (
    BOUNDS,
    Metrics,
    SegmentStep,
    least_difference,
    least_error,
    segment_steps,
)

LEAST_BELOW = 10
"""The fewest draws that must lie below a bound; with fewer it depends more on the draws than on the customers."""
MOST_RESAMPLES = 20_000
"""At a confidence of 95 % they suffice for nine tries on a window; at a later try fewer draws lie below a bound."""
_FINISHED, _PARENT = "FINISHED", "mlflow.parentRunId"
"""MLflow's status of a finished run, and its tag of a nested run."""


@dataclass(frozen=True)
class RivalComparison:
    """The figure of a model less that of a rival, both judged on the same draws of the customers.

    Attributes:
        difference: the difference on the customers as they are.
        low: the lower bound of the difference, at the confidence of the comparisons.
    """

    difference: float
    low: float


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """A model compared with all its rivals on one window.

    Attributes:
        times_judged: how often the window, or a part of it, was judged on under this name, this time included.
        confidence: the confidence of the differences in Gini, see `error_of_try`.
        money_confidence: the confidence of the bounds of the calibration error, as configured at every try. These
            bounds refuse models; with the smaller chance of error of a late try they would refuse fewer of them.
        gini: normalised Gini of the model less that of each rival, by the rival's name.
        calibration: the lower bound of the model's calibration error, see `metrics.least_error`.
        calibration_worse: its error less the champion's, see `metrics.least_difference`; None without a champion.
        segments: each segment of the model compared with the next one, at the configured confidence: a window judged on
            again shows a fall as well as the first time.
    """

    times_judged: int
    confidence: float
    money_confidence: float
    gini: Mapping[str, RivalComparison]
    calibration: float
    calibration_worse: RivalComparison | None
    segments: tuple[SegmentStep, ...]

    def figures(self) -> dict[str, float]:
        """Return every figure by its name in the registry."""
        figures = {"window_times_judged": float(self.times_judged), "gate_confidence": self.confidence}
        for name, comparison in self.gini.items():
            figures |= {f"gini_over_{name}": comparison.difference, f"gini_over_{name}_low": comparison.low}
        return figures | {"calibration_error_low": self.calibration}


def error_of_try(error: float, times_judged: int) -> float:
    """Return one try's part of the chance of error that all tries on a window have together.

    The best of many tries is above the others by chance alone. The parts are a half, a sixth, a twelfth and so on. They
    add up to less than the whole for any number of tries, which need not be known in advance. The first tries get the
    most, since most windows are judged on only a few times.

    >>> [round(1 - error_of_try(0.05, number), 4) for number in (1, 2, 3, 4)]
    [0.975, 0.9917, 0.9958, 0.9975]
    """
    return error / (times_judged * (times_judged + 1))


def compare_with_rivals(
    predictions: Mapping[str, Floats],
    realised: Floats,
    metrics: Mapping[str, Metrics],
    category: np.ndarray,
    names: tuple[str, str],
    gate: GateSettings,
    times_judged: int,
    seed: int,
) -> Comparisons:
    """Compare a model with every rival by paired bootstrap, and its segments with each other.

    Args:
        predictions: the predictions by name, the model's included.
        realised: what the customers were worth, 0 or more.
        metrics: the metrics of each prediction on the customers as they are, by name.
        category: the segments that the model puts the customers in.
        names: the names of the model and of the champion among the predictions.
        gate: confidence and number of draws.
        times_judged: how often the window was judged on, this time included.
        seed: the seed of the draws and the shuffles.
    """
    model, champion = names
    money_error = 1.0 - gate.confidence
    error = error_of_try(money_error, times_judged)
    count, money_count = _draws_needed(gate, error), _draws_needed(gate, money_error / BOUNDS)
    money = tuple(name for name in names if name in predictions)
    many = draws(len(realised), seed, max(count, money_count))
    drawn = resample(predictions, realised, many, money=money)
    gini = {
        name: RivalComparison(
            metrics[model].normalised_gini - metrics[name].normalised_gini,
            _low(drawn.gini[model] - drawn.gini[name], error),
        )
        for name in predictions
        if name != model
    }
    tenths = {name: replace(of, drawn=of.drawn[:money_count]) for name, of in drawn.tenths.items()}
    mine, theirs = tenths[model], tenths.get(champion)
    worse = (
        None
        if theirs is None
        else RivalComparison(mine.error - theirs.error, least_difference(mine, theirs, money_error))
    )
    shuffles = _draws_needed(gate, money_error / (len(SEGMENTS) - 1))
    steps = segment_steps(category, realised, money_error, shuffles, seed)
    low = least_error(mine, money_error)
    return Comparisons(
        times_judged=times_judged,
        confidence=1.0 - error,
        money_confidence=gate.confidence,
        gini=gini,
        calibration=low,
        calibration_worse=worse,
        segments=steps,
    )


def _draws_needed(gate: GateSettings, error: float) -> int:
    """Return how many draws a bound needs, at most the allowed number."""
    return min(max(gate.resamples, int(np.ceil(LEAST_BELOW / error))), max(MOST_RESAMPLES, gate.resamples))


def _low(drawn: Floats, error: float) -> float:
    """Return the quantile of the draws at the error probability; NaN if no draw has a value."""
    values = drawn[~np.isnan(drawn)]
    return float(np.quantile(values, error)) if len(values) else float("nan")


def times_judged(registry: Registry, dates: Dates, content_hash: str, data_digest: str) -> int:
    """Count how often a window was judged on under a registry's name, this time included.

    Any window that shares days with it counts, whatever their lengths: some of the customers' value is in both. A run
    that died before its version was registered does not count if this one judges the same model by the same data: it
    is the same judgement, repeated.
    """
    runs = registry.client.search_runs([registry.experiment(registry.name)], max_results=10_000)
    same = {JUDGED_HASH_TAG: content_hash, DATA_DIGEST_TAG: data_digest}
    died = {
        run.info.run_id for run in runs if run.info.status != _FINISHED and same.items() <= dict(run.data.tags).items()
    }
    tested = [
        (int(run.data.tags["test_as_of"]), int(run.data.params.get("horizon_days", dates.horizon_days)) * DAY_US)
        for run in runs
        if "test_as_of" in run.data.tags and died.isdisjoint((run.info.run_id, run.data.tags.get(_PARENT)))
    ]
    return 1 + sum(
        begin < dates.test + dates.horizon_us and dates.test < begin + horizon_us for begin, horizon_us in tested
    )
