"""Two models side by side in a notebook: lift, calibration, intervals, who changes segment, what is not comparable."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fivefold
from fivefold.domain.errors import ConfigError, InvalidDataError
from fivefold.domain.money import Rate, base_only
from fivefold.models.value_model import ValueModel as TrainedModel
from fivefold.notebook.comparison import ModelComparison
from fivefold.notebook.value import ValueModel
from fivefold.training.judging.bootstrap import draws
from fivefold.training.judging.metrics import calibration_error, calibration_table, normalised_gini, top_decile_capture
from tests.cli.notebook.test_inspection import (
    DEFINED,
    JUDGED_FROM,
    READS,
    UNKNOWN_FROM,
    in_a_notebook,
    other_model,
    transactions,
)
from tests.features.own import one as own_file
from tests.models.making import (
    model_of_amounts,
    model_of_own,
    value_model,
)


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


def test_an_effect_that_is_not_nothing_is_not_written_as_nothing() -> None:
    moves = {"champion_category": ["low"], "challenger_category": ["medium"], "score_change": [0.3004]}
    effects = pd.DataFrame({"base": [0.0], "balance_last": [0.3], "gap_mean_all": [0.0004]}, index=["a"])
    compared = ModelComparison(pd.DataFrame(moves, index=["a"]), *[pd.DataFrame()] * 6, "")
    assert replace(compared, effects=effects).changed()["moved_by"].tolist() == [
        "balance_last +0.300, gap_mean_all +0.0004"
    ]


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


def test_an_own_indicator_named_as_the_base_stands_beside_it() -> None:
    mine = own_file("return float(np.sum(np.abs(amount)))")
    base = replace(mine, text=mine.text.replace("'mine'", "'base'"))
    first, second = (in_a_notebook(each) for each in (value_model(), model_of_own(base)))
    compared = fivefold.compare(first, second, transactions(), as_of=JUDGED_FROM)
    assert [name for name in compared.effects.columns if "base" in name] == ["base", "base (indicator)"]
    assert np.allclose(compared.effects.sum(axis=1), compared.changed()["score_change"], atol=1e-9)


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


def test_what_is_not_a_model_is_refused_by_its_side() -> None:
    alias: Any = "champion"
    with pytest.raises(
        ConfigError, match=r"^challenger is 'champion'; it must be a model, such as fivefold.ValueModel"
    ):
        fivefold.compare(in_a_notebook(value_model()), alias, transactions(), as_of=JUDGED_FROM)


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
