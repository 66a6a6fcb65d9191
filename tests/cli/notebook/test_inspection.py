"""What a notebook says of a model: importance, partial dependence, and two models side by side."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import fivefold
from fivefold.charts.render import svg
from fivefold.domain.errors import ConfigError, InvalidDataError
from fivefold.domain.money import Rate, base_only
from fivefold.features.histories import Floats
from fivefold.models.estimator import ValueRegressor
from fivefold.models.explain import explain
from fivefold.models.value_model import ValueModel as TrainedModel
from fivefold.notebook.dependence import CUSTOMERS_AT_ONCE, dependence_of
from fivefold.notebook.importance import importance_of
from fivefold.notebook.known import KnownCustomers
from fivefold.notebook.value import ValueModel
from fivefold.training.config import ValueSettings
from fivefold.training.judging.bootstrap import draws
from fivefold.training.judging.metrics import calibration_error, calibration_table, normalised_gini, top_decile_capture
from fivefold.training.simulation.simulator import Simulation, simulate
from tests.charts.drawn import words
from tests.depth import examples
from tests.features.own import one as own_file
from tests.models.making import (
    fitted,
    known_matrix,
    later_values,
    model_of,
    model_of_amounts,
    model_of_own,
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
    table = importance_of(value_model(), known_matrix()[:1]).indicators
    assert set(table["direction"]) == {""}
    assert table["mean_points"].max() > 0


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
    with pytest.raises(ConfigError, match="individuals is 0, and has to be 1 or more"):
        model.partial_dependence(transactions(), READS, individuals=0, as_of=JUDGED_FROM)
    with pytest.raises(ConfigError, match="no customer has a row by 1990-01-01; give a later as_of"):
        model.importance(transactions(), as_of="1990-01-01")


@pytest.mark.parametrize("as_of", [JUDGED_FROM, UNKNOWN_FROM])
def test_a_model_beside_itself_differs_nowhere(as_of: str) -> None:
    model = in_a_notebook(value_model())
    itself = fivefold.compare(model, model, transactions(), as_of=as_of)
    assert np.trace(itself.moves.to_numpy()) == itself.moves.to_numpy().sum() == len(itself.customers)
    assert (itself.customers[["expected_value_change", "score_change"]] == 0).all(axis=None)
    assert itself.changed().empty
    assert itself.effects.empty
    assert bool(itself.not_judged) == (as_of == UNKNOWN_FROM)
    assert len(itself.differences) == (0 if itself.not_judged else 3)
    assert (itself.differences.drop(index="calibration_error", errors="ignore") == 0).all(axis=None)
    assert itself.differences.get("difference", pd.Series(dtype=float)).tolist() == [0.0] * len(itself.differences)


def test_who_changes_segment_and_by_which_indicators() -> None:
    first, second = in_a_notebook(value_model()), in_a_notebook(other_model())
    judged = fivefold.compare(first, second, transactions(), as_of=JUDGED_FROM)
    changed = judged.changed()
    assert len(changed) > 3
    assert (changed["score_change"].abs().diff().dropna() <= 0).all()
    assert judged.effects.index.tolist() == changed.index.tolist()
    assert np.allclose(judged.effects.sum(axis=1), changed["score_change"], atol=1e-9)
    for user_id, row in judged.effects.head(3).iterrows():
        largest = row.abs().idxmax()
        assert changed.loc[user_id, "moved_by"].startswith(f"{largest} {row[largest]:+.3f}")
    scores = second.score(transactions(), as_of=JUDGED_FROM)
    assert (judged.customers["challenger_category"] == scores["category"].reindex(judged.customers.index)).all()
    for place, row in judged.moves.iterrows():
        assert row.sum() == (judged.customers["champion_category"] == place).sum()


def test_differences_are_those_of_the_figures_and_turn_round_with_the_sides() -> None:
    first, second = in_a_notebook(value_model()), in_a_notebook(other_model())
    judged, turned = (
        fivefold.compare(*pair, transactions(), as_of=JUDGED_FROM) for pair in ((first, second), (second, first))
    )
    table = judged.differences
    assert table.index.tolist() == ["normalised_gini", "top_decile_capture", "calibration_error"]
    for name, row in table.iterrows():
        assert row["difference"] == judged.quality.loc["challenger", name] - judged.quality.loc["champion", name]
    assert np.allclose(table["difference"], -turned.differences["difference"])
    assert np.allclose(table["low"], -turned.differences["high"], equal_nan=True)
    assert (judged.moves.to_numpy() == turned.moves.to_numpy().T).all()


def test_intervals_are_of_both_models_on_the_same_draws_and_of_distances_there_is_none() -> None:
    judged = fivefold.compare(
        in_a_notebook(value_model()), in_a_notebook(other_model()), transactions(), as_of=JUDGED_FROM
    )
    realised, first, second = (
        judged.customers[name].to_numpy()
        for name in ("realised", "champion_expected_value", "challenger_expected_value")
    )
    drawn = [np.repeat(np.arange(len(realised)), times.astype(int)) for times in draws(len(realised), seed=1)]
    for name, figure in (("normalised_gini", normalised_gini), ("top_decile_capture", top_decile_capture)):
        less = [figure(second[rows], realised[rows]) - figure(first[rows], realised[rows]) for rows in drawn]
        row = judged.differences.loc[name]
        assert row[["low", "high"]].tolist() == pytest.approx(np.quantile(less, [0.025, 0.975]).tolist())
        assert row["low"] < row["difference"] < row["high"]
    # Draws make a sum of distances larger on average, of either model: their quantiles are no interval.
    for predicted in (first, second):
        errors = [calibration_error(calibration_table(predicted[rows], realised[rows])) for rows in drawn]
        assert np.mean(errors) > calibration_error(calibration_table(predicted, realised))
    assert judged.differences.loc["calibration_error", ["low", "high"]].isna().all()


def with_row(day: str) -> pd.DataFrame:
    """The transactions, and one more of the first customer."""
    rows = transactions()
    more = (
        rows[rows["user_id"] == rows["user_id"].iloc[0]]
        .tail(1)
        .assign(transaction_id="later", transaction_date=pd.Timestamp(day, tz="UTC"))
    )
    return pd.concat([rows.assign(transaction_date=pd.to_datetime(rows["transaction_date"], utc=True)), more])


def at(monkeypatch: pytest.MonkeyPatch, now: str) -> None:
    monkeypatch.setattr("fivefold.notebook.comparison.now_microseconds", lambda: int(pd.Timestamp(now).value // 1000))


def test_a_row_of_the_future_does_not_end_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = in_a_notebook(value_model()), in_a_notebook(other_model())
    at(monkeypatch, "2025-01-02")
    with pytest.raises(InvalidDataError, match="transaction_date is in the future; allowed: a time up to 2025-01-03"):
        fivefold.compare(first, second, with_row("2025-04-01"), as_of=UNKNOWN_FROM)
    at(monkeypatch, "2025-03-19T23:00:00")
    rows = with_row("2025-03-20T12:00:00")
    early = fivefold.compare(first, second, rows, as_of=UNKNOWN_FROM)
    assert early.not_judged == "not judged, for the window ends on 2025-03-20, which is not over"
    assert "realised" not in early.customers
    at(monkeypatch, "2025-03-20T00:00:00")
    assert not fivefold.compare(first, second, rows, as_of=UNKNOWN_FROM).not_judged


@pytest.mark.parametrize(("lag_days", "is_judged"), [(30, True), (60, False)])
def test_a_window_in_which_rows_may_still_arrive_is_not_judged(lag_days: int, is_judged: bool) -> None:
    definition = {"horizon_days": 90, "currency": "EUR", **DEFINED, "settlement_lag_days": lag_days}
    models = [in_a_notebook(each, definition=definition) for each in (value_model(), other_model())]
    judged = fivefold.compare(*models, transactions(), as_of=JUDGED_FROM)
    assert judged.not_judged == (
        ""
        if is_judged
        else "not judged, for the window ends on 2024-11-30, and the data end before or within 60 days "
        "after (settlement_lag_days)"
    )


def with_other_rates(model: TrainedModel, times: float, *, without: str = "") -> ValueModel:
    rates = {
        code: Rate(rate.per_unit * times, rate.known_on) for code, rate in model.rates.rates.items() if code != without
    }
    return in_a_notebook(model, rates=replace(model.rates, rates=rates))


def test_other_rates_are_refused_whichever_side_has_them_unless_both_read_by_one_table() -> None:
    first, second = in_a_notebook(value_model()), with_other_rates(other_model(), 1.3)
    for pair in ((first, second), (second, first)):
        with pytest.raises(ConfigError, match=r"the rate of [A-Z]{3} of the champion is .*give rates=, by which both"):
            fivefold.compare(*pair, transactions(), as_of=JUDGED_FROM)
    judged, turned = (
        fivefold.compare(*pair, transactions(), as_of=JUDGED_FROM, rates=first.trained.rates)
        for pair in ((first, second), (second, first))
    )
    same = fivefold.compare(first, in_a_notebook(other_model()), transactions(), as_of=JUDGED_FROM)
    pd.testing.assert_frame_equal(judged.customers, same.customers, check_exact=True)
    assert judged.quality.loc["champion"].equals(turned.quality.loc["challenger"])
    assert judged.quality.loc["challenger"].equals(turned.quality.loc["champion"])
    with pytest.raises(ConfigError, match="rates are into USD, and the models predict EUR"):
        fivefold.compare(
            first, second, transactions(), as_of=JUDGED_FROM, rates=replace(first.trained.rates, base="USD")
        )


def test_rates_of_currencies_that_do_not_occur_make_no_difference() -> None:
    rows = transactions()
    currencies = rows.groupby("user_id")["transaction_currency"].agg(["nunique", "first"])
    euros = currencies.index[(currencies["nunique"] == 1) & (currencies["first"] == "EUR")]
    only = rows[rows["user_id"].isin(euros)]
    assert len(euros) > 5
    first, second = in_a_notebook(value_model()), with_other_rates(other_model(), 1.3)
    assert not fivefold.compare(first, second, only, as_of=JUDGED_FROM).not_judged
    bare = in_a_notebook(other_model(), rates=base_only("EUR", value_model().rates.as_known_on))
    assert not fivefold.compare(first, bare, only, as_of=JUDGED_FROM).not_judged
    lost = rows["transaction_currency"].loc[rows["transaction_currency"] != "EUR"].iloc[0]
    with pytest.raises(ConfigError, match=f"the rate of {lost} of the champion is .*, and of the challenger not known"):
        fivefold.compare(first, with_other_rates(other_model(), 1.0, without=lost), rows, as_of=JUDGED_FROM)


def test_own_indicators_of_two_texts_stand_apart() -> None:
    sums, sizes = (own_file(f"return float(np.sum(np.abs(amount)){what})") for what in ("", " + 5.0 * len(amount)"))
    first, second, again = (in_a_notebook(model_of_own(each)) for each in (sums, sizes, sums))
    apart = fivefold.compare(first, second, transactions(), as_of=JUDGED_FROM)
    assert [name for name in apart.effects.columns if "mine" in name] == ["mine (champion)", "mine (challenger)"]
    assert np.allclose(apart.effects.sum(axis=1), apart.changed()["score_change"], atol=1e-9)
    alike = fivefold.compare(first, again, transactions(), as_of=JUDGED_FROM)
    assert [name for name in alike.effects.columns if "mine" in name] == ["mine"]


@pytest.mark.filterwarnings("ignore:no transaction_")
def test_data_without_a_column_that_a_model_was_trained_with_judge_nobody() -> None:
    first, second = in_a_notebook(value_model()), in_a_notebook(other_model(), absent=("transaction_state",))
    lacking = transactions().drop(columns=["transaction_currency", "transaction_state"])
    with pytest.warns(UserWarning, match="no transaction_") as warned:
        seen = fivefold.compare(first, second, lacking, as_of=JUDGED_FROM)
    currency = "no transaction_currency: every amount is taken as EUR"
    state = "no transaction_state: every row counts as settled"
    assert sorted(str(each.message) for each in warned) == [currency, state]
    assert {each.filename for each in warned} == {__file__}
    assert seen.not_judged == (
        f"not judged, for the champion does not say that it was trained without what the data lack ({state}; "
        f"{currency}), and the challenger does not say that it was trained without what the data lack ({currency})"
    )
    assert all(table.empty for table in (seen.quality, seen.differences, seen.lift, seen.calibration))
    assert "realised" not in seen.customers
    without_states = transactions().drop(columns="transaction_state")
    assert not fivefold.compare(second, second, without_states, as_of=JUDGED_FROM).not_judged
    assert fivefold.compare(second, first, without_states, as_of=JUDGED_FROM).not_judged.endswith(f"({state})")


def test_whoever_looks_at_data_that_lack_a_column_is_warned() -> None:
    model, lacking = in_a_notebook(value_model()), transactions().drop(columns="transaction_currency")
    for look in (
        lambda: model.importance(lacking, as_of=JUDGED_FROM),
        lambda: model.partial_dependence(lacking, READS, as_of=JUDGED_FROM),
        lambda: model.explain(lacking, lacking["user_id"].iloc[0], as_of=JUDGED_FROM),
    ):
        with pytest.warns(UserWarning, match="no transaction_currency: every amount is taken as EUR") as warned:
            look()
        assert {each.filename for each in warned} == {__file__}


def test_where_the_future_is_not_known_nobody_is_judged() -> None:
    first, second = in_a_notebook(value_model()), in_a_notebook(other_model())
    seen = fivefold.compare(first, second, transactions(), as_of=UNKNOWN_FROM)
    assert seen.not_judged.startswith("not judged, for the window ends on 2025-03-20, and the data end before")
    assert seen.not_judged in repr(seen)
    assert all(table.empty for table in (seen.quality, seen.differences, seen.lift, seen.calibration))
    assert "realised" not in seen.customers
    assert not seen.changed().empty
    assert "champion_category" in seen._repr_html_()


def test_one_customer_can_be_laid_beside() -> None:
    rows = transactions()
    one = rows[rows["user_id"] == rows["user_id"].iloc[0]]
    first, second = in_a_notebook(value_model()), in_a_notebook(other_model())
    assert fivefold.compare(first, second, one, as_of=UNKNOWN_FROM).moves.to_numpy().sum() == 1


def test_a_model_that_reads_less_can_be_laid_beside() -> None:
    amounts = in_a_notebook(model_of_amounts())
    judged = fivefold.compare(in_a_notebook(value_model()), amounts, transactions(), as_of=JUDGED_FROM)
    assert np.allclose(judged.effects.sum(axis=1), judged.changed()["score_change"], atol=1e-9)
    assert set(judged.effects.columns) > set(amounts.trained.catalogue.names)
    turned = fivefold.compare(amounts, in_a_notebook(value_model()), transactions(), as_of=JUDGED_FROM)
    assert turned.customers["realised"].equals(judged.customers["realised"])


def test_models_that_answer_other_questions_are_not_compared() -> None:
    model = in_a_notebook(value_model())
    for change, what in (
        ({"rates": replace(value_model().rates, base="USD")}, "currency of the champion is EUR"),
        ({"horizon_days": 30}, "horizon in days of the champion is 90, and of the challenger 30"),
        ({"definition": {**DEFINED, "yearly_margin": 0.5}}, "definition of value of the champion is {"),
        ({"cut_points": (2.0, 3.0, 4.9)}, r"limits of the segments of the champion is \("),
    ):
        with pytest.raises(ConfigError, match=f"cannot be compared: the {what}"):
            fivefold.compare(model, in_a_notebook(value_model(), **change), transactions(), as_of=JUDGED_FROM)
