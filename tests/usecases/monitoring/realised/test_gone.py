"""Who is in no figure, and why: what happens after the horizon throws nobody out, and nobody is compared by half."""

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.erasure.erase import erase
from fivefold.store.tables.entities import Entity
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.monitoring.realised import judge
from tests.usecases import platforms
from tests.usecases.monitoring.realised.living import CUSTOMERS, HORIZON_DAYS, WHOLE, Living, Shelf, living
from tests.usecases.monitoring.realised.test_judge import due_events


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    made = Shelf()
    monkeypatch.setattr(judge, "_open", lambda *_: made)
    return made


@pytest.fixture
def bank(engine: Engine, shelf: Shelf) -> Living:
    """Predictions were kept, and the horizon is over."""
    made = living(engine, shelf)
    made.keep()
    made.live(HORIZON_DAYS)
    return made


def figures_of(bank: Living, day: int = 0) -> dict[str, Any]:
    figures = bank.days()[day].figures
    assert figures is not None
    return figures


def pay_abroad(bank: Living, customer: str, days: int = 0) -> None:
    """Let one pay, some days from now, in a currency of which the model has no rate."""
    bank.wait(days)
    given = {"transaction_currency": "KZT", "user_balance": 1.0, "transaction_date": bank.day}
    bank.wait(-days)
    row = platforms.transaction(990_000, customer, operation="cash", **given, **WHOLE)
    add_transactions(bank.context, [row], "customer")


def test_a_balance_that_is_missing_after_the_horizon_changes_nothing(bank: Living) -> None:
    bank.judge()
    before = figures_of(bank)
    bank.wait(1)
    for number, customer in enumerate(bank.customers[10:]):
        bank.pay(910_000 + number, customer)
    bank.judge()
    assert bank.days()[0].judged_us == bank.now
    assert figures_of(bank) == before


def test_a_currency_without_a_rate_after_the_horizon_changes_nothing(bank: Living) -> None:
    bank.judge()
    before = figures_of(bank)
    bank.wait(1)
    pay_abroad(bank, "c39")
    bank.judge()
    assert bank.days()[0].judged_us == bank.now
    assert figures_of(bank) == before


@pytest.mark.postgresql
def test_a_currency_without_a_rate_in_the_horizon_leaves_out_whose_it_is(bank: Living) -> None:
    pay_abroad(bank, "c39", -40)
    bank.judge()
    assert (figures_of(bank)["customers"], figures_of(bank)["gone"]) == (CUSTOMERS - 1, 1)


def test_where_most_lack_a_balance_it_is_said_why_nothing_is_known(bank: Living) -> None:
    bank.wait(-5)
    for number, customer in enumerate(bank.customers[10:]):
        bank.pay(910_000 + number, customer)
    bank.wait(5)
    bank.judge()
    (day,) = bank.days()
    assert day.state == "unknown"
    (reason,) = day.reasons or []
    assert "a balance or an exchange rate of a transaction is missing" in reason
    assert reason.startswith("30 of the 40 customers predicted on 2026-11-20 are in no figure: they were erased")


def test_who_owned_with_one_that_was_erased_is_compared_with_nothing(engine: Engine, shelf: Shelf) -> None:
    bank = Living(engine, shelf, customers=80)
    bank.add_type("person", {}, {})
    for number in range(40):
        bank.put(f"p{number}", kind="person")
        for account in (number, number + 40):
            bank.put(f"c{account}", owner=("person", f"p{number}"))
    bank.settle()
    while bank.keep():
        pass
    assert [day.predicted for day in bank.days()] == [80, 40]
    with Session(engine) as session, session.begin():
        erase(session, [session.get_one(Entity, bank.id_of(f"c{number}")) for number in range(70, 80)], bank.now)
    bank.customers = bank.customers[:70]
    bank.live(HORIZON_DAYS)
    bank.judge()
    assert [(figures_of(bank, day)["customers"], figures_of(bank, day)["gone"]) for day in (0, 1)] == [
        (70, 10),
        (30, 10),
    ]
    # The others still have both of their accounts, and are compared with both.
    assert figures_of(bank, 1)["groups"][0]["ratio"] > 1.5


def test_where_most_were_erased_nothing_is_said_by_those_who_are_left(engine: Engine, shelf: Shelf) -> None:
    bank = Living(engine, shelf, customers=100)
    bank.keep()
    with Session(engine) as session, session.begin():
        erase(session, [session.get_one(Entity, bank.id_of(f"c{number}")) for number in range(65)], bank.now)
    bank.customers = bank.customers[65:]
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    (day,) = bank.days()
    assert (figures_of(bank)["customers"], figures_of(bank)["gone"], day.state) == (35, 65, "unknown")
    assert (day.reasons or [""])[0].startswith("65 of the 100 customers predicted on 2026-11-20 are in no figure: ")
    assert "erased" in (day.reasons or [""])[0]
    assert due_events(bank) == []
