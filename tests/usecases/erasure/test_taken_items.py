"""Items of the queue that somebody took: they hold what is removed while they wait, and not once they left."""

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.erasure.holds import held_entities
from fivefold.store.queue.sources import Kind
from fivefold.store.sql.database import reading
from fivefold.store.tables.levels import DueMark, Standing, Transition
from fivefold.store.tables.queue import QueueWork
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.erasure.removals import announce

pytestmark = pytest.mark.postgresql


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """The levels of `first` and `second` rose a year ago, and that of `third` today."""
    made = Bank(engine)
    made.activate(banks.document({"country": banks.COUNTRY}))
    announce(made)
    return made


def take(bank: Bank, name: str, kind: Kind, number: int, step: int) -> None:
    """Somebody took an item, and never put it away."""
    with Session(bank.engine) as session, session.begin():
        work = {"member_id": None, "done_us": None, "revision": 1, "changed_us": bank.now, "changed_by": "member:2"}
        of = {"organisation_id": bank.of, "kind": kind.value, "entity_id": bank.id_of(name)}
        session.add(QueueWork(**of, number=number, step=step, **work))


def held(bank: Bank) -> set[str]:
    names = {bank.id_of(name): name for name in ("first", "second", "third")}
    with reading(bank.engine) as session:
        return {names[entity] for entity in held_entities(session, list(names), bank.now)}


@pytest.mark.parametrize("kind", list(Kind))
def test_an_item_that_is_gone_holds_nobody(bank: Bank, kind: Kind) -> None:
    assert held(bank) == set()
    take(bank, "first", kind, bank.id_of("first"), 999)
    take(bank, "second", kind, 999, 0)
    assert held(bank) == set()


def test_a_rise_that_a_member_took_holds_for_as_long_as_it_waits(bank: Bank) -> None:
    bank.put("third", country="NO")
    bank.wait(10)
    bank.settle()
    bank.wait(10)
    bank.settle()
    bank.put("third", country="KP")
    bank.settle()
    with Session(bank.engine) as session:
        of = Transition.entity_id == bank.id_of("third")
        last = session.scalars(select(Transition).where(of).order_by(Transition.number.desc())).first()
    assert last is not None
    assert last.from_level is not None, "it fell once the cooldown was over"
    take(bank, "third", Kind.RISE, bank.id_of("third"), last.number)
    assert held(bank) == {"third"}
    bank.wait(31)
    assert held(bank) == set(), "it waited for a month"


def test_a_failure_that_somebody_took_holds_until_another_assessment(bank: Bank) -> None:
    with Session(bank.engine) as session, session.begin():
        row = session.get_one(Standing, bank.id_of("first"))
        row.status = "undetermined"
        number = row.number
    take(bank, "first", Kind.FAILURE, bank.id_of("first"), number)
    assert held(bank) == {"first"}
    with Session(bank.engine) as session, session.begin():
        session.get_one(Standing, bank.id_of("first")).status = "ok"
    assert held(bank) == set()


def test_an_assessment_that_is_overdue_holds_until_it_is_made(bank: Bank) -> None:
    bank.mark("first")
    with Session(bank.engine) as session:
        due_us = session.scalars(select(DueMark.due_us).where(DueMark.entity_id == bank.id_of("first"))).one()
    assert due_us is not None
    take(bank, "first", Kind.REVIEW, bank.id_of("first"), due_us)
    bank.now = due_us + 2 * DAY_US
    assert held(bank) == {"first"}
    bank.settle()
    assert held(bank) == set()
