"""What each column adds to what a model of trees gives: TreeSHAP, by LightGBM itself, or by `shap` for other trees."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from fivefold.features.histories import Floats

_CLOSE = 1e-5
"""Contributions must add up to the model's output within this share of it."""
LOG_ODDS, LOGARITHM, ITSELF = "log-odds", "logarithm", ""
_LINKS: dict[str, Callable[[float], float]] = {
    LOG_ODDS: lambda margin: 0.5 * (1 + math.tanh(margin / 2)),
    LOGARITHM: math.exp,
    ITSELF: lambda margin: margin,
}
_OBJECTIVES = {
    "binary": LOG_ODDS, "cross_entropy": LOG_ODDS, "xentropy": LOG_ODDS, "poisson": LOGARITHM, "gamma": LOGARITHM,
    "tweedie": LOGARITHM,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RowExplanation:
    """One row: base and all that columns add make a total; what the model gave follows from that by the scale.

    Attributes:
        scale: `log-odds` or `logarithm` of what was given; empty for that itself.
        added: by the name of the column.
    """

    scale: str
    base: float
    added: dict[str, float]


@dataclass(frozen=True)
class TreeExplainer:
    """Explains one model of trees.

    Attributes:
        contributions: of a table of n rows and F columns, by the output: base (n) and what is added (n × F).
        scale: of the sums.
    """

    contributions: Callable[[pd.DataFrame], Sequence[tuple[Floats, Floats]]]
    scale: str

    def explain(self, frame: pd.DataFrame, output: int, values: Sequence[float]) -> list[RowExplanation | None]:
        """Explain one output; None for a row whose sum does not lead to what was given."""
        parts = self.contributions(frame)
        for base, added in parts if len(parts) == 1 else parts[output : output + 1]:
            rows = [
                RowExplanation(
                    scale=self.scale, base=float(own), added=dict(zip(map(str, frame.columns), row, strict=True))
                )
                for own, row in zip(base, added.tolist(), strict=True)
            ]
            return [row if self._leads_to(row, float(value)) else None for row, value in zip(rows, values, strict=True)]
        return [None] * len(frame)

    def _leads_to(self, row: RowExplanation, value: float) -> bool:
        total = math.fsum((row.base, *row.added.values()))
        try:
            return abs(_LINKS[self.scale](total) - value) <= _CLOSE * max(1.0, abs(value))
        except OverflowError:
            return False


def tree_explainer(model: Any) -> TreeExplainer | str:
    """Return an explainer of a model, as MLflow loaded it; or a text on why there is none."""
    try:
        raw = model.get_raw_model()
    except Exception:  # noqa: BLE001 (kinds of models that have no such thing say so in many ways)
        return "it is not a model of trees"
    booster = raw if isinstance(raw, lgb.Booster) else getattr(raw, "booster_", None)
    if isinstance(booster, lgb.Booster):
        return _of_booster(booster)
    if not any(hasattr(raw, name) for name in ("tree_", "estimators_", "_predictors")):
        return "it is not a model of trees"
    return _of_other_trees(raw)


def _of_booster(booster: lgb.Booster) -> TreeExplainer | str:
    if booster.num_model_per_iteration() != 1:
        return "it has a tree for each of several classes"
    objective = str(booster.dump_model(num_iteration=1).get("objective", "")).split(" ")[0]

    def contributions(frame: pd.DataFrame) -> list[tuple[Floats, Floats]]:
        parts = np.asarray(booster.predict(frame, pred_contrib=True), dtype=np.float64)
        return [(parts[:, -1], parts[:, :-1])]

    return TreeExplainer(contributions, _OBJECTIVES.get(objective, ITSELF))


def _of_other_trees(raw: Any) -> TreeExplainer | str:
    import shap  # noqa: PLC0415 (it takes seconds, and few models need it)

    try:
        explainer = shap.TreeExplainer(raw)
        expected = np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64))
    except Exception:  # noqa: BLE001 (it raises errors of many kinds for what it does not know)
        return "it is not a model of trees that can be explained"

    def contributions(frame: pd.DataFrame) -> list[tuple[Floats, Floats]]:
        parts = np.asarray(explainer.shap_values(frame.astype(np.float64), check_additivity=False), dtype=np.float64)
        each = [parts] if parts.ndim == 2 else [parts[:, :, place] for place in range(parts.shape[2])]
        return [(np.full(len(frame), base), values) for base, values in zip(expected, each, strict=True)]

    is_margin = hasattr(raw, "classes_") and len(expected) == 1
    return TreeExplainer(contributions, LOG_ODDS if is_margin else ITSELF)
