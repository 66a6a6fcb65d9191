"""What would move a segment: each answer is what the customer's rows with that event are scored."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.domain.segments import SEGMENTS
from fivefold.features.histories import Histories
from fivefold.features.reading.sources import read_histories
from fivefold.models.value_model import ValueModel
from fivefold.models.what_if import AMOUNTS, EventOutcome, ValueEvent, what_if
from fivefold.training.simulation.simulator import Simulation, simulate
from tests.models.making import AS_OF, RATES, model_of_amounts

DAY = datetime(2024, 6, 30)  # noqa: DTZ001 (moments of the simulator have no zone)
USERS = 30


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """The rows of simulated customers up to the as-of, in the base currency."""
    table = pa.concat_tables(simulate(Simulation(customers=USERS, seed=3)))
    plain = [{**row, "transaction_currency": "EUR"} for row in table.to_pylist()]
    return [row for row in plain if row["transaction_date"] <= DAY]


def histories(rows: list[dict[str, Any]], absent: tuple[str, ...] = (), nullable: bool = False) -> Histories:
    return read_histories(pa.Table.from_pylist(rows), RATES, absent=absent, nullable=nullable)


def with_event(rows: list[dict[str, Any]], outcome: EventOutcome) -> list[dict[str, Any]]:
    """Give the rows of a customer as they would have come with an event."""
    rows = sorted(rows, key=lambda row: row["transaction_date"])
    if outcome.event in {ValueEvent.DEPOSIT, ValueEvent.WITHDRAWAL}:
        amount = outcome.size if outcome.event is ValueEvent.DEPOSIT else -outcome.size
        last = rows[-1]
        balance = None if last["user_balance"] is None else last["user_balance"] + amount
        more = {"transaction_amount": amount, "user_balance": balance, "transaction_date": DAY}
        more |= {"transaction_state": "COMPLETED", "transaction_id": "one more"}
        return [*rows, {**last, **more}]
    if outcome.event is ValueEvent.NO_WITHDRAWAL:
        kept, given_back = [], 0.0
        for row in rows:
            is_settled = row.get("transaction_state") in {None, "SUCCEEDED", "COMPLETED"}
            recent = row["transaction_date"] > DAY - timedelta(days=outcome.size)
            if recent and is_settled and row["transaction_amount"] < 0:
                given_back -= row["transaction_amount"]
            else:
                kept.append({**row, "user_balance": row["user_balance"] + given_back})
        return kept
    return rows


def test_each_outcome_is_what_the_rows_with_that_event_are_scored(
    model: ValueModel, rows: list[dict[str, Any]]
) -> None:
    users = list(dict.fromkeys(row["user_id"] for row in rows))
    kinds, moved = set(), 0
    for user in users[:12]:
        own = [row for row in rows if row["user_id"] == user]
        found = what_if(model, histories(own), AS_OF)
        moved += len(found.smallest)
        for outcome in (*found.smallest, *found.tried[:: max(len(found.tried) // 8, 1)]):
            later = int(outcome.size) * DAY_US if outcome.event is ValueEvent.QUIET else 0
            matrix, _ = model.matrix(histories(with_event(own, outcome)), AS_OF + later)
            scores = model.scores(matrix)
            assert outcome.score == pytest.approx(scores.score[0], abs=1e-9), (user, outcome)
            assert outcome.category == scores.category[0]
            assert outcome.change == outcome.score - found.score
            kinds.add(outcome.event)
    assert kinds == set(ValueEvent)
    assert moved


def test_a_model_without_balances_tries_every_sum(rows: list[dict[str, Any]]) -> None:
    model = model_of_amounts()
    own = [row for row in rows if row["user_id"] == rows[0]["user_id"]]
    found = what_if(model, histories(own, model.absent), AS_OF)
    for event in (ValueEvent.DEPOSIT, ValueEvent.WITHDRAWAL):
        tried = [outcome for outcome in found.tried if outcome.event is event]
        assert [outcome.size for outcome in tried] == list(AMOUNTS)
        for outcome in tried:
            matrix, _ = model.matrix(histories(with_event(own, outcome), model.absent), AS_OF)
            assert outcome.score == pytest.approx(model.scores(matrix).score[0], abs=1e-9), outcome


@pytest.mark.parametrize(("place", "column"), [(0, "user_category"), (-1, "user_category"), (-1, "user_balance")])
def test_what_a_row_lacks_stays_unknown_with_one_more(
    model: ValueModel, rows: list[dict[str, Any]], place: int, column: str
) -> None:
    own = sorted((row for row in rows if row["user_id"] == rows[0]["user_id"]), key=lambda row: row["transaction_date"])
    own[place] = {**own[place], column: None}
    deposits = [
        outcome
        for outcome in what_if(model, histories(own, nullable=True), AS_OF).tried
        if outcome.event is ValueEvent.DEPOSIT
    ]
    assert len(deposits) == len(AMOUNTS)
    for outcome in deposits:
        matrix, _ = model.matrix(histories(with_event(own, outcome), nullable=True), AS_OF)
        assert np.isnan(matrix).any()
        assert outcome.score == pytest.approx(model.scores(matrix).score[0], abs=1e-9), outcome


def test_the_least_that_moves_the_segment(model: ValueModel, rows: list[dict[str, Any]]) -> None:
    narrowed = 0
    for user in dict.fromkeys(row["user_id"] for row in rows):
        own = histories([row for row in rows if row["user_id"] == user])
        found = what_if(model, own, AS_OF)
        present = SEGMENTS.index(found.category)
        for one in found.smallest:
            side = np.sign(SEGMENTS.index(one.category) - present)
            assert side
            before = [other for other in found.tried if other.event is one.event and other.size < one.size]
            assert not [other for other in before if np.sign(SEGMENTS.index(other.category) - present) == side]
            narrowed += one.is_money and one.size not in AMOUNTS
    assert narrowed


def test_nothing_after_the_moment_and_no_more_than_the_balance(model: ValueModel, rows: list[dict[str, Any]]) -> None:
    own = [row for row in rows if row["user_id"] == rows[0]["user_id"]]
    later = {
        **own[-1],
        "transaction_amount": 10.0**6,
        "transaction_date": DAY + timedelta(days=1),
        "transaction_id": "z",
    }
    found = what_if(model, histories(own), AS_OF)
    assert what_if(model, histories([*own, later]), AS_OF) == found
    assert what_if(model, histories([*own, {**later, "user_balance": None}], nullable=True), AS_OF) == found
    poor = [{**row, "user_balance": 60.0} for row in own]
    sums = [one.size for one in what_if(model, histories(poor), AS_OF).tried if one.event is ValueEvent.WITHDRAWAL]
    assert sums == [10.0, 20.0, 50.0]


def test_rows_that_do_not_count_yet_are_left_out(model: ValueModel, rows: list[dict[str, Any]]) -> None:
    lagging = replace(model, definition={**model.definition, "settlement_lag_days": 30})
    own = histories([row for row in rows if row["user_id"] == rows[0]["user_id"]])
    found = what_if(lagging, own, AS_OF)
    matrix, _ = lagging.matrix(own, AS_OF)
    assert found.score == lagging.scores(matrix).score[0]
    assert any(one.change for one in found.tried if one.event is ValueEvent.DEPOSIT)


def test_without_its_only_rows_a_customer_would_have_no_score(model: ValueModel, rows: list[dict[str, Any]]) -> None:
    one = {**rows[0], "transaction_amount": -20.0, "transaction_date": DAY - timedelta(days=3)}
    alone = what_if(model, histories([one]), AS_OF)
    assert ValueEvent.NO_WITHDRAWAL not in {outcome.event for outcome in alone.tried}
    deposit = {**one, "transaction_amount": 5.0, "transaction_date": DAY - timedelta(days=40), "transaction_id": "d"}
    beside = what_if(model, histories([deposit, one]), AS_OF)
    assert [outcome.size for outcome in beside.tried if outcome.event is ValueEvent.NO_WITHDRAWAL] == [7.0]
