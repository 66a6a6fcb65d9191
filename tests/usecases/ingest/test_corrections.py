"""A settled transaction is corrected or reversed by a fact that names it; what was known before stays as it was."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds, parse_moment
from fivefold.domain.errors import InvalidDataError
from fivefold.domain.paging import Part
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.tables.audit import AuditEntry
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.files import ImportFile, import_table
from fivefold.usecases.ingest.transactions import TransactionCounts, add_transactions
from fivefold.usecases.levels.entity_profile import list_transactions
from fivefold.usecases.levels.portfolio import read_transactions
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.shared.context import Context
from tests.store.audits import bind_unnamed, findings_of, forged
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.governed import rows_of

LOW, MEDIUM = 1, 2


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A ruleset by which 1,000 in cash within 180 days are medium, and a cooldown of ten days."""
    made = Bank(engine)
    made.activate(banks.document({"cash": banks.CASH}))
    made.put("a")
    made.put("b")
    made.settle()
    return made


def take(bank: Bank, *rows: dict[str, Any]) -> TransactionCounts:
    return add_transactions(bank.context, list(rows))


def correct(bank: Bank, number: str, about: str = "t1", **changed: Any) -> TransactionCounts:
    return take(bank, correction(number, about, **changed))


def correction(number: str, about: str | float = "t1", **changed: Any) -> dict[str, Any]:
    return {"transaction_id": number, "corrects": about, "correction_reason": "typed wrong", **changed}


def reversal(number: str, about: str = "t1", **changed: Any) -> dict[str, Any]:
    return {"transaction_id": number, "reverses": about, "correction_reason": "sent twice", **changed}


def payment(bank: Bank, number: int = 1, user: str = "a", **changed: Any) -> dict[str, Any]:
    row = banks.platforms.transaction(number, user, transaction_date=bank.day, operation="cash")
    return {**row, "transaction_amount": 2000.0, **changed}


def cash_seen(bank: Bank, name: str = "a") -> str:
    """What the last assessment says of the cash."""
    (rule,) = json.loads(bank.breakdown(name))["rules"]
    return str(rule["seen"]).replace(",", "").removesuffix(".00 EUR").rpartition(" is ")[2]


def findings(bank: Bank) -> list[str]:
    bind_unnamed(bank.engine)
    return findings_of(bank.engine)


def test_a_large_payment_is_reversed_the_next_day(bank: Bank) -> None:
    """Monday: 2,000 in cash, medium. Tuesday: it was sent twice. The level falls once the cooldown is over."""
    bank.pay(1)
    bank.settle()
    assert (bank.level(), cash_seen(bank)) == (MEDIUM, "2000")
    first = f"{bank.id_of('a')}.{bank.assessments()[-1].number}"
    bank.wait(days=1)
    assert take(bank, reversal("r1")) == TransactionCounts(0, 0, 0, corrections=1)
    assert bank.mark_of("a").reasons & Reason.TRANSACTION
    bank.settle()
    assert bank.level() == MEDIUM, "the cooldown of ten days is not over"
    assert cash_seen(bank) == "0"
    assert bank.assessments()[-1].score == "0"
    bank.wait(days=10)
    bank.settle()
    assert bank.level() == LOW
    assert replay_assessment(bank.context, first).same, "what was assessed before is what it was"
    assert findings(bank) == []


def test_what_is_sent_again_counts_once(bank: Bank) -> None:
    bank.pay(1)
    known = {"correction_known_at": bank.day}
    assert take(bank, reversal("r1"), reversal("r1")).corrections == 1
    bank.wait(days=1)
    bank.settle()
    entries = len(rows_of(bank.engine, AuditEntry))
    assert take(bank, reversal("r1")) == TransactionCounts(0, 0, 1)
    assert take(bank, reversal("r1", **known)) == TransactionCounts(0, 0, 1)
    assert len(rows_of(bank.engine, AuditEntry)) == entries, "nothing happened"
    assert not bank.mark_of("a").reasons & Reason.TRANSACTION
    with pytest.raises(InvalidDataError, match="'r1' was stored with other content"):
        take(bank, reversal("r1", correction_reason="another"))


@pytest.mark.parametrize("order", [1, -1])
def test_of_the_same_twice_in_a_call_the_moment_that_is_said_holds_in_either_order(bank: Bank, order: int) -> None:
    bank.pay(1)
    learnt = bank.day
    bank.wait(days=1)
    rows = [reversal("r1"), reversal("r1", correction_known_at=learnt)][::order]
    assert take(bank, *rows).corrections == 1
    (line,) = list_transactions(bank.context, "customer", "a", Part(10))
    assert [each.known_us for each in line.corrections] == [parse_moment(learnt)]
    assert take(bank, *rows) == TransactionCounts(0, 0, 2)
    rows = [reversal("r2"), *(reversal("r2", correction_known_at=day) for day in (learnt, bank.day))][::order]
    with pytest.raises(InvalidDataError, match="'r2' was stored with other content"):
        take(bank, *rows)


def test_a_correction_changes_what_it_names_and_leaves_the_rest(bank: Bank) -> None:
    """A field that the correction does not speak of is not lost: without `operation` it would be no cash."""
    bank.pay(1)
    correct(bank, "c1", transaction_amount=1500.0)
    bank.settle()
    assert bank.level() == MEDIUM
    assert cash_seen(bank) == "1500"
    correct(bank, "c2", operation="wire")
    bank.settle()
    assert cash_seen(bank) == "0"
    correct(bank, "c3", operation="cash", transaction_currency="EUR")
    bank.settle()
    assert cash_seen(bank) == "1500", "the first correction still holds"


def test_before_it_was_known_the_original_counts(bank: Bank) -> None:
    """A worker that is as of yesterday does not know what was learnt today; it looks again then."""
    bank.pay(1)
    yesterday = bank.now
    bank.wait(days=1)
    take(bank, reversal("r1"))
    bank.now, today = yesterday + 1, bank.now
    bank.mark("a")
    bank.settle()
    assert cash_seen(bank) == "2000"
    bank.now = today
    bank.settle()
    assert cash_seen(bank) == "0"


def test_what_was_known_last_holds_whatever_came_first(bank: Bank) -> None:
    bank.pay(1)
    first, _ = bank.day, bank.wait(days=1)
    second, _ = bank.day, bank.wait(days=1)
    correct(bank, "c2", transaction_amount=1200.0, correction_known_at=second)
    correct(bank, "c1", transaction_amount=1700.0, correction_known_at=first)
    bank.settle()
    assert cash_seen(bank) == "1200"


def test_a_reversal_by_mistake_is_undone_by_a_correction(bank: Bank) -> None:
    bank.pay(1)
    take(bank, reversal("r1"))
    bank.wait(microseconds=1)
    with pytest.raises(InvalidDataError, match="reverses is 't1', which has been reversed since 2026-11-20"):
        take(bank, reversal("r2"))
    correct(bank, "c1", transaction_amount=2000.0)
    bank.settle()
    assert cash_seen(bank) == "2000"
    bank.wait(microseconds=1)
    assert take(bank, reversal("r2")).corrections == 1
    with pytest.raises(InvalidDataError, match="row 2: reverses is 't2', which has been reversed since"):
        take(bank, payment(bank, 2), reversal("r4", "t2"), reversal("r3", "t2"))


def test_a_reversal_that_was_known_before_another_is_a_second_one_too(bank: Bank) -> None:
    bank.pay(1)
    first, _ = bank.day, bank.wait(days=2)
    take(bank, reversal("r1"))
    with pytest.raises(InvalidDataError, match="reverses is 't1', which has been reversed since 2026-11-22"):
        take(bank, reversal("r2", correction_known_at=first))
    between = {"correction_known_at": from_microseconds(bank.now - DAY_US).replace(tzinfo=None).isoformat()}
    changed = correction("c1", transaction_amount=2000.0, **between)
    assert take(bank, reversal("r2", correction_known_at=first), changed).corrections == 2


def test_it_may_come_before_what_it_names(bank: Bank) -> None:
    assert take(bank, reversal("r1"), payment(bank)) == TransactionCounts(1, 0, 0, corrections=1)
    bank.settle()
    assert bank.level() == LOW


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (reversal("r1", "t9"), "reverses is 't9': no customer has such a transaction"),
        (reversal("r1", user_id="b"), "user_id is 'b', not the transaction's entity"),
        (reversal("t1", "t2"), "transaction_id is 't1', the number of a transaction"),
        (reversal("r1", "c0"), "reverses is 'c0', itself a correction; allowed: 't1', the transaction"),
        (reversal("t1"), "transaction_id is that of the transaction itself"),
        (reversal("r1", corrects="t1"), "reverses stands beside corrects"),
        (reversal("r1", transaction_amount=-2000.0), "transaction_amount is given with a reversal"),
        (reversal("r1", correction_reason=None), "correction_reason is missing"),
        (reversal("r1", correction_reason="x" * 501), "at most 500 characters"),
        (reversal("r1", correction_known_at="2026-11-20T00:00:01"), "correction_known_at is in the future"),
        (correction("c1"), "corrects has no right value beside it"),
        (correction("c1", transaction_amount="x"), "transaction_amount is 'x'"),
        (correction("c1", transaction_currency="EURO"), "transaction_currency is 'EURO'"),
        (correction("c1", operation=5.5), "operation is 5.5"),
        (correction("c1", 0, operation="a"), "corrects is '0': no customer has such a transaction"),
        (correction("c1", 1.0, operation="a"), "corrects is 1.0; allowed: text, or a whole number"),
    ],
)
def test_what_names_nothing_that_is_there_is_refused_by_its_row(bank: Bank, row: dict[str, Any], words: str) -> None:
    take(bank, payment(bank), payment(bank, 2), correction("c0", operation="cash"))
    with pytest.raises(InvalidDataError, match=words) as refused:
        take(bank, payment(bank, 3), row)
    assert [problem.row for problem in refused.value.problems] == [1]


@pytest.mark.parametrize("frame", [False, True])
def test_a_row_whose_names_of_another_transaction_are_nan_is_a_transaction(bank: Bank, frame: bool) -> None:
    nan = float("nan")
    rows = [payment(bank, number, corrects=nan, reverses=nan) for number in (1, 2)]
    counts = add_transactions(bank.context, pl.DataFrame(rows) if frame else rows)
    assert (counts.new, counts.corrections) == (2, 0)


def test_a_correction_that_is_sent_again_without_what_it_corrects_is_no_payment(bank: Bank) -> None:
    take(bank, payment(bank), correction("c0", transaction_amount=1200.0))
    without = {**payment(bank, 3), "transaction_id": "c0"}
    with pytest.raises(InvalidDataError, match="row 1: transaction_id is 'c0', the number of a correction") as refused:
        take(bank, payment(bank, 2), without, without)
    assert [problem.row for problem in refused.value.problems] == [1]
    other = Bank(bank.engine, "other")
    other.put("a")
    assert take(other, {**payment(other), "transaction_id": "c0"}).new == 1, "numbers are an organisation's own"
    bank.settle()
    assert cash_seen(bank) == "1200"


def test_another_organisations_transaction_is_not_there(bank: Bank) -> None:
    other = Bank(bank.engine, "other")
    other.put("a")
    bank.pay(1)
    with pytest.raises(InvalidDataError, match="no customer has such a transaction"):
        take(other, reversal("r1"))
    other.pay(1)
    assert take(other, reversal("r1")).corrections == 1
    bank.settle()
    assert cash_seen(bank) == "2000"


def test_an_owner_is_assessed_again_when_an_account_is_corrected(bank: Bank) -> None:
    bank.put("account", owner=("customer", "a"))
    bank.pay(1, "account")
    bank.settle()
    assert bank.level() == MEDIUM
    take(bank, reversal("r1"))
    assert bank.mark_of("a").reasons & Reason.TRANSACTION
    bank.settle()
    assert cash_seen(bank) == "0"


def test_people_see_the_transaction_and_what_was_said_of_it(bank: Bank) -> None:
    bank.pay(1)
    correct(bank, "c1", transaction_amount=1500.0, operation="wire")
    bank.wait(days=1)
    take(bank, reversal("r1"))
    (line,) = list_transactions(bank.context, "customer", "a", Part(10))
    assert (line.amount, line.fields) == (2000.0, {"operation": "cash"})
    said = [(each.number, each.kind, each.reason, each.set_by, each.changes) for each in line.corrections]
    assert said == [
        ("c1", "correction", "typed wrong", "member:1", {"transaction_amount": 1500.0, "operation": "wire"}),
        ("r1", "reversal", "sent twice", "member:1", {}),
    ]


def test_currencies_without_a_rate_are_counted_of_transactions_and_corrections_alike(bank: Bank) -> None:
    payments = [payment(bank), payment(bank, 2, transaction_currency="AED")]
    corrections = [correction("c1", transaction_currency="AED"), correction("c2", transaction_amount=5.0)]
    taken = take(bank, *payments, *corrections)
    assert taken == TransactionCounts(2, 0, 0, corrections=2, without_rate=2)
    added, corrected = (json.loads(entry["details"]) for entry in rows_of(bank.engine, AuditEntry)[-2:])
    assert (added["new"], added["without_rate"]) == (2, 1)
    assert (corrected["corrections"], corrected["without_rate"]) == (2, 1)


def test_corrections_are_history(bank: Bank) -> None:
    bank.pay(1)
    correct(bank, "c1", transaction_amount=-0.0)
    correct(bank, "c2", transaction_amount=0.1, transaction_state="FAILED", user_balance=3.5)
    assert findings(bank) == []
    for statement in ("UPDATE corrections SET amount = 1", "DELETE FROM corrections"):
        with pytest.raises(DBAPIError, match="is refused"), bank.engine.begin() as connection:
            connection.execute(text(statement))
    for statement, problem in {
        "UPDATE corrections SET amount = 7 WHERE external_id = 'c2'": "were changed: c2",
        "UPDATE corrections SET known_us = known_us + 1 WHERE external_id = 'c1'": "were changed: c1",
        "DELETE FROM corrections WHERE external_id = 'c1'": "1 of its 1 transactions are missing",
    }.items():
        with forged(bank.engine) as connection:
            connection.execute(text(statement))
        assert any(problem in each for each in findings(bank)), statement


def test_who_is_erased_cannot_be_corrected_and_nothing_of_it_is_left(bank: Bank, tmp_path: Path) -> None:
    bank.pay(1)
    bank.pay(2, "b")
    take(bank, correction("c1", correction_reason="of zanzibar", operation="zanzibar"), reversal("r2", "t2"))
    bank.wait(days=3650)
    erase_entity(bank.context, "customer", "a", tmp_path / "register")
    with bank.engine.connect() as connection:
        left = connection.execute(text("SELECT external_id FROM corrections")).scalars().all()
    assert left == ["r2"]
    assert findings(bank) == []
    with pytest.raises(InvalidDataError, match="no customer has such a transaction"):
        take(bank, reversal("r1"))
    with forged(bank.engine) as connection:
        connection.execute(text("UPDATE corrections SET reason = 'x'"))
    assert any("were changed: r2" in each for each in findings(bank))


def test_a_correction_is_activity_and_keeps_a_customer(bank: Bank, tmp_path: Path) -> None:
    bank.pay(1)
    bank.wait(days=3650)
    take(bank, reversal("r1"))
    with pytest.raises(Exception, match="records are kept for 1,826 days after the last activity"):
        erase_entity(bank.context, "customer", "a", tmp_path / "register")


def test_a_file_brings_corrections_among_transactions(bank: Bank, tmp_path: Path) -> None:
    """A correction of nothing is set aside with its reason; empty fields of a correction change nothing."""
    path = tmp_path / "day.csv"
    path.write_text(
        "transaction_id,user_id,transaction_amount,transaction_currency,transaction_date,operation,corrects,reverses,"
        "correction_reason\n"
        "c1,,1500,,,,t1,,typed wrong\n"
        "t1,a,2000,EUR,2026-11-19,cash,,,\n"
        "t2,a,3000,EUR,2026-11-19,cash,,,\n"
        "r1,a,,,,,,t2,sent twice\n"
        "r2,,,,,,,t9,sent twice\n",
        encoding="utf-8",
    )
    file = ImportFile(path)
    done = import_table(Context(bank.engine, bank.actor, lambda: bank.now), "transactions", "customer", file)
    assert (done.rows, done.new, done.changed, done.refused) == (5, 2, 2, 1)
    assert "t9" in (tmp_path / "day.refused.csv").read_text(encoding="utf-8")
    bank.settle()
    assert cash_seen(bank) == "1500"
    again = import_table(Context(bank.engine, bank.actor, lambda: bank.now), "transactions", "customer", file)
    assert (again.new, again.changed, again.same) == (0, 0, 4)


def test_the_value_model_reads_what_is_right(bank: Bank) -> None:
    whole = {"user_balance": 5.0, "user_created": "2025-01-01", "user_category": "WEB"}
    take(bank, payment(bank, **whole), payment(bank, 2, **whole))
    take(bank, correction("c1", user_balance=7.0, transaction_date="2026-11-18"), reversal("r2", "t2"))
    whose = pl.DataFrame({"fact_of": [bank.id_of("a")], "entity": [bank.id_of("a")]})
    with Session(bank.engine) as session:
        before = read_transactions(session, whose, bank.now - 1, for_value=True)
        after = read_transactions(session, whose, bank.now, for_value=True)
    assert before["balance"].to_list() == [5.0, 5.0]
    assert after.select("transaction_id", "balance", "amount", "at_us").rows() == [
        ("t1", 7.0, 2000.0, parse_moment("2026-11-18"))
    ]
