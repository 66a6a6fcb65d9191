"""A model looked at in a notebook: its importance and what its predictions depend on."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import fivefold
from fivefold.charts.render import svg
from fivefold.domain.errors import ConfigError
from fivefold.features.histories import Floats
from fivefold.models.estimator import ValueRegressor
from fivefold.models.explain import explain
from fivefold.models.value_model import ValueModel as TrainedModel
from fivefold.notebook.dependence import CUSTOMERS_AT_ONCE, dependence_of
from fivefold.notebook.importance import importance_of
from fivefold.notebook.known import KnownCustomers
from fivefold.notebook.value import ValueModel
from fivefold.training.config import ValueSettings
from fivefold.training.simulation.simulator import Simulation, simulate
from tests.charts.drawn import words
from tests.depth import examples
from tests.models.making import (
    fitted,
    known_matrix,
    later_values,
    model_of,
    reference_matrix,
    value_model,
)

JUDGED_FROM, UNKNOWN_FROM = "2024-09-01", "2024-12-20"


"""Moments whose window of 90 days has ended, and has not, when the simulated data end."""


READS = "deposit_sum_90d"


NAMES = [READS, "balance_last", "deposit_count_90d"]


DEFINED = ValueSettings().model_dump()


@cache
def transactions() -> pd.DataFrame:
    return pa.concat_tables(simulate(Simulation(customers=120, seed=11))).to_pandas()


def in_a_notebook(model: TrainedModel, **changes: object) -> ValueModel:
    """A model that learnt from nothing after the year began, with a whole definition of value."""
    definition = {"horizon_days": 90, "currency": "EUR", **DEFINED}
    early = int(pd.Timestamp("2024-01-01").value // 1000)
    return ValueModel(replace(model, **{"definition": definition, "test_as_of": early, **changes}), "made")


@cache
def other_model() -> TrainedModel:
    """A model of the same customers that looks at other things."""
    matrix = known_matrix()
    regressor = ValueRegressor(rounds=15, leaves=4, min_rows_in_leaf=40).fit(matrix, later_values(matrix)[::-1] + 5.0)
    return model_of(regressor, regressor.predict(reference_matrix()))


def known(matrix: Floats) -> KnownCustomers:
    return KnownCustomers(pd.Index([f"user_{number:05d}" for number in range(len(matrix))], name="user_id"), matrix)


def column_of(model: TrainedModel, name: str) -> int:
    return model.catalogue.names.index(name)


def split_shares(model: TrainedModel) -> Floats:
    return np.asarray(model.booster.feature_importance("split"))


def test_gain_sums_to_one_and_points_are_those_of_the_explanation() -> None:
    model, matrix = value_model(), known_matrix()[:300]
    importance = importance_of(model, matrix)
    table = importance.indicators
    assert table["gain"].sum() == pytest.approx(1.0)
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert (table["mean_points"].diff().dropna() <= 0).all()
    points = np.abs(explain(model, matrix).points).mean(axis=0)
    assert table["mean_points"].reindex(model.catalogue.names).tolist() == points.tolist()
    assert (table.loc[table["mean_points"] == 0, "direction"] == "").all()
    assert set(table["unit"]) & {"EUR", "count"}
    assert importance.customers == 300


def test_the_direction_is_that_of_the_values() -> None:
    matrix = known_matrix()
    column = column_of(value_model(), READS)
    for sign, word in ((1.0, "raises"), (-1.0, "lowers")):
        values = 100.0 + np.clip(sign * matrix[:, column], -1e4, 1e4)
        regressor = fitted(matrix, values - values.min())
        model = model_of(regressor, regressor.predict(reference_matrix()))
        assert importance_of(model, matrix[:500]).indicators.loc[READS, "direction"] == word


def drawn_matrix(customers: int) -> Floats:
    """Indicators that have nothing to do with each other."""
    return np.random.default_rng(5).normal(size=(customers, len(value_model().catalogue.names)))


def test_an_indicator_of_which_both_ends_raise_the_score_has_no_direction() -> None:
    matrix = drawn_matrix(2_000)
    column = column_of(value_model(), READS)
    values = matrix[:, column]
    for outcome, word in ((100.0 + 80.0 * np.abs(values), ""), (100.0 + 80.0 * np.maximum(values, 0.0), "raises")):
        regressor = fitted(matrix, outcome)
        model = model_of(regressor, regressor.predict(matrix))
        importance = importance_of(model, matrix[:800])
        row = importance.indicators.loc[READS]
        assert (row["rank"], row["direction"]) == (1, word)
        points = explain(model, matrix[:800]).points[:, column]
        assert row["rank_correlation"] == pytest.approx(stats.spearmanr(values[:800], points).statistic, abs=1e-12)
        shown = importance._repr_html_().split("<tr>")[2]
        assert ("raises" in shown, "lowers" in shown) == (word == "raises", False)


def test_points_that_do_not_follow_the_values_have_no_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = drawn_matrix(800)
    noise = np.random.default_rng(6).normal(size=matrix.shape)
    noise[:, 0] = 0.3 * matrix[:, 0] + noise[:, 0]
    noise[:, 1] = 7.0
    monkeypatch.setattr("fivefold.notebook.importance.explain", lambda *_: SimpleNamespace(points=noise))
    model = value_model()
    table = importance_of(model, matrix).indicators.loc[list(model.catalogue.names)]
    assert table["direction"].tolist() == ["raises", *[""] * (len(table) - 1)]
    assert np.flatnonzero(table["rank_correlation"].isna()).tolist() == [1]
    assert (table["rank_correlation"].iloc[2:].abs() < 0.2).all()


def test_without_customers_the_gain_decides() -> None:
    importance = in_a_notebook(value_model()).importance()
    table = importance.indicators
    assert importance.customers == 0
    assert (table["gain"].diff().dropna() <= 0).all()
    assert not {"mean_points", "direction"} & set(table.columns)
    assert "share of the gain in training" in importance._repr_html_()
    assert table["label"].iloc[0] in " ".join(words(importance.picture(most=3)))


def test_one_customer_has_points_and_no_direction() -> None:
    importance = importance_of(value_model(), known_matrix()[:1])
    table = importance.indicators
    assert set(table["direction"]) == {""}
    assert table["mean_points"].max() > 0
    assert importance.headline == "What the model looks at: mean points of 1 customer"


def test_the_order_of_the_rows_makes_no_difference() -> None:
    model, rows = in_a_notebook(value_model()), transactions()
    by_user = dict(list(rows.groupby("user_id", sort=False)))
    turned = pd.concat([by_user[name] for name in reversed(by_user)])
    importance, again = (model.importance(each, as_of=JUDGED_FROM) for each in (rows, turned))
    pd.testing.assert_frame_equal(importance.indicators, again.indicators, check_exact=True)
    first, second = (model.partial_dependence(each, READS, as_of=JUDGED_FROM) for each in (rows, turned))
    pd.testing.assert_frame_equal(first.average, second.average, check_exact=True)
    pd.testing.assert_frame_equal(first.individual, second.individual, check_exact=True)
    other = in_a_notebook(other_model())
    one, two = (fivefold.compare(model, other, each, as_of=JUDGED_FROM) for each in (rows, turned))
    pd.testing.assert_frame_equal(one.changed(), two.changed(), check_exact=True)
    pd.testing.assert_frame_equal(one.differences, two.differences, check_exact=True)


@settings(max_examples=examples(15), deadline=None)
@given(st.data())
def test_the_average_is_the_mean_of_the_single_curves_and_what_the_model_serves(data: st.DataObject) -> None:
    model = value_model()
    places = data.draw(st.lists(st.integers(0, len(known_matrix()) - 1), min_size=1, max_size=40, unique=True))
    matrix = known_matrix()[places]
    name = data.draw(st.sampled_from(NAMES))
    column = column_of(model, name)
    if np.isnan(matrix[:, column]).all():
        return
    found = dependence_of(model, known(matrix), name, None, individuals=len(matrix))
    assert np.allclose(found.individual.mean(axis=0), found.average["expected_value"], rtol=1e-12)
    assert found.average["customers"].sum() == len(matrix)
    assert np.isnan(found.average.index.to_numpy()).sum() == int(np.isnan(matrix[:, column]).any())
    for value, row in zip(found.average.index, found.average.itertuples(), strict=True):
        moved = matrix.copy()
        moved[:, column] = value
        scores = model.scores(moved)
        assert row.expected_value == pytest.approx(scores.expected_value.mean(), rel=1e-12)
        assert row.score == pytest.approx(scores.score.mean(), rel=1e-12)


def test_an_indicator_that_no_tree_reads_changes_nothing() -> None:
    model, matrix = value_model(), known_matrix()[:200]
    unread = np.flatnonzero(split_shares(model) == 0)
    varied = [number for number in unread if len(np.unique(matrix[:, number])) > 3]
    assert varied
    for column in varied[:3]:
        found = dependence_of(model, known(matrix), model.catalogue.names[column], None, individuals=5)
        assert len(found.average) > 1
        assert np.ptp(found.average["expected_value"]) == pytest.approx(0.0, abs=1e-12)
        assert (np.ptp(found.individual.to_numpy(), axis=1) == 0).all()


@pytest.mark.parametrize("direction", [1, -1])
def test_trees_that_are_held_to_a_direction_depend_in_it(direction: int) -> None:
    matrix = known_matrix()
    column = column_of(value_model(), READS)
    held = [direction if number == column else 0 for number in range(matrix.shape[1])]
    regressor = fitted(matrix, later_values(matrix) + np.where(matrix[:, column] % 2 < 1, 5.0, 0.0), monotone=held)
    model = model_of(regressor, regressor.predict(reference_matrix()))
    found = dependence_of(model, known(matrix[:200]), READS, None, individuals=50)
    curves = found.individual.to_numpy()[:, ~np.isnan(found.individual.columns.to_numpy(dtype=float))]
    assert (direction * np.diff(curves, axis=1) >= 0).all()
    free = dependence_of(value_model(), known(matrix[:200]), READS, None, individuals=50)
    assert np.ptp(free.average["expected_value"]) > 0


def test_customers_without_a_value_stand_apart_and_a_far_value_stands_for_nobody() -> None:
    model, matrix = value_model(), known_matrix()[:100].copy()
    column = column_of(model, READS)
    matrix[:7, column] = np.nan
    found = dependence_of(model, known(matrix), READS, None, individuals=10)
    assert np.isnan(found.average.index[-1])
    assert found.average["customers"].iloc[-1] == 7
    assert "no value" in found._repr_html_()
    assert any("no value (7 customers)" in said for said in words(found.picture()))
    far = dependence_of(model, known(matrix), READS, [1e12, 0.0, np.nan], individuals=10)
    assert far.average["customers"].tolist()[1:] == [0, 7]
    matrix[:, column] = np.nan
    with pytest.raises(ConfigError, match="undefined for all of these customers; give values"):
        dependence_of(model, known(matrix), READS, None, individuals=10)
    nowhere = dependence_of(model, known(matrix), READS, [5.0], individuals=10)
    assert nowhere.average["customers"].tolist() == [0]
    svg(nowhere.picture())


def test_single_curves_go_from_the_lowest_to_the_highest_prediction_also_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, matrix = value_model(), known_matrix()[:150]
    whole = dependence_of(model, known(matrix), READS, None, individuals=9)
    assert len(matrix) < CUSTOMERS_AT_ONCE
    monkeypatch.setattr("fivefold.notebook.dependence.CUSTOMERS_AT_ONCE", 40)
    in_parts = dependence_of(model, known(matrix), READS, None, individuals=9)
    pd.testing.assert_frame_equal(whole.individual, in_parts.individual, check_exact=True)
    pd.testing.assert_frame_equal(whole.average, in_parts.average, rtol=1e-12)
    money = pd.Series(model.scores(matrix).expected_value, index=known(matrix).user_ids)
    of_shown = money[whole.individual.index]
    assert len(of_shown) == 9
    assert of_shown.is_monotonic_increasing
    assert (of_shown.iloc[0], of_shown.iloc[-1]) == (money.min(), money.max())


def test_one_customer_depends_on_its_own_value_too() -> None:
    model, matrix = value_model(), known_matrix()[:1]
    found = dependence_of(model, known(matrix), READS, None, individuals=50)
    assert found.average["expected_value"].tolist() == pytest.approx(model.scores(matrix).expected_value.tolist())
    assert found.average["customers"].tolist() == [1]
    assert "Deposits, 90 days: expected value in 90 days" in repr(found)


def test_what_cannot_be_looked_at_is_refused_by_name() -> None:
    model = in_a_notebook(value_model())
    for wrong in ([], [np.inf]):
        with pytest.raises(ConfigError, match="give at least one, and no infinite one"):
            model.partial_dependence(transactions(), READS, values=wrong, as_of=JUDGED_FROM)
    text: Any = ["a lot"]
    with pytest.raises(ConfigError, match=r"values are \['a lot'\]; they must be numbers"):
        model.partial_dependence(transactions(), READS, values=text, as_of=JUDGED_FROM)
    with pytest.raises(ConfigError, match="individuals is 0, and has to be a whole number from 1"):
        model.partial_dependence(transactions(), READS, individuals=0, as_of=JUDGED_FROM)
    with pytest.raises(ConfigError, match="no customer has a row by 1990-01-01; give a later as_of"):
        model.importance(transactions(), as_of="1990-01-01")
