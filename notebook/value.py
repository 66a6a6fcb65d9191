"""The value model in a notebook: load it, score, explain, and see which indicators matter."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import polars as pl

from fivefold.domain.breakdown import Breakdown, TotalInterval
from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, ModelNotFoundError
from fivefold.domain.settings import read_settings
from fivefold.domain.text import html_table, perhaps
from fivefold.features.histories import Histories
from fivefold.models.embedded import load_value_model
from fivefold.models.explain import breakdown, consistency_sentence, explain, intervals, sentence
from fivefold.models.reach import needed_row_text
from fivefold.models.scoring.histories import Scoring, doubts_of, doubts_of_portfolio, with_origin
from fivefold.models.scoring.sources import score_source
from fivefold.models.value_model import ValueModel as TrainedModel
from fivefold.notebook.dependence import MOST_INDIVIDUALS, PartialDependence, dependence_of
from fivefold.notebook.importance import Importance, importance_of
from fivefold.notebook.known import KnownCustomers, known_customers, warn_of_rows
from fivefold.notebook.transactions import AnyTransactions, Moment, checked_histories, moment_of, source_of
from fivefold.notebook.words import in_words_of_python, is_whole, whole_number
from fivefold.training.config import DEFAULT_NAME

if TYPE_CHECKING:
    import altair as alt

CHAMPION = "champion"
_MOST_COMPARED = 10_000
"""How many customers an unknown name is compared with, to suggest a similar one."""


@dataclass(frozen=True)
class ScoreExplanation:
    """One customer's score and its parts; a notebook shows it as a table.

    Attributes:
        user_id: the customer.
        headline: the score, the segment, and the money with its interval, in a sentence.
        breakdown: a base and the points of every indicator, which add up to the score.
        consistency: 0 to 1, how regular and steady the payments are; NaN if the history is too short to tell.
        interval: the range in which the score is expected to lie; None if the model has no intervals.
    """

    user_id: str
    headline: str
    breakdown: Breakdown
    consistency: float
    interval: TotalInterval | None = None

    def __repr__(self) -> str:
        """Return the headline, which the command prints first."""
        return f"<{self.headline}>"

    def table(self) -> pd.DataFrame:
        """Return a row for each indicator, by name, the largest effect first."""
        rows = [
            (part.name, part.label or part.name, part.family, part.value, part.unit, part.points, part.words)
            for part in self.breakdown.largest_first()
        ]
        names = ["indicator", "label", "family", "value", "unit", "points", "sentence"]
        return pd.DataFrame(rows, columns=names).set_index("indicator")

    def picture(self, most: int = 12) -> "alt.LayerChart":
        """Draw the waterfall: from the starting point, through the *most* largest effects, to the score."""
        from fivefold.charts.waterfall import waterfall  # noqa: PLC0415 (drawing takes a second to import)

        return waterfall(self.breakdown, title=self.headline, most=most, interval=self.interval)

    def _repr_html_(self) -> str:
        """Show in a notebook the sentence, then every contribution."""
        steady = [[consistency_sentence(self.consistency)]]
        return html_table(self.headline, [], steady) + self.breakdown._repr_html_()


class ValueModel:
    """A trained value model, with methods for notebooks.

    Attributes:
        trained: the model itself.
        name: its address or folder, for people.
    """

    def __init__(self, trained: TrainedModel, name: str) -> None:
        """Wrap a trained model; use `load` to get one."""
        self.trained, self.name = trained, name

    @classmethod
    def load(cls, which: str | int | np.integer[Any] | Path = CHAMPION, *, name: str = DEFAULT_NAME) -> Self:
        """Load a model from the registry of the settings, or from a folder.

        Args:
            which: `"champion"` or another alias, the number of a version (of Python or NumPy), a whole address such as
                `models:/fivefold-value/3`, or the folder of a saved model; as text a folder has a slash.
            name: the name of the registered model.

        Raises:
            ConfigError: the name or the address is invalid.
            ModelError: there is no such model, or it cannot be loaded.
        """
        if isinstance(which, Path):
            return cls(TrainedModel.load(which), str(which))
        if isinstance(which, str):
            uri = which if "/" in which else f"models:/{name}@{which}"
        else:
            uri = f"models:/{name}/{_version_number(which)}"
        address = None if which == CHAMPION else uri
        try:
            return cls(load_value_model(read_settings(), address, name), uri)
        except ModelNotFoundError as error:
            number = re.fullmatch(r"v?([1-9]\d*)", which) if isinstance(which, str) else None
            if number is None:
                raise
            raise ModelNotFoundError(
                f"{str(error).rstrip('.')}; {which!r} is read as an alias: version {number[1]} is the number "
                f"{number[1]}, without quotes"
            ) from None

    def __repr__(self) -> str:
        """Describe the model: its name, currency, horizon and reference."""
        trained = self.trained
        return (
            f"<value model {self.name}: {trained.currency} in {trained.horizon_days} days, "
            f"reference {trained.curve.customers:,} customers of {day_text(trained.test_as_of)}>"
        )

    def score(
        self,
        transactions: AnyTransactions,
        *,
        as_of: Moment = None,
        columns: Mapping[str, str] | None = None,
        points: bool = False,
        level_percent: int | None = None,
    ) -> pd.DataFrame:
        """Score every customer as `fivefold score` does, with its warnings.

        For example, rows end long before *as_of*, lack a column that the model was trained with, or are repeated.

        Args:
            transactions: whole histories; other customers make no difference to a score.
            as_of: the moment; nothing later is seen.
            columns: as in `read_transactions`.
            points: whether to add the base and the points of every indicator, which add up to the score.
            level_percent: how many of 100 customers are to lie in their interval; the model's own level by default.

        Returns:
            A row for each customer with a row by then, by `user_id`: `score` (1 to 5, unrounded), `category`,
            `expected_value` (money), `currency`, `percentile`, as of when and by which model, the ends of the interval,
            and what else the command writes. An unknown end is NaN.

        Raises:
            ConfigError: the level is not a whole number from 1 to 99.
        """
        level_percent = _level(level_percent)
        when = moment_of(as_of)
        source = source_of(transactions, columns)
        with in_words_of_python():
            how = Scoring(when, explained=points, level_percent=level_percent)
            batches = list(score_source(self.trained, source, how))
        of_rows = doubts_of(self.trained, batches, when, is_now=as_of is None, option='as_of="{}"')
        for doubt in (*doubts_of_portfolio(self.trained, batches), *of_rows):
            warnings.warn(doubt, stacklevel=2)
        frame = pl.concat([with_origin(batch.table, self.trained, when) for batch in batches]).to_pandas()
        return frame.set_index("user_id")

    def explain(
        self,
        transactions: AnyTransactions,
        user_id: str | int | np.integer[Any] | None = None,
        *,
        as_of: Moment = None,
        columns: Mapping[str, str] | None = None,
        level_percent: int | None = None,
    ) -> ScoreExplanation:
        """Explain one customer's score; *level_percent* and the warnings are those of `score`.

        Without *user_id* the transactions must be those of one customer.

        Raises:
            ConfigError: there is no such customer; *user_id* is missing and there are several; the customer has no row
                by *as_of*; or the level is invalid.
        """
        level_percent = _level(level_percent)
        when = moment_of(as_of)
        histories = self._histories(transactions, columns)
        name, place = _customer(histories, user_id)
        matrix, rows = self.trained.matrix(histories.select(place, place + 1), when)
        if not rows[0]:
            needed = needed_row_text(when, self.trained.settlement_lag_us)
            raise ConfigError(f"customer {name!r} has no {needed}; give a later as_of")
        warn_of_rows([(self.trained, histories)], when)
        explanations = explain(self.trained, matrix)
        headline = f"{name} as of {day_text(when)}: {sentence(self.trained, explanations, 0, level_percent)}"
        parts = breakdown(explanations, 0, self.trained.currency)
        between = intervals(self.trained, explanations, level_percent).of_score(0)
        consistency = float(self.trained.consistency_of(matrix)[0])
        return ScoreExplanation(name, headline, parts, consistency, between)

    def importance(
        self,
        transactions: AnyTransactions | None = None,
        *,
        as_of: Moment = None,
        columns: Mapping[str, str] | None = None,
    ) -> Importance:
        """Compute the effect of each indicator on these customers' scores, the largest first.

        Args:
            transactions: rows of the customers; without them the result has only the gain of the trees in training.
            as_of: the moment; nothing later is seen.
            columns: as in `read_transactions`.

        Raises:
            ConfigError: no customer has a row by then.
        """
        customers = None if transactions is None else self._known_customers(transactions, as_of, columns)
        return importance_of(self.trained, None if customers is None else customers.matrix)

    def partial_dependence(
        self,
        transactions: AnyTransactions,
        indicator: str,
        *,
        values: Sequence[float] | None = None,
        as_of: Moment = None,
        columns: Mapping[str, str] | None = None,
        individuals: int = MOST_INDIVIDUALS,
    ) -> PartialDependence:
        """Compute what these customers would be worth with other values of an indicator, on average and one by one.

        Source: Friedman, "Greedy function approximation: a gradient boosting machine" (2001), section 8.2; the single
        curves are from Goldstein et al., "Peeking inside the black box" (2015). One indicator moves while correlated
        ones stay, so the results at values that few customers have are unreliable.

        Args:
            transactions: rows of the customers to average over.
            indicator: the name of an indicator that the model reads.
            values: the values to set; NaN for undefined. By default quantiles of the customers' own, at most 30, and
                NaN if it is undefined for some of them.
            as_of: the moment; nothing later is seen.
            columns: as in `read_transactions`.
            individuals: the number of customers, at most, with their own curves; at least 1.

        Raises:
            ConfigError: the model reads no such indicator, it is undefined for all of these customers, *values*
                is empty or has a value that is infinite or not a number, *individuals* is below 1, or no customer has
                a row by then.
        """
        individuals = whole_number(individuals, "individuals", 1)
        customers = self._known_customers(transactions, as_of, columns)
        return dependence_of(self.trained, customers, indicator, values, individuals)

    def _histories(self, transactions: AnyTransactions, columns: Mapping[str, str] | None) -> Histories:
        return checked_histories(source_of(transactions, columns), self.trained.rates, absent=self.trained.absent)

    def _known_customers(
        self, transactions: AnyTransactions, as_of: Moment, columns: Mapping[str, str] | None
    ) -> KnownCustomers:
        histories = self._histories(transactions, columns)
        when = moment_of(as_of)
        customers = known_customers(self.trained, histories, when)
        warn_of_rows([(self.trained, histories)], when, stacklevel=4)  # importance and partial_dependence call this
        return customers


def _customer(histories: Histories, user_id: str | int | np.integer[Any] | None) -> tuple[str, int]:
    """Return the customer to explain and its position; without *user_id* the only customer."""
    if user_id is None:
        if histories.customers != 1:
            raise ConfigError(f"there are {histories.customers:,} customers; user_id has to name one of them")
        return str(histories.user_ids[0].as_py()), 0
    name = str(user_id)  # frames may have whole numbers, which are read as text
    place = histories.position(name)
    if place is None:
        near = perhaps(name, histories.user_ids.slice(0, _MOST_COMPARED).to_pylist(), most=_MOST_COMPARED)
        raise ConfigError(f"there is no customer {name!r} among {histories.customers:,}{near}")
    return name, place


def _level(level_percent: Any) -> int | None:
    """Return the level of an interval; ConfigError if it is invalid."""
    return None if level_percent is None else whole_number(level_percent, "level_percent", 1, 99)


def _version_number(which: Any) -> int:
    """Return the number of a version; ConfigError if it is invalid."""
    if not is_whole(which) or which < 1:
        raise ConfigError(
            f"which is {which!r}; it must be an alias such as 'champion', the number of a version, from 1, an address, "
            "or a folder"
        )
    return int(which)
