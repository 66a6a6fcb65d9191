"""The value model in a notebook: the same numbers as the commands give, whatever form the transactions have."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import fivefold
from fivefold.cli.value_model import explain as commands
from fivefold.cli.value_model.score import score_file
from fivefold.domain.clock import to_microseconds
from fivefold.domain.errors import (
    ConfigError,
    FileFormatError,
    InvalidDataError,
    ModelError,
    ModelNotFoundError,
    NotEnoughDataError,
)
from fivefold.domain.money import ecb_rates
from fivefold.models.scoring.histories import Scoring
from fivefold.notebook.value import ValueModel
from tests.cli.running import AS_OF, Home, succeed

FORMS: dict[str, Callable[[Path], Any]] = {
    "file": lambda path: path,
    "text": str,
    "pandas": pd.read_parquet,
    "polars": pl.read_parquet,
    "arrow": lambda path: pl.read_parquet(path).to_arrow(),
    "checked": fivefold.read_transactions,
}


@pytest.fixture(autouse=True)
def var(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The registry of the commands, as a notebook finds it."""
    monkeypatch.setenv("FIVEFOLD_VAR", str(home.var))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return home.var


@pytest.fixture
def model() -> ValueModel:
    return fivefold.ValueModel.load()


@pytest.mark.parametrize("form", FORMS)
def test_scores_are_those_of_the_command(home: Home, model: ValueModel, tmp_path: Path, form: str) -> None:
    file = tmp_path / "scores.parquet"
    succeed(home.var, "score", home.rows, "--as-of", AS_OF, "--explain", "--output", file)
    by_command = pl.read_parquet(file)
    frame = model.score(FORMS[form](home.rows), as_of=AS_OF, points=True)
    assert_frame_equal(pl.from_pandas(frame.reset_index()), by_command, check_exact=True)
    assert np.allclose(frame.filter(like="points_").sum(axis=1) + frame["base"], frame["score"], atol=1e-9)


def test_a_frame_may_lack_and_rename_what_a_file_may(home: Home, model: ValueModel, tmp_path: Path) -> None:
    rows = pd.read_parquet(home.rows).drop(columns=["user_category"]).rename(columns={"user_id": "customer"})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    names = {"customer": "user_id"}
    with pytest.warns(UserWarning, match="^no user_category: every row is taken as WEB$"):
        of_frame = model.score(rows, as_of=AS_OF, columns=names)
    with pytest.warns(UserWarning, match="^no user_category: every row is taken as WEB$"):
        of_file = model.score(tmp_path / "rows.csv", as_of=AS_OF, columns=names)
    pd.testing.assert_frame_equal(of_frame, of_file)
    with pytest.raises(FileFormatError, match="the table has no column user_id; it has customer, transaction_id"):
        model.score(rows, as_of=AS_OF)
    with pytest.raises(FileFormatError, match="the table has no column client to map; it has "):
        model.score(rows, as_of=AS_OF, columns={"client": "user_id"})
    with pytest.raises(ConfigError, match="user_idd is not a column that is read; perhaps user_id"):
        model.score(rows, as_of=AS_OF, columns={"customer": "user_idd"})


@pytest.mark.parametrize(
    "form", [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas, lambda rows: rows.to_dict("records")]
)
def test_a_needed_column_that_a_pair_takes_away_is_named_as_of_a_file(form: Any) -> None:
    rows = form(pd.DataFrame({"user_id": ["a"], "transaction_date": ["2024-05-01"], "transaction_amount": [1.0]}))
    with pytest.raises(
        FileFormatError, match="the table has the column user_id, which user_id=Kunde gives another name"
    ):
        fivefold.read_transactions(rows, columns={"user_id": "Kunde"})


def test_checked_transactions_say_how_many_they_are_and_bad_rows_are_named(home: Home) -> None:
    checked = fivefold.read_transactions(home.rows)
    frame = pd.read_parquet(home.rows)
    assert repr(checked).startswith(f"{len(frame):,} transactions of {frame['user_id'].nunique():,} customers, 20")
    assert f"<td>{len(frame):,}</td>" in checked._repr_html_()
    frame.loc[3, "transaction_amount"] = np.nan
    with pytest.raises(InvalidDataError, match=r"row 3.*transaction_amount"):
        fivefold.read_transactions(frame)
    frame.loc[10:509, "transaction_amount"] = np.nan
    with pytest.raises(InvalidDataError) as refused:
        fivefold.read_transactions(frame)
    problem = "rows 3, 10, 11 and 498 more: transaction_amount is missing; allowed: a finite number"
    assert [line.partition(" of at most")[0] for line in str(refused.value).splitlines()] == [
        "Data not valid: 501 problems (rows count from 0)",
        problem,
    ]
    nobody = fivefold.read_transactions(frame.head(0))
    assert (repr(nobody), nobody.first) == ("0 transactions of 0 customers", None)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (pl.LazyFrame({"user_id": ["a"]}), r"polars.LazyFrame; call .collect\(\) on it first"),
        (None, "NoneType"),
        (np.zeros((1, 3)), "numpy.ndarray"),
        (pd.Series(["a"], name="user_id"), "pandas.Series"),
        (pa.RecordBatch.from_pylist([{"user_id": "a"}]), "pyarrow.RecordBatch"),
        ({"user_id": ["a"]}, "dict"),
    ],
)
def test_what_is_no_data_frame_is_refused_with_what_it_is(source: Any, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"the transactions must be a file, a data frame of .* list; this is {kind}$"):
        fivefold.read_transactions(source)


def test_rows_as_dicts_are_those_of_their_frame(home: Home) -> None:
    """pandas gives its own moments there, and one for a missing moment."""
    frame = pd.read_parquet(home.rows)
    rows = frame.rename(columns={"user_id": "customer"}).to_dict("records")
    assert isinstance(rows[0]["transaction_date"], pd.Timestamp)
    columns = {"customer": "user_id"}
    found = fivefold.indicators(rows, as_of=AS_OF, columns=columns)
    pd.testing.assert_frame_equal(found, fivefold.indicators(frame, as_of=AS_OF))
    with pytest.raises(FileFormatError, match="the table has no column client to map; it has customer"):
        fivefold.read_transactions(rows, columns={"client": "user_id"})
    with pytest.raises(InvalidDataError, match="row 1: transaction_date is missing"):
        fivefold.read_transactions([rows[0], rows[1] | {"transaction_date": pd.NaT}], columns=columns)
    no_row: list[Any] = [rows[0], "b"]
    with pytest.raises(InvalidDataError, match="row 1"):
        fivefold.read_transactions(no_row, columns=columns)


def test_names_and_currencies_that_cannot_be_meant_are_refused_before_anything_is_read(home: Home) -> None:
    with pytest.raises(ConfigError, match=r"columns is .*it must be pairs such as {'customer_id': 'user_id'}"):
        fivefold.read_transactions(home.rows, columns=["user_id"])  # type: ignore[arg-type]  # what is refused
    for call in (fivefold.read_transactions, fivefold.indicators):
        with pytest.raises(ConfigError, match="currency is 'euro'; it must be an ISO 4217 code such as EUR"):
            call(home.rows, currency="euro")


def test_columns_without_a_header_are_named_by_their_numbers(home: Home, model: ValueModel) -> None:
    rows = pd.read_parquet(home.rows)
    numbered = rows.set_axis(range(len(rows.columns)), axis=1)
    expected = model.score(rows, as_of=AS_OF)
    for names in (dict(enumerate(rows.columns)), {str(number): name for number, name in enumerate(rows.columns)}):
        pd.testing.assert_frame_equal(model.score(numbered, as_of=AS_OF, columns=names), expected)
    with pytest.raises(FileFormatError, match="the table has no column 99 to map; it has 0, 1"):
        fivefold.read_transactions(numbered, columns={99: "user_id"})  # type: ignore[dict-item]  # pandas has numbers


def test_a_frame_of_other_names_is_told_which_to_rename(home: Home) -> None:
    names = {"user_id": "customer", "transaction_date": "date", "transaction_amount": "Amount"}
    rows = pd.read_parquet(home.rows).rename(columns=names)
    advice = r"such as customer to user_id, Amount to transaction_amount, date to transaction_date$"
    with pytest.raises(FileFormatError, match=advice):
        fivefold.read_transactions(rows)


@pytest.mark.parametrize(
    ("numbers", "what"),
    [
        ({"customers": 2.5}, "customers is 2.5, and has to be a whole number from 1"),
        ({"customers": "10"}, "customers is '10', and has to be a whole number from 1"),
        ({"customers": True}, "customers is True, and has to be a whole number from 1"),
        ({"customers": 0}, "customers is 0, and has to be a whole number from 1"),
        ({"customers": 5, "seed": None}, "seed is None, and has to be a whole number from 0"),
    ],
)
def test_numbers_of_customers_that_are_not_whole_are_refused(numbers: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=f"^{what}$"):
        fivefold.simulate(**numbers)
    assert len(fivefold.simulate(np.int64(2))["user_id"].unique()) == 2


def test_moments_of_pandas_and_numpy_are_moments(home: Home) -> None:
    expected = fivefold.indicators(home.rows, as_of=AS_OF)
    for moment in (pd.Timestamp(AS_OF), np.datetime64(pd.Timestamp(AS_OF).tz_localize(None))):
        pd.testing.assert_frame_equal(fivefold.indicators(home.rows, as_of=moment), expected)
    for nothing in (pd.NaT, np.datetime64("NaT"), np.datetime64("20000-01-01"), 20250101):
        with pytest.raises(ConfigError, match=r"as_of is .*; it must be a date or a time"):
            fivefold.indicators(home.rows, as_of=nothing)  # type: ignore[arg-type]  # what is refused


def test_whole_numbers_are_identifiers_where_the_frame_has_them(home: Home, model: ValueModel) -> None:
    rows = pd.read_parquet(home.rows)
    numbers = rows["user_id"].astype("category").cat.codes.astype("int64")
    by_number = model.explain(rows.assign(user_id=numbers), 2, as_of=AS_OF)
    by_text = model.explain(rows.assign(user_id=numbers.astype(str)), "2", as_of=AS_OF)
    assert (by_number.user_id, by_number.headline) == ("2", by_text.headline)


def test_indicators_are_those_that_the_model_scores(home: Home, model: ValueModel) -> None:
    frame = fivefold.indicators(home.rows, as_of=AS_OF, rates=model.trained.rates)
    assert tuple(frame.columns) == model.trained.catalogue.names
    scores = model.trained.scores(frame.to_numpy()).score
    assert (scores == model.score(home.rows, as_of=AS_OF).loc[frame.index, "score"].to_numpy()).all()
    without = fivefold.indicators(pd.read_parquet(home.rows).drop(columns=["user_balance"]), as_of=AS_OF)
    assert set(without.columns) < set(frame.columns)


def test_indicators_are_in_the_currency_that_is_asked_for(home: Home, model: ValueModel) -> None:
    rates = ecb_rates("USD", date(2025, 1, 1))
    dollars = fivefold.indicators(home.rows, as_of=AS_OF, rates=rates)
    pd.testing.assert_frame_equal(fivefold.indicators(home.rows, as_of=AS_OF, rates=rates, currency="USD"), dollars)
    assert not dollars["deposit_sum_all"].equals(fivefold.indicators(home.rows, as_of=AS_OF)["deposit_sum_all"])
    with pytest.raises(ConfigError, match="currency is 'USD', and rates are into EUR; give rates into USD"):
        fivefold.indicators(home.rows, as_of=AS_OF, currency="USD", rates=model.trained.rates)


def test_an_explanation_adds_up_and_is_shown(home: Home, model: ValueModel) -> None:
    scores = model.score(home.rows, as_of=AS_OF)
    user = scores["score"].idxmax()
    explanation = model.explain(home.rows, user, as_of=AS_OF)
    table = explanation.table()
    assert explanation.breakdown.base + table["points"].sum() == pytest.approx(scores.loc[user, "score"], abs=1e-9)
    assert (table["points"].abs().diff().dropna() <= 0).all()
    assert explanation.headline.startswith(f"{user} as of {AS_OF}: score {scores.loc[user, 'score']:.2f}, ")
    assert explanation.headline in explanation._repr_html_()
    assert table["label"].iloc[0] in explanation._repr_html_()
    assert len(explanation.picture(most=3).to_dict()["layer"]) > 1


def test_the_only_customer_is_explained_without_a_name(home: Home, model: ValueModel) -> None:
    rows = pd.read_parquet(home.rows)
    user = model.score(rows, as_of=AS_OF)["score"].idxmax()
    alone = rows[rows["user_id"] == user]
    assert model.explain(alone, as_of=AS_OF) == model.explain(rows, user, as_of=AS_OF)
    with pytest.raises(ConfigError, match="there are 300 customers; user_id has to name one of them"):
        model.explain(rows, as_of=AS_OF)


def test_an_explanation_says_what_the_command_says(home: Home, model: ValueModel) -> None:
    user = "user_000002"
    explanation = model.explain(home.rows, user, as_of=AS_OF, level_percent=95)
    out = succeed(home.var, "explain", home.rows, "--user", user, "--as-of", AS_OF, "--level", 95)
    assert (out.splitlines()[0], ", 95 % sure)" in out) == (f"Customer {explanation.headline}", True)
    assert repr(explanation) == f"<{explanation.headline}>"
    steady = next(line for line in out.splitlines() if line.startswith("Consistency"))
    assert steady in explanation._repr_html_()
    assert ("not known" in steady) == np.isnan(explanation.consistency)


def test_intervals_are_those_of_the_level_that_is_asked_for(home: Home, model: ValueModel, tmp_path: Path) -> None:
    succeed(home.var, "score", home.rows, "-o", tmp_path / "scores.parquet", "--as-of", AS_OF, "--level", 95)
    command = pl.read_parquet(tmp_path / "scores.parquet").to_pandas().set_index("user_id")
    frame = model.score(home.rows, as_of=AS_OF, level_percent=95)
    pd.testing.assert_frame_equal(frame, command[frame.columns])
    pd.testing.assert_frame_equal(model.score(home.rows, as_of=AS_OF, level_percent=np.int64(95)), frame)  # type: ignore[arg-type]  # NumPy's own
    assert set(frame["interval_level_percent"]) == {95}
    for wrong in (0, 100, 0.9):
        with pytest.raises(ConfigError, match="has to be a whole number from 1 to 99"):
            model.score(home.rows, as_of=AS_OF, level_percent=wrong)


def test_who_cannot_be_explained_is_named(home: Home, model: ValueModel) -> None:
    user = model.score(home.rows, as_of=AS_OF).index[0]
    with pytest.raises(ConfigError, match=f"no customer '{user}x' among 300; perhaps {user}"):
        model.explain(home.rows, f"{user}x", as_of=AS_OF)
    rows = pl.read_parquet(home.rows)
    more = pl.concat([rows, rows.with_columns(user_id="other " + pl.col("user_id"))])
    with pytest.raises(ConfigError, match=f"no customer '{user}x' among 600; perhaps {user}"):
        model.explain(more, f"{user}x", as_of=AS_OF)
    with pytest.raises(ConfigError, match="has no row by 1990-01-01; give a later as_of"):
        model.explain(home.rows, user, as_of="1990-01-01")
    with pytest.raises(ConfigError, match="as_of"):
        model.explain(home.rows, user, as_of="soon")


def test_who_has_no_row_before_a_settlement_lag_is_told_so(
    home: Home, model: ValueModel, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the notebook and by both commands, in the same words; and history is counted to the last row that counts."""
    lag = {**model.trained.definition, "settlement_lag_days": 14}
    model.trained = replace(model.trained, definition=lag)
    rows = pl.read_parquet(home.rows)
    first = rows.filter(pl.col("user_id") == "user_000002")["transaction_date"].min()
    assert isinstance(first, datetime)
    when = (first + timedelta(days=10)).date()
    no_row = f"has no row by {when - timedelta(days=14)}, 14 days before {when}, as this model counts later rows"
    with pytest.raises(ConfigError, match=f"{no_row} as incomplete; give a later as_of"):
        model.explain(home.rows, "user_000002", as_of=when)
    with pytest.raises(ConfigError, match=f"{no_row} as incomplete; give a later --as-of"):
        commands.show(model.trained, home.rows, "user_000002", to_microseconds(when))
    summary = score_file(model.trained, home.rows, None, Scoring(to_microseconds(when)))
    summary.show(model.trained, to_microseconds(when), explicit=True)
    assert f"they have no row by {when - timedelta(days=14)}, 14 days before {when}, as" in capsys.readouterr().out
    commands.show(model.trained, home.rows, "user_000002", to_microseconds(when + timedelta(days=10)), as_json=True)
    assert json.loads(capsys.readouterr().out)["history"]["days"] == 5


def test_models_are_loaded_by_alias_number_address_and_folder(home: Home, tmp_path: Path) -> None:
    champion = fivefold.ValueModel.load()
    champion.trained.save(tmp_path / "saved")
    for which in (1, np.int64(1), "models:/fivefold-value/1", tmp_path / "saved"):
        assert fivefold.ValueModel.load(which).trained.content_hash == champion.trained.content_hash
    by_folder = fivefold.ValueModel.load(str(tmp_path / "saved"))
    assert by_folder.trained.content_hash == champion.trained.content_hash
    assert "reference 300 customers" in repr(champion) or "customers of" in repr(champion)
    with pytest.raises(ModelError):
        fivefold.ValueModel.load(99)
    for text in ("1", "v1"):
        with pytest.raises(
            ModelNotFoundError, match=f"; '{text}' is read as an alias: version 1 is the number 1, without quotes$"
        ):
            fivefold.ValueModel.load(text)
    for nothing in (True, 0, -1, 1.0, None):
        with pytest.raises(ConfigError, match=r"^which is .*; it must be an alias such as 'champion', the number of a"):
            fivefold.ValueModel.load(nothing)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(ConfigError, match="the model's name is 'no name'"):
        fivefold.ValueModel.load(1, name="no name")
    with pytest.raises(ConfigError, match="the model's name is 3"):
        fivefold.ValueModel.load(1, name=3)  # type: ignore[arg-type]  # what is refused
    of_mlflow = tmp_path / "of_mlflow"
    of_mlflow.mkdir()
    (of_mlflow / "MLmodel").touch()
    with pytest.raises(
        ModelError, match=r"is not there; the folder of MLflow's model has it in artifacts/value_model$"
    ):
        fivefold.ValueModel.load(of_mlflow)
    with pytest.raises(ModelError, match="nowhere/model holds no value model"):
        fivefold.ValueModel.load("nowhere/model")


def test_importance_is_the_mean_of_points_without_their_sign(home: Home, model: ValueModel) -> None:
    table = model.importance(home.rows, as_of=AS_OF).indicators
    scored = model.score(home.rows, as_of=AS_OF, points=True)
    for name in table.index[:3]:
        assert table.loc[name, "mean_points"] == pytest.approx(scored[f"points_{name}"].abs().mean(), abs=1e-12)
    assert (table["mean_points"].diff().dropna() <= 0).all()
    assert table["gain"].sum() == pytest.approx(1.0)


def test_partial_dependence_moves_one_indicator_for_everybody(home: Home, model: ValueModel) -> None:
    name = model.importance(home.rows, as_of=AS_OF).indicators.index[0]
    table = model.partial_dependence(home.rows, name, as_of=AS_OF).average
    frame = fivefold.indicators(home.rows, as_of=AS_OF, rates=model.trained.rates)
    assert 1 < len(table) <= 31
    assert {table.index.min(), table.index.max()} == {frame[name].min(), frame[name].max()}
    one = model.trained.scores(frame.assign(**{name: table.index[1]}).to_numpy())
    assert table["expected_value"].iloc[1] == pytest.approx(one.expected_value.mean())
    assert model.partial_dependence(home.rows, name, as_of=AS_OF, values=[1.0]).average["score"].between(1, 5).all()
    with pytest.raises(ConfigError, match=f"no indicator '{name}x'; perhaps {name}"):
        model.partial_dependence(home.rows, f"{name}x", as_of=AS_OF)


def test_two_models_are_judged_on_what_came_after_both(home: Home, model: ValueModel) -> None:
    other = fivefold.ValueModel.load(2)
    when = pd.Timestamp(model.trained.test_as_of, unit="us").to_pydatetime()
    judged = fivefold.compare(model, other, home.rows, as_of=when)
    assert judged.moves.to_numpy().sum() == len(judged.customers)
    assert repr(judged).endswith(f"; {len(judged.changed()):,} change segment>")
    assert len(judged.changed()) == judged.moves.to_numpy().sum() - np.trace(judged.moves.to_numpy())
    assert judged.quality.index.tolist() == ["champion", "challenger"]
    assert judged.lift.iloc[-1].tolist() == pytest.approx([1.0, 1.0])
    assert "normalised_gini" in judged._repr_html_()
    itself = fivefold.compare(model, model, home.rows, as_of=when)
    assert itself.changed().empty
    assert itself.quality.loc["champion"].equals(itself.quality.loc["challenger"])
    assert "the data end before" in fivefold.compare(model, other, home.rows, as_of=AS_OF).not_judged
    with pytest.raises(ConfigError, match="as_of is 2020-01-01, and the champion learnt from what happened until 20"):
        fivefold.compare(model, other, home.rows, as_of="2020-01-01")


def test_a_window_in_which_nobody_is_worth_anything_judges_nobody(home: Home, model: ValueModel) -> None:
    when = pd.Timestamp(model.trained.test_as_of, unit="us")
    rows = pd.read_parquet(home.rows)
    rows = rows.assign(user_balance=0.0, transaction_state="FAILED")
    with pytest.raises(NotEnoughDataError, match="worth anything in the window"):
        fivefold.compare(model, model, rows, as_of=when.to_pydatetime())


def test_the_package_imports_what_is_asked_for() -> None:
    assert set(fivefold.__all__) <= set(dir(fivefold))
    assert {"Any", "Final", "import_module"}.isdisjoint(dir(fivefold))
    with pytest.raises(AttributeError, match="'fivefold' has no attribute 'trian'"):
        fivefold.trian  # noqa: B018 (asked for)


def test_rows_that_end_long_before_the_as_of_are_warned_of(home: Home, model: ValueModel) -> None:
    """As where last month's frame is scored without a word of when; its advice gives no such warning."""
    with pytest.warns(UserWarning, match=rf'the newest row is [0-9,]+ days older .* data: as_of="{AS_OF}"$'):
        model.score(home.rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.score(home.rows, as_of=AS_OF)


def test_columns_that_are_absent_and_rows_that_came_twice_are_warned_of_as_by_the_command(
    home: Home, model: ValueModel
) -> None:
    rows = pd.read_parquet(home.rows)
    user = rows["user_id"].iloc[0]
    for name, says in (
        ("transaction_currency", "no transaction_currency: every amount is taken as EUR"),
        ("transaction_state", "no transaction_state: every row counts as settled"),
    ):
        with pytest.warns(UserWarning, match=f"^{says}$"):
            model.score(rows.drop(columns=name), as_of=AS_OF)
        with pytest.warns(UserWarning, match=f"^{says}$"):
            model.explain(rows.drop(columns=name), user, as_of=AS_OF)
        assert repr(fivefold.read_transactions(rows.drop(columns=name))).endswith(f"without {name}")
    late = rows.assign(transaction_state=rows["transaction_state"].where(rows.index % 2 == 0))
    says = "rows .50.0 %. have no transaction_state, the first at .* each of them counts as settled$"
    with pytest.warns(UserWarning, match=says):
        model.score(late, as_of=AS_OF)
    assert "have no transaction_state" in repr(fivefold.read_transactions(late))
    with (
        pytest.warns(UserWarning, match="repeat another row of their customer in everything"),
        pytest.warns(UserWarning, match="different balances at their last moment and no transaction_id there"),
    ):
        model.score(pd.concat([rows, rows]).drop(columns="transaction_id"), as_of=AS_OF)


@pytest.mark.parametrize("what", [fivefold.read_transactions, fivefold.indicators, fivefold.train])
def test_a_file_whose_column_has_another_name_names_the_parameter_and_not_the_option(
    home: Home, tmp_path: Path, what: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path / "var"))
    home.table.rename({"user_balance": "User Balance"}).write_parquet(tmp_path / "rows.parquet")
    words = r"such as columns=\{'User Balance': 'user_balance'\}; if User Balance is .* such as columns=\{'User Balance"
    with pytest.raises(FileFormatError, match=words) as refused:
        what(tmp_path / "rows.parquet")
    assert "--" not in str(refused.value)
