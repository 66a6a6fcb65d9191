"""Calls that are stored together are each as if it were alone, whatever the others are and whoever is killed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import FivefoldError
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import Transaction
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.ingest.together import PostedTransactions, add_transactions_together
from fivefold.usecases.ingest.transactions import TransactionCounts, add_transactions
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.depth import SHARED_FIXTURES, examples
from tests.store import databases
from tests.store.audits import bind_unnamed
from tests.store.filling import filled_once
from tests.usecases.banks import Bank
from tests.usecases.governed import rows_of, together
from tests.usecases.platforms import transaction

Call = list[dict[str, Any]]


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return opened(engine)


def opened(engine: Engine) -> Bank:
    made = Bank(engine)
    made.put("a")
    made.put("b")
    made.put("joint", owners=None)
    made.settle()
    return made


def post(bank: Bank, *calls: Call) -> list[TransactionCounts | None]:
    return add_transactions_together(bank.context, [PostedTransactions(bank.actor, "customer", call) for call in calls])


def alone(bank: Bank, call: Call) -> TransactionCounts | str:
    try:
        return add_transactions(bank.context, call)
    except FivefoldError as error:
        return str(error)


def stored(bank: Bank) -> list[tuple[Any, ...]]:
    columns = "transaction_id, entity_id, at_us, amount, currency, state, balance, category, content, recorded_us"
    with bank.engine.connect() as connection:
        rows = connection.execute(text(f"SELECT {columns} FROM transactions ORDER BY transaction_id"))
        marks = connection.execute(
            text("SELECT entity_id, due_us, reasons, priority FROM due_marks ORDER BY entity_id")
        )
        return [tuple(row) for row in (*rows, *marks)]


def test_each_call_has_its_own_answer_its_own_number_and_its_own_entry(bank: Bank) -> None:
    before = len(rows_of(bank.engine, AuditEntry))
    others = Actor(bank.of, "token:7")
    calls = [
        PostedTransactions(bank.actor, "customer", [transaction(1), transaction(2, "b")]),
        PostedTransactions(others, "customer", [transaction(3, transaction_currency="XXX")]),
    ]
    assert add_transactions_together(bank.context, calls) == [
        TransactionCounts(2, 0, 0),
        TransactionCounts(1, 0, 0, without_rate=1),
    ]
    entries = rows_of(bank.engine, AuditEntry)[before:]
    assert [(entry["actor"], entry["bulk_count"]) for entry in entries] == [(bank.actor.name, 2), ("token:7", 1)]
    assert len({row["batch"] for row in rows_of(bank.engine, Transaction)}) == 2
    bind_unnamed(bank.engine)
    assert not verify(bank.engine, print).findings


def test_of_members_whose_token_ended_since_nothing_is_taken_with_others(bank: Bank) -> None:
    """Each is carried out alone then, where its own token is looked at."""
    left = Actor(bank.of, "member:7", token_id=99)
    calls = [PostedTransactions(actor, "customer", [transaction(of)]) for of, actor in ((1, bank.actor), (2, left))]
    assert add_transactions_together(bank.context, calls) == [None, None]
    assert rows_of(bank.engine, Transaction) == []


WRONG = (
    [transaction(1, "nobody")],
    [transaction(1, transaction_amount="a lot")],
    [transaction(1), transaction(1, "b")],
    [{**transaction(1), "transaction_date": None}],
    [{"transaction_id": "1"}],
    [transaction(1, reverses="99", correction_reason="twice")],
    [transaction(1, operaton="cash")],
    [],
)


@pytest.mark.parametrize("wrong", WRONG)
def test_one_that_is_wrong_fails_no_other(bank: Bank, wrong: Call) -> None:
    assert post(bank, [transaction(5)], wrong, [transaction(6, "b")]) == [
        TransactionCounts(1, 0, 0),
        None,
        TransactionCounts(1, 0, 0),
    ]
    assert {row["transaction_id"] for row in rows_of(bank.engine, Transaction)} == {
        transaction(number)["transaction_id"] for number in (5, 6)
    }


def test_what_was_taken_before_or_comes_twice_is_left_to_be_carried_out_alone(bank: Bank) -> None:
    post(bank, [transaction(1)])
    assert post(bank, [transaction(1)], [transaction(2)], [transaction(3)], [transaction(2)]) == [
        None,
        None,
        TransactionCounts(1, 0, 0),
        None,
    ]
    assert post(bank, [transaction(4)], []) == [TransactionCounts(1, 0, 0), None]


def test_one_with_the_number_of_a_correction_is_left_to_be_refused_alone(bank: Bank) -> None:
    name = transaction(1)["transaction_id"]
    correction = {
        "transaction_id": "c1",
        "corrects": name,
        "transaction_amount": 2.0,
        "correction_reason": "typed wrong",
    }
    add_transactions(bank.context, [transaction(1), correction], "customer")
    assert post(bank, [{**transaction(2), "transaction_id": "c1"}], [transaction(3)]) == [
        None,
        TransactionCounts(1, 0, 0),
    ]


def test_of_a_type_that_is_not_there_nothing_is_taken(bank: Bank) -> None:
    calls = [PostedTransactions(bank.actor, kind, [transaction(n)]) for n, kind in enumerate(("customer", "company"))]
    assert add_transactions_together(bank.context, calls) == [TransactionCounts(1, 0, 0), None]


ROWS = st.builds(
    lambda number, user, changed: transaction(number, user, **changed),
    st.integers(0, 6),
    st.sampled_from(["a", "b", "joint", "nobody"]),
    st.fixed_dictionaries(
        {},
        optional={
            "transaction_amount": st.sampled_from([1, 2.5, "3", -0.0, 2**60, True]),
            "transaction_state": st.sampled_from(["PENDING", "COMPLETED", "", None]),
            "transaction_currency": st.sampled_from(["EUR", "XXX", "eur"]),
            "user_balance": st.sampled_from([None, 7, 7.5]),
            "operation": st.sampled_from(["cash", None, 5]),
            "unknown": st.just(1),
        },
    ),
)


@settings(max_examples=examples(40), suppress_health_check=SHARED_FIXTURES)
@given(st.lists(st.lists(ROWS, min_size=1, max_size=2), min_size=1, max_size=6))
def test_together_they_are_what_they_are_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, calls: list[Call]
) -> None:
    """Those that are left are carried out afterwards, as the service does."""
    found = []
    for shared in (True, False):
        folder = tmp_path_factory.mktemp("calls")
        with databases.opened(databases.new_url("sqlite", folder)) as engine:
            bank = opened(engine)
            counts = post(bank, *calls) if shared else [None] * len(calls)
            answers = [alone(bank, call) if each is None else each for each, call in zip(counts, calls, strict=True)]
            found.append((answers, stored(bank), len(rows_of(engine, AuditEntry))))
    assert found[0] == found[1]


@pytest.mark.postgresql
def test_what_two_services_take_at_once_is_taken_once(kind: str, tmp_path: Path) -> None:
    def serve(engine: Engine, bank: Bank) -> list[TransactionCounts]:
        context = Context(engine, bank.actor, lambda: bank.now)
        calls = [[transaction(number)] for number in range(20)]
        counts = add_transactions_together(
            context, [PostedTransactions(bank.actor, "customer", call) for call in calls]
        )
        return [
            add_transactions(context, call) if each is None else each for each, call in zip(counts, calls, strict=True)
        ]

    made: list[Any] = together(kind, tmp_path, opened, *[serve] * 3)
    assert [sum(each.new for each in answers) for answers in zip(*made, strict=True)] == [1] * 20
    assert [sum(each.repeated for each in answers) for answers in zip(*made, strict=True)] == [2] * 20


def test_a_clock_behind_breaks_no_chain(bank: Bank) -> None:
    post(bank, [transaction(1)], [transaction(2)])
    bank.now -= 60 * DAY_US
    day = "2024-01-01"
    assert (
        post(bank, [transaction(3, transaction_date=day)], [transaction(4, transaction_date=day)])
        == [TransactionCounts(1, 0, 0)] * 2
    )
    bind_unnamed(bank.engine)
    assert not verify(bank.engine, print).findings


_KILLED = """
import os, signal, sys
from fivefold.store.audit import log
from fivefold.store.sql.database import open_database
from fivefold.usecases.ingest.together import PostedTransactions, add_transactions_together
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.usecases.platforms import transaction

when, now = sys.argv[2], int(sys.argv[4])
whole = log.append_all

def killed(session, entries):
    whole(session, entries)
    os.kill(os.getpid(), signal.SIGKILL)

if when == "before the commit":
    log.append_all = killed
actor = Actor(int(sys.argv[3]), "token:1")
context = Context(open_database(sys.argv[1]), actor, lambda: now)
add_transactions_together(context, [PostedTransactions(actor, "customer", [transaction(n)]) for n in range(3)])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("when", "new"), [("before the commit", 1), pytest.param("before the answer", 0, marks=pytest.mark.full)]
)
def test_a_service_that_is_killed_took_all_or_nothing(kind: str, tmp_path: Path, when: str, new: int) -> None:
    url = databases.new_url(kind, tmp_path)
    with databases.opened(url) as engine:
        bank = opened(engine)
        engine.dispose()
        died = subprocess.run([sys.executable, "-c", _KILLED, url, when, str(bank.of), str(bank.now)], check=False)
        assert died.returncode == -9
        assert [alone(bank, [transaction(number)]) for number in range(3)] == [TransactionCounts(new, 0, 1 - new)] * 3
        bind_unnamed(engine)
        assert not verify(engine, print).findings
