"""The estimator: scikit-learn's own checks, and what this one promises beyond them."""

from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from fivefold.domain.errors import ConfigError
from fivefold.models.estimator import MatrixRows, ValueRegressor
from fivefold.models.prediction import expected_value
from fivefold.models.trees.text import LOG_LINK, OBJECTIVES
from tests.depth import examples

SMALL = {"rounds": 20, "min_rows_in_leaf": 2, "threads": 1}
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "LightGBM counts rows, whatever their weight, when it cuts the bins and for min_data_in_leaf"
    ),
}


@parametrize_with_checks(
    [ValueRegressor(**SMALL), ValueRegressor(**SMALL, objective="regression")],
    expected_failed_checks=lambda _: EXPECTED_FAILURES,
)
def test_scikit_learn_accepts_it(estimator: ValueRegressor, check: Any) -> None:
    check(estimator)


def data(rows: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(rows, 4))
    return matrix, np.exp(matrix[:, 0] + 0.3 * random.normal(size=rows))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_money_is_never_negative(objective: str) -> None:
    matrix, _ = data()
    values = np.maximum(0.0, 50.0 * (matrix[:, 0] + matrix[:, 1]))
    regressor = ValueRegressor(objective=objective, **SMALL | {"rounds": 80}, learning_rate=0.3).fit(matrix, values)
    wild = np.random.default_rng(1).normal(scale=100, size=(2_000, 4))
    assert regressor.predict(matrix).min() >= 0
    assert regressor.predict(wild).min() >= 0
    if objective == "regression":  # the check has something to catch: without a log link trees fall below 0
        assert regressor.booster_.predict(wild).min() < 0


def test_undefined_indicators_are_allowed_in_fit_and_predict() -> None:
    matrix, values = data()
    matrix[::3, 1] = np.nan
    matrix[:, 3] = np.nan
    regressor = ValueRegressor(**SMALL).fit(matrix, values)
    assert np.isfinite(regressor.predict(matrix)).all()
    assert np.isfinite(regressor.predict(np.full((1, 4), np.nan))).all()


def test_infinity_is_refused() -> None:
    matrix, values = data()
    matrix[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        ValueRegressor(**SMALL).fit(matrix, values)


def test_negative_values_are_refused_and_zeros_are_not() -> None:
    matrix, values = data()
    values[:100] = 0.0
    ValueRegressor(**SMALL).fit(matrix, values)
    values[5] = -0.01
    with pytest.raises(ValueError, match="Negative values"):
        ValueRegressor(**SMALL).fit(matrix, values)


@pytest.mark.parametrize("objective", LOG_LINK)
def test_values_that_are_all_0_are_refused_in_words(objective: str) -> None:
    with pytest.raises(ValueError, match=f"every value in y is 0, and {objective} has nothing to learn"):
        ValueRegressor(objective=objective).fit(np.arange(60.0).reshape(-1, 1), np.zeros(60))


def test_an_unknown_objective_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="objective is 'quantile'; it must be one of tweedie"):
        ValueRegressor(objective="quantile").fit(*data())


def test_the_same_seed_gives_the_same_trees_and_another_gives_others() -> None:
    matrix, values = data(500)
    sampled = SMALL | {"row_share": 0.6, "feature_share": 0.5}
    texts = [ValueRegressor(**sampled, seed=seed).fit(matrix, values).booster_.model_to_string() for seed in (3, 3, 4)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_two_threads_repeat_themselves() -> None:
    matrix, values = data(500)
    texts = {ValueRegressor(**SMALL | {"threads": 2}).fit(matrix, values).booster_.model_to_string() for _ in range(2)}
    assert len(texts) == 1


def test_column_names_are_kept_and_looked_at() -> None:
    matrix, values = data()
    frame = pd.DataFrame(matrix, columns=["a", "b", "c", "d"])
    regressor = ValueRegressor(**SMALL).fit(frame, values)
    assert regressor.booster_.feature_name() == ["a", "b", "c", "d"]
    assert regressor.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names"):
        regressor.predict(frame[["b", "a", "c", "d"]])


def test_every_parameter_reaches_lightgbm() -> None:
    asked = {
        "objective": "tweedie",
        "tweedie_power": 1.3,
        "rounds": 7,
        "learning_rate": 0.07,
        "leaves": 9,
        "min_rows_in_leaf": 11,
        "feature_share": 0.7,
        "row_share": 0.6,
        "l2": 2.5,
        "path_smooth": 1.5,
        "monotone": [1, 0, -1, 0],
        "seed": 13,
        "threads": 1,
    }
    assert set(asked) == set(ValueRegressor().get_params())
    regressor = ValueRegressor(**asked).fit(*data())
    with pytest.raises(ConfigError, match="monotone has 2 numbers, and X has 4 columns"):
        ValueRegressor(monotone=[1, 0]).fit(*data())
    used = regressor.booster_.params
    assert regressor.booster_.num_trees() == 7
    assert used["objective"] == "tweedie"
    assert [used[name] for name in ("tweedie_variance_power", "learning_rate", "num_leaves")] == [1.3, 0.07, 9]
    assert [used[name] for name in ("min_data_in_leaf", "feature_fraction", "bagging_fraction")] == [11, 0.7, 0.6]
    assert [used[name] for name in ("bagging_freq", "lambda_l2", "path_smooth", "seed")] == [1, 2.5, 1.5, 13]
    assert used["monotone_constraints"] == [1, 0, -1, 0]
    assert used["deterministic"]
    assert used["force_row_wise"]
    assert used["num_threads"] == 1


def test_no_sampling_of_rows_where_all_are_taken() -> None:
    assert ValueRegressor(row_share=1.0).lightgbm_parameters()["bagging_freq"] == 0


def test_weights_count() -> None:
    matrix, values = np.zeros((40, 1)), np.array([1.0, 9.0] * 20)
    weight = np.array([3.0, 1.0] * 20)
    regressor = ValueRegressor(objective="regression", **SMALL).fit(matrix, values, sample_weight=weight)
    assert regressor.predict(matrix[:1])[0] == pytest.approx(3.0)


def test_scikit_learn_s_tools_take_it() -> None:
    matrix, values = data()
    pipeline = make_pipeline(FunctionTransformer(), ValueRegressor(**SMALL))
    assert cross_val_score(pipeline, matrix, values, cv=2).mean() > 0.3
    assert clone(ValueRegressor(leaves=5)).leaves == 5


@pytest.fixture(scope="module")
def booster() -> lightgbm.Booster:
    matrix, values = data(400)
    matrix[::5, 2] = np.nan
    return ValueRegressor(**SMALL).fit(matrix, values).booster_


@settings(max_examples=examples(30))
@given(st.lists(st.tuples(*[st.floats(-5, 5) | st.just(float("nan"))] * 4), min_size=1, max_size=60))
def test_one_customer_is_worth_what_a_batch_says_to_the_bit(booster: lightgbm.Booster, rows: list[Any]) -> None:
    matrix = np.array(rows)
    together = expected_value(booster, matrix)
    alone = np.concatenate([expected_value(booster, matrix[row : row + 1]) for row in range(len(matrix))])
    assert together.tobytes() == alone.tobytes()


def test_nobody_is_worth_nothing(booster: lightgbm.Booster) -> None:
    assert expected_value(booster, np.empty((0, 4))).shape == (0,)


@pytest.mark.parametrize("rows", [20, 300, pytest.param(230_000, marks=pytest.mark.full)])
@pytest.mark.parametrize("least", [2, 40])
def test_rows_of_a_matrix_give_the_trees_of_their_copy(rows: int, least: int) -> None:
    """LightGBM takes 200,000 rows to choose the bounds of its bins: the same ones, however the rows come."""
    random = np.random.default_rng(5)
    matrix = random.normal(size=(rows, 6))
    matrix[random.random(matrix.shape) < 0.2] = np.nan
    matrix[:, 2], matrix[:, 3] = 0.0, np.round(matrix[:, 3])
    values = np.exp(np.nan_to_num(matrix[:, 0]))
    places = np.flatnonzero(random.random(rows) < 0.9)
    matrix[: least // 2, 4], matrix[least // 2 :, 4] = 1.0, 0.0  # no split of it has rows enough on both sides
    model = ValueRegressor(rounds=5, seed=3, threads=1, min_rows_in_leaf=least)
    copied = model.fit(matrix[places], values[places]).booster_.model_to_string()
    assert model.fit(MatrixRows(matrix, places), values[places]).booster_.model_to_string() == copied
    plain = lightgbm.Dataset(matrix[places], label=values[places])
    assert lightgbm.train(model.lightgbm_parameters(), plain, 5).model_to_string() == copied
