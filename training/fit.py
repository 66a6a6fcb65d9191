"""Fit: how many rounds, which parameters, and the trees themselves. No side effects."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from tqdm import tqdm

from fivefold.domain.errors import NotEnoughData
from fivefold.features.histories import Floats
from fivefold.models.estimator import ValueRegressor
from fivefold.models.prediction import expected_value
from fivefold.training.config import Trees
from fivefold.training.data import LearningRows
from fivefold.training.dates import Dates
from fivefold.training.judging.metrics import normalised_gini
from fivefold.training.target import floored

PATIENCE_ROUNDS = 50
FALLBACK_ROUNDS = 200
"""Rounds where there are too few dates to find their number: a history shorter than two horizons."""


@dataclass(frozen=True)
class Fold:
    """Learning rows parted by time: the last training date is held out, with a horizon's gap before it."""

    matrix: Floats
    values: Floats
    held_matrix: Floats
    held_values: Floats


def validation_fold(rows: LearningRows, dates: Dates) -> Fold | None:
    """Part the rows; None where the history is too short for a date before the gap."""
    learn = np.isin(rows.as_of, dates.before_validation)
    held = rows.as_of == dates.validation
    values = floored(rows.values)
    if not learn.any() or not held.any() or not values[learn].any() or not values[held].any():
        return None
    return Fold(rows.matrix[learn], values[learn], rows.matrix[held], values[held])


def regressor(trees: Trees, seed: int, rounds: int) -> ValueRegressor:
    """Build the estimator of a configuration."""
    return ValueRegressor(
        rounds=rounds,
        seed=seed,
        **trees.model_dump(exclude={"rounds", "most_rounds"}),
    )


def find_rounds(fold: Fold | None, trees: Trees, seed: int) -> int:
    """Find how many rounds do best on the held-out date, by the objective's own loss."""
    if trees.rounds is not None:
        return trees.rounds
    if fold is None:
        return FALLBACK_ROUNDS
    parameters = regressor(trees, seed, trees.most_rounds).lightgbm_parameters()
    learn = lightgbm.Dataset(fold.matrix, label=fold.values)
    held = lightgbm.Dataset(fold.held_matrix, label=fold.held_values, reference=learn)
    with _progress("finding the number of rounds", trees.most_rounds) as advance:
        booster = lightgbm.train(
            parameters,
            learn,
            num_boost_round=trees.most_rounds,
            valid_sets=[held],
            callbacks=[lightgbm.early_stopping(PATIENCE_ROUNDS, verbose=False), advance],
        )
    return int(booster.best_iteration) or trees.most_rounds


def fold_gini(fold: Fold, trees: Trees, seed: int, rounds: int) -> float:
    """Judge a configuration on the held-out date alone; the test window is never looked at."""
    fitted = regressor(trees, seed, rounds).fit(fold.matrix, fold.values)
    return normalised_gini(expected_value(fitted.booster_, fold.held_matrix), fold.held_values)


def fit(rows: LearningRows, trees: Trees, seed: int, rounds: int) -> ValueRegressor:
    """Fit on every training date; NotEnoughData where there is nothing to tell customers apart by."""
    values = floored(rows.values)
    if len(values) < 2:
        raise NotEnoughData("there is one customer at one training date: nothing can be learnt from that")
    if not values.any():
        raise NotEnoughData("no customer was worth anything at any training date, so there is nothing to learn")
    with _progress("fitting", rounds) as advance:
        return regressor(trees, seed, rounds).fit(rows.matrix, values, callbacks=[advance])


@contextmanager
def _progress(task: str, rounds: int) -> Iterator[Callable[[Any], None]]:
    """Show how many rounds are done; give what LightGBM is to call after each."""
    with tqdm(desc=task, total=rounds, unit=" rounds", disable=None, leave=False) as bar:

        def advance(_: Any) -> None:
            bar.update()

        yield advance
