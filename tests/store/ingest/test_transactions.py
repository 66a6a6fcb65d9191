"""Transactions, each once, whatever is sent again and by whomever at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fivefold.domain.errors import StoreError
from fivefold.store.ingest import transactions
from fivefold.store.ingest.transactions import LOOKED_FOR, AddedTransactions
from fivefold.store.sql.database import writing
from tests.pace import slowness, until
from tests.store import databases

SCHEMA: dict[str, Any] = {
    "transaction_id": pl.String,
    "entity_id": pl.Int64,
    "at_us": pl.Int64,
    "amount": pl.Float64,
    "currency": pl.String,
    "state": pl.String,
    "balance": pl.Float64,
    "category": pl.String,
    "account_created_us": pl.Int64,
    "content": pl.String,
}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    whole = {"entity_id": 1, "at_us": 5, "amount": 1.5, "currency": "EUR", "state": None}
    return pl.DataFrame([{**dict.fromkeys(SCHEMA), **whole, **row} for row in rows], schema=SCHEMA)


def add(engine: Engine, *rows: dict[str, Any], of: int = 1, now_us: int = 9) -> AddedTransactions:
    with Session(engine) as session, session.begin():
        return transactions.add_transactions(session, of, frame(*rows), now_us)


def stored(engine: Engine, of: int = 1) -> list[tuple[Any, ...]]:
    asked = text("SELECT transaction_id, amount, state, recorded_us FROM transactions WHERE organisation_id = :of")
    with engine.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(asked, {"of": of}))


def test_what_is_new_is_added_and_what_is_sent_again_is_left(engine: Engine) -> None:
    assert add(engine, {"transaction_id": "a"}, {"transaction_id": "b", "entity_id": 2}) == AddedTransactions(
        new=2, changed=0, touched={1, 2}, conflicts={}
    )
    again = add(engine, {"transaction_id": "a"}, {"transaction_id": "c", "entity_id": 3}, now_us=10)
    assert again == AddedTransactions(new=1, changed=0, touched={3}, conflicts={})
    assert stored(engine) == [("a", 1.5, None, 9), ("b", 1.5, None, 9), ("c", 1.5, None, 10)]


def test_one_that_was_taken_before_is_left_however_many_come_with_it(engine: Engine) -> None:
    """A few of a call's numbers are looked for beforehand; what is not among these is found all the same."""
    numbers = [f"t{number:04}" for number in range(10 * LOOKED_FOR)]
    for taken in numbers[1:3]:
        add(engine, {"transaction_id": taken})
    added = add(engine, *({"transaction_id": number, "entity_id": 2} for number in numbers), now_us=10)
    assert (added.new, added.touched) == (len(numbers) - 2, {2})
    assert added.conflicts == {key: ["entity_id"] for key in numbers[1:3]}
    assert sorted(row[0] for row in stored(engine)) == numbers
    assert len(added.lines) == len(numbers) - 2


def test_numbers_are_those_of_an_organisation(engine: Engine) -> None:
    add(engine, {"transaction_id": "a"})
    assert add(engine, {"transaction_id": "a", "amount": 2.0}, of=2) == AddedTransactions(
        new=1, changed=0, touched={1}, conflicts={}
    )
    assert [row[1] for row in stored(engine) + stored(engine, 2)] == [1.5, 2.0]


@pytest.mark.parametrize(
    "changed",
    [
        {"entity_id": 2},
        {"at_us": 6},
        {"amount": 2.0},
        {"currency": "PLN"},
        {"balance": 1.0},
        {"category": "CARD"},
        {"account_created_us": 1},
        {"content": "{}"},
    ],
)
@pytest.mark.parametrize("state", ["PENDING", "SUCCEEDED"])
def test_the_same_number_with_other_content_is_a_conflict(engine: Engine, changed: dict[str, Any], state: str) -> None:
    add(engine, {"transaction_id": "a", "state": state})
    (column,) = changed
    assert add(engine, {"transaction_id": "a", "state": state, **changed}).conflicts == {"a": [column]}


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", None])
def test_what_was_pending_takes_another_state_once(engine: Engine, state: str | None) -> None:
    add(engine, {"transaction_id": "a", "state": "PENDING"})
    assert add(engine, {"transaction_id": "a", "state": "PENDING"}) == AddedTransactions(
        new=0, changed=0, touched=set(), conflicts={}
    )
    assert add(engine, {"transaction_id": "a", "state": state}) == AddedTransactions(
        new=0, changed=1, touched={1}, conflicts={}
    )
    assert add(engine, {"transaction_id": "a", "state": state}) == AddedTransactions(
        new=0, changed=0, touched=set(), conflicts={}
    )
    assert [row[2] for row in stored(engine)] == [state]
    assert add(engine, {"transaction_id": "a", "state": "EXPIRED"}).conflicts == {"a": ["state"]}


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", None])
def test_a_pending_one_behind_the_settled_one_is_late_and_changes_nothing(engine: Engine, state: str | None) -> None:
    add(engine, {"transaction_id": "a", "state": state})
    late = {"transaction_id": "a", "state": "PENDING"}
    assert add(engine, late) == AddedTransactions(new=0, changed=0, touched=set(), conflicts={})
    assert [row[2] for row in stored(engine)] == [state]
    assert add(engine, {**late, "amount": 9.0, "content": '{"x":1}'}).conflicts == {"a": ["amount", "x"]}


def test_what_conflicts_is_named_alone(engine: Engine) -> None:
    add(engine, {"transaction_id": "a", "state": "PENDING"}, {"transaction_id": "b"})
    mixed = ({"transaction_id": "a", "state": "FAILED"}, {"transaction_id": "b", "amount": 9.0})
    assert add(engine, *mixed).conflicts == {"b": ["amount"]}


@pytest.mark.parametrize("kind", ["postgresql"])
def test_of_two_who_settle_the_same_at_once_one_is_contradicted(engine: Engine) -> None:
    add(engine, {"transaction_id": "a", "state": "PENDING"})
    with ThreadPoolExecutor(1) as pool, Session(engine) as session:
        assert (
            transactions.add_transactions(session, 1, frame({"transaction_id": "a", "state": "COMPLETED"}), 1).changed
            == 1
        )
        other = pool.submit(add, engine, {"transaction_id": "a", "state": "DECLINED"})
        until(lambda: databases.waits_for_a_lock(engine))
        assert not other.done(), "it waits for the first"
        session.commit()
        assert other.result().conflicts == {"a": ["state"]}


def test_those_who_send_the_same_at_once_in_other_orders_do_not_wait_for_each_other(kind: str, tmp_path: Path) -> None:
    """Each is taken once; PostgreSQL would end one of two that wait for each other."""
    url = databases.new_url(kind, tmp_path)
    rows = [{"transaction_id": f"t{number:03}"} for number in range(400)]
    barrier = Barrier(4, timeout=60 * slowness())

    def send(worker: int) -> tuple[int, list[str]]:
        new, errors = 0, []
        with databases.opened(url) as engine:
            for turn in range(5):
                part = [{**row, "transaction_id": f"{turn}-{row['transaction_id']}"} for row in rows]
                staged = frame(*(part if worker % 2 else part[::-1]))
                barrier.wait()
                try:
                    with writing(engine) as session:
                        new += transactions.add_transactions(session, 1, staged, 9).new
                except StoreError as error:
                    errors.append(str(error))
        return new, errors

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(send, range(4)))
    assert [error for _, errors in found for error in errors] == []
    assert sum(new for new, _ in found) == 2000
