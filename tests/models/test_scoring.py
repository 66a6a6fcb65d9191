"""Scoring: one row a customer, in their order, and how far back a history reaches."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fivefold.domain.clock import DAY_US, from_microseconds, iso_text, to_microseconds
from fivefold.domain.errors import FileFormatError, InvalidDataError
from fivefold.features.histories import AmountChecks
from fivefold.features.indicator_matrix import catalogue
from fivefold.features.reading import sources
from fivefold.features.reading.sources import read_histories
from fivefold.features.schema import ABSENT
from fivefold.models.explain import explain
from fivefold.models.reach import HistoryReach, history_reaches
from fivefold.models.scoring.histories import ScoredBatch, Scoring, doubts_of, doubts_of_portfolio, score_histories
from fivefold.models.scoring.sources import score_source
from fivefold.models.value_model import ValueModel
from fivefold.training.simulation.simulator import Simulation, simulate
from tests.features.own import one
from tests.models.making import (
    AS_OF,
    RATES,
    interval_table,
    model_of_amounts,
    model_of_own,
    reference_matrix,
    simulated,
    value_model,
)

AMOUNTS = ["user_id", "transaction_date", "transaction_amount"]
COLUMNS = ["user_id", "score", "category", "expected_value", "currency", "percentile"]
ENDS = ["expected_value_low", "expected_value_high", "score_low", "score_high"]
EVERY = [*COLUMNS, *ENDS, "interval_level_percent", "consistency"]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.concat_tables(simulate(Simulation(customers=400, seed=11)))


@pytest.fixture(scope="module")
def file(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scoring") / "customers.parquet"
    pq.write_table(table, path)
    return path


def scored(model: ValueModel, source: Any, **options: Any) -> tuple[pl.DataFrame, list[ScoredBatch]]:
    batches = list(score_source(model, source, Scoring(options.pop("as_of", AS_OF), **options)))
    return pl.concat([batch.table for batch in batches]), batches


def test_one_row_a_customer_in_the_order_of_the_file(model: ValueModel, file: Path, table: pa.Table) -> None:
    found, batches = scored(model, file)
    assert found.columns == EVERY
    known = pl.from_arrow(table).filter(pl.col("transaction_date") <= date(2024, 6, 30))["user_id"]
    assert found["user_id"].to_list() == known.unique(maintain_order=True).to_list()
    assert sum(batch.left_out for batch in batches) + len(found) == 400
    assert found["currency"].unique().to_list() == ["EUR"]
    assert found.select(COLUMNS).null_count().sum_horizontal().item() == 0
    # This model keeps no interval, and none is given.
    assert found.select(pl.col(ENDS).is_null().all()).row(0) == (True,) * 4


def test_a_file_has_the_intervals_of_the_model_at_its_level_or_at_another(model: ValueModel, file: Path) -> None:
    sure = replace(model, intervals=interval_table())
    for asked, level in ((None, 80), (95, 95)):
        found, _ = scored(sure, file, level_percent=asked)
        wanted = sure.intervals_of(
            found["expected_value"].to_numpy(), found["consistency"].fill_null(np.nan).to_numpy(), level
        )
        for name, ends in wanted.columns().items():
            assert found[name].to_numpy().tobytes() == ends.tobytes()
        assert found["interval_level_percent"].unique().to_list() == [level]
        assert (found["expected_value_low"] <= found["expected_value"]).all()
        assert (found["score"] <= found["score_high"]).all()


def test_scores_are_the_model_s_own_to_the_bit(model: ValueModel, file: Path) -> None:
    found, _ = scored(model, file)
    wanted = model.scores(reference_matrix())
    assert found["score"].to_numpy().tobytes() == wanted.score.tobytes()
    assert found["expected_value"].to_numpy().tobytes() == wanted.expected_value.tobytes()
    assert found["percentile"].to_numpy().tobytes() == wanted.percentile.tobytes()
    assert found["category"].to_list() == wanted.category.tolist()


@pytest.mark.parametrize("rows", [700, 4_001])
def test_streaming_in_small_batches_gives_the_same_bits(
    model: ValueModel, file: Path, table: pa.Table, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    options: dict[str, Any] = {"explained": True, "compare_as_of": AS_OF - 60 * DAY_US}
    whole = score_histories(model, read_histories(table, RATES), Scoring(AS_OF, **options))
    monkeypatch.setattr(sources, "ROWS_A_BATCH", rows)
    found, batches = scored(model, file, **options)
    assert len(batches) > 3
    assert found.equals(whole.table, null_equal=True)
    numbers = pl.selectors.float()
    bits, wanted = (frame.select(numbers).fill_null(-1.0).to_numpy() for frame in (found, whole.table))
    assert bits.tobytes() == wanted.tobytes()
    assert sum(batch.left_out for batch in batches) == whole.left_out
    assert max(batch.newest for batch in batches if batch.newest) == whole.newest
    assert AmountChecks.joined(batch.amount_checks for batch in batches) == whole.amount_checks


def test_rows_whose_amounts_lost_their_sign_are_warned_of(model: ValueModel, table: pa.Table) -> None:
    def doubts(rows: pa.Table) -> list[str]:
        batch = score_histories(model, read_histories(rows, RATES), Scoring(AS_OF))
        return doubts_of(model, [batch, batch], AS_OF, is_now=False, option="{}")

    place = table.column_names.index("transaction_amount")
    sizes = table.set_column(place, "transaction_amount", pc.abs(table["transaction_amount"]))
    text = "no amount is below 0, so every row is a deposit: a withdrawal is a negative amount"
    assert text in doubts(sizes)
    assert text not in doubts(table)


def test_identifiers_that_look_alike_and_currencies_that_are_not_the_base_are_warned_of(model: ValueModel) -> None:
    row = {"user_balance": 5.0, "transaction_amount": 5.0, "user_created": "2024-01-01", "user_category": "WEB"}
    dated = row | {"transaction_date": iso_text(AS_OF), "transaction_currency": "USD"}
    rows = [dated | {"user_id": user_id} for user_id in ("Zoe\u0308", "Zo\u00eb")]
    batches = [score_histories(model, read_histories([each], RATES), Scoring(AS_OF)) for each in rows]
    doubts = doubts_of_portfolio(model, batches)
    assert doubts[0].startswith("no amount is in EUR, the base currency: all are in USD, and are converted; with the ")
    assert doubts[1].startswith(r"1 identifier looks like that of another customer, such as 'Zoe\u0308': only white ")


def test_values_outside_the_unit_of_an_own_indicator_are_counted_and_named(file: Path, model: ValueModel) -> None:
    of_own = model_of_own(one("return float(len(amount)) / 20.0", unit="share"))
    table, batches = scored(of_own, file)
    histories = read_histories(file, of_own.rates)
    _, row_counts = of_own.matrix(histories, AS_OF)
    wrong = int((row_counts > 20).sum())
    assert 0 < wrong < len(table)
    assert sum(batch.outside_units["mine"] for batch in batches) == wrong
    doubts = doubts_of(of_own, batches, AS_OF, is_now=False, option="{}")
    assert doubts[0] == (
        f"the indicator mine is outside its unit for {wrong} of {len(table)} customers: the model learnt from no such "
        "value"
    )
    assert not any(batch.outside_units for batch in scored(model, file)[1])


def test_one_customer_is_a_batch_of_one(model: ValueModel) -> None:
    whole = score_histories(model, simulated(), Scoring(AS_OF, explained=True)).table
    ids = simulated().user_ids.to_pylist()
    for place in range(0, 400, 23):
        alone = score_histories(model, simulated().select(place, place + 1), Scoring(AS_OF, explained=True))
        in_batch = whole.filter(pl.col("user_id") == ids[place])
        assert alone.table.equals(in_batch)
        assert alone.left_out == 1 - len(in_batch)


def test_customers_without_a_row_by_then_are_left_out_and_counted(model: ValueModel, file: Path) -> None:
    start = to_microseconds(date(2023, 1, 1))
    found, batches = scored(model, file, as_of=start - 1)
    assert len(found) == 0
    assert found.columns == EVERY
    assert sum(batch.left_out for batch in batches) == 400
    early, batches = scored(model, file, as_of=start + 90 * DAY_US)
    assert 0 < len(early) < 400
    assert len(early) + sum(batch.left_out for batch in batches) == 400


def test_the_newest_row_is_told_whatever_the_as_of(model: ValueModel, file: Path, table: pa.Table) -> None:
    newest = pl.from_arrow(table)["transaction_date"].max()
    for as_of in (0, AS_OF):
        _, batches = scored(model, file, as_of=as_of)
        told = max(batch.newest for batch in batches if batch.newest is not None)
        assert from_microseconds(told).replace(tzinfo=None) == newest


def test_rows_after_the_as_of_change_no_score(model: ValueModel, table: pa.Table) -> None:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    known = frame.filter(pl.col("transaction_date") <= date(2024, 6, 30))
    whole, _ = scored(model, frame, explained=True)
    cut, _ = scored(model, known, explained=True)
    assert whole.equals(cut)


def test_explained_columns_add_up_to_the_score(model: ValueModel, file: Path) -> None:
    found, _ = scored(model, file, explained=True)
    points = [f"points_{name}" for name in catalogue().names]
    assert found.columns == [*EVERY, "base", *points]
    sums = found["base"].to_numpy() + found.select(points).to_numpy().sum(axis=1)
    assert np.abs(sums - found["score"].to_numpy()).max() <= 1e-9
    wanted = explain(model, reference_matrix())
    assert np.abs(found.select(points).to_numpy() - wanted.points).max() == 0.0
    assert found["base"].unique().to_list() == [wanted.base]


def test_explained_columns_are_there_where_nobody_is(model: ValueModel) -> None:
    found = score_histories(model, simulated(), Scoring(0, explained=True, compare_as_of=0)).table
    assert found.columns[-1] == f"points_{catalogue().names[-1]}"
    assert len(found) == 0
    later = score_histories(model, simulated(), Scoring(AS_OF, explained=True, compare_as_of=0)).table
    assert found.schema == later.schema


def test_a_comparison_tells_the_scores_before_and_who_moved(model: ValueModel) -> None:
    earlier = AS_OF - 120 * DAY_US
    found = score_histories(model, simulated(), Scoring(AS_OF, compare_as_of=earlier)).table
    before = score_histories(model, simulated(), Scoring(earlier)).table
    joined = found.join(before, on="user_id", how="left", suffix="_then", maintain_order="left")
    assert joined["score_before"].equals(joined["score_then"].alias("score_before"), null_equal=True)
    assert joined["category_before"].to_list() == joined["category_then"].to_list()
    assert joined["move"].to_list() == (joined["score"] - joined["score_then"]).to_list()
    new = joined.filter(pl.col("score_then").is_null())
    assert len(new) > 5
    assert new["category_before"].null_count() == new["move"].null_count() == len(new)
    assert found["move"].drop_nulls().abs().max() > 0.5


def test_a_comparison_with_the_same_moment_moves_nobody(model: ValueModel) -> None:
    found = score_histories(model, simulated(), Scoring(AS_OF, compare_as_of=AS_OF)).table
    assert set(found["move"].to_list()) == {0.0}
    assert found["category"].to_list() == found["category_before"].to_list()


def test_rows_of_a_request_are_scored(model: ValueModel) -> None:
    row = {
        "user_id": "a",
        "transaction_currency": "USD",
        "user_balance": 500,
        "transaction_amount": 500,
        "user_created": "2024-01-01",
        "user_category": "WEB",
        "transaction_date": "2024-06-01T12:00:00",
    }
    found, batches = scored(model, [row])
    assert found["user_id"].to_list() == ["a"]
    assert 1 <= found["score"].item() <= 5
    assert batches[0].left_out == 0


def test_no_rows_score_nobody(model: ValueModel) -> None:
    found, batches = scored(model, [])
    assert len(found) == 0
    assert [(batch.left_out, batch.newest) for batch in batches] == [(0, None)]


def test_bad_rows_and_unreadable_files_are_errors(model: ValueModel, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError):
        scored(model, [{"user_id": "a", "user_balance": 1.0}])
    with pytest.raises(FileFormatError):
        scored(model, tmp_path / "nothing.parquet")


def test_a_model_of_amounts_scores_customer_date_and_amount_and_looks_at_nothing_else(
    table: pa.Table, tmp_path: Path
) -> None:
    """The same file with balances, channels and accounts has the same scores: what was not learnt is not read."""
    made = model_of_amounts()
    euros = pl.from_arrow(table).filter(pl.col("transaction_currency") == "EUR").drop("transaction_state")
    euros.select(AMOUNTS).write_csv(tmp_path / "amounts.csv")
    euros.drop("transaction_id").write_csv(tmp_path / "whole.csv")
    euros.drop("transaction_id").with_columns(user_balance=pl.lit("?")).write_csv(tmp_path / "unreadable.csv")
    found = [scored(made, tmp_path / f"{name}.csv", explained=True)[0] for name in ("amounts", "whole", "unreadable")]
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])
    assert [name for name in found[0].columns if name.startswith("points_")] == [f"points_{n}" for n in made.indicators]
    total = found[0].select(pl.sum_horizontal("base", "^points_.*$")).to_series()
    assert (total - found[0]["score"]).abs().max() < 1e-9


def test_an_amount_without_a_currency_is_in_the_base_and_one_with_it_is_converted(tmp_path: Path) -> None:
    row = {"user_id": "a", "transaction_date": "2024-05-01", "transaction_amount": 92.0}
    pl.DataFrame([row]).write_csv(tmp_path / "euros.csv")
    pl.DataFrame([{**row, "transaction_amount": 100.0, "transaction_currency": "USD"}]).write_csv(tmp_path / "usd.csv")
    euros, dollars = (scored(model_of_amounts(), tmp_path / f"{name}.csv")[0] for name in ("euros", "usd"))
    assert euros.equals(dollars)


def test_a_model_that_reads_balances_refuses_a_file_without_and_says_what_would_do(
    model: ValueModel, table: pa.Table, tmp_path: Path
) -> None:
    pl.from_arrow(table).drop("user_balance").write_csv(tmp_path / "r.csv")
    with pytest.raises(
        FileFormatError, match=r"no column user_balance.*This model reads user_balance; one that `fivefold"
    ):
        scored(model, tmp_path / "r.csv")


def test_who_has_a_row_without_a_balance_has_no_value_from_its_moment_on(model: ValueModel) -> None:
    rows = [
        {"user_id": user, "transaction_date": day, "transaction_amount": 5.0, "transaction_currency": "EUR",
         "user_balance": balance, "user_category": "WEB", "user_created": "2024-01-01"}
        for user, day, balance in (("a", "2024-05-01", 5.0), ("a", "2024-06-01", None), ("b", "2024-05-01", 5.0))
    ]  # fmt: skip
    histories = read_histories(rows, RATES, nullable=True)
    before, after = (to_microseconds(date(2024, month, day)) for month, day in ((5, 31), (6, 1)))
    assert score_histories(model, histories, Scoring(before)).table["user_id"].to_list() == ["a", "b"]
    assert score_histories(model, histories, Scoring(after)).table["user_id"].to_list() == ["b"]
    amounts = read_histories(rows, RATES, absent=ABSENT, nullable=True)
    assert score_histories(model_of_amounts(), amounts, Scoring(after)).table["user_id"].to_list() == ["a", "b"]


@pytest.mark.parametrize(
    ("first", "as_of", "short"),
    [(640, 730, True), (640, 1_004, True), (640, 1_005, False), (30, 90, False), (31, 90, True), (-5, 90, False)],
)
def test_a_history_is_short_where_rows_are_probably_missing(first: int, as_of: int, short: bool) -> None:
    reach = HistoryReach(first * DAY_US, 0, as_of * DAY_US)
    assert reach.short is short
    assert ("an old customer is scored as a new one" in str(reach)) is short
    assert reach.to_dict()["days"] == as_of - first
    assert reach.to_dict()["days_before_it"] == max(0, first)


def test_every_customer_has_a_reach_of_their_own() -> None:
    rows = [
        {"user_id": user, "transaction_currency": "EUR", "user_balance": 1, "transaction_amount": 1,
         "user_created": "1970-01-02", "user_category": "WEB", "transaction_date": day}
        for user, day in (("a", "1970-01-05"), ("a", "1970-01-09"), ("b", "1970-01-03"))
    ]  # fmt: skip
    histories = read_histories(rows, RATES)
    assert [reach.days for reach in history_reaches(histories, 10 * DAY_US)] == [6, 8]
    assert [reach.missing_days for reach in history_reaches(histories, 10 * DAY_US)] == [3, 1]


def test_the_shares_of_the_segments_are_those_of_the_reference() -> None:
    model = value_model()
    scores = model.curve.score(np.repeat(model.curve.values, _times(model.curve.percentiles, model.curve.customers)))
    counted = model.segments_of(scores)
    for segment, share in model.segment_shares().items():
        assert share == pytest.approx((counted == segment).mean(), abs=1e-9)
    assert sum(model.segment_shares().values()) == pytest.approx(1)


def _times(percentiles: np.ndarray, customers: int) -> np.ndarray:
    below, times = 0.0, []
    for percentile in percentiles.tolist():
        times.append(round(2 * (percentile * customers - below)))
        below += times[-1]
    return np.array(times)
