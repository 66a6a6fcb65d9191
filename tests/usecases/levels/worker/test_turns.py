"""Nobody starves: organisations share a worker, and what happens to many is done while things happen to one."""

from itertools import count

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.ingest.entities import subject_of
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason
from fivefold.store.levels.leases import DueQueue, LeasedBatch, LeasedEntity
from fivefold.store.tables.entities import Entity
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.levels.worker import Turns, run_batch
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.usecases import banks
from tests.usecases.banks import Bank

MOST = 10


@pytest.fixture
def bank(engine: Engine) -> Bank:
    return with_customers(Bank(engine), 12)


@pytest.fixture
def other(engine: Engine, bank: Bank) -> Bank:
    return with_customers(Bank(engine, "other"), 30)


def with_customers(bank: Bank, number: int) -> Bank:
    bank.activate(banks.document({"country": banks.COUNTRY}))
    rows = [EntityRow(f"c{each}", {"country": "NO"}) for each in range(number)]
    put_entities(bank.context, "customer", rows)
    bank.settle()
    return bank


def mark_all(bank: Bank, priority: int) -> None:
    with Session(bank.engine) as session, session.begin():
        rows = session.query(Entity).where(Entity.organisation_id == bank.of)
        due.mark(session, [subject_of(row) for row in rows], Reason.VIEW, bank.now, priority)


def waits(bank: Bank) -> int:
    return sum((due_us or bank.now + 1) <= bank.now for due_us in map(bank.next_us, names(bank)))


def names(bank: Bank) -> list[str]:
    with Session(bank.engine) as session:
        return [row.external_id for row in session.query(Entity).where(Entity.organisation_id == bank.of)]


def test_one_to_whom_things_happen_all_the_time_starves_nobody_else(bank: Bank, other: Bank) -> None:
    """Before, no batch of many was ever anybody else's while urgent things kept coming."""
    mark_all(other, BULK)
    turns = Turns()
    for number in count(1):
        mark_all(bank, EVENT)
        assert run_batch(bank.engine, clock=lambda: bank.now, most=MOST, turns=turns) is not None
        if not waits(other):
            break
        assert number < 20
    assert number >= 4, "urgent things had the greater share"


def test_what_is_urgent_is_next_however_much_waits(bank: Bank, other: Bank) -> None:
    mark_all(other, BULK)
    turns = Turns()
    run_batch(bank.engine, clock=lambda: bank.now, most=MOST, turns=turns)
    assert waits(other) == 20
    bank.mark("c3")
    run_batch(bank.engine, clock=lambda: bank.now, most=MOST, turns=turns)
    assert (waits(bank), waits(other)) == (0, 20)


def test_two_portfolios_are_assessed_side_by_side(bank: Bank, other: Bank) -> None:
    mark_all(other, BULK)
    mark_all(bank, BULK)
    turns = Turns()
    for _ in range(2):
        run_batch(bank.engine, clock=lambda: bank.now, most=MOST, turns=turns)
    assert (waits(bank), waits(other)) == (2, 20)


def batch(organisation: int, priority: int, entities: int, more: int = 0) -> LeasedBatch:
    claims = tuple(LeasedEntity(number, 1, 1, 0) for number in range(entities + more))
    return LeasedBatch(
        organisation_id=organisation,
        type_id=1,
        lease="l",
        claims=claims,
        queue=DueQueue(priority, 0, organisation),
        of_queue=entities,
    )


def test_shares_are_those_of_the_weights_over_many_batches() -> None:
    turns, done = Turns(), {(1, EVENT): 0, (1, BULK): 0, (2, EVENT): 0, (2, BULK): 0}
    queues = [DueQueue(priority, 0, organisation) for organisation, priority in done]
    full = {queue: batch(*queue, 2500) for queue in done}
    for _ in range(1000):
        first = turns.order(queues)[0]
        done[first.organisation_id, first.priority] += 1
        turns.charge(full[first.organisation_id, first.priority])
    assert done == {(1, EVENT): 400, (1, BULK): 100, (2, EVENT): 400, (2, BULK): 100}


def test_who_was_idle_has_saved_nothing_up_and_what_filled_a_batch_is_charged() -> None:
    turns, busy, late = Turns(), DueQueue(EVENT, 0, 1), DueQueue(EVENT, 0, 2)
    for _ in range(1000):
        turns.charge(batch(1, EVENT, 100))
    taken = []
    for _ in range(10):
        first = turns.order([busy, late])[0]
        taken.append(first.organisation_id)
        turns.charge(batch(first.organisation_id, EVENT, 100))
    assert taken[0] == 2
    assert taken.count(1) == 5
    turns.charge(batch(3, EVENT, 1, more=2000))
    assert turns.order([DueQueue(BULK, 0, 3), DueQueue(BULK, 0, 4)])[0].organisation_id == 4
