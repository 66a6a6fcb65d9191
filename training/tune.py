"""Tuning: Optuna looks for better tree parameters on the last training date, never on the test window."""

import logging

import optuna

from domain.errors import NotEnoughData
from training.config import Trees
from training.fit import Fold, find_rounds, fold_gini


def tune(fold: Fold | None, trees: Trees, seed: int, trials: int) -> Trees:
    """Try *trials* configurations, the given one first, and give the one with the best held-out Gini.

    The number of rounds is found for each and fixed in the result. NotEnoughData where the history is too short.
    """
    if fold is None:
        raise NotEnoughData("the history is too short to tune: it needs a training date a horizon before the last one")
    held: Fold = fold

    def gini(trial: optuna.Trial) -> float:
        found = _suggested(trial, trees)
        rounds = find_rounds(held, found, seed)
        trial.set_user_attr("rounds", rounds)
        return fold_gini(held, found, seed, rounds)

    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial({name: getattr(trees, name) for name in _SEARCHED})
    study.optimize(gini, n_trials=trials, show_progress_bar=True)
    best = study.best_trial
    return trees.model_copy(update={**best.params, "rounds": best.user_attrs["rounds"]})


_SEARCHED = ("leaves", "min_rows_in_leaf", "learning_rate", "feature_share", "row_share", "l2", "tweedie_power")


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
