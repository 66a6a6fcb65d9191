"""Tuning: Optuna looks for better tree parameters on the last training date, never on the test window."""

import logging
import sys

import optuna

from fivefold.domain.errors import NotEnoughData
from fivefold.training.config import Trees
from fivefold.training.fit import Fold, find_rounds, fold_gini


def tune(fold: Fold | None, trees: Trees, seed: int, trials: int) -> Trees:
    """Try *trials* configurations, the given one first, and give the one with the best held-out Gini.

    The number of rounds is found for each and fixed in the result. NotEnoughData where the history is too short.
    """
    if fold is None:
        raise NotEnoughData("the history is too short to tune: it needs a training date a horizon before the last one")
    held: Fold = fold
    tried: list[tuple[float, Trees]] = []

    def gini(found: Trees) -> float:
        rounds = find_rounds(held, found, seed)
        tried.append((fold_gini(held, found, seed, rounds), found.model_copy(update={"rounds": rounds})))
        return tried[-1][0]

    gini(trees)  # not by way of the study, which would refuse what lies outside of its ranges
    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    shown = sys.stderr.isatty()
    study.optimize(lambda trial: gini(_suggested(trial, trees)), n_trials=trials - 1, show_progress_bar=shown)
    return max(tried, key=lambda one: one[0])[1]


def _suggested(trial: optuna.Trial, trees: Trees) -> Trees:
    return trees.model_copy(
        update={
            "leaves": trial.suggest_int("leaves", 4, 128, log=True),
            "min_rows_in_leaf": trial.suggest_int("min_rows_in_leaf", 10, 1_000, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
            "feature_share": trial.suggest_float("feature_share", 0.2, 1.0),
            "row_share": trial.suggest_float("row_share", 0.4, 1.0),
            "l2": trial.suggest_float("l2", 1e-3, 100.0, log=True),
            "tweedie_power": trial.suggest_float("tweedie_power", 1.05, 1.95),
        }
    )
