"""The second pass: predictions by the model, the champion and the baselines, and the realised values of the window."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fivefold.domain.errors import NotEnoughDataError
from fivefold.features.catalogue.own import OwnIndicators
from fivefold.features.consistency import consistency
from fivefold.features.histories import Floats, Histories, Integers
from fivefold.features.indicator_matrix import catalogue, select_columns, snapshots
from fivefold.models.prediction import expected_value
from fivefold.models.value_model import ValueModel
from fivefold.training.config import TrainingConfig
from fivefold.training.data import TransactionSource, sampling_keys
from fivefold.training.dates import Dates
from fivefold.training.judging.groups import KIND_OF_CODES, Trait, traits_of
from fivefold.training.target import floor_at_zero, realised_values

KEPT_CUSTOMERS = 20_000
"""Size of the seeded sample of customers whose indicators are kept, for the drift reference and the SHAP picture."""


class Purchases(NamedTuple):
    """The input of RFM for n customers: days since the last event, number and sum of the last year's movements."""

    recency: Floats
    frequency: Floats
    money: Floats


def purchases(column: Mapping[str, Floats]) -> Purchases:
    """Return the input of RFM from indicators by name."""
    return Purchases(
        recency=column["event_recency"],
        frequency=column["deposit_count_365d"] + column["withdrawal_count_365d"],
        money=column["deposit_sum_365d"] + column["withdrawal_sum_365d"],
    )


@dataclass(frozen=True, kw_only=True)
class WindowPredictions:
    """Predictions for every customer known at the test as-of; parallel arrays, money unless another unit is given.

    Attributes:
        predicted: predictions of the model.
        before: predictions of the model one snapshot spacing earlier; NaN for customers not yet known then.
        champion: predictions of the champion; None if no comparable champion exists.
        realised: value over the test window, floored at 0.
        floored_share: share of the customers whose value was below 0.
        persistence: value over the horizon before the as-of, floored at 0.
        recency, frequency, money: days, count and sum over the last year, for RFM.
        consistency: how regular and steady the payments are, 0 to 1; NaN if unknown.
        matrix: indicators of a sample of the customers, at most `KEPT_CUSTOMERS` x F.
        positions: the positions of the sample among the customers of the other arrays.
        traits: the traits that group the customers, see `groups.group_table`.
    """

    predicted: Floats
    before: Floats
    champion: Floats | None
    realised: Floats
    floored_share: float
    persistence: Floats
    recency: Floats
    frequency: Floats
    money: Floats
    consistency: Floats
    matrix: Floats
    positions: Integers
    traits: Mapping[str, Trait]


@dataclass(frozen=True)
class ReferencePredictions:
    """Predictions of money for every customer known at a moment after which nothing is known yet; parallel arrays.

    Attributes:
        predicted: predictions of the model.
        by_judged: predictions of the model that was judged.
        matrix: indicators of a sample of the customers, at most `KEPT_CUSTOMERS` x F.
        positions: the positions of the sample among the customers of the other arrays.
    """

    predicted: Floats
    by_judged: Floats
    matrix: Floats
    positions: Integers


def predict_reference(
    portfolio: TransactionSource,
    dates: Dates,
    seed: int,
    booster: lightgbm.Booster,
    judged: lightgbm.Booster,
    absent: tuple[str, ...],
) -> ReferencePredictions:
    """Predict for every customer known at the last of the dates, by a model and by the one that was judged."""
    columns = {"predicted": _Column(np.float64), "by_judged": _Column(np.float64)}
    own = portfolio.own
    sample = _Sample(len(catalogue(absent, own).names))
    work = _ReferenceWork(dates, seed, booster, judged, absent, own)
    for part in portfolio.made_of("the customers of today", 1, len(catalogue((), own).names), work, sample.slim):
        for name, column in columns.items():
            column.add(part.columns[name])
        sample.add(part)
    return ReferencePredictions(
        columns["predicted"].values, columns["by_judged"].values, sample.matrix, sample.positions
    )


def predict_test_window(
    portfolio: TransactionSource,
    dates: Dates,
    config: TrainingConfig,
    booster: lightgbm.Booster,
    champion: ValueModel | None,
    absent: tuple[str, ...] = (),
) -> WindowPredictions:
    """Predict for every customer known at the test as-of, and compute the realised values.

    *absent* are the columns that neither model reads (`features.schema.ABSENT`).
    """
    columns, codes = dict[str, _Column](), dict[str, _Column]()
    names: dict[str, tuple[str, ...]] = {}
    own = portfolio.own
    sample = _Sample(len(catalogue(absent, own).names))
    rival = None if champion is None else champion.booster
    work = _WindowWork(
        dates=dates, config=config, booster=booster, champion=rival, absent=absent, own=own, codes=portfolio.rates.codes
    )
    for part in portfolio.made_of("judging on the test window", 2, len(catalogue((), own).names), work, sample.slim):
        for name, values in part.columns.items():
            columns.setdefault(name, _Column(np.float64)).add(values)
        for by, trait in part.traits.items():
            codes.setdefault(by, _Column(KIND_OF_CODES)).add(trait.codes)
            names[by] = trait.names
        sample.add(part)
    joined = {name: column.values for name, column in columns.items()}
    realised = joined.pop("realised")
    if not len(realised):
        raise NotEnoughDataError("no customer has a history at the test as-of")
    if not (realised > 0).any():
        raise NotEnoughDataError("no customer is worth anything in the test window, so no model can be judged on it")
    return WindowPredictions(
        predicted=joined["predicted"],
        before=joined["before"],
        champion=joined.get("champion"),
        realised=floor_at_zero(realised),
        floored_share=float((realised < 0).mean()),
        persistence=floor_at_zero(joined["persistence"]),
        recency=joined["recency"],
        frequency=joined["frequency"],
        money=joined["money"],
        consistency=joined["consistency"],
        matrix=sample.matrix,
        positions=sample.positions,
        traits={by: Trait(names[by], column.values) for by, column in codes.items()},
    )


class _Column:
    """A column that grows by parts.

    Many small arrays, joined at the end, would fragment the memory, which is then never returned to the system.
    """

    def __init__(self, kind: type[np.generic]) -> None:
        self._room: npt.NDArray[Any] = np.empty(1 << 16, dtype=kind)
        self._count = 0

    def add(self, values: npt.NDArray[Any]) -> None:
        """Add values at the end."""
        end = self._count + len(values)
        if end > len(self._room):
            room = np.empty(max(end, 2 * len(self._room)), dtype=self._room.dtype)
            room[: self._count] = self.values
            self._room = room
        self._room[self._count : end] = values
        self._count = end

    @property
    def values(self) -> npt.NDArray[Any]:
        """The values added so far, in order."""
        return self._room[: self._count]


class _Sample:
    """Keeps the indicators of the customers with the smallest sampling keys, in the order of the keys."""

    def __init__(self, columns: int) -> None:
        self._count = 0
        self._keys = np.empty(0)
        self.positions = np.empty(0, dtype=np.int64)
        self.matrix = np.empty((0, columns))

    def add(self, part: "_Predicted") -> None:
        """Add the next customers."""
        keys = np.concatenate([self._keys, part.keys])
        positions = np.concatenate([self.positions, self._count + part.positions])
        order = np.argsort(keys, kind="stable")[:KEPT_CUSTOMERS]
        self.matrix = np.concatenate([self.matrix, part.matrix])[order]
        self._keys, self.positions = keys[order], positions[order]
        self._count += part.customers

    def slim(self, part: "_Predicted") -> "_Predicted":
        """Remove the indicators of the next customers who cannot enter the sample."""
        if len(self._keys) < KEPT_CUSTOMERS:
            return part
        there = np.flatnonzero(part.keys < self._keys[-1])
        return part._replace(matrix=part.matrix[there], keys=part.keys[there], positions=part.positions[there])


class _Predicted(NamedTuple):
    """The predictions for the known customers among a few.

    Attributes:
        matrix: indicators of all known customers, or of those who may be sampled.
        keys: the sampling keys of the customers in the matrix.
        positions: the positions of these among all known customers.
        columns: predictions and values of all known customers, by name.
        traits: the traits that group all known customers.
    """

    matrix: Floats
    keys: Floats
    positions: Integers
    columns: dict[str, Floats]
    traits: dict[str, Trait]

    @property
    def customers(self) -> int:
        """Number of known customers."""
        return len(self.columns["predicted"])


@dataclass(frozen=True)
class _ReferenceWork:
    """Predicts for a few customers, see `predict_reference`."""

    dates: Dates
    seed: int
    booster: lightgbm.Booster
    judged: lightgbm.Booster
    absent: tuple[str, ...]
    own: OwnIndicators | None

    def __call__(self, part: Histories) -> _Predicted:
        moment = np.array([self.dates.test - self.dates.lag_us], dtype=np.int64)
        at = snapshots(part, moment, own=self.own)
        has_rows = at.row_counts[:, 0] > 0
        matrix = select_columns(at.values[has_rows, 0], self.absent, self.own)
        keys = sampling_keys(part.user_ids.filter(pa.array(has_rows)), self.seed)
        models = {"predicted": self.booster, "by_judged": self.judged}
        columns = {name: expected_value(each, matrix) for name, each in models.items()}
        return _Predicted(matrix, keys, np.arange(len(matrix)), columns, {})


@dataclass(frozen=True, kw_only=True)
class _WindowWork:
    """Predicts for a few customers, see `predict_test_window`; *codes* are the currencies by position."""

    dates: Dates
    config: TrainingConfig
    booster: lightgbm.Booster
    champion: lightgbm.Booster | None
    absent: tuple[str, ...]
    own: OwnIndicators | None
    codes: tuple[str, ...]

    def __call__(self, part: Histories) -> _Predicted:
        dates, config, absent, own = self.dates, self.config, self.absent, self.own
        spacing_us = dates.horizon_us // config.horizon_days * config.snapshots.spacing_days
        moments = np.array([dates.test, dates.test - spacing_us], dtype=np.int64) - dates.lag_us
        at_dates = snapshots(part, moments, own=own)
        has_rows = at_dates.row_counts[:, 0] > 0
        matrix, earlier = at_dates.values[has_rows, 0], at_dates.values[has_rows, 1]
        windows = np.array([dates.test, dates.test - dates.lag_us - dates.horizon_us], dtype=np.int64)
        values = realised_values(part, windows, dates.horizon_days, config.value)[has_rows]
        column = {name: matrix[:, number] for number, name in enumerate(catalogue().names)}
        matrix, earlier = select_columns(matrix, absent, own), select_columns(earlier, absent, own)
        columns = {
            "predicted": expected_value(self.booster, matrix),
            "before": np.where(at_dates.row_counts[has_rows, 1] > 0, expected_value(self.booster, earlier), np.nan),
            "realised": values[:, 0],
            "persistence": values[:, 1],
            **purchases(column)._asdict(),
            "consistency": consistency(matrix, catalogue(absent, own).names),
        }
        if self.champion is not None:
            columns["champion"] = expected_value(self.champion, matrix)
        keys = sampling_keys(part.user_ids.filter(pa.array(has_rows)), config.seed)
        traits = traits_of(part, dates.test - dates.lag_us, has_rows, column, self.codes)
        return _Predicted(matrix, keys, np.arange(len(matrix)), columns, traits)
