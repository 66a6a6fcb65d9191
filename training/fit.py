"""Fitting: the number of rounds, the parameters, the trees, and the model around them. No side effects."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import lightgbm
import numpy as np
from tqdm import tqdm

from fivefold.domain.errors import NotEnoughDataError
from fivefold.features.consistency import consistency
from fivefold.features.histories import Floats
from fivefold.features.indicator_matrix import catalogue
from fivefold.models.certainty.intervals import IntervalTable
from fivefold.models.curve import ScoreCurve
from fivefold.models.drift import DriftReference
from fivefold.models.estimator import MatrixData, MatrixRows, ValueRegressor
from fivefold.models.prediction import expected_value
from fivefold.models.value_model import ValueModel
from fivefold.training.config import IntervalSettings, TrainingConfig, TreeSettings
from fivefold.training.continuation import FitParts
from fivefold.training.data import TrainingRows, TransactionSource
from fivefold.training.dates import Dates
from fivefold.training.judging.metrics import normalised_gini
from fivefold.training.judging.predictions import ReferencePredictions, WindowPredictions
from fivefold.training.target import floor_at_zero

PATIENCE_ROUNDS = 50
FALLBACK_ROUNDS = 200
"""Rounds if there are too few dates to find their number: a history shorter than two horizons."""


@dataclass(frozen=True)
class Fold:
    """Training rows split by time: the last training date is for validation, with a horizon's gap before it.

    Attributes:
        matrix: the rows to learn from, which are not copied.
        names: the indicators, which are the columns of both matrices.
        fits: the finished fits on these rows.
    """

    matrix: MatrixRows
    values: Floats
    validation_matrix: Floats
    validation_values: Floats
    names: tuple[str, ...]
    fits: FitParts = field(default_factory=FitParts)


def validation_fold(rows: TrainingRows, dates: Dates) -> Fold | None:
    """Split the rows; None if a side of the gap has no rows, or no customer who was worth anything."""
    is_learnt = np.isin(rows.as_of, dates.before_validation)
    is_validation = rows.as_of == dates.validation
    values = floor_at_zero(rows.values)
    if not is_learnt.any() or not is_validation.any() or not values[is_learnt].any() or not values[is_validation].any():
        return None
    learnt = MatrixRows(rows.matrix, np.flatnonzero(is_learnt))
    fits = rows.fits.among(dates.before_validation, dates.validation)
    return Fold(learnt, values[is_learnt], rows.matrix[is_validation], values[is_validation], rows.names, fits)


_DIRECTIONS = {"increasing": 1, "decreasing": -1}


def regressor(trees: TreeSettings, names: Sequence[str], seed: int, rounds: int) -> ValueRegressor:
    """Build the estimator of a configuration, for indicators of some *names*."""
    return ValueRegressor(
        rounds=rounds,
        seed=seed,
        monotone=[_DIRECTIONS.get(trees.monotone.get(name, ""), 0) for name in names] if trees.monotone else None,
        **trees.model_dump(exclude={"rounds", "most_rounds", "monotone"}),
    )


def find_rounds(fold: Fold | None, trees: TreeSettings, seed: int) -> int:
    """Find the number of rounds that does best on the validation date, by the objective's own loss."""
    if trees.rounds is not None:
        return trees.rounds
    if fold is None:
        return FALLBACK_ROUNDS
    learner = regressor(trees, fold.names, seed, trees.most_rounds)
    return fold.fits.rounds(learner.get_params(), partial(_best_rounds, fold, learner))


def _best_rounds(fold: Fold, learner: ValueRegressor) -> int:
    """Fit until `PATIENCE_ROUNDS` bring no gain on the validation date, and return the number of the best round."""
    learn = MatrixData(fold.matrix, label=fold.values)
    validation = MatrixData(MatrixRows(fold.validation_matrix), label=fold.validation_values, reference=learn)
    with _progress("finding the number of rounds", learner.rounds) as advance:
        booster = lightgbm.train(
            learner.lightgbm_parameters(),
            learn,
            num_boost_round=learner.rounds,
            valid_sets=[validation],
            callbacks=[lightgbm.early_stopping(PATIENCE_ROUNDS, verbose=False), advance],
        )
    return int(booster.best_iteration) or learner.rounds


def fold_gini(fold: Fold, trees: TreeSettings, seed: int, rounds: int) -> float:
    """Return the Gini of a configuration on the validation date; the test window is not used."""
    return normalised_gini(_fold_predictions(fold, trees, seed, rounds), fold.validation_values)


def measure_intervals(
    rows: TrainingRows, dates: Dates, trees: TreeSettings, seed: int, rounds: int, interval: IntervalSettings
) -> IntervalTable | None:
    """Measure how far off predictions are, on consecutive windows before the test as-of.

    The trees that predict a window learnt only from values that were complete when it began. Only their number of
    rounds was found on the last of these windows. None without such a window; `dates.lack_of_intervals` explains why.
    """
    predictions, values, consistencies, as_ofs = [], [], [], []
    for number in range(interval.windows):
        earlier = dates.training[dates.training <= dates.validation - number * dates.horizon_us]
        if not len(earlier):
            break
        back = replace(dates, training=earlier)
        fold = validation_fold(rows, back)
        if fold is None:
            break
        predictions.append(_fold_predictions(fold, trees, seed, rounds))
        values.append(fold.validation_values)
        consistencies.append(consistency(fold.validation_matrix, fold.names))
        as_ofs.append(back.validation)
    if not as_ofs:
        return None
    return IntervalTable.of(
        np.concatenate(predictions),
        np.concatenate(values),
        np.concatenate(consistencies),
        tuple(as_ofs[::-1]),
        interval.level_percent,
    )


def _fold_predictions(fold: Fold, trees: TreeSettings, seed: int, rounds: int) -> Floats:
    fitted = _fitted(regressor(trees, fold.names, seed, rounds), fold.matrix, fold.values, fold.fits)
    return expected_value(fitted.booster_, fold.validation_matrix)


def _fitted(
    learner: ValueRegressor, rows: MatrixRows, values: Floats, fits: FitParts, callbacks: Sequence[Any] = ()
) -> ValueRegressor:
    """Fit, or read the trees if an interrupted run finished the same fit."""
    learner.booster_ = fits.trees(learner.get_params(), lambda: learner.fit(rows, values, callbacks=callbacks).booster_)
    learner.n_features_in_ = learner.booster_.num_feature()
    return learner


def fit(rows: TrainingRows, trees: TreeSettings, seed: int, rounds: int) -> ValueRegressor:
    """Fit on every training date; NotEnoughDataError for a single row, or if no customer was worth anything."""
    values = floor_at_zero(rows.values)
    if len(values) < 2:
        raise NotEnoughDataError("there is one customer at one training date: nothing can be learnt from that")
    if not values.any():
        raise NotEnoughDataError("no customer was worth anything at any training date, so there is nothing to learn")
    with _progress("fitting", rounds) as advance:
        learner = regressor(trees, rows.names, seed, rounds)
        return _fitted(learner, MatrixRows(rows.matrix), values, rows.fits, [advance])


def build_model(
    fitted: ValueRegressor,
    reference: WindowPredictions | ReferencePredictions,
    portfolio: TransactionSource,
    config: TrainingConfig,
    dates: Dates,
    absent: tuple[str, ...],
    intervals: IntervalTable | None,
) -> ValueModel:
    """Build the model from the trees and everything that is stored with them."""
    indicators = catalogue(absent, portfolio.own)
    curve = ScoreCurve.of(reference.predicted)
    scores = curve.score(reference.predicted[reference.positions])
    return ValueModel(
        fitted.booster_,
        fitted.objective,
        curve,
        config.cut_points,
        portfolio.rates,
        config.horizon_days,
        indicators.names,
        indicators.fingerprint,
        config.definition(),
        dates.test,
        DriftReference.of(indicators.names, reference.matrix, scores),
        absent,
        intervals,
        portfolio.own,
    )


@contextmanager
def _progress(task: str, rounds: int) -> Iterator[Callable[[Any], None]]:
    """Show the progress; yield the callback that LightGBM calls after each round."""
    with tqdm(desc=task, total=rounds, unit=" rounds", disable=None, leave=False) as bar:

        def advance(_: Any) -> None:
            bar.update()

        yield advance
