"""Tuning: Optuna searches for better tree parameters on the last training date, never on the test window."""

import logging
import sys
from dataclasses import dataclass

import lightgbm
import optuna

from fivefold.domain.errors import ConfigError, NotEnoughDataError
from fivefold.training.config import TreeSettings
from fivefold.training.fit import Fold, find_rounds, fold_gini


@dataclass(frozen=True)
class TuningTrial:
    """A configuration that was tried.

    Attributes:
        trees: the settings of the trees, with the number of rounds found for them.
        gini: normalised Gini on the last training date.
    """

    trees: TreeSettings
    gini: float


@dataclass(frozen=True)
class Tuning:
    """A search for better trees.

    Attributes:
        trials: one or more; the first has the settings that the search began at.
        as_of: the last training date, microseconds; all trials were compared on it.
    """

    trials: tuple[TuningTrial, ...]
    as_of: int

    @property
    def best(self) -> TuningTrial:
        """The trial whose trees are used, the first of equals."""
        return max(self.trials, key=lambda trial: trial.gini)


def tune(fold: Fold | None, trees: TreeSettings, seed: int, trials: int, as_of: int, lack: str) -> Tuning:
    """Try *trials* configurations, the given one first; *as_of* is the moment of the fold, microseconds.

    The number of rounds is found for each and fixed in the result. *lack* explains why the fold is None, if it is.

    Raises:
        NotEnoughDataError: the fold is None.
        ConfigError: LightGBM refuses the trees of a trial.
    """
    if fold is None:
        raise NotEnoughDataError(f"the trees cannot be tuned: {lack}")
    validation: Fold = fold
    trials_done: list[TuningTrial] = []

    def gini(candidate: TreeSettings) -> float:
        try:
            rounds = find_rounds(validation, candidate, seed)
            score = fold_gini(validation, candidate, seed, rounds)
        except lightgbm.basic.LightGBMError as error:
            raise ConfigError(
                f"trial {len(trials_done) + 1} of {trials} of the search for trees cannot be fitted: {error}. Its "
                f"trees are {candidate.model_dump(exclude_none=True)}: change `trees`, or train without --tune"
            ) from error
        trials_done.append(TuningTrial(candidate.model_copy(update={"rounds": rounds}), score))
        return score

    gini(trees)  # outside the study, which would refuse values beyond its ranges
    optuna.logging.set_verbosity(logging.ERROR)  # what ends a trial, Ctrl-C too, is raised here all the same
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    show_progress = sys.stderr.isatty()
    study.optimize(lambda trial: gini(_suggested(trial, trees)), n_trials=trials - 1, show_progress_bar=show_progress)
    return Tuning(tuple(trials_done), as_of)


def _suggested(trial: optuna.Trial, trees: TreeSettings) -> TreeSettings:
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
