"""Partial dependence: what customers would be worth with other values of one indicator, on average and one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import partial_dependence

from fivefold.domain.errors import ConfigError
from fivefold.domain.money import rounded_words
from fivefold.domain.text import html_table, perhaps
from fivefold.features.histories import Floats, Integers
from fivefold.models.explain import value_text
from fivefold.models.value_model import ValueModel as TrainedModel
from fivefold.notebook.known import KnownCustomers

if TYPE_CHECKING:
    import altair as alt

MOST_VALUES = 30
"""The default number of an indicator's values, at most, at which partial dependence is computed."""
MOST_INDIVIDUALS = 50
"""The default number of customers, at most, with their own curves."""
CUSTOMERS_AT_ONCE = 20_000
"""How many customers are predicted at a time, which bounds the memory."""
NO_VALUE = "no value"


@dataclass(frozen=True, kw_only=True)
class PartialDependence:
    """What customers would be worth with other values of one indicator; a notebook shows the average as a table.

    Attributes:
        indicator: the indicator's name.
        label: the indicator in a few words for people.
        unit: the unit of its values.
        currency: the currency of the expected values.
        horizon_days: the days that the expected values cover.
        average: by value, NaN last if it is undefined for some: `expected_value` (mean money) and `score` (mean) if all
            customers had this value; `customers`, how many of them have it as their nearest value.
        individual: by `user_id`, a column for each of the same values: the expected value (money) of some customers,
            from the lowest to the highest prediction.
    """

    indicator: str
    label: str
    unit: str
    currency: str
    horizon_days: int
    average: pd.DataFrame
    individual: pd.DataFrame

    @property
    def headline(self) -> str:
        """Describe the indicator and the data shown."""
        return f"{self.label}: expected value in {self.horizon_days} days"

    def __repr__(self) -> str:
        """Describe the range of the average."""
        money = self.average["expected_value"]
        low, high = (rounded_words(float(end), self.currency) for end in (money.min(), money.max()))
        return f"<{self.headline}: {low} to {high} {self.currency} on average>"

    def picture(self) -> "alt.VConcatChart":
        """Draw the average with the curves of single customers, and beneath how many customers are near each value."""
        from fivefold.charts.indicators import dependence  # noqa: PLC0415 (drawing takes a second to import)

        return dependence(
            [(value, money, customers) for value, money, _, customers in self._rows()],
            self.individual.to_numpy(),
            title=self.headline,
            across=f"{self.label} ({self.unit})",
            currency=self.currency,
        )

    def _repr_html_(self) -> str:
        """Show the average in a notebook."""
        rows = [
            [
                NO_VALUE if isnan(value) else value_text(value, self._kind, self.currency),
                rounded_words(money, self.currency),
                f"{score:.2f}",
                f"{customers:,}",
            ]
            for value, money, score, customers in self._rows()
        ]
        return html_table(self.headline, [self.label, self.currency, "score", "customers"], rows)

    def _rows(self) -> list[tuple[float, float, float, int]]:
        """Return each value with the mean money, the mean score and the number of customers nearest to it."""
        table = self.average
        return list(
            zip(
                table.index.to_numpy(dtype=np.float64).tolist(),
                table["expected_value"].to_numpy(dtype=np.float64).tolist(),
                table["score"].to_numpy(dtype=np.float64).tolist(),
                table["customers"].to_numpy(dtype=np.int64).tolist(),
                strict=True,
            )
        )

    @property
    def _kind(self) -> str:
        return self.unit.replace(self.currency, "money")


class _Served(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A trained model as a scikit-learn estimator that predicts the expected value as it is served."""

    def __init__(self, model: TrainedModel) -> None:
        self.model = model

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, *_: object) -> Self:
        """Do nothing: the model is trained."""
        return self

    def predict(self, matrix: Floats) -> Floats:
        """Predict money."""
        return self.model.scores(matrix).expected_value


def dependence_of(
    model: TrainedModel, customers: KnownCustomers, indicator: str, values: Sequence[float] | None, individuals: int
) -> PartialDependence:
    """Vary one indicator for every customer, by `sklearn.inspection.partial_dependence`.

    Args:
        model: the model that predicts.
        customers: customers that the model can score.
        indicator: the name of an indicator that the model reads.
        values: the values to set; by default quantiles of the customers' own, and NaN if it is undefined for some.
        individuals: the number of customers, at most, with their own curves.

    Raises:
        ConfigError: the model reads no such indicator, it is undefined for all of these customers, or *values*
            has none, one that is not a number, or an infinite one.
    """
    names = model.catalogue.names
    if indicator not in names:
        raise ConfigError(f"the model reads no indicator {indicator!r}{perhaps(indicator, names)}")
    column = names.index(indicator)
    own = customers.matrix[:, column]
    grid = _grid(own, indicator, values)
    shown = _spread_out(model.scores(customers.matrix).expected_value, individuals)
    places = np.sort(shown)
    sums, chosen = np.zeros((2, len(grid))), []
    for first in range(0, len(own), CUSTOMERS_AT_ONCE):
        part = customers.matrix[first : first + CUSTOMERS_AT_ONCE]
        (money,) = partial_dependence(
            _Served(model), part, [column], kind="individual", custom_values={column: grid}, method="brute"
        )["individual"]
        sums += money.sum(axis=0), model.curve.score(money).sum(axis=0)
        chosen.append(money[places[(places >= first) & (places < first + len(part))] - first])
    index = pd.Index(grid, name=indicator)
    individual = pd.DataFrame(np.concatenate(chosen), index=customers.user_ids[places], columns=index)
    what = model.catalogue.indicators[column]
    return PartialDependence(
        indicator=indicator,
        label=what.label or what.name,
        unit=what.unit.replace("money", model.currency),
        currency=model.currency,
        horizon_days=model.horizon_days,
        average=pd.DataFrame(
            {"expected_value": sums[0] / len(own), "score": sums[1] / len(own), "customers": _standing_for(grid, own)},
            index=index,
        ),
        individual=individual.loc[customers.user_ids[shown]],
    )


def _grid(own: Floats, indicator: str, values: Sequence[float] | None) -> Floats:
    if values is not None:
        try:
            grid: Floats = np.unique(np.asarray(values, dtype=np.float64))
        except (TypeError, ValueError):
            raise ConfigError(f"values are {values!r}; they must be numbers") from None
        if not len(grid) or np.isinf(grid).any():
            raise ConfigError(f"values are {list(values)!r}: give at least one, and no infinite one")
        return grid
    defined = own[~np.isnan(own)]
    if not len(defined):
        raise ConfigError(f"{indicator} is undefined for all of these customers; give values")
    quantiles = np.unique(np.quantile(defined, np.linspace(0.0, 1.0, MOST_VALUES), method="nearest"))
    return np.append(quantiles, np.nan) if len(defined) < len(own) else quantiles


def _standing_for(grid: Floats, own: Floats) -> Integers:
    """Count for each value the customers whose own value is nearest to it; for NaN, those with an undefined value.

    The count of a value outside the range of the customers' own is 0, however near to it a customer is.

    >>> _standing_for(np.array([0.0, 10.0, 99.0, np.nan]), np.array([0.0, 1.0, 9.0, 20.0, np.nan])).tolist()
    [2, 2, 0, 1]
    """
    defined = own[~np.isnan(own)]
    counts = np.zeros(len(grid), dtype=np.int64)
    counts[np.isnan(grid)] = len(own) - len(defined)
    if not len(defined):
        return counts
    within = np.flatnonzero((grid >= defined.min()) & (grid <= defined.max()))
    if len(within):
        middles = (grid[within][1:] + grid[within][:-1]) / 2.0
        counts[within] = np.bincount(np.searchsorted(middles, defined), minlength=len(within))
    return counts


def _spread_out(money: Floats, most: int) -> Integers:
    """Choose the places of at most *most* customers, evenly from the lowest to the highest prediction.

    >>> _spread_out(np.array([5.0, 1.0, 3.0, 2.0, 4.0]), 3).tolist()
    [1, 2, 0]
    """
    order = np.argsort(money, kind="stable")
    places: Integers = order[np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(np.int64))]
    return places
