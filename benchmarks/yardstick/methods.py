"""The methods of the yardstick: each reads a task, which ends at the as-of, and predicts for its customers."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl

from benchmarks.yardstick import purchases as purchase_model
from benchmarks.yardstick.protocol import Method, Prediction, Task
from fivefold.features.histories import Floats
from fivefold.models.estimator import MatrixRows
from fivefold.models.prediction import expected_value
from fivefold.training.config import TrainingConfig
from fivefold.training.data import training_rows
from fivefold.training.dates import dates_before
from fivefold.training.fit import Fold, find_rounds, fit, validation_fold
from fivefold.training.judging.evaluate import rfm
from fivefold.training.judging.predictions import purchases
from fivefold.training.presets.choose import choose_preset
from fivefold.training.presets.named import PRESETS
from fivefold.training.target import floor_at_zero

FIVEFOLD, PERSISTENCE, RFM = "fivefold", "persistence", "RFM"
PURCHASES, TWO_PARTS, PLAIN = "BG/NBD × Gamma-Gamma", "ZILN-type two parts", "LightGBM on RFM"
PLAIN_ROUNDS, PART_ROUNDS = 100, 200
PART_SETTINGS = {"learning_rate": 0.05, "min_data_in_leaf": 100, "feature_fraction": 0.5}


def methods(python: Path) -> Mapping[str, Method]:
    """Give every method by its name; *python* is that of the environment of BG/NBD × Gamma-Gamma."""
    return {
        PERSISTENCE: persistence,
        RFM: rfm_score,
        PURCHASES: lambda task: purchase_counts(task, python),
        PLAIN: plain_trees,
        TWO_PARTS: two_parts,
        FIVEFOLD: fivefold,
    }


def persistence(task: Task) -> Prediction:
    """The next horizon is worth what the last one was."""
    return Prediction(floor_at_zero(task.values(task.dates.test - task.dates.horizon_us)))


def rfm_score(task: Task) -> Prediction:
    """Quintiles of recency, frequency and money, added up: a rank, and no money."""
    return Prediction(rfm(purchases(_by_name(task.matrix, task.names))), money=False)


def purchase_counts(task: Task, python: Path) -> Prediction:
    """BG/NBD × Gamma-Gamma, fitted on all customers up to the as-of."""
    parts = [
        purchase_model.summarise(part, task.dates.test, task.config.value) for part in task.source.batches("purchases")
    ]
    purchases_answer = purchase_model.predict(pl.concat(parts), task.config.horizon_days, python)
    return Prediction(purchases_answer.money, reasons=purchases_answer.reasons, report=dict(purchases_answer.report))


def plain_trees(task: Task) -> Prediction:
    """LightGBM as it is installed, on recency, frequency, money and age, by squared error."""
    learn = lightgbm.Dataset(_rfm_columns(task.rows.matrix, task.names), label=floor_at_zero(task.rows.values))
    booster = lightgbm.train(_parameters(task, "regression"), learn, num_boost_round=PLAIN_ROUNDS)
    return Prediction(expected_value(booster, _rfm_columns(task.matrix, task.names)))


def two_parts(task: Task) -> Prediction:
    """Trees for the chance of a value above 0, times a log-normal size, on all indicators.

    Source: Wang, Liu and Miao, "A Deep Probabilistic Model for Customer Lifetime Value Prediction" (2019), whose zero
    and log-normal parts are learnt by one network. The spread of the logarithm is measured on the last training date,
    by trees that end before it; where there is none, on the rows that were learnt from.
    """
    values = floor_at_zero(task.rows.values)
    fold = validation_fold(task.rows, task.dates) or Fold(
        MatrixRows(task.rows.matrix), values, task.rows.matrix, values, task.rows.names
    )
    sizes = _log_size(task, fold.matrix[:], fold.values)
    positive = fold.validation_values > 0
    left = np.log(fold.validation_values[positive]) - _raw(sizes, fold.validation_matrix[positive])
    spread = float(left.var())
    chance = np.ones(len(task.matrix))
    if not (values > 0).all():
        learn = lightgbm.Dataset(task.rows.matrix, label=(values > 0).astype(np.float64))
        chance = _raw(lightgbm.train(_part_parameters(task, "binary"), learn, PART_ROUNDS), task.matrix)
    mean = np.exp(_raw(_log_size(task, task.rows.matrix, values), task.matrix) + spread / 2)
    return Prediction(chance * mean, report={"spread_of_logarithm": spread})


def _log_size(task: Task, matrix: Floats, values: Floats) -> lightgbm.Booster:
    learn = lightgbm.Dataset(matrix[values > 0], label=np.log(values[values > 0]))
    return lightgbm.train(_part_parameters(task, "regression"), learn, PART_ROUNDS)


def fivefold(task: Task) -> Prediction:
    """The value model of this program without a configuration: it chooses its preset on windows before the as-of."""
    choice = choose_preset(task.source, task.config, task.summary, task.dates.test, PRESETS)
    prediction = as_configured(task, choice.config)
    return replace(prediction, report=prediction.report | {"preset": choice.preset, "chosen": choice.reason})


def as_configured(task: Task, config: TrainingConfig) -> Prediction:
    """The value model with these settings: it finds its number of rounds, learns from all its dates, and predicts."""
    dates = dates_before(config, task.summary.period.first, task.dates.test)
    rows = training_rows(task.source, dates, config, task.summary)
    rounds = find_rounds(validation_fold(rows, dates), config.trees, config.seed)
    model = fit(rows, config.trees, config.seed, rounds)
    return Prediction(expected_value(model.booster_, task.matrix), report={"rounds": rounds})


def _by_name(matrix: Floats, names: tuple[str, ...]) -> dict[str, Floats]:
    return {name: matrix[:, number] for number, name in enumerate(names)}


def _rfm_columns(matrix: Floats, names: tuple[str, ...]) -> Floats:
    column = _by_name(matrix, names)
    return np.column_stack([*purchases(column), column["first_event_age"]])


def _parameters(task: Task, objective: str) -> dict[str, object]:
    return {
        "objective": objective,
        "seed": task.config.seed,
        "num_threads": task.config.trees.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _part_parameters(task: Task, objective: str) -> dict[str, object]:
    return _parameters(task, objective) | PART_SETTINGS


def _raw(booster: lightgbm.Booster, matrix: Floats) -> Floats:
    return np.asarray(booster.predict(matrix, num_threads=1), dtype=np.float64)
