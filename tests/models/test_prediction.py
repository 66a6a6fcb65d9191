"""One row's prediction is bit for bit that of `Booster.predict`."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.features.indicator_matrix import catalogue
from fivefold.models.prediction import SingleRowPredictor, expected_value, single_row_predictor
from tests.depth import examples
from tests.models.making import value_model

COLUMNS = len(catalogue().names)


@cache
def single_row() -> SingleRowPredictor:
    """The model is made when the first test runs, not where tests are only collected."""
    return SingleRowPredictor(value_model().booster)


@settings(max_examples=examples(50))
@given(st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=COLUMNS, max_size=COLUMNS))
def test_the_bits_are_those_of_a_batch(values: list[float]) -> None:
    row = np.array([values])
    together = expected_value(value_model().booster, np.repeat(row, 3, axis=0))
    alone = expected_value(value_model().booster, row, single_row())
    assert alone.tobytes() == expected_value(value_model().booster, row).tobytes() == together[:1].tobytes()


def test_what_was_given_stays_when_the_next_is_asked() -> None:
    rows = [np.full((1, COLUMNS), value) for value in (0.0, 1e6)]
    first = single_row().predict(rows[0])
    kept = first.copy()
    single_row().predict(rows[1])
    assert first.tobytes() == kept.tobytes()


def test_threads_may_ask_together() -> None:
    rows = np.random.default_rng(1).normal(0, 1e4, (200, COLUMNS))
    wanted = expected_value(value_model().booster, rows)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: expected_value(value_model().booster, row[None], single_row())[0], rows))
    assert np.array(found).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_model_that_has_predicted_can_be_copied_and_pickled(copied: Callable[[Any], Any]) -> None:
    model, row = value_model(), np.zeros((1, COLUMNS))
    wanted = model.scores(row).expected_value
    other = copied(model)
    assert other.scores(row).expected_value.tobytes() == wanted.tobytes()
    assert other.booster is not model.booster
    assert replace(other).content_hash == replace(model).content_hash


@pytest.mark.parametrize("shape", [(2, COLUMNS), (1, COLUMNS - 1), (COLUMNS,)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="it must be"):
        single_row().predict(np.zeros(shape))


@pytest.mark.parametrize("name", ["_LIB", "_safe_call"])
def test_a_release_without_the_call_answers_the_slower_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = np.zeros((1, COLUMNS))
    wanted = expected_value(value_model().booster, row)
    monkeypatch.delattr(f"lightgbm.basic.{name}")
    assert single_row_predictor(value_model().booster) is None
    monkeypatch.undo()
    assert expected_value(value_model().booster, row, None).tobytes() == wanted.tobytes()


def test_a_booster_without_its_handle_answers_the_slower_way() -> None:
    class Other:
        def num_feature(self) -> int:
            return COLUMNS

    assert single_row_predictor(Other()) is None  # type: ignore[arg-type]  # a booster of another release
