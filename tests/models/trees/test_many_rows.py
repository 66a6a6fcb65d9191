"""The prediction of many rows is bit for bit that of `Booster.predict`, whatever the trees and the rows."""

import copy
import logging
from functools import cache
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.features.histories import Floats
from fivefold.models.estimator import OBJECTIVES, ValueRegressor
from fivefold.models.prediction import expected_value
from fivefold.models.trees import many_rows
from fivefold.models.trees.loops import ZERO
from fivefold.models.trees.many_rows import many_rows_predictor
from tests.depth import examples
from tests.models.making import value_model

COLUMNS = 6


def data(rows: int = 2_000) -> tuple[Floats, Floats]:
    """Columns of several sizes: one is never missing, one has zeros, one is missing as often as not."""
    random = np.random.default_rng(3)
    matrix = random.normal(0, [1, 1e3, 1e-3, 1, 1e6, 1], (rows, COLUMNS))
    matrix[::3, 1], matrix[::2, 2], matrix[::5, 4] = 0.0, np.nan, np.nan
    values = np.maximum(matrix[:, 0] + np.nan_to_num(matrix[:, 4]) / 1e6 + (matrix[:, 1] == 0.0), 0.0)
    return matrix, values * random.gamma(2.0, 1.0, rows)


def booster(rounds: int = 30, leaves: int = 31, **others: Any) -> lightgbm.Booster:
    """Fit trees of many leaves on few rows: they split on every column."""
    learner = ValueRegressor(rounds=rounds, leaves=leaves, min_rows_in_leaf=5, threads=1, **others)
    return learner.fit(*data()).booster_


@cache
def small_trees() -> lightgbm.Booster:
    """Fit once for several tests."""
    return booster()


def with_edges(of: lightgbm.Booster, rows: int) -> Floats:
    """Give rows of thresholds, the numbers beside them, those LightGBM takes for 0, missing and infinite ones."""
    random = np.random.default_rng(4)
    tables = many_rows._read(of)
    assert tables is not None
    edges = [tables.thresholds, *(np.nextafter(tables.thresholds, end) for end in (-np.inf, np.inf))]
    zeros = [[0.0, -0.0, ZERO, -ZERO, np.nextafter(ZERO, 1.0), 5e-324]]
    return random.choice(np.concatenate([*edges, *zeros, [np.nan, np.inf, -np.inf]]), (rows, of.num_feature()))


@pytest.mark.parametrize("leaves", [2, 31, 64])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("rows", [1, 63, 64, 65, 1_500])
def test_the_bits_are_those_of_lightgbm(objective: str, leaves: int, rows: int) -> None:
    trees = booster(objective=objective, leaves=leaves)
    predictor = many_rows_predictor(trees)
    assert predictor is not None
    for matrix in (data()[0][:rows], with_edges(trees, rows), np.asfortranarray(with_edges(trees, rows))):
        assert predictor.predict(matrix).tobytes() == trees.predict(matrix, num_threads=1).tobytes()


@settings(max_examples=examples(30))
@given(st.lists(st.tuples(*[st.floats() | st.just(0.0)] * COLUMNS), min_size=1, max_size=80))
def test_any_numbers_have_the_bits_of_lightgbm(rows: list[Any]) -> None:
    matrix = np.array(rows)
    predictor = many_rows_predictor(small_trees())
    assert predictor is not None
    assert predictor.predict(matrix).tobytes() == small_trees().predict(matrix, num_threads=1).tobytes()


def test_trees_that_split_nothing_say_the_same_of_all() -> None:
    matrix, _ = data(100)
    trees = ValueRegressor(rounds=3, min_rows_in_leaf=90, threads=1).fit(matrix, np.ones(100)).booster_
    predictor = many_rows_predictor(trees)
    assert predictor is not None
    assert predictor.predict(matrix).tobytes() == trees.predict(matrix).tobytes()


def test_money_of_many_customers_is_that_of_each() -> None:
    trees = small_trees()
    matrix = with_edges(trees, 1_000)
    alone = [expected_value(trees, matrix[row : row + 1]) for row in range(len(matrix))]
    assert expected_value(trees, matrix).tobytes() == np.concatenate(alone).tobytes()


def test_many_customers_are_asked_of_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    trees, matrix = small_trees(), data(64)[0]
    wanted = expected_value(trees, matrix)
    monkeypatch.setattr(lightgbm.Booster, "predict", lambda *_, **__: pytest.fail("the slower call was asked"))
    assert expected_value(trees, matrix).tobytes() == wanted.tobytes()


def test_a_warm_model_reads_its_trees_in_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    model = copy.deepcopy(value_model())
    matrix = np.zeros((64, len(model.indicators)))
    model.warm()
    monkeypatch.setattr(many_rows, "_checked", lambda _: pytest.fail("the trees are read now"))
    monkeypatch.setattr(lightgbm.Booster, "predict", lambda *_, **__: pytest.fail("the slower call was asked"))
    assert len(model.scores(matrix).score) == len(matrix)


@pytest.mark.parametrize(
    "trees",
    [
        lambda: booster(leaves=200),
        lambda: lightgbm.train({"objective": "binary", "verbosity": -1}, _plain(), 3),
        lambda: lightgbm.train({"objective": "regression", "reg_sqrt": True, "verbosity": -1}, _plain(), 3),
        lambda: lightgbm.train({"objective": "regression", "zero_as_missing": True, "verbosity": -1}, _plain(), 3),
        lambda: lightgbm.train({"objective": "regression", "linear_tree": True, "verbosity": -1}, _plain(), 3),
        lambda: lightgbm.train({"objective": "multiclass", "num_class": 3, "verbosity": -1}, _plain(), 3),
    ],
    ids=["leaves", "objective", "square roots", "zeros", "linear", "classes"],
)
def test_trees_of_another_form_are_left_to_lightgbm(trees: Any) -> None:
    trees = trees()
    assert many_rows_predictor(trees) is None
    if trees.num_model_per_iteration() == 1:
        matrix = data()[0]
        assert expected_value(trees, matrix).tobytes() == np.maximum(trees.predict(matrix), 0.0).tobytes()


def _plain() -> lightgbm.Dataset:
    matrix, values = data()
    return lightgbm.Dataset(matrix, np.clip(values.round(), 0, 1), params={"linear_tree": False})


def test_a_release_that_predicts_other_bits_is_left_to_lightgbm(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trees, matrix = booster(), data()[0]
    plain = lightgbm.Booster.predict
    monkeypatch.setattr(lightgbm.Booster, "predict", lambda *args, **named: np.nextafter(plain(*args, **named), 0.0))
    with caplog.at_level(logging.INFO, "fivefold.models"):
        assert many_rows_predictor(trees) is None
    assert "slower call" in caplog.text
    assert expected_value(trees, matrix).tobytes() == trees.predict(matrix).tobytes()


def test_rows_of_another_width_are_refused() -> None:
    predictor = many_rows_predictor(small_trees())
    assert predictor is not None
    with pytest.raises(ValueError, match="it must have 6"):
        predictor.predict(np.zeros((2, COLUMNS - 1)))
