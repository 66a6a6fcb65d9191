"""Evaluation: the model, the champion and the baselines on the same test window."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from fivefold.features.histories import Floats
from fivefold.models.value_model import ValueModel
from fivefold.training.config import TrainingConfig
from fivefold.training.judging.compare import Comparisons, compare_with_rivals
from fivefold.training.judging.coverage import IntervalCoverage, coverage
from fivefold.training.judging.groups import group_table
from fivefold.training.judging.metrics import (
    Metrics,
    calibration_error,
    calibration_table,
    lift_curve,
    rank_metrics,
    segment_table,
)
from fivefold.training.judging.predictions import Purchases, WindowPredictions


@dataclass(frozen=True)
class ScoreStability:
    """The movement of scores between two as-of dates that are one snapshot spacing apart.

    Attributes:
        same_segment_share: share of the customers whose segment stayed.
        mean_absolute_move: mean distance between the two scores.
        spearman: rank correlation of the two scores.
    """

    same_segment_share: float
    mean_absolute_move: float
    spearman: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The measures of a test window, for the report, the registry and the gate.

    Attributes:
        by_name: metrics of the model, of the champion where it is comparable, and of each baseline.
        calibration: ten groups by prediction, see `metrics.calibration_table`.
        segments: see `metrics.segment_table`.
        groups: customers grouped by tenure, channel or currency, see `groups.group_table`.
        lift: curves by name, see `metrics.lift_curve`.
        customers: number of customers in the test window.
        floored_share: share of the customers whose value was below 0 and was raised to 0.
        comparisons: the model compared with the champion and the baselines, with lower bounds.
        coverage: the coverage of the model's intervals; None if it has none.
    """

    by_name: dict[str, Metrics]
    calibration: pl.DataFrame
    segments: pl.DataFrame
    groups: pl.DataFrame
    lift: pl.DataFrame
    stability: ScoreStability
    customers: int
    floored_share: float
    comparisons: Comparisons
    coverage: IntervalCoverage | None = None

    @property
    def calibration_error(self) -> float:
        """How far predicted money is off, as a share of the realised; NaN if no customer is worth anything."""
        return calibration_error(self.calibration)

    @property
    def calibration_errors(self) -> dict[str, float]:
        """The errors of the model, and of the champion if it is compared, by name; undefined ones are left out."""
        worse, errors = self.comparisons.calibration_worse, {MODEL: self.calibration_error}
        if worse is not None:
            errors[CHAMPION] = self.calibration_error - worse.difference
        return {name: error for name, error in errors.items() if np.isfinite(error)}

    def registered_metrics(self) -> dict[str, float]:
        """Return every figure by its name in the registry; undefined figures are left out."""
        figures = {
            "calibration_error": self.calibration_error,
            "floored_share": self.floored_share,
            "test_customers": float(self.customers),
            **{f"stability_{name}": value for name, value in vars(self.stability).items()},
            **{f"segment_{row['segment']}_value_mean": row["value_mean"] for row in self.segments.to_dicts()},
        }
        for name, metrics in self.by_name.items():
            figures |= metrics.with_prefix(name)
        figures |= self.comparisons.figures()
        figures |= {} if self.coverage is None else self.coverage.figures()
        return {name: value for name, value in figures.items() if np.isfinite(value)}


MODEL, CHAMPION, PERSISTENCE, RFM = "model", "champion", "persistence", "rfm"
BASELINES = (PERSISTENCE, RFM)
"""Predictions without a model; a model that does not beat them is not promoted."""
QUINTILES = 5


def evaluate(
    test_window: WindowPredictions, model: ValueModel, config: TrainingConfig, times_judged: int = 1
) -> Evaluation:
    """Compute all measures of a test window, which was judged on *times_judged* times, this time included."""
    predictions = predictions_of(test_window)
    scores = model.curve.score(test_window.predicted)
    category = model.segments_of(scores)
    curves = [lift_curve(name, predicted, test_window.realised) for name, predicted in predictions.items()]
    metrics = {name: rank_metrics(predicted, test_window.realised) for name, predicted in predictions.items()}
    return Evaluation(
        by_name=metrics,
        calibration=calibration_table(test_window.predicted, test_window.realised),
        segments=segment_table(category, test_window.realised),
        groups=group_table(test_window.traits, test_window.predicted, test_window.realised, category),
        lift=pl.concat([*curves, lift_curve("perfect", test_window.realised, test_window.realised)]),
        stability=_stability(test_window, model, scores),
        customers=len(test_window.realised),
        floored_share=test_window.floored_share,
        comparisons=compare_with_rivals(
            predictions,
            test_window.realised,
            metrics,
            category,
            (MODEL, CHAMPION),
            config.gate,
            times_judged,
            config.seed,
        ),
        coverage=coverage(model, test_window, category, config.due),
    )


def predictions_of(test_window: WindowPredictions) -> dict[str, Floats]:
    """Return every prediction of a window by its name: the model's, the champion's if there is one, the baselines'."""
    predictions: dict[str, Floats] = {MODEL: test_window.predicted}
    if test_window.champion is not None:
        predictions[CHAMPION] = test_window.champion
    return predictions | {PERSISTENCE: test_window.persistence, RFM: rfm(test_window)}


def _stability(test_window: WindowPredictions, model: ValueModel, scores: Floats) -> ScoreStability:
    both = ~np.isnan(test_window.before)
    now, before = scores[both], model.curve.score(test_window.before[both])
    if len(now) < 2:
        return ScoreStability(float("nan"), float("nan"), float("nan"))
    same = model.segments_of(now) == model.segments_of(before)
    correlation = stats.spearmanr(now, before).statistic if np.ptp(now) and np.ptp(before) else float("nan")
    return ScoreStability(float(same.mean()), float(np.abs(now - before).mean()), float(correlation))


def rfm(customers: Purchases | WindowPredictions) -> Floats:
    """Add up the quintiles (1 to 5) of recency, frequency and money over the last year: 3 to 15.

    Source: the marketing classic, Hughes, "Strategic Database Marketing" (1994).
    """
    return _quintile(-customers.recency) + _quintile(customers.frequency) + _quintile(customers.money)


def _quintile(values: Floats) -> Floats:
    """Rank into five equal groups, 5 best; equal values fall in the same group."""
    ranks = (stats.rankdata(values, method="average") - 0.5) / len(values)
    return np.asarray(np.floor(ranks * QUINTILES) + 1.0)
