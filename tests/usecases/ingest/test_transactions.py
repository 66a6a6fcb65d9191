"""Transactions in: each once, nothing by halves, whatever is sent again and however it is cut into calls."""

import json
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import InvalidDataError, NotFoundError
from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason
from fivefold.usecases.ingest.transactions import TransactionCounts, add_transactions
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.depth import SHARED_FIXTURES, examples
from tests.store.audits import forged
from tests.store.filling import filled_once
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank
from tests.usecases.platforms import transaction


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    made = Bank(engine)
    made.put("a")
    made.put("b")
    made.settle()
    return made


def take(bank: Bank, *rows: dict[str, Any]) -> tuple[int, int, int]:
    taken = add_transactions(bank.context, list(rows))
    return taken.new, taken.changed, taken.repeated


def stored(bank: Bank) -> list[tuple[Any, ...]]:
    with bank.engine.connect() as connection:
        wanted = "SELECT transaction_id, entity_id, amount, currency, state, balance, content FROM transactions"
        return [tuple(row) for row in connection.execute(text(f"{wanted} ORDER BY transaction_id"))]


@pytest.mark.postgresql
def test_each_is_taken_once_and_says_what_it_said(bank: Bank) -> None:
    first = transaction(1, user_balance=7, operation="cash")
    assert take(bank, first, transaction(2, "b"), first) == (2, 0, 1)
    assert take(bank, first) == (0, 0, 1)
    assert [row[2:] for row in stored(bank)] == [
        (10.5, "EUR", None, 7.0, '{"operation":"cash"}'),
        (10.5, "EUR", None, None, None),
    ]


def test_whom_they_concern_becomes_due_and_nobody_else(bank: Bank) -> None:
    take(bank, transaction(1))
    assert bank.mark_of("a").reasons & Reason.TRANSACTION
    assert not bank.mark_of("b").reasons & Reason.TRANSACTION
    bank.settle()
    take(bank, transaction(1))
    assert not bank.mark_of("a").reasons & Reason.TRANSACTION, "what is repeated is no news"


@pytest.mark.parametrize(("rows", "priority"), [(20, EVENT), (21, BULK)])
def test_more_than_twenty_at_once_wait_behind_events(bank: Bank, rows: int, priority: int) -> None:
    take(bank, *(transaction(number) for number in range(rows)))
    assert bank.mark_of("a").priority == priority


@pytest.mark.parametrize(
    ("before", "after", "taken"),
    [("pending", "COMPLETED", True), ("PENDING", None, True), ("COMPLETED", "FAILED", False), (None, "FAILED", False)],
)
def test_only_a_pending_state_may_change(bank: Bank, before: str | None, after: str | None, taken: bool) -> None:
    take(bank, transaction(1, transaction_state=before))
    bank.settle()
    if taken:
        assert take(bank, transaction(1, transaction_state=after)) == (0, 1, 0)
        assert stored(bank)[0][4] == after
        assert bank.mark_of("a").reasons & Reason.TRANSACTION
    else:
        with pytest.raises(InvalidDataError, match="was stored with other content"):
            take(bank, transaction(1, transaction_state=after))
        assert stored(bank)[0][4] == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"transaction_amount": float("nan")}, "transaction_amount is nan"),
        ({"transaction_amount": 1e16}, "at most 1e"),
        ({"transaction_amount": "5"}, "transaction_amount is '5'"),
        ({"transaction_currency": "EURO"}, "transaction_currency is 'EURO'; allowed: three capital letters"),
        ({"transaction_date": "tomorrow"}, "transaction_date is 'tomorrow'"),
        ({"transaction_date": "2026-11-21T00:00:01"}, "transaction_date is in the future"),
        ({"transaction_state": "LOST"}, "transaction_state is 'LOST'"),
        ({"user_category": "APP"}, "user_category is 'APP'"),
        ({"user_balance": float("inf")}, "user_balance is inf"),
        ({"operation": 5.5}, "operation is 5.5"),
        ({"transaction_id": ""}, "transaction_id is empty"),
        ({"transaction_id": "x" * 201}, "at most 200 characters"),
        ({"transaction_id": "x\0"}, "none of them NUL"),
        ({"operation": "x\0"}, "has a NUL character"),
        ({"operation": "\udfff"}, "row 1: operation is '.{6}'; allowed: text"),
        ({"transaction_id": "\ud800"}, "row 1: transaction_id is '.{6}'; allowed: text"),
        ({"user_id": "nobody"}, "there is no such customer"),
        ({"transaction_id": "t1", "transaction_amount": 3.0}, "has different content in two rows"),
        ({"transaction_id": "t1", "user_id": "b"}, "has different content in two rows: user_id; "),
        ({"operaton": "cash"}, "row 1: operaton is not a field of a transaction; perhaps operation was meant"),
        ({"correcs": "t1"}, "row 1: correcs is not a field of a transaction; perhaps corrects was meant"),
        ({"reverse": "t1"}, "row 1: reverse is not a field of a transaction; perhaps reverses was meant"),
        ({"transaction_stat": "FAILED"}, "row 1: transaction_stat is not a field .* transaction_state was meant"),
    ],
)
def test_one_bad_row_is_named_and_nothing_is_taken(bank: Bank, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidDataError, match=words) as refused:
        take(bank, transaction(1), {**transaction(2), **change})
    assert {problem.row for problem in refused.value.problems} <= {0, 1}
    assert stored(bank) == []
    assert not bank.mark_of("a").reasons & Reason.TRANSACTION


def test_other_fields_are_ignored_also_beside_the_one_that_they_are_like(bank: Bank) -> None:
    assert take(bank, transaction(1, operation="cash", operaton="x"), transaction(2, note="y", userid="a")) == (2, 0, 0)
    assert [row[6] for row in stored(bank)] == ['{"operation":"cash"}', None]


def test_who_says_nothing_is_not_refused_for_who_says_something_wrong(bank: Bank) -> None:
    """A null had the next row's value in its place while the column was read, and was refused with it."""
    rows = [transaction(1, user_created=None), transaction(2, user_created="x")]
    with pytest.raises(InvalidDataError) as refused:
        take(bank, *rows)
    assert [problem.row for problem in refused.value.problems] == [1]


def test_one_text_among_numbers_makes_no_texts_of_them(bank: Bank) -> None:
    with pytest.raises(InvalidDataError) as refused:
        take(bank, transaction(1), transaction(2, transaction_amount="5"), transaction(3, user_balance=1.5))
    assert [(problem.row, problem.problem) for problem in refused.value.problems] == [(1, "is '5'")]


def test_of_what_conflicts_nothing_is_taken(bank: Bank) -> None:
    take(bank, transaction(1, transaction_state="PENDING"), transaction(2))
    before = stored(bank)
    with pytest.raises(InvalidDataError, match="row 1: transaction_id 't2' was stored with other content"):
        take(bank, transaction(1, transaction_state="FAILED"), transaction(2, transaction_amount=9.0))
    assert stored(bank) == before


def test_what_conflicts_is_named_by_its_fields(bank: Bank) -> None:
    take(bank, transaction(1, operation="cash"))
    other = {"transaction_date": "2026-11-18T00:00:00", "user_balance": 7.0, "transaction_state": "SUCCEEDED"}
    with pytest.raises(InvalidDataError) as refused:
        take(bank, transaction(1, operation="card", **other))
    (problem,) = refused.value.problems
    fields = "transaction_date, user_balance, transaction_state, operation"
    assert problem.problem == f"'t1' was stored with other content: {fields}"
    with pytest.raises(InvalidDataError, match="two rows: transaction_state, user_balance"):
        take(
            bank, *(transaction(2, transaction_state=state, user_balance=n) for n, state in enumerate(("FAILED", None)))
        )


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("settled", ["SUCCEEDED", "FAILED", None])
def test_pending_and_settled_in_one_call_or_in_the_wrong_order_is_settled(
    bank: Bank, settled: str | None, order: int
) -> None:
    rows = [transaction(1, transaction_state=state) for state in ("PENDING", settled)][::order]
    assert take(bank, *rows) == (1, 0, 1)
    assert take(bank, rows[0]) == take(bank, rows[1]) == (0, 0, 1)
    take(bank, transaction(2, transaction_state="PENDING"))
    both = [transaction(2, transaction_state=state) for state in ("PENDING", settled)][::order]
    assert take(bank, *both) == (0, 1, 1)
    assert [row[4] for row in stored(bank)] == [settled] * 2


def test_a_day_ahead_is_the_most(bank: Bank) -> None:
    assert take(bank, transaction(1, transaction_date="2026-11-21T00:00:00")) == (1, 0, 0)
    assert bank.now + DAY_US == platforms.NOW + DAY_US


def test_fields_that_no_row_has_are_named_by_row(bank: Bank) -> None:
    row = {"transaction_id": "1", "transaction_currency": "EUR", "transaction_date": "2026-01-01"}
    with pytest.raises(InvalidDataError) as refused:
        take(bank, row, {**row, "transaction_id": "2"})
    missing = [(problem.row, problem.field, problem.problem) for problem in refused.value.problems]
    fields = ("transaction_amount", "user_id")
    assert missing == [(number, field, "is missing") for number in (0, 1) for field in fields]


def test_another_organisation_has_its_own(bank: Bank) -> None:
    other = Bank(bank.engine, "other")
    other.put("a")
    take(bank, transaction(1))
    taken = add_transactions(other.context, [transaction(1, transaction_amount=3.0)])
    assert taken == TransactionCounts(1, 0, 0)
    with pytest.raises(NotFoundError):
        add_transactions(Context(bank.engine, Actor(99, "member:1")).at(bank.now), [transaction(1)])


@pytest.mark.postgresql
def test_two_that_send_the_same_at_once_take_it_once(bank: Bank) -> None:
    rows = [transaction(number, "ab"[number % 2]) for number in range(200)]
    together, taken = threading.Barrier(4), list[tuple[int, int, int]]()

    def send(part: list[dict[str, Any]]) -> None:
        together.wait()
        taken.append(take(bank, *part))

    threads = [threading.Thread(target=send, args=(part,)) for part in (rows, rows[::-1], rows[:100], rows[50:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(new for new, _, _ in taken) == len(rows)
    assert len(taken) == len(threads)
    assert len(stored(bank)) == len(rows)


ROWS = st.lists(
    st.builds(
        transaction,
        st.integers(0, 5),
        st.sampled_from("ab"),
        transaction_amount=st.sampled_from([1.0, -2.5]),
        operation=st.sampled_from([None, "cash", "wire"]),
        user_balance=st.sampled_from([None, 3.0]),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row["transaction_id"],
)


@pytest.mark.postgresql
@settings(max_examples=examples(25), suppress_health_check=SHARED_FIXTURES)
@given(ROWS, st.integers(1, 8))
def test_it_does_not_matter_what_comes_with_what(bank: Bank, rows: list[dict[str, Any]], size: int) -> None:
    """One by one, in parts or at once: the same is stored, and sending all of it again changes nothing."""
    for begin in range(0, len(rows), size):
        take(bank, *rows[begin : begin + size])
    in_parts = stored(bank)
    assert take(bank, *rows) == (0, 0, len(rows))
    with forged(bank.engine) as connection:
        connection.execute(text("DELETE FROM transactions"))
    take(bank, *rows)
    assert stored(bank) == in_parts
    with forged(bank.engine) as connection:
        connection.execute(text("DELETE FROM transactions"))


def test_a_currency_without_a_rate_takes_no_other_row_with_it(bank: Bank) -> None:
    """It is stored and counted; its money is unknown, which fails what adds it up and nothing else."""
    rows = [platforms.transaction(1, "a"), platforms.transaction(2, "a", transaction_currency="AED")]
    taken = add_transactions(bank.context, rows)
    assert (taken.new, taken.without_rate) == (2, 1)
    counted = {"input": {"count": "transactions"}, "cases": [{"when": {"at_least": 2}, "points": 40}]}
    bank.activate(banks.document({"counted": counted, "cash": banks.CASH}))
    bank.mark("a")
    bank.settle()
    made = bank.assessments("a")[-1]
    assert made.status == "failed"
    rules = {rule["rule"]: rule for rule in json.loads(bank.breakdown())["rules"]}
    assert rules["counted"]["points"] == "40"
    assert "transaction_currency is AED; allowed: a currency with a rate into EUR" in json.dumps(rules["cash"])
