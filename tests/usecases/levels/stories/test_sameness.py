"""No change, no row: an assessment that comes to the same as the last one is not stored, and its moment is told."""

from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.risk.engine.assessments import Assessments
from fivefold.store.tables.audit import AuditEntry
from fivefold.usecases.levels import records as moments
from fivefold.usecases.levels.content.inputs import StoredInputs, stored_inputs
from fivefold.usecases.levels.read import Freshness, LevelView, level_history, read_level
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.shared.context import Context
from tests.usecases import banks
from tests.usecases.banks import Bank

OPENED = {"input": {"days_since": "opened_on"}, "cases": [{"when": {"below": 100}, "points": 40}]}


@pytest.fixture
def bank(engine: Engine) -> Bank:
    made = Bank(engine)
    made.activate(banks.document({"country": banks.COUNTRY, "watch": banks.WATCH}))
    made.put("a", country="NO")
    made.settle()
    return made


def read(bank: Bank) -> LevelView:
    """Ask for a level that is computed for the answer, a second later."""
    bank.wait(microseconds=1_000_000)
    return read_level(Context(bank.engine, bank.actor, lambda: bank.now), "customer", "a", Freshness.NOW)


def entries(bank: Bank) -> int:
    with Session(bank.engine) as session:
        return session.scalar(select(func.count()).where(AuditEntry.action == "assessments.made")) or 0


@pytest.mark.full
def test_fifty_reads_of_what_does_not_change_are_one_row_whose_moment_moves(bank: Bank) -> None:
    before, audited = bank.assessments(), entries(bank)
    for _ in range(50):
        shown = read(bank)
        assert shown.assessed_us == bank.now
    assert bank.assessments()[1:] == []
    assert (shown.assessment, entries(bank)) == (f"{bank.id_of('a')}.1", audited)
    assert bank.next_us() == bank.now + 30 * DAY_US  # the next look counts from the last one
    assert bank.assessments()[0].as_of_us == before[0].as_of_us
    assert bank.transitions() == [(None, 1)]
    assert replay_assessment(bank.context, shown.assessment or "").same


def test_what_is_not_stored_is_not_written_out(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def kept(found: Assessments, *rest: Any) -> list[StoredInputs]:
        written.append(len(found))
        return stored_inputs(found, *rest)

    monkeypatch.setattr(moments, "stored_inputs", kept)
    bank.put("b", country="KP")
    bank.settle()
    assert written[-1] == 1
    read(bank)
    assert written[-1] == 0


@pytest.mark.postgresql
def test_what_changes_is_stored_and_what_then_stays_is_not(bank: Bank) -> None:
    bank.put("a", country="RU")
    assert [read(bank).level for _ in range(3)] == ["medium"] * 3
    bank.put("a", country="KP")
    assert [read(bank).level for _ in range(3)] == ["high"] * 3
    assert [line.level for line in level_history(bank.context, "customer", "a")] == ["high", "medium", "low"]
    bank.put("a", country="RU")  # the cooldown withholds it: the same level for another reason
    assert [read(bank).level for _ in range(3)] == ["high"] * 3
    assert len(bank.assessments()) == 4
    bank.wait(days=10)
    assert (read(bank).level, len(bank.assessments())) == ("medium", 5)
    for number in range(1, 6):
        assert replay_assessment(bank.context, f"{bank.id_of('a')}.{number}").same


def test_an_override_that_comes_and_goes_is_seen_in_the_history_and_named_as_the_source_while_it_holds(
    bank: Bank,
) -> None:
    number = bank.override("a", 2)
    assert [read(bank).source for _ in range(3)] == ["override"] * 3
    bank.revoke("a", number)
    assert [(read(bank).level, read(bank).source) for _ in range(2)] == [("low", "rules")] * 2
    assert [one.source for one in bank.assessments()] == ["rules", "override", "override"]


def test_an_age_that_grows_is_a_change_once_it_is_told_otherwise(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"opened": OPENED}))
    bank.put("a", opened_on="2026-10-01")
    bank.settle()
    for _ in range(3):
        bank.wait(microseconds=14_000_000)
        read(bank)
        assert len(bank.assessments()) == 1
    bank.wait(days=1)
    read(bank)
    assert len(bank.assessments()) == 2
    assert replay_assessment(bank.context, f"{bank.id_of('a')}.2").same


def test_an_account_without_a_ruleset_has_one_row_however_many_transactions_come(engine: Engine) -> None:
    bank = Bank(engine)
    bank.put("a")
    bank.settle()
    for number in range(5):
        bank.pay(number)
        bank.wait(microseconds=1)
        assert bank.settle() == 1
    assert [(one.status, one.number) for one in bank.assessments()] == [("no ruleset", 1)]
    assert bank.standing().assessed_us == bank.now
    bank.activate(banks.document({"cash": banks.CASH}))
    bank.mark("a")
    bank.settle()
    assert (len(bank.assessments()), bank.level()) == (2, 2)


def test_another_version_of_the_rules_that_comes_to_the_same_is_a_change(bank: Bank) -> None:
    bank.activate(banks.document({"country": banks.COUNTRY}))
    read(bank)
    read(bank)
    first, second = bank.assessments()
    assert (first.level, second.level, first.version_id == second.version_id) == (1, 1, False)
