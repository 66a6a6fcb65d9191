"""The simulated portfolio: reproducible, in the API's form, and consistent to the cent."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fivefold.domain.errors import ConfigError
from fivefold.domain.parts import Parts
from fivefold.training.simulation import simulator
from fivefold.training.simulation.simulator import SCHEMA, Simulation, simulate, write_simulation
from fivefold.training.simulation.traits import CURRENCIES, UNITS_PER_EURO

SIMULATION = Simulation(customers=3_000, seed=7)
UNSETTLED = ["PENDING", "FAILED", "REJECTED", "EXPIRED", "CANCELLED"]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.concat_tables(simulate(SIMULATION))


@pytest.fixture(scope="module")
def rows(table: pa.Table) -> pl.DataFrame:
    """All rows with the change of balance since the customer's row before; its first has none."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    currencies = pl.col("transaction_currency").n_unique().over("user_id")
    moved = pl.col("user_balance").diff().over("user_id")
    return frame.with_columns(currencies.alias("currencies"), moved.alias("moved"))


def test_the_columns_are_the_interfaces_own(table: pa.Table) -> None:
    assert table.schema == SCHEMA
    assert table.schema.names == [
        "user_id",
        "transaction_id",
        "transaction_state",
        "transaction_currency",
        "user_balance",
        "transaction_amount",
        "user_created",
        "user_category",
        "transaction_date",
    ]
    assert all(column.null_count == 0 for column in table.columns)


def test_the_same_seed_gives_the_same_rows_and_another_gives_others(table: pa.Table) -> None:
    again = pa.concat_tables(simulate(SIMULATION))
    other = pa.concat_tables(simulate(replace(SIMULATION, seed=8)))
    assert again.equals(table)
    assert not other["transaction_amount"].equals(table["transaction_amount"])


@pytest.mark.parametrize("customers", [1, 2, 100])
def test_fewer_customers_are_the_first_of_more(customers: int) -> None:
    (some,) = simulate(Simulation(customers=customers))
    (more,) = simulate(Simulation(customers=200))
    assert some.equals(more.slice(0, some.num_rows))
    assert len(some["user_id"].unique()) == customers


def test_chunks_hold_whole_customers_and_do_not_depend_on_how_many_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simulator, "CHUNK_ROWS", 2_000)
    some = list(simulate(Simulation(customers=120)))
    more = list(simulate(Simulation(customers=200)))
    users = [user for chunk in some for user in chunk["user_id"].unique().to_pylist()]
    assert [len(chunk["user_id"].unique()) for chunk in some] == [50, 50, 20]
    assert users == [f"user_{number:06d}" for number in range(1, 121)]
    assert all(chunk.equals(whole) for chunk, whole in zip(some[:2], more, strict=False))
    assert some[2].equals(more[2].slice(0, some[2].num_rows))


def test_customers_stand_together_in_the_order_of_time_and_of_transaction_id(rows: pl.DataFrame) -> None:
    assert rows["user_id"].rle().len() == SIMULATION.customers
    assert rows["transaction_id"].is_unique().all()
    ordered = rows.sort("user_id", "transaction_date", "transaction_id")
    assert ordered["transaction_id"].equals(rows["transaction_id"])


def test_rows_lie_in_the_simulated_time_and_after_the_account_was_opened(rows: pl.DataFrame) -> None:
    assert rows["transaction_date"].dt.date().is_between(SIMULATION.start, SIMULATION.end, closed="left").all()
    assert (rows["user_created"] <= rows["transaction_date"]).all()
    before = rows.filter(pl.col("user_created") < SIMULATION.start)["user_id"].n_unique()
    assert 0.5 < before / SIMULATION.customers < 0.6
    assert (
        (rows.group_by("user_id").agg(pl.col("user_created", "user_category").n_unique()).drop("user_id") == 1)
        .to_numpy()
        .all()
    )


def test_rows_per_customer_have_the_mean_asked_for_and_a_long_tail(rows: pl.DataFrame) -> None:
    counts = rows["user_id"].value_counts()["count"]
    assert 0.9 < counts.mean() / SIMULATION.rows_per_customer_mean < 1.1
    assert counts.min() == 1
    assert counts.median() < 0.7 * counts.mean()
    assert 400 < counts.max() < 2_500


def test_states_have_their_usual_shares_and_signs(rows: pl.DataFrame) -> None:
    shares = dict(rows["transaction_state"].value_counts(normalize=True).iter_rows())
    assert set(shares) == {"SUCCEEDED", "COMPLETED", *UNSETTLED}
    assert 0.02 < sum(shares[state] for state in UNSETTLED[1:]) < 0.04
    assert 0.001 < shares["PENDING"] < 0.006
    assert 0.3 < shares["COMPLETED"] < 0.6
    assert rows.filter(pl.col("transaction_state") == "SUCCEEDED")["transaction_amount"].min() == 0
    assert rows.filter(pl.col("transaction_state") == "COMPLETED")["transaction_amount"].max() == 0


def test_settled_rows_move_the_balance_by_their_amount(rows: pl.DataFrame) -> None:
    settled = ~pl.col("transaction_state").is_in(UNSETTLED)
    chained = rows.filter(settled, pl.col("currencies") == 1, pl.col("moved").is_not_null())
    assert chained.height > 10_000
    in_cents = (chained["moved"] * 100).round() - (chained["transaction_amount"] * 100).round()
    assert (in_cents == 0).all()


def test_rows_that_are_not_settled_move_nothing(rows: pl.DataFrame) -> None:
    same_currency = pl.col("currencies") == 1
    idle = rows.filter(pl.col("transaction_state").is_in(UNSETTLED), same_currency, pl.col("moved").is_not_null())
    assert idle.height > 1_000
    assert (idle["moved"] == 0).all()
    assert (idle["transaction_amount"] != 0).any()


def test_two_currencies_are_one_account_at_the_table_s_rate(rows: pl.DataFrame) -> None:
    rates = dict(zip(CURRENCIES, UNITS_PER_EURO.tolist(), strict=True))
    euros = pl.col("user_balance") / pl.col("transaction_currency").replace_strict(rates)
    paid = pl.col("transaction_amount") / pl.col("transaction_currency").replace_strict(rates)
    mixed = rows.filter(pl.col("currencies") == 2).with_columns(
        paid.alias("paid"), euros.diff().over("user_id").alias("moved")
    )
    settled = mixed.filter(~pl.col("transaction_state").is_in(UNSETTLED), pl.col("moved").is_not_null())
    assert 0.01 < mixed["user_id"].n_unique() / SIMULATION.customers < 0.06
    assert (settled["moved"] - settled["paid"]).abs().max() < 0.03  # cents are rounded once in each currency


def test_money_is_in_whole_cents_and_zero_has_no_sign(rows: pl.DataFrame) -> None:
    for name in ("transaction_amount", "user_balance"):
        money = rows[name].to_numpy()
        assert (np.rint(money * 100) / 100 == money).all()
        assert not np.signbit(money[money == 0]).any()


def test_balances_fall_below_zero_but_rarely(rows: pl.DataFrame) -> None:
    assert 0.001 < (rows["user_balance"] < 0).mean() < 0.03


def test_ties_and_zero_amounts_occur(rows: pl.DataFrame) -> None:
    gap = pl.col("transaction_date").diff().over("user_id")
    tied = rows.select((gap == timedelta(0)).mean()).item()
    assert 0.008 < tied < 0.025
    assert 0.0005 < (rows["transaction_amount"] == 0).mean() < 0.006


def test_businesses_move_more_and_rest_at_weekends_and_december_is_busy(rows: pl.DataFrame) -> None:
    weekend = (pl.col("transaction_date").dt.weekday() > 5).mean()
    size = pl.col("transaction_amount").abs().median()
    by_category = {
        row[0]: row[1:] for row in rows.group_by("user_category").agg(weekend, size.alias("size")).iter_rows()
    }
    assert by_category["API"][0] < 0.1 < by_category["WEB"][0]
    assert by_category["API"][1] > 1.5 * by_category["WEB"][1]
    months = rows["transaction_date"].dt.strftime("%Y-%m").value_counts()
    of = dict(months.iter_rows())
    assert of["2023-12"] > 1.15 * of["2023-10"]
    assert of["2024-12"] > 1.15 * of["2024-10"]


def test_the_next_quarter_resembles_the_last_without_repeating_it(rows: pl.DataFrame) -> None:
    quarter = pl.col("transaction_date").dt.quarter()
    volume = pl.col("transaction_amount").abs().sum()
    late = rows.filter(pl.col("transaction_date").dt.year() == 2024, quarter > 2)
    wide = late.group_by("user_id").agg(
        volume.filter(quarter == 3).alias("last"), volume.filter(quarter == 4).alias("next")
    )
    ranks = np.corrcoef(wide["last"].rank().to_numpy(), wide["next"].rank().to_numpy())
    assert 0.3 < ranks[0, 1] < 0.9


def test_short_and_long_simulations_work() -> None:
    month = Simulation(customers=50, start=date(2024, 1, 31), end=date(2024, 2, 28), rows_per_customer_mean=8)
    decade = Simulation(customers=50, start=date(2000, 1, 1), end=date(2010, 1, 1))
    for simulation in (month, decade):
        (rows,) = simulate(simulation)
        assert len(rows["user_id"].unique()) == 50


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"customers": 0}, "customers is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"end": date(2023, 1, 28)}, "28 days or more"),
        ({"rows_per_customer_mean": 2.0}, "8 to 1000"),
        ({"rows_per_customer_mean": float("nan")}, "8 to 1000"),
    ],
)
def test_what_cannot_be_simulated_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(SIMULATION, **wrong)


def test_the_file_holds_every_row_and_nothing_else_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulator, "CHUNK_ROWS", 2_000)
    simulation = Simulation(customers=120)
    path = tmp_path / "new" / "customers.parquet"
    count = write_simulation(simulation, path)
    file = pq.ParquetFile(path)
    assert file.metadata.num_rows == count
    assert file.metadata.num_row_groups == 3
    assert file.read().equals(pa.concat_tables(simulate(simulation)))
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(simulation: Simulation, parts: Parts | None) -> Iterator[pa.Table]:
        yield from simulate(simulation, parts)
        raise OSError("disk full")

    path = tmp_path / "customers.parquet"
    path.write_bytes(b"old")
    monkeypatch.setattr(simulator, "simulate", failing)
    with pytest.raises(OSError, match="disk full"):
        write_simulation(Simulation(customers=10), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
