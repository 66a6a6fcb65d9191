"""Stored facts as plain rows, beside the columns that are prepared of the same."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import to_microseconds
from fivefold.domain.money import Rate, RateTable
from fivefold.risk.facts.records import prepare_records
from fivefold.risk.facts.single.facts import SingleFacts, in_order, of_columns, of_records, rows_of_stored
from fivefold.risk.facts.single.values import LeftToColumnsError
from fivefold.risk.facts.transactions import prepare_stored

DAY = date(2024, 7, 1)
NOW = to_microseconds(DAY)
RATES = RateTable("EUR", DAY, {"USD": Rate(0.95, DAY), "JPY": Rate(0.0058, DAY), "KWD": Rate(3.0, DAY)}, "test")
DECLARED: Any = {"word": "text", "size": "number", "sure": "flag", "on": "date", "words": ("text",), "land": "country"}
SCHEMA: Any = {
    "entity_id": pl.String,
    "transaction_id": pl.String,
    "time": pl.Int64,
    "amount": pl.Float64,
    "currency": pl.String,
    "state": pl.String,
    "word": pl.String,
    "size": pl.Float64,
    "sure": pl.Boolean,
    "on": pl.String,
    "words": pl.List(pl.String),
    "land": pl.String,
}
words = st.sampled_from([None, "", " ", "cash", "é"])
stored = st.fixed_dictionaries(
    {
        "entity_id": st.sampled_from(["a", "a", "b"]),
        "transaction_id": st.sampled_from(["t1", "t2"]),
        "time": st.sampled_from([NOW - 2, NOW - 1, NOW, NOW + 1]),
        "amount": st.floats(-1e7, 1e7) | st.sampled_from([0.0, -0.0, 0.29, 0.005, 1.005, -0.015, 2.675, 50.5]),
        "currency": st.sampled_from(["EUR", "USD", "JPY", "KWD"]),
        "state": st.sampled_from([None, "SUCCEEDED", "PENDING", "FAILED", "COMPLETED"]),
        "word": words,
        "size": st.none() | st.sampled_from([0.1, float("nan"), 1e15]),
        "sure": st.none() | st.booleans(),
        "on": st.sampled_from([None, "", "2024-02-29", "2024-06-30T12:00:00Z", "2024-06-30T12:00:00.000001+00:00"]),
        "words": st.none() | st.lists(st.sampled_from(["x", None, ""]), max_size=2),
        "land": st.sampled_from([None, "", "NO"]),
    }
)


def frame_of(rows: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def content(facts: SingleFacts) -> list[Any]:
    """Give the rows without what only columns carry, in an order that ties do not change."""
    rows = [{name: value for name, value in row.items() if name not in {"entity", "@spoilt"}} for row in facts.rows]
    return sorted(rows, key=lambda row: repr(sorted(row.items())))


@given(st.lists(stored, max_size=6), st.sampled_from(["a", "nobody"]))
def test_stored_transactions_are_read_as_columns_read_them(rows: list[Any], entity: str) -> None:
    frame = frame_of(rows)
    columns = of_columns(prepare_stored(frame, RATES, DECLARED), entity, NOW)
    plain = in_order(rows_of_stored(frame, RATES, DECLARED, entity), NOW)
    assert content(plain) == content(columns)
    assert [row["time"] for row in plain.rows] == sorted(row["time"] for row in columns.rows)


GOOD = {**dict.fromkeys(SCHEMA), "entity_id": "a", "time": NOW, "amount": 1.0, "currency": "EUR"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"time": None},
        {"currency": "XXX"},
        {"amount": 1.1e15},
        {"land": "Norway"},
        {"size": float("inf")},
        {"on": "soon"},
        {"on": "2024-02-30"},
    ],
    ids=str,
)
def test_what_must_be_named_is_left_to_columns(wrong: Any) -> None:
    with pytest.raises(LeftToColumnsError):
        rows_of_stored(frame_of([GOOD, {**GOOD, **wrong}]), RATES, DECLARED, "a")
    assert len(rows_of_stored(frame_of([GOOD, {**GOOD, **wrong, "entity_id": "b"}]), RATES, DECLARED, "a")) == 1


@pytest.mark.parametrize("declared", [{"amount": "number"}, {"absent": "text"}])
def test_fields_that_cannot_be_declared_are_left_to_columns(declared: Any) -> None:
    with pytest.raises(LeftToColumnsError):
        rows_of_stored(frame_of([GOOD]), RATES, declared, "a")


times = st.sampled_from(
    [datetime(2024, 6, 30, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC), datetime(2024, 7, 2, tzinfo=UTC)]
)
RECORD: Any = {
    "entity_id": pl.String,
    "opened": pl.Datetime("us", "UTC"),
    "closed": pl.Datetime("us", "UTC"),
    "outcome": pl.String,
    "status": pl.String,
    "size": pl.Float64,
}
records = st.fixed_dictionaries(
    {
        "entity_id": st.sampled_from(["a", "a", "b"]),
        "opened": times,
        "closed": times,
        "outcome": st.sampled_from([None, "", "confirmed"]),
        "status": st.sampled_from([None, "", "closed", "appealed"]),
        "size": st.none() | st.just(2.5),
    }
)


@given(st.lists(records, max_size=5))
def test_cases_are_as_known_at_as_of(rows: list[Any]) -> None:
    frame = pl.DataFrame(rows, schema=RECORD, orient="row")
    columns = of_columns(prepare_records(frame, {"size": "number"}, "cases"), "a", NOW)
    assert content(of_records(frame, {"size": "number"}, "a", NOW)) == content(columns)


def test_an_outcome_without_its_moment_is_left_to_columns() -> None:
    row = {
        **dict.fromkeys(RECORD),
        "entity_id": "a",
        "opened": datetime(2024, 1, 1, tzinfo=UTC),
        "outcome": "confirmed",
    }
    with pytest.raises(LeftToColumnsError):
        of_records(pl.DataFrame([row], schema=RECORD), {}, "a", NOW)
    with pytest.raises(LeftToColumnsError):
        of_columns(prepare_records(pl.DataFrame([row], schema=RECORD), {}, "cases"), "a", NOW)
