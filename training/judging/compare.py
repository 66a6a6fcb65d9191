"""Comparison of a model with its rivals on one window: the differences, and their lower bounds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fivefold.domain.clock import DAY_US
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
    segment_table,
)

LEAST_BELOW = 10
"""At least so many draws must lie below a bound; with fewer it depends more on the draws than on the customers."""
MOST_RESAMPLES = 20_000
_FINISHED, _PARENT = "FINISHED", "mlflow.parentRunId"
"""MLflow's status of a run that came to its end, and its tag of a run within another one."""


@dataclass(frozen=True)
class RivalComparison:
    """A model less a rival, both judged on the same draws of the customers.

    Attributes:
        difference: on the customers as they are.
        low: the difference is at least this, at the confidence of the comparisons.
    """

    difference: float
    low: float


@dataclass(frozen=True)
class Comparisons:
    """A model compared with all its rivals on one window.

    Attributes:
        times_judged: how often the window, or a part of it, was judged on under this name, this time included.
        confidence: of every bound. The chance of error that is configured is shared among all the times that the
            window was judged on (Bonferroni): the best of many tries is above the others by chance alone.
        gini: normalised Gini of the model less that of each rival, by the rival's name.
        calibration: the model's calibration error is at least this, see `calibration.least_error`.
        calibration_worse: its error less the champion's, see `calibration.least_difference`; None without a champion.
        segments: each of the model's segments and the next one. A window judged on again shows a fall as well as one
            judged on for the first time, so these bounds have the confidence that is configured.
    """

    times_judged: int
    confidence: float
    gini: Mapping[str, RivalComparison]
    calibration: float
    calibration_worse: RivalComparison | None
    segments: tuple[SegmentStep, ...]

    def figures(self) -> dict[str, float]:
        """Give every figure by its name in the registry."""
        figures = {"window_times_judged": float(self.times_judged), "gate_confidence": self.confidence}
        for name, comparison in self.gini.items():
            figures |= {f"gini_over_{name}": comparison.difference, f"gini_over_{name}_low": comparison.low}
        return figures | {"calibration_error_low": self.calibration}


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
    """Compare a model with every rival by paired bootstrap.

    Args:
        predictions: by name, the model's among them.
        realised: what the customers were worth, 0 or more.
        metrics: of the customers as they are, by name.
        category: the segments that the model puts the customers in.
        names: of the model and of the champion among the predictions.
        gate: confidence and number of draws.
        times_judged: how often the window was judged on, this time included.
        seed: of the draws.
    """
    model, champion = names
    error = (1.0 - gate.confidence) / times_judged
    needed = int(np.ceil(LEAST_BELOW * BOUNDS / error))
    count = min(max(gate.resamples, needed), max(MOST_RESAMPLES, gate.resamples))
    money = tuple(name for name in names if name in predictions)
    drawn = resample(predictions, realised, draws(len(realised), seed, count), money=money, category=category)
    gini = {
        name: RivalComparison(
            metrics[model].normalised_gini - metrics[name].normalised_gini,
            _low(drawn.gini[model] - drawn.gini[name], error),
        )
        for name in predictions
        if name != model
    }
    mine, theirs = drawn.tenths[model], drawn.tenths.get(champion)
    worse = (
        None if theirs is None else RivalComparison(mine.error - theirs.error, least_difference(mine, theirs, error))
    )
    steps = segment_steps(segment_table(category, realised), drawn.segments, 1.0 - gate.confidence)
    return Comparisons(times_judged, 1.0 - error, gini, least_error(mine, error), worse, steps)


def _low(drawn: Floats, error: float) -> float:
    """Give the quantile of the draws at the error probability; NaN where no draw has a value."""
    values = drawn[~np.isnan(drawn)]
    return float(np.quantile(values, error)) if len(values) else float("nan")


def times_judged(registry: Registry, dates: Dates, content_hash: str, data_digest: str) -> int:
    """Count how often a window was judged on under a registry's name, this time included.

    A window that shares days with it counts, however long either is: some of the customers' value is in both. A run
    that died before its version was registered does not count where this one judges the same model by the same data:
    that is the same judgement, made again.
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
