"""Evaluation: the model, the champion and the baselines on the same test window."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from fivefold.features.histories import Floats
from fivefold.models.value_model import ValueModel
from fivefold.training.config import TrainingConfig
from fivefold.training.judging import baselines
from fivefold.training.judging.compare import Comparisons, compare
from fivefold.training.judging.metrics import (
    Metrics,
    calibration_error,
    calibration_table,
    lift_curve,
    rank_metrics,
    rises,
    segment_table,
)
from fivefold.training.judging.predictions import Judged


@dataclass(frozen=True)
class Stability:
    """How much scores move from one as-of date to the next, one snapshot spacing later.

    Attributes:
        same_segment_share: share of the customers whose segment stayed.
        mean_absolute_move: mean distance between the two scores.
        spearman: rank correlation of the two scores.
    """

    same_segment_share: float
    mean_absolute_move: float
    spearman: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that the report, the registry and the gate need to know about a test window.

    Attributes:
        by_name: metrics of the model, of the champion where it is comparable, and of each baseline.
        calibration: ten groups by prediction, see `metrics.calibration_table`.
        segments: see `metrics.segment_table`.
        lift: curves by name, see `metrics.lift_curve`.
        customers: in the test window.
        floored_share: share of them whose value was below 0 and was raised to it.
        comparisons: how surely the model is better than the champion and the baselines.
    """

    by_name: dict[str, Metrics]
    calibration: pl.DataFrame
    segments: pl.DataFrame
    lift: pl.DataFrame
    stability: Stability
    customers: int
    floored_share: float
    comparisons: Comparisons

    @property
    def segments_rise(self) -> bool:
        """Tell whether the mean realised value rises from segment to segment."""
        return rises(self.segments)

    def registered_metrics(self) -> dict[str, float]:
        """Give every figure under the name that the registry keeps; undefined ones are left out."""
        figures = {
            "calibration_error": calibration_error(self.calibration),
            "floored_share": self.floored_share,
            "test_customers": float(self.customers),
            **{f"stability_{name}": value for name, value in vars(self.stability).items()},
            **{f"segment_{row['segment']}_value_mean": row["value_mean"] for row in self.segments.to_dicts()},
        }
        for name, metrics in self.by_name.items():
            figures |= metrics.named(name)
        figures |= self.comparisons.figures()
        return {name: value for name, value in figures.items() if np.isfinite(value)}


MODEL, CHAMPION, PERSISTENCE, RFM = "model", "champion", "persistence", "rfm"
BASELINES = (PERSISTENCE, RFM)


def evaluate(judged: Judged, model: ValueModel, config: TrainingConfig, times_judged: int = 1) -> Evaluation:
    """Judge every prediction of the test window, which was judged on so many times, this time included."""
    predictions: dict[str, Floats] = {MODEL: judged.predicted}
    if judged.champion is not None:
        predictions[CHAMPION] = judged.champion
    predictions |= {PERSISTENCE: baselines.persistence(judged), RFM: baselines.rfm(judged)}
    scores = model.curve.score(judged.predicted)
    category = model.segments_of(scores)
    curves = [lift_curve(name, predicted, judged.realised) for name, predicted in predictions.items()]
    metrics = {name: rank_metrics(predicted, judged.realised) for name, predicted in predictions.items()}
    return Evaluation(
        metrics,
        calibration_table(judged.predicted, judged.realised),
        segment_table(category, judged.realised),
        pl.concat([*curves, lift_curve("perfect", judged.realised, judged.realised)]),
        _stability(judged, model, scores),
        len(judged.realised),
        judged.floored_share,
        compare(predictions, judged.realised, metrics, (MODEL, CHAMPION), config.gate, times_judged, config.seed),
    )


def _stability(judged: Judged, model: ValueModel, scores: Floats) -> Stability:
    both = ~np.isnan(judged.before)
    now, before = scores[both], model.curve.score(judged.before[both])
    if len(now) < 2:
        return Stability(float("nan"), float("nan"), float("nan"))
    same = model.segments_of(now) == model.segments_of(before)
    correlation = stats.spearmanr(now, before).statistic if np.ptp(now) and np.ptp(before) else float("nan")
    return Stability(float(same.mean()), float(np.abs(now - before).mean()), float(correlation))
