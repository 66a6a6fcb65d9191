"""The effect of each indicator on the scores of some customers, and its direction."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from fivefold.domain.text import count_text, html_table
from fivefold.features.histories import Floats
from fivefold.models.explain import explain, gain_shares
from fivefold.models.value_model import ValueModel as TrainedModel

if TYPE_CHECKING:
    import altair as alt

MOST_SHOWN = 12
RAISES, LOWERS, NEITHER = "raises", "lowers", ""
LEAST_CORRELATION = 0.2
"""Least absolute rank correlation of values and points for a direction: trees split on noise too, and if both low and
high values raise the score, neither direction is true."""


@dataclass(frozen=True)
class Importance:
    """The effect of each indicator on the score; a notebook shows it as a table.

    Attributes:
        indicators: by indicator, the largest effect first: `rank` (from 1), `label`, `family`, `unit`, and `gain` (its
            share of what all splits gained in training, which sum to 1). With customers also `mean_points` (the mean of
            its points of the score without their sign, SHAP's global importance), `rank_correlation` (of the values
            with their points, -1 to 1; NaN where either does not vary) and `direction`: a larger value `raises` the
            score, or `lowers` it, by the sign of that correlation; empty where it is below 0.2 in size, or NaN.
        customers: the number of customers whose points these are; 0 if none were given.
    """

    indicators: pd.DataFrame
    customers: int

    @property
    def headline(self) -> str:
        """Describe the measure and the customers."""
        of_whom = "share of the gain in training"
        if self.customers:
            of_whom = f"mean points of {count_text(self.customers, 'customer')}"
        return f"What the model looks at: {of_whom}"

    def __repr__(self) -> str:
        """Describe the customers, and name the first three indicators."""
        first = ", ".join(self.indicators.index[:3])
        return f"<{self.headline}; first {first}>"

    def picture(self, most: int = MOST_SHOWN) -> "alt.LayerChart":
        """Draw the *most* largest effects as bars."""
        from fivefold.charts.indicators import importance_bars  # noqa: PLC0415 (drawing takes a second to import)

        return importance_bars(self._rows(most), title=self.headline, measure=self._measure[1])

    def _repr_html_(self) -> str:
        """Show the largest effects in a notebook."""
        shown = self.indicators.head(MOST_SHOWN)
        rows = [
            [str(rank), label, family, f"{amount:.3g}", f"{100 * gain:.1f} %", direction]
            for rank, (label, amount, direction), family, gain in zip(
                range(1, len(shown) + 1),
                self._rows(MOST_SHOWN),
                shown["family"].tolist(),
                shown["gain"].to_numpy(dtype=np.float64).tolist(),
                strict=True,
            )
        ]
        return html_table(
            self.headline, ["rank", "indicator", "family", self._measure[1], "gain", "larger values"], rows
        )

    @property
    def _measure(self) -> tuple[str, str]:
        """The column that decides the order, and its name for people."""
        return ("mean_points", "mean points") if self.customers else ("gain", "share of the gain")

    def _rows(self, most: int) -> list[tuple[str, float, str]]:
        shown = self.indicators.head(most)
        directions = shown["direction"] if self.customers else [NEITHER] * len(shown)
        amounts = shown[self._measure[0]].to_numpy(dtype=np.float64).tolist()
        return list(zip(shown["label"].tolist(), amounts, directions, strict=True))


def importance_of(model: TrainedModel, matrix: Floats | None) -> Importance:
    """Measure the effect of every indicator that the model reads, on n x F indicators or on training alone."""
    indicators = model.catalogue.indicators
    table = pd.DataFrame(
        {
            "label": [each.label or each.name for each in indicators],
            "family": [each.family for each in indicators],
            "unit": [each.unit.replace("money", model.currency) for each in indicators],
            "gain": gain_shares(model),
        },
        index=pd.Index([each.name for each in indicators], name="indicator"),
    )
    if matrix is not None:
        points = explain(model, matrix).points
        table["mean_points"] = np.abs(points).mean(axis=0)
        table["rank_correlation"] = [_rank_correlation(*columns) for columns in zip(matrix.T, points.T, strict=True)]
        table["direction"] = [_direction(correlation) for correlation in table["rank_correlation"].tolist()]
    by = ["gain"] if matrix is None else ["mean_points", "gain"]
    table = table.sort_values(by, ascending=False, kind="stable")
    table.insert(0, "rank", range(1, len(table) + 1))
    return Importance(table, 0 if matrix is None else len(matrix))


def _rank_correlation(values: Floats, points: Floats) -> float:
    """Correlate values with their points, without customers for whom the indicator is undefined."""
    is_defined = ~np.isnan(values)
    defined_values, effect = values[is_defined], points[is_defined]
    if len(defined_values) < 2 or not np.ptp(defined_values) or not np.ptp(effect):
        return float("nan")
    return float(stats.spearmanr(defined_values, effect).statistic)


def _direction(correlation: float) -> str:
    """Return the direction of larger values; empty for a weak correlation or NaN.

    >>> [_direction(correlation) for correlation in (0.2, -0.9, 0.19, float("nan"))]
    ['raises', 'lowers', '', '']
    """
    if not abs(correlation) >= LEAST_CORRELATION:
        return NEITHER
    return RAISES if correlation > 0 else LOWERS
