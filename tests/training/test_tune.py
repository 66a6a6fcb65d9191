"""Tuning looks at the held-out training date alone, and is never worse there than what it was given."""

from math import nan
from typing import Any

import lightgbm
import numpy as np
import pytest

from fivefold.domain.errors import ConfigError, NotEnoughDataError
from fivefold.models.estimator import MatrixRows
from fivefold.training.config import TreeSettings
from fivefold.training.fit import Fold, find_rounds, fold_gini
from fivefold.training.tune import tune
from tests.training.conftest import Learn

TREES = TreeSettings(threads=1, rounds=None, most_rounds=40, leaves=7, min_rows_in_leaf=10, learning_rate=0.1)


@pytest.fixture(scope="module")
def fold() -> Fold:
    random = np.random.default_rng(2)
    matrix, held = random.normal(size=(600, 4)), random.normal(size=(300, 4))

    def values(of: np.ndarray) -> np.ndarray:
        return np.exp(of[:, 0] * (of[:, 1] > 0) + 0.3 * random.normal(size=len(of)))

    return Fold(matrix, values(matrix), held, values(held), ("a", "b", "c", "d"))


def gini(fold: Fold, trees: TreeSettings) -> float:
    return fold_gini(fold, trees, 1, find_rounds(fold, trees, 1))


def best_trees(fold: Fold | None, trees: TreeSettings, seed: int, trials: int) -> TreeSettings:
    return tune(fold, trees, seed, trials, as_of=0, lack="nobody was known").best.trees


def test_it_is_never_worse_than_the_default_and_fixes_the_rounds(fold: Fold) -> None:
    found = best_trees(fold, TREES, 1, 3)
    assert found.rounds is not None
    assert gini(fold, found) >= gini(fold, TREES)
    kept = {"objective", "most_rounds", "path_smooth", "threads"}
    assert found.model_dump(include=kept) == TREES.model_dump(include=kept)


def test_one_trial_is_the_configuration_itself(fold: Fold) -> None:
    found = best_trees(fold, TREES, 1, 1)
    assert found == TREES.model_copy(update={"rounds": find_rounds(fold, TREES, 1)})


def test_it_repeats_itself_and_another_seed_may_not(fold: Fold) -> None:
    assert best_trees(fold, TREES, 1, 3) == best_trees(fold, TREES, 1, 3)
    blunt = TREES.model_copy(update={"min_rows_in_leaf": 1_000})  # more than there are
    assert len({best_trees(fold, blunt, seed, 3).learning_rate for seed in range(4)}) > 1


def test_rounds_that_are_given_stay(fold: Fold) -> None:
    assert best_trees(fold, TREES.model_copy(update={"rounds": 9}), 1, 2).rounds == 9


@pytest.mark.parametrize(
    "outside", [{"l2": 0.0}, {"leaves": 3}, {"learning_rate": 0.5}, {"row_share": 0.2}, {"tweedie_power": 1.01}]
)
def test_a_configuration_outside_of_what_is_searched_is_tried_all_the_same(
    fold: Fold, outside: dict[str, float]
) -> None:
    given = TREES.model_copy(update=outside)
    found = best_trees(fold, given, 1, 2)
    assert gini(fold, found) >= gini(fold, given)
    assert best_trees(fold, given, 1, 1) == given.model_copy(update={"rounds": find_rounds(fold, given, 1)})


def test_many_trials_from_outside_work_too(fold: Fold) -> None:
    quick = TREES.model_copy(update={"l2": 0.0, "rounds": 2})
    assert best_trees(fold, quick, 1, 13).rounds == 2  # the sampler models what it has seen after ten


@pytest.mark.parametrize("ended_by", [KeyboardInterrupt(), lightgbm.basic.LightGBMError("no such parameter")])
def test_what_ends_a_trial_is_said_once_and_without_a_traceback(
    fold: Fold, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], ended_by: BaseException
) -> None:
    tried: list[Any] = []

    def ends(*of: Any) -> float:
        if tried:
            raise ended_by
        tried.append(of)
        return fold_gini(*of)

    monkeypatch.setattr("fivefold.training.tune.fold_gini", ends)
    is_stopped = isinstance(ended_by, KeyboardInterrupt)
    wanted = r"trial 2 of 3 .* cannot be fitted: no such parameter\. Its trees are {'objective'.*: change `trees`"
    with pytest.raises(KeyboardInterrupt if is_stopped else ConfigError, match=None if is_stopped else wanted):
        best_trees(fold, TREES, 1, 3)
    out, err = capfd.readouterr()
    assert (out, "Trial" in err, "Traceback" in err) == ("", False, False)


def test_it_is_said_why_trees_cannot_be_tuned() -> None:
    with pytest.raises(NotEnoughDataError, match=r"^the trees cannot be tuned: nobody was known$"):
        best_trees(None, TREES, 1, 2)


def test_undefined_indicators_are_no_obstacle(fold: Fold) -> None:
    holes = MatrixRows(np.where(np.abs(fold.matrix[:]) > 1, nan, fold.matrix[:]))
    found = best_trees(
        Fold(holes, fold.values, fold.validation_matrix, fold.validation_values, fold.names), TREES, 1, 2
    )
    assert found.rounds is not None


def test_a_run_is_tuned_where_that_is_asked(learn: Learn, file: object) -> None:
    few = TreeSettings(threads=1, rounds=None, most_rounds=20, leaves=7, min_rows_in_leaf=20)
    tuned = learn(file, trees=few, tune_trials=2)
    assert tuned.lineage.trees.rounds == tuned.model.booster.num_trees()
    assert tuned.model.content_hash == learn(file, trees=few, tune_trials=2).model.content_hash
