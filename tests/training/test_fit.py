"""Fitting: the validation gap, the number of rounds, and what cannot be fitted."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import NotEnoughDataError
from fivefold.training.config import TreeSettings
from fivefold.training.data import TrainingRows
from fivefold.training.dates import Dates
from fivefold.training.fit import FALLBACK_ROUNDS, Fold, find_rounds, fit, fold_gini, regressor, validation_fold
from fivefold.training.windows import Windows
from tests.depth import examples

DATES = Dates(np.arange(0, 181, 30, dtype=np.int64) * DAY_US, 270 * DAY_US, 90)
NAMES = ("first", "second", "third", "fourth")
FEW = TreeSettings(threads=1, leaves=7, min_rows_in_leaf=5, rounds=None, most_rounds=120, learning_rate=0.2)


def learning_rows(customers: int = 150, seed: int = 0) -> TrainingRows:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(customers * len(DATES.training), 4))
    values = np.exp(matrix[:, 0] + 0.5 * random.normal(size=len(matrix))) - 0.2
    return TrainingRows(matrix, values, np.repeat(DATES.training, customers), 1.0, Windows.empty(DATES), NAMES)


def test_the_last_date_is_held_out_with_a_horizon_s_gap_before_it() -> None:
    rows = learning_rows()
    fold = validation_fold(rows, DATES)
    assert fold is not None
    learnt = rows.as_of <= 90 * DAY_US  # 180 days less a horizon: the dates of 120 and 150 days are in neither part
    held = rows.as_of == 180 * DAY_US
    assert fold.matrix[:].tobytes() == rows.matrix[learnt].tobytes()
    assert fold.validation_matrix.tobytes() == rows.matrix[held].tobytes()
    assert fold.values.tolist() == np.maximum(rows.values[learnt], 0).tolist()
    assert fold.validation_values.tolist() == np.maximum(rows.values[held], 0).tolist()
    assert fold.values.min() == 0.0


def test_a_history_shorter_than_two_horizons_has_no_fold() -> None:
    rows = learning_rows()
    short = replace(DATES, training=DATES.training[-3:])
    assert validation_fold(rows, short) is None


@pytest.mark.parametrize("worthless", [0, 180])
def test_a_fold_in_which_nobody_is_worth_anything_is_none(worthless: int) -> None:
    rows = learning_rows()
    on_one_side = (rows.as_of <= 90 * DAY_US) if worthless == 0 else (rows.as_of == 180 * DAY_US)
    values = np.where(on_one_side, -1.0, rows.values)
    assert validation_fold(replace(rows, values=values), DATES) is None


@pytest.fixture(scope="module")
def fold() -> Fold:
    found = validation_fold(learning_rows(), DATES)
    assert found is not None
    return found


def test_the_number_of_rounds_stops_where_the_held_out_date_gets_no_better(fold: Fold) -> None:
    rounds = find_rounds(fold, FEW, 1)
    assert 1 <= rounds < 70
    assert find_rounds(fold, FEW, 1) == rounds


def test_rounds_that_are_given_are_taken(fold: Fold) -> None:
    assert find_rounds(fold, FEW.model_copy(update={"rounds": 17}), 1) == 17
    assert find_rounds(None, FEW.model_copy(update={"rounds": 17}), 1) == 17


def test_without_a_fold_there_is_a_number_to_fall_back_on() -> None:
    assert find_rounds(None, FEW, 1) == FALLBACK_ROUNDS


def test_rounds_never_exceed_the_most(fold: Fold) -> None:
    slow = FEW.model_copy(update={"most_rounds": 5, "learning_rate": 0.01})
    assert find_rounds(fold, slow, 1) == 5


def test_every_tree_parameter_reaches_the_estimator() -> None:
    trees = TreeSettings(
        objective="poisson", leaves=9, l2=3.0, path_smooth=0.5, row_share=0.7, feature_share=0.6, threads=1
    )
    made = regressor(trees, NAMES, seed=5, rounds=12)
    wanted = trees.model_dump(exclude={"rounds", "most_rounds"}) | {"seed": 5, "rounds": 12, "monotone": None}
    assert made.get_params() == wanted


@settings(max_examples=examples(15), deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["increasing", "decreasing"])), st.integers(0, 99))
def test_the_expected_value_goes_one_way_where_that_is_asked_for(monotone: dict[str, Any], seed: int) -> None:
    rows = learning_rows(40, seed)
    fitted = fit(rows, FEW.model_copy(update={"monotone": monotone}), 1, 15)
    base = rows.matrix[:30]
    for name, direction in monotone.items():
        ways = np.repeat(base[None], 25, axis=0)
        ways[:, :, NAMES.index(name)] = np.linspace(-4, 4, 25)[:, None]
        predicted = fitted.predict(ways.reshape(-1, 4)).reshape(25, 30)
        steps = np.diff(predicted, axis=0) if direction == "increasing" else -np.diff(predicted, axis=0)
        assert (steps >= -1e-9 * predicted.max()).all()


def test_without_a_limit_the_trees_are_those_of_before() -> None:
    rows = learning_rows(40)
    free, limited = (
        fit(rows, FEW.model_copy(update={"monotone": monotone}), 1, 10).booster_.model_to_string()
        for monotone in ({}, {"first": "decreasing"})
    )
    assert "monotone_constraints" not in free.split("parameters:")[0]
    assert free != limited


def test_the_same_seed_fits_the_same_trees_and_another_others() -> None:
    rows = learning_rows()
    texts = [fit(rows, FEW, seed, 10).booster_.model_to_string() for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_values_below_0_are_fitted_as_0() -> None:
    rows = learning_rows()
    assert rows.values.min() < 0
    floored = replace(rows, values=np.maximum(rows.values, 0))
    assert fit(rows, FEW, 1, 5).booster_.model_to_string() == fit(floored, FEW, 1, 5).booster_.model_to_string()


@pytest.mark.parametrize("objective", ["tweedie", "poisson", "regression", "regression_l1"])
def test_nothing_is_learnt_where_nobody_was_ever_worth_anything(objective: str) -> None:
    rows = replace(learning_rows(), values=np.full(150 * len(DATES.training), -2.0))
    with pytest.raises(NotEnoughDataError, match="no customer was worth anything"):
        fit(rows, FEW.model_copy(update={"objective": objective}), 1, 5)


def test_one_row_is_not_enough() -> None:
    rows = learning_rows()
    one = TrainingRows(rows.matrix[:1], np.array([5.0]), rows.as_of[:1], 1.0, Windows.empty(DATES), NAMES)
    with pytest.raises(NotEnoughDataError, match="one customer at one training date"):
        fit(one, FEW, 1, 5)


def test_the_gini_of_a_fold_is_of_the_held_out_date(fold: Fold) -> None:
    good = fold_gini(fold, FEW, 1, 30)
    assert 0.5 < good <= 1
    blind = replace(fold, validation_matrix=np.zeros_like(fold.validation_matrix))
    assert fold_gini(blind, FEW, 1, 30) == pytest.approx(0.0, abs=1e-9)
