"""The second pass: what the model, the champion and the baselines say about the test window, and what came true."""

from dataclasses import dataclass

import lightgbm
import numpy as np
import pyarrow as pa

from fivefold.domain.errors import NotEnoughData
from fivefold.features.histories import Floats, Histories, Integers
from fivefold.features.indicator_matrix import catalogue, select_columns, snapshots
from fivefold.models.prediction import expected_value
from fivefold.models.value_model import ValueModel
from fivefold.training.config import TrainingConfig
from fivefold.training.data import TransactionSource, sampling_keys
from fivefold.training.dates import Dates
from fivefold.training.target import floor_at_zero, realised_values

KEPT_CUSTOMERS = 20_000
"""Customers whose indicators are kept, for the drift reference and the SHAP picture: a seeded sample by identifier."""


@dataclass(frozen=True)
class Judged:
    """Every customer known at the test as-of; parallel arrays, money where not said otherwise.

    Attributes:
        predicted: by the model.
        before: by the model, one snapshot spacing earlier; NaN for customers not yet known then.
        champion: by the champion; None where there is none that can be compared.
        realised: value over the test window, floored at 0.
        floored_share: share of the customers whose value was below 0.
        persistence: value over the horizon before the as-of.
        recency, frequency, money: days, count and sum over the last year, for RFM.
        matrix: indicators of a sample of the customers, at most `KEPT_CUSTOMERS` x F.
        kept: their positions among all customers of the other arrays.
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
    matrix: Floats
    kept: Integers


def judge(
    portfolio: TransactionSource,
    dates: Dates,
    config: TrainingConfig,
    booster: lightgbm.Booster,
    champion: ValueModel | None,
    absent: tuple[str, ...] = (),
) -> Judged:
    """Predict for every customer known at the test as-of, and compute what each was then worth.

    *absent* is what neither model reads (`features.schema.ABSENT`).
    """
    columns: list[dict[str, Floats]] = []
    sample = _Sample(config.seed, len(catalogue(absent).names))
    for part in portfolio.pieces("judging on the test window", len(catalogue().names), 2):
        matrix, found, user_ids = _judge_part(part, dates, config, booster, champion, absent)
        columns.append(found)
        sample.add(matrix, user_ids)
    joined = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}
    realised = joined.pop("realised")
    if not len(realised):
        raise NotEnoughData("no customer has a history at the test as-of")
    if not (realised > 0).any():
        raise NotEnoughData("no customer is worth anything in the test window, so no model can be judged on it")
    return Judged(
        predicted=joined["predicted"],
        before=joined["before"],
        champion=joined.get("champion"),
        realised=floor_at_zero(realised),
        floored_share=float((realised < 0).mean()),
        persistence=joined["persistence"],
        recency=joined["recency"],
        frequency=joined["frequency"],
        money=joined["money"],
        matrix=sample.matrix,
        kept=sample.positions,
    )


class _Sample:
    """Keeps the indicators of the customers whose places come first, in the order of these."""

    def __init__(self, seed: int, columns: int) -> None:
        self._seed = seed
        self._met = 0
        self._places = np.empty(0)
        self.positions = np.empty(0, dtype=np.int64)
        self.matrix = np.empty((0, columns))

    def add(self, matrix: Floats, user_ids: pa.Array) -> None:
        """Take in a batch of customers."""
        found = np.concatenate([self._places, sampling_keys(user_ids, self._seed)])
        positions = np.concatenate([self.positions, self._met + np.arange(len(matrix))])
        order = np.argsort(found, kind="stable")[:KEPT_CUSTOMERS]
        self.matrix = np.concatenate([self.matrix, matrix])[order]
        self._places, self.positions = found[order], positions[order]
        self._met += len(matrix)


def _judge_part(
    part: Histories,
    dates: Dates,
    config: TrainingConfig,
    booster: lightgbm.Booster,
    champion: ValueModel | None,
    absent: tuple[str, ...],
) -> tuple[Floats, dict[str, Floats], pa.Array]:
    spacing_us = dates.horizon_us // config.horizon_days * config.snapshots.spacing_days
    taken = snapshots(part, np.array([dates.test, dates.test - spacing_us], dtype=np.int64) - dates.lag_us)
    known = taken.seen[:, 0] > 0
    matrix, earlier = taken.values[known, 0], taken.values[known, 1]
    windows = np.array([dates.test, dates.test - dates.lag_us - dates.horizon_us], dtype=np.int64)
    values = realised_values(part, windows, dates.horizon_days, config.value)[known]
    column = {name: matrix[:, number] for number, name in enumerate(catalogue().names)}
    matrix, earlier = select_columns(matrix, absent), select_columns(earlier, absent)
    found = {
        "predicted": expected_value(booster, matrix),
        "before": np.where(taken.seen[known, 1] > 0, expected_value(booster, earlier), np.nan),
        "realised": values[:, 0],
        "persistence": values[:, 1],
        "recency": column["event_recency"],
        "frequency": column["deposit_count_365d"] + column["withdrawal_count_365d"],
        "money": column["deposit_sum_365d"] + column["withdrawal_sum_365d"],
    }
    if champion is not None:
        found["champion"] = expected_value(champion.booster, matrix)
    return matrix, found, part.user_ids.filter(pa.array(known))
