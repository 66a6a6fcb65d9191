"""Whoever owns what something happens to becomes due, whoever that is at this very moment."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.store.levels.assessment_queue import Reason, Subject
from fivefold.store.sql.database import writing
from fivefold.usecases.ingest import owners
from fivefold.usecases.ingest.owners import mark_with_owners
from tests.usecases.banks import Bank


@pytest.fixture
def bank(engine: Engine) -> Bank:
    """An account of one customer, and another customer; nobody is due."""
    made = Bank(engine)
    made.add_type("account", {}, {"operation": "text"})
    made.put("before")
    made.put("after")
    made.put("account", ("customer", "before"), "account")
    made.settle()
    made.wait(microseconds=1)
    return made


def due_now(bank: Bank) -> dict[str, int]:
    """Who is due, and how often they were marked by now."""
    marks = {name: bank.mark_of(name) for name in ("before", "after", "account")}
    return {name: mark.revision for name, mark in marks.items() if mark.due_us == bank.now}


def subject(bank: Bank, name: str, kind: int = 1) -> Subject:
    return Subject(bank.id_of(name), bank.of, kind)


@pytest.mark.postgresql
def test_an_entity_and_its_owner_become_due_each_once(bank: Bank) -> None:
    before = {name: bank.mark_of(name).revision for name in ("before", "after", "account")}
    concerned = [subject(bank, "account", 2), subject(bank, "before")]
    with writing(bank.engine) as session:
        mark_with_owners(session, concerned, Reason.TAG, bank.now)
    assert due_now(bank) == {name: before[name] + 1 for name in ("account", "before")}


def test_who_owned_it_before_becomes_due_too(bank: Bank) -> None:
    """What is known late may be of that one's time."""
    bank.put("account", ("customer", "after"), "account")
    bank.settle()
    bank.wait(microseconds=1)
    with writing(bank.engine) as session:
        mark_with_owners(session, [subject(bank, "account", 2)], Reason.TAG, bank.now)
    assert set(due_now(bank)) == {"account", "before", "after"}


def test_nobody_concerned_is_nobody_due(bank: Bank) -> None:
    with writing(bank.engine) as session:
        mark_with_owners(session, [], Reason.TAG, bank.now)
    assert due_now(bank) == {}


@pytest.mark.postgresql
def test_an_account_that_goes_to_another_owner_meanwhile_makes_that_one_due(
    kind: str, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new owner is even assessed before the transaction is there: it is assessed again.

    Tags, screenings, cases and alerts lock the account's row, so that it changes hands before them or after.
    """
    if kind == "sqlite":
        pytest.skip("SQLite has one writer: an account changes hands before or after, never meanwhile")
    found = owners.subjects

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(owners, "subjects", found)
        known = found(*given)
        bank.put("account", ("customer", "after"), "account")
        bank.settle()
        assert due_now(bank) == {}
        return known

    monkeypatch.setattr(owners, "subjects", meanwhile)
    bank.pay(1, "account", "account")
    assert {"account", "after"} <= set(due_now(bank))
    with bank.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM due_marks WHERE lease IS NOT NULL")).scalar_one() == 0
