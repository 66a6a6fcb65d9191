"""A registered model as MLflow's own users load it: raw transactions in, the rows of `fivefold score` out."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from fivefold.cli.value_model.score import score_file
from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import ConfigError
from fivefold.models.pyfunc_entry import READS, TRANSACTIONS, ScoringModel
from fivefold.models.registry import Registry
from fivefold.models.scoring.frames import read_asked
from fivefold.models.scoring.histories import Scoring
from fivefold.models.value_model import ValueModel
from fivefold.training.logged import example_transactions, transactions_signature
from fivefold.training.simulation.simulator import Simulation, simulate
from tests.features.own import one
from tests.models.making import AS_OF, DAY, interval_table, model_of_amounts, model_of_own, value_model

LARGEST = """largest = 0.0
for i in range(first_row, len(amount)):
    largest = max(largest, amount[i])
return largest"""
"""An indicator of an operator's own."""
ASKED = {"as_of": day_text(AS_OF)}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Transactions of 60 customers, in several currencies."""
    return pa.concat_tables(simulate(Simulation(customers=60, seed=7)))


@pytest.fixture(scope="module")
def frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas()


@pytest.fixture(scope="module")
def loaded(filled: Registry) -> mlflow.pyfunc.PyFuncModel:
    filled.use()
    return mlflow.pyfunc.load_model("models:/value@champion")


def logged(model: ValueModel, folder: Path) -> Callable[[pd.DataFrame, dict[str, object]], pd.DataFrame]:
    """Load a model as MLflow does behind the signature, without a registry."""
    model.save(folder / "value_model")
    scoring = ScoringModel()
    context = SimpleNamespace(
        artifacts={"value_model": str(folder / "value_model")}, model_config={READS: TRANSACTIONS}
    )
    scoring.load_context(context)
    return lambda rows, params: scoring.predict(context, rows, params)


def written(model: ValueModel, table: pa.Table, folder: Path, as_of: int = AS_OF, **options: object) -> pl.DataFrame:
    """Score a file as the command does, and read what it wrote."""
    pq.write_table(table, folder / "rows.parquet")
    score_file(model, folder / "rows.parquet", folder / "scores.parquet", Scoring(as_of, **options))  # type: ignore[arg-type]  # tests' own options
    return pl.read_parquet(folder / "scores.parquet")


def assert_same_bits(found: pd.DataFrame, wanted: pl.DataFrame) -> None:
    assert found.columns.tolist() == wanted.columns
    assert len(found) == len(wanted) > 0
    for name in wanted.columns:
        if wanted[name].dtype == pl.Float64:
            assert found[name].to_numpy().tobytes() == wanted[name].fill_null(np.nan).to_numpy().tobytes(), name
        else:
            assert found[name].tolist() == wanted[name].to_list(), name


def test_it_gives_the_rows_of_the_command_to_the_bit(
    loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame, table: pa.Table, tmp_path: Path
) -> None:
    assert len(set(frame["transaction_currency"])) > 2
    assert_same_bits(loaded.predict(frame, params=ASKED), written(value_model(), table, tmp_path))


def test_so_it_does_with_everything_that_can_be_asked_for(
    loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame, table: pa.Table, tmp_path: Path
) -> None:
    earlier = AS_OF - 60 * DAY_US
    found = loaded.predict(
        frame, params={**ASKED, "compare_as_of": day_text(earlier), "explained": True, "level_percent": 95}
    )
    wanted = written(value_model(), table, tmp_path, explained=True, compare_as_of=earlier, level_percent=95)
    shown = found.astype({"category_before": object}).where(found["category_before"].notna(), None)
    assert shown["category_before"].tolist() == wanted["category_before"].to_list()
    assert_same_bits(found.drop(columns="category_before"), wanted.drop("category_before"))


def test_it_warns_of_what_the_command_says(loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    with pytest.warns(UserWarning, match="^no transaction_currency: every amount is taken as EUR$"):
        loaded.predict(frame.drop(columns="transaction_currency"), params=ASKED)
    with (
        pytest.warns(UserWarning, match="repeat another row of their customer in everything"),
        pytest.warns(UserWarning, match="different balances at their last moment"),
    ):
        loaded.predict(pd.concat([frame, frame]).drop(columns="transaction_id"), params=ASKED)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded.predict(frame, params=ASKED)


@pytest.mark.parametrize("kind", ["interval", "amounts", "own"])
def test_so_do_models_with_intervals_of_amounts_alone_and_of_own_indicators(
    kind: str, table: pa.Table, tmp_path: Path
) -> None:
    models = {
        "interval": lambda: replace(value_model(), intervals=interval_table()),
        "amounts": model_of_amounts,
        "own": lambda: model_of_own(one(LARGEST, "amount, first_row")),
    }
    model = models[kind]()
    names = ["user_id", "transaction_date", "transaction_amount"]
    rows = table.select(names) if kind == "amounts" else table
    found = logged(model, tmp_path)(rows.to_pandas(), ASKED)
    assert_same_bits(found, written(model, rows, tmp_path))
    assert found["expected_value_low"].notna().all() == (kind == "interval")


@given(seed=st.integers(0, 99), days=st.integers(0, 400), zone=st.booleans())
def test_the_order_of_rows_and_columns_and_the_zone_of_moments_change_no_score(
    seed: int, days: int, zone: bool, loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame
) -> None:
    params = {"as_of": day_text(AS_OF - days * DAY_US)}
    order = np.random.default_rng(seed)
    places, names = order.permutation(len(frame)), order.permutation(frame.columns)
    mixed = frame.iloc[places][names]
    if zone:
        mixed = mixed.assign(
            transaction_date=mixed["transaction_date"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
        )
    found = loaded.predict(mixed, params=params).set_index("user_id").sort_index()
    wanted = loaded.predict(frame, params=params).set_index("user_id").sort_index()
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)


def test_moments_may_be_text_and_rows_after_the_as_of_are_not_seen(
    loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame
) -> None:
    text = frame.assign(
        transaction_date=[moment.isoformat() + "+00:00" for moment in frame["transaction_date"]],
        user_created=[moment.isoformat() for moment in frame["user_created"]],
    )
    past = frame[frame["transaction_date"] <= pd.Timestamp(DAY)]
    assert len(past) < len(frame)
    wanted = loaded.predict(past, params=ASKED)
    for rows in (text, frame):
        found = loaded.predict(rows, params=ASKED)
        pd.testing.assert_frame_equal(found, wanted, check_exact=True)


def test_columns_that_a_file_may_lack_may_be_missing(loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    with pytest.warns(UserWarning, match=r"^no |^\d+ customers") as warned:
        few = loaded.predict(frame[["user_id", "user_balance", "transaction_amount", "transaction_date"]], params=ASKED)
    assert [str(each.message).partition(":")[0] for each in warned] == [
        "no transaction_state", "no transaction_currency", "no user_category", "no user_created",
        "2 customers have different balances at their last moment and no transaction_id there",
    ]  # fmt: skip
    assert len(few) == len(loaded.predict(frame, params=ASKED))


REFUSED: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "no rows": (lambda rows: rows.iloc[:0], "the table has no rows"),
    "a missing column": (lambda rows: rows.drop(columns="user_balance"), r"missing inputs \['user_balance'\]"),
    "text for money": (lambda rows: rows.assign(transaction_amount="many"), "column transaction_amount"),
    "a missing amount": (
        lambda rows: rows.assign(transaction_amount=[np.nan, *rows["transaction_amount"][1:]]),
        "row 0: transaction_amount is missing",
    ),
    "no moment": (
        lambda rows: rows.assign(transaction_date=["2024-01-01", "soon", *["2024-01-01"] * (len(rows) - 2)]),
        "row 1: transaction_date is 'soon'",
    ),
    "a channel that there is not": (
        lambda rows: rows.assign(user_category=["WEB", "WEB", "APP", *["API"] * (len(rows) - 3)]),
        "row 2: user_category is 'APP'",
    ),
    "a currency without a rate": (
        lambda rows: rows.assign(transaction_currency="XXX"),
        "rows 0, 1, 2 and 47 more: transaction_currency is 'XXX'",
    ),
    "two rows of one transaction": (
        lambda rows: rows.assign(transaction_id=["t-1", "t-1", *map(str, range(len(rows) - 2))]),
        "row 1: transaction_id 't-1' stands in row 0 with other values",
    ),
    "a column twice": (lambda rows: pd.concat([rows, rows[["user_category"]]], axis=1), "user_category|'DataFrame'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_is_named(what: str, loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    spoil, words = REFUSED[what]
    with pytest.raises(MlflowException, match=words) as refused:
        loaded.predict(spoil(frame.head(50)), params=ASKED)
    assert refused.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (None, "as_of is missing"),
        ({"asof": "2024-06-30"}, "as_of is missing"),  # MLflow leaves out what the signature does not name
        ({"as_of": 3}, "Can not safely convert"),
        ({"as_of": "last week"}, "as_of is 'last week'"),
        ({**ASKED, "level_percent": 100}, "level of the interval is 100"),
        ({**ASKED, "level_percent": "high"}, "Can not safely convert"),
        ({**ASKED, "compare_as_of": "2024-06-30"}, "must be before 2024-06-30"),
    ],
)
def test_parameters_that_cannot_be_read_are_refused(
    params: dict[str, object] | None, words: str, loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame
) -> None:
    with pytest.raises(MlflowException, match=words):
        loaded.predict(frame.head(5), params=params)


def test_an_unknown_parameter_is_refused_behind_the_signature() -> None:
    with pytest.raises(ConfigError, match="no parameter asof"):
        read_asked({**ASKED, "asof": "2024-06-30"})


def test_now_is_the_present_moment(loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    with pytest.warns(UserWarning, match="days older than the as-of, which is now"):
        found = loaded.predict(frame, params={"as_of": "now"})
    moment = datetime.fromisoformat(found["as_of"].iloc[0]).replace(tzinfo=UTC)
    assert before <= moment <= datetime.now(UTC)
    assert len(found) == 60


def test_a_customer_unknown_by_the_as_of_has_no_row(loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    found = loaded.predict(frame, params={"as_of": "1990-01-01"})
    assert len(found) == 0
    assert "expected_value" in found.columns


def test_the_signature_names_what_is_needed_and_what_is_read() -> None:
    signature = transactions_signature(value_model())
    needed = ["user_id", "user_balance", "transaction_amount", "transaction_date"]
    assert signature.inputs.required_input_names() == needed
    assert "user_balance" not in transactions_signature(model_of_amounts()).inputs.input_names()
    assert [one.name for one in signature.params] == ["as_of", "compare_as_of", "explained", "level_percent"]


def test_the_columns_of_the_signature_are_those_of_a_score(
    loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame
) -> None:
    found = loaded.predict(frame, params=ASKED)
    assert loaded.metadata.signature.outputs.input_names() == found.columns.tolist()
    loaded.metadata.signature.outputs.to_json()
    for spec in loaded.metadata.signature.outputs:
        kind = {"double": "f", "long": "i"}.get(spec.type.name)
        assert kind is None or found[spec.name].dtype.kind == kind
        assert not spec.required or found[spec.name].notna().all()


def test_the_example_is_of_invented_customers_and_can_be_scored(
    filled: Registry, loaded: mlflow.pyfunc.PyFuncModel
) -> None:
    rows = loaded.input_example
    assert set(rows["user_id"]) == {"example-1", "example-2"}
    assert rows.columns.tolist() == loaded.metadata.signature.inputs.input_names()
    assert len(loaded.predict(rows, params=loaded.metadata.load_input_example_params(str(folder_of(filled))))) == 2
    assert example_transactions(model_of_amounts()).columns.tolist() == [
        "user_id", "transaction_amount", "transaction_date", "transaction_currency", "transaction_state",
        "transaction_id",
    ]  # fmt: skip


def folder_of(registry: Registry) -> Path:
    registry.use()
    return Path(mlflow.artifacts.download_artifacts("models:/value@champion"))


def test_mlflow_s_server_takes_rows_as_json_and_names_what_is_wrong(
    loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame
) -> None:
    rows = frame.head(40).assign(
        transaction_date=[moment.isoformat() for moment in frame["transaction_date"][:40]],
        user_created=[moment.isoformat() for moment in frame["user_created"][:40]],
        user_balance=range(40),  # whole numbers, as JSON writes them
    )
    body = {"dataframe_records": rows.to_dict("records"), "params": ASKED}
    schema = loaded.metadata.get_input_schema()

    def answer(content: dict[str, object]) -> list[dict[str, object]]:
        response = scoring_server.invocations(json.dumps(content), "application/json", loaded, schema)
        assert response.status == 200
        found: list[dict[str, object]] = json.loads(response.response)["predictions"]
        return found

    wanted = loaded.predict(rows.astype({"user_balance": float}), params=ASKED)
    assert [one["score"] for one in answer(body)] == wanted["score"].tolist()
    split = {"dataframe_split": {"columns": list(rows.columns), "data": rows.to_numpy().tolist()}, "params": ASKED}
    assert answer(split) == answer(body)
    body["dataframe_records"][3]["user_category"] = "APP"  # type: ignore[index]  # rows, as above
    with pytest.raises(MlflowException, match="row 3: user_category is 'APP'") as refused:
        answer(body)
    assert refused.value.get_http_status_code() == 400
