"""The metrics of training as metrics of `mlflow.models.evaluate`, with the same names and figures."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from mlflow.models import EvaluationMetric, make_metric

from fivefold.features.histories import Floats
from fivefold.training.judging.metrics import (
    calibration_error,
    calibration_table,
    normalised_gini,
    rank_metrics,
    top_decile_capture,
)


def value_metrics() -> list[EvaluationMetric]:
    """Return the metrics for `extra_metrics` of `mlflow.models.evaluate`.

    Predictions and targets are money, a row for each customer. A metric that is undefined, such as the rank correlation
    of equal predictions, is NaN.

    >>> [metric.name for metric in value_metrics()]
    ['normalised_gini', 'top_decile_capture', 'spearman', 'calibration_error']
    """
    return [
        _metric("normalised_gini", normalised_gini),
        _metric("top_decile_capture", top_decile_capture),
        _metric("spearman", lambda predicted, realised: rank_metrics(predicted, realised).spearman),
        _metric(
            "calibration_error",
            lambda predicted, realised: calibration_error(calibration_table(predicted, realised)),
            greater_is_better=False,
        ),
    ]


def _metric(
    name: str, measure: Callable[[Floats, Floats], float], *, greater_is_better: bool = True
) -> EvaluationMetric:
    def evaluated(predictions: "pd.Series[float]", targets: "pd.Series[float]") -> float:
        return measure(*(np.asarray(side, dtype=np.float64) for side in (predictions, targets)))

    metric: EvaluationMetric = make_metric(  # type: ignore[no-untyped-call]  # MLflow annotates nothing here
        eval_fn=evaluated, greater_is_better=greater_is_better, name=name
    )
    return metric
