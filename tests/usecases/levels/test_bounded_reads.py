"""What is not read changes nothing: levels, breakdowns and due dates are those of the whole history."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from fivefold.domain.clock import from_microseconds, to_microseconds
from fivefold.domain.errors import InvalidDataError
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_canonical
from fivefold.risk.facts import look_back
from fivefold.store.levels.assessment_queue import Subject
from fivefold.store.rulesets.rulesets import active_versions
from fivefold.usecases.ingest.together import PostedTransactions, add_transactions_together
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels import assess as assessing
from fivefold.usecases.levels import portfolio
from fivefold.usecases.levels.assess import AssessmentResult, assess_entities
from fivefold.usecases.levels.portfolio import read_stored_portfolio, transactions_for
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.levels.worker import assess_now
from tests.store import databases
from tests.usecases.banks import Bank, document

CASH = {"field": "operation", "equals": "cash"}
IN = {"field": "direction", "equals": "deposit"}
INPUTS: list[dict[str, Any]] = [
    {"count": "transactions", "over": "30 days"},
    {"sum": "amount", "where": CASH, "over": "6 months"},
    {"mean": "signed_amount", "over": "20 days", "ending": "15 days ago"},
    {"days_since": "transactions", "where": CASH, "over": "100 days"},
    {"median": "amount", "over": "90 days"},
    {"share": "amount", "where": IN, "over": "90 days"},
    {"ratio": [{"sum": "amount", "over": "10 days"}, {"sum": "amount", "over": "100 days"}]},
    {"pattern": "structuring", "threshold": 100, "margin": "50%", "at_least": 1, "over": "60 days"},
    {"pattern": "pass-through", "within": "20 days", "share": "10%", "minimum": 1, "over": "120 days"},
    {"pattern": "velocity", "more_than": 1, "counterparties": 1, "counterparty": "operation", "over": "60 days"},
]
"""Windows alone."""
OF_ENDS: list[dict[str, Any]] = [
    {"max": "amount"},
    {"min": "signed_amount", "where": {"not": IN}},
    {"max": "amount", "in_currency": "USD"},
    {"days_since": "transactions"},
    {"days_since": "transactions", "where": {"field": "state", "equals": "failed"}},
    {"pattern": "dormant-then-active", "dormant": "90 days", "active": "30 days", "at_least": 1},
    {"indicator": "account_age"},
    {"indicator": "deposit_recency"},
    {"indicator": "withdrawal_recency"},
    {"indicator": "first_event_age"},
    {"indicator": "balance_last"},
    {"indicator": "channel_web"},
    {"indicator": "currency_count"},
    {"indicator": "balance_held_90d"},
    {"indicator": "regularity_365d"},
]
"""What a summary of all before is enough for."""
WHOLE: list[dict[str, Any]] = [
    {"sum": "amount"},
    {"new": "operation", "over": "30 days"},
    {"indicator": "deposit_sum_all"},
]
EXAMPLES = count()
DAYS = st.integers(-800, 0) | st.sampled_from([-365, -180, -90, -30, -10, 0, 0.9])
ROW = st.fixed_dictionaries(
    {
        "days": DAYS,
        "transaction_amount": st.sampled_from([-250.0, -40.0, 0.0, 0.29, 40.0, 99.5, 250.0]),
        "transaction_currency": st.sampled_from(["EUR", "EUR", "EUR", "USD", "XXX"]),
    },
    optional={
        "transaction_state": st.sampled_from(["PENDING", "FAILED", "SUCCEEDED"]),
        "user_balance": st.sampled_from([0.0, 20.0]),
        "user_created": st.sampled_from(["2019-01-01", "2025-11-01"]),
        "user_category": st.sampled_from(["WEB", "API"]),
        "operation": st.sampled_from(["cash", "wire"]),
    },
)
STEP = st.one_of(
    st.tuples(st.just("pay"), st.lists(ROW, min_size=1, max_size=5)),
    st.tuples(st.just("pay"), st.lists(ROW, min_size=1, max_size=2)),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 10, 95, 400])),
    st.tuples(st.just("reverse"), st.integers(0, 8)),
    st.tuples(st.just("correct"), st.tuples(st.integers(0, 8), ROW, st.sampled_from([0, -20]))),
    st.tuples(st.just("settle"), st.integers(0, 8)),
)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    with databases.opened(databases.new_url("sqlite", tmp_path_factory.mktemp("bounded"))) as engine:
        yield Bank(engine)


def rules(inputs: list[dict[str, Any]]) -> dict[str, Any]:
    def rule(given: dict[str, Any]) -> dict[str, Any]:
        cases = [{"when": {"at_least": least}, "points": points} for least, points in ((100, 40), (2, 20), (1, 10))]
        return {"input": given, "cases": cases, "on_unknown": {"points": 5}}

    return {f"r{number}": rule(given) for number, given in enumerate(inputs)}


def sent(bank: Bank, name: str, number: int, row: dict[str, Any]) -> dict[str, Any]:
    at = from_microseconds(bank.now).replace(tzinfo=None) + timedelta(days=row["days"])
    rest = {key: value for key, value in row.items() if key != "days"}
    return {"transaction_id": f"{name}-{number}", "user_id": name, "transaction_date": at.isoformat(), **rest}


def happen(bank: Bank, name: str, rows: list[dict[str, Any]], step: tuple[str, Any]) -> None:
    """Let something happen to a customer; *rows* are all that were sent so far."""
    match step:
        case "pay", new:
            made = [sent(bank, name, len(rows) + place, row) for place, row in enumerate(new)]
            rows += made
            add_transactions(bank.context, made)
        case "wait", days:
            bank.wait(days)
        case "settle", place if rows and rows[place % len(rows)].get("transaction_state") == "PENDING":
            chosen = rows[place % len(rows)]
            chosen["transaction_state"] = "SUCCEEDED"
            add_transactions(bank.context, [chosen])
        case "reverse", place if rows:
            about = {
                "transaction_id": f"{name}-x{next(EXAMPLES)}",
                "reverses": rows[place % len(rows)]["transaction_id"],
            }
            add_transactions(bank.context, [{**about, "correction_reason": "It was wrong."}])
        case "correct", (place, row, later) if rows:
            said = sent(bank, name, 0, row)
            about = {
                "transaction_id": f"{name}-x{next(EXAMPLES)}",
                "corrects": rows[place % len(rows)]["transaction_id"],
            }
            known = (from_microseconds(bank.now).replace(tzinfo=None) + timedelta(days=later)).isoformat()
            values = {key: said[key] for key in ("transaction_amount", "transaction_date") if row["days"] % 3 == 1}
            values = values or {"transaction_amount": 7.0}
            values |= {"correction_reason": "It was wrong.", "correction_known_at": known}
            add_transactions(bank.context, [{**about, **values}])


def results(bank: Bank, name: str) -> tuple[AssessmentResult, AssessmentResult]:
    """Assess now, as the worker does and by everything that is stored; nothing is stored."""

    def all_of_them(*given: Any, **named: Any) -> Any:
        return transactions_for(*given, **{**named, "back": None})

    with Session(bank.engine) as session:
        of = (bank.of, 1, {bank.id_of(name): 1}, bank.now)
        with patch.object(look_back, "FEWEST", 2):
            bounded = assess_entities(session, *of)
        with patch.object(assessing, "transactions_for", all_of_them), rules_look_at_all():
            return bounded, assess_entities(session, *of)


def rules_look_at_all() -> AbstractContextManager[Any]:
    """Let rules have what indicators alone look at."""
    return patch.object(portfolio, "_looked_at", lambda stored, *given: stored)


@given(
    st.lists(st.sampled_from(INPUTS), min_size=1, max_size=4, unique_by=str),
    st.lists(st.sampled_from([*OF_ENDS, *INPUTS, *WHOLE]), max_size=3, unique_by=str),
    st.lists(STEP, min_size=2, max_size=10),
)
def test_what_is_left_out_changes_nothing(
    bank: Bank, windows: list[dict[str, Any]], more: list[dict[str, Any]], steps: list[tuple[str, Any]]
) -> None:
    name = f"c{next(EXAMPLES)}"
    bank.put(name)
    bank.activate(document(rules([*windows, *more])))
    rows: list[dict[str, Any]] = []
    for step in steps:
        with suppress(InvalidDataError):  # what was reversed before cannot be reversed
            happen(bank, name, rows, step)
        bounded, whole = results(bank, name)
        assert bounded.records == whole.records
        with patch.object(portfolio, "FEWEST", 2), patch.object(look_back, "FEWEST", 2):
            assess(bank, name)


MANY = 600
"""Enough for a summary."""


@pytest.fixture
def busy(bank: Bank) -> str:
    """A customer with many transactions of years ago and few since, by a ruleset that a summary is enough for."""
    name = f"busy{next(EXAMPLES)}"
    bank.put(name)
    bank.activate(document(rules([INPUTS[0], *OF_ENDS])))
    row = {"transaction_currency": "EUR", "user_balance": 1.0, "user_created": "2019-01-01", "user_category": "WEB"}
    old = [{**row, "days": -1500 + number, "transaction_amount": 10.0 + number} for number in range(MANY)]
    new = [{**row, "days": -number, "transaction_amount": 1.0} for number in range(3)]
    add_transactions(bank.context, [sent(bank, name, number, one) for number, one in enumerate([*old, *new])])
    assess(bank, name)
    return name


def assess(bank: Bank, name: str) -> None:
    assess_now(bank.engine, Subject(bank.id_of(name), bank.of, 1), clock=lambda: bank.now)


def rows_read(bank: Bank, name: str) -> int:
    """How many transactions an assessment reads; it comes to the same as by all of them."""
    read = list[int]()
    real = portfolio.counted_for  # what was read, corrected

    def counting(facts: Any, whose: Any, at: str) -> Any:
        read.append(len(facts))
        return real(facts, whose, at)

    with patch.object(portfolio, "counted_for", counting):
        bounded, whole = results(bank, name)
    assert bounded.records == whole.records
    return read[0]


def pay(bank: Bank, name: str, number: int, **row: Any) -> None:
    given = {"days": 0, "transaction_amount": 5.0, "transaction_currency": "EUR", **row}
    add_transactions(bank.context, [sent(bank, name, MANY + number, given)])


def test_what_came_before_all_windows_is_read_once(bank: Bank, busy: str) -> None:
    few = rows_read(bank, busy)
    pay(bank, busy, 10)
    assert rows_read(bank, busy) == few + 1 < MANY / 10


def test_a_late_transaction_is_seen_however_old_it_is(bank: Bank, busy: str) -> None:
    few = rows_read(bank, busy)
    pay(bank, busy, 10, days=-1400, transaction_amount=99_999.0)
    assert rows_read(bank, busy) == MANY + 4
    assess(bank, busy)
    assert rows_read(bank, busy) <= few + 1


def test_a_late_transaction_is_seen_beside_one_of_today_in_the_same_call(bank: Bank, busy: str) -> None:
    row = {"transaction_amount": 99_999.0, "transaction_currency": "EUR"}
    rows = [sent(bank, busy, MANY + number, row | {"days": days}) for number, days in ((10, -1400), (11, 0))]
    add_transactions(bank.context, rows)
    assert rows_read(bank, busy) == MANY + 5


def test_late_transactions_of_calls_that_are_stored_together_are_seen(bank: Bank, busy: str) -> None:
    row = {"days": -1400, "transaction_amount": 99_999.0, "transaction_currency": "EUR"}
    calls = [
        PostedTransactions(bank.actor, "customer", [sent(bank, busy, MANY + number, row | {"days": days})])
        for number, days in ((10, -1400), (11, 0))
    ]
    assert all(add_transactions_together(bank.context, calls))
    assert rows_read(bank, busy) == MANY + 5
    assess(bank, busy)
    assert rows_read(bank, busy) < MANY


def test_a_transaction_of_long_ago_that_is_settled_now_is_seen(bank: Bank, busy: str) -> None:
    pay(bank, busy, 10, days=-1400, transaction_amount=99_999.0, transaction_state="PENDING")
    assess(bank, busy)
    assert rows_read(bank, busy) < MANY
    pay(bank, busy, 10, days=-1400, transaction_amount=99_999.0, transaction_state="SUCCEEDED")
    assert rows_read(bank, busy) > MANY


def test_what_stands_for_others_may_be_reversed(bank: Bank, busy: str) -> None:
    largest = f"{busy}-{MANY - 1}"
    row = {"transaction_id": f"{busy}-x", "reverses": largest, "correction_reason": "It was wrong."}
    add_transactions(bank.context, [row])
    assert rows_read(bank, busy) > MANY
    assess(bank, busy)
    assert rows_read(bank, busy) < MANY


def test_a_longer_window_reads_what_a_summary_covers(bank: Bank, busy: str) -> None:
    assert rows_read(bank, busy) < MANY
    bank.activate(document(rules([{"count": "transactions", "over": "2000 days"}, *OF_ENDS])))
    assert rows_read(bank, busy) == MANY + 3


@pytest.mark.parametrize(
    ("over", "ending", "now", "at"),
    [
        ("1 month", None, "2027-03-28T13:00", "2027-02-28T12:00"),
        ("1 year", None, "2028-02-28T13:00", "2027-02-28T12:00"),
        ("10 days", "1 month ago", "2027-03-28T13:00", "2027-02-18T12:00"),
    ],
)
def test_what_left_a_window_of_the_calendar_is_read_while_it_comes_back(
    bank: Bank, over: str, ending: str | None, now: str, at: str
) -> None:
    """On 29 March a month ago is 28 February again, from its midnight on."""
    name, given = (
        f"back{next(EXAMPLES)}",
        {"count": "transactions", "over": over} | ({"ending": ending} if ending else {}),
    )
    cases = [{"when": {"at_least": 1}, "points": 40}]
    bank.activate(document({"r": {"input": given, "cases": cases, "on_unknown": {"points": 5}}}))
    bank.now = to_microseconds(datetime.fromisoformat(now))
    bank.put(name)
    row = {"transaction_currency": "EUR", "transaction_amount": 1.0, "transaction_id": f"{name}-1", "user_id": name}
    add_transactions(bank.context, [row | {"transaction_date": at}])
    bounded, whole = results(bank, name)
    assert bounded.records == whole.records


def test_what_an_entity_owns_has_no_summary(bank: Bank, busy: str) -> None:
    """What is owned counts for the time of that alone."""
    owner = f"owner{next(EXAMPLES)}"
    bank.put(owner)
    bank.put(busy, ("customer", owner))
    assert rows_read(bank, owner) == MANY + 3


def test_what_was_assessed_by_a_summary_is_made_again_to_the_byte(bank: Bank, busy: str) -> None:
    pay(bank, busy, 10, transaction_amount=2000.0)
    assert rows_read(bank, busy) < MANY / 10
    assess(bank, busy)
    names = [f"{bank.id_of(busy)}.{made.number}" for made in bank.assessments(busy)]
    assert len(names) == 2
    assert all(replay_assessment(bank.context, name).same for name in names)


def test_what_indicators_alone_look_at_is_not_given_to_rules(bank: Bank) -> None:
    """An indicator of a year is read beside windows of a month, and a summary stands for the rest of the year."""
    name = f"year{next(EXAMPLES)}"
    bank.put(name)
    bank.activate(document(rules([INPUTS[0], {"indicator": "regularity_365d"}, {"max": "amount"}])))
    row = {"transaction_currency": "EUR", "transaction_amount": 10.0}
    many = [sent(bank, name, number, {**row, "days": -number / 4}) for number in range(4 * 300)]
    add_transactions(bank.context, many)
    with Session(bank.engine) as session:
        ruleset = active_rulesets(session, bank.of)
        read = read_stored_portfolio(session, bank.of, 1, [bank.id_of(name)], ruleset, bank.now)
    assert isinstance(read.transactions, pl.DataFrame)
    assert 4 * 30 <= len(read.transactions) < 4 * 40
    bounded, whole = results(bank, name)
    assert bounded.records == whole.records


def active_rulesets(session: Session, of: int) -> list[AnalysedRuleset]:
    return [analyse_canonical(version.canonical) for version in active_versions(session, of, 1)]
