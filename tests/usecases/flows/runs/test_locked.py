"""A run that another transaction holds up: no attempt of it is counted, and what it asked stays with it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from fivefold.domain.errors import LockedError
from fivefold.store.sql.database import writing
from fivefold.store.tables.flows import FlowRun
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.flows.runs import asking, execute, fallback
from fivefold.usecases.flows.runs.answering import answer_run
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.reading import view_run
from fivefold.usecases.ingest import owners
from fivefold.usecases.levels.worker import FIRST_BACK_OFF_US, MAX_ABANDONED_LEASES
from fivefold.usecases.shared.actors import Role
from tests.store import databases
from tests.usecases.flows.conftest import Register
from tests.usecases.flows.flowing import HOUR_US, LARGE, FlowBank
from tests.usecases.flows.outside.test_asked_once import bank_that_asks, expect_not_known
from tests.usecases.flows.runs.test_calls import WHY, payment, person
from tests.usecases.flows.runs.test_fallback import HOLDS, on_the_last_try
from tests.usecases.flows.runs.test_retried import broken, taken
from tests.usecases.levels.groups import linking

pytestmark = pytest.mark.postgresql
WORDS = "another transaction held a lock"
MARK = text("SELECT 1 FROM due_marks WHERE entity_id = :of FOR UPDATE")


def locked(*_: Any) -> None:
    raise LockedError(WORDS)


def held_up(bank: FlowBank, times: int = 1) -> FlowRun:
    """Let a worker be held up so often, each time once the run is due again; give the first run then."""
    for _ in range(times):
        with pytest.raises(LockedError):
            bank.work()
        run = bank.runs()[0]
        assert (run.state, run.lease, run.error) == ("queued", None, f"LockedError: {WORDS}")
        assert run.due_us == bank.now + FIRST_BACK_OFF_US
        bank.now += FIRST_BACK_OFF_US
    return bank.runs()[0]


def acts_beside(bank: FlowBank, first: str, then: Callable[[Session], object]) -> None:
    """Let a worker act on a and b while another transaction holds the mark of *first*; *then* is what that does next.

    Both come to their end, and the actions are in the order of their customers.
    """
    with ThreadPoolExecutor(1) as pool, bank.context.writing() as session:
        session.execute(MARK, {"of": bank.id_of(first)})
        acting = pool.submit(bank.work)
        while not databases.waits_for_a_lock(bank.engine) and not acting.done():
            sleep(0.002)
        then(session)
    assert acting.result() == 2
    assert [action.entity_id for action in bank.actions()] == [bank.id_of("a")] * 5 + [bank.id_of("b")] * 5


def bank_of_one(engine: Engine, amount: float = 500) -> FlowBank:
    bank = FlowBank(engine)
    bank.add_flow(HOLDS)
    bank.post(1, amount)
    return bank


def test_a_run_is_tried_soon_behind_the_others_however_often_it_is_held_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = bank_of_one(engine)
    with monkeypatch.context() as patched:
        patched.setattr(execute, "lock_entities", locked)
        assert held_up(bank, MAX_ABANDONED_LEASES + 2).attempts == 0
        with pytest.raises(LockedError):
            bank.work()
    bank.post(2, 500, "b")
    assert bank.work() == 1
    assert [state for _, state, _ in bank.states()] == ["queued", "ended"]
    bank.now += FIRST_BACK_OFF_US
    assert bank.work() == 1
    assert (bank.runs()[0].state, bank.runs()[0].error) == ("ended", None)


def test_what_a_flow_declares_for_a_failure_is_done_once_the_lock_is_gone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many leases without an end it would be given up without these actions."""
    bank = bank_of_one(engine)
    on_the_last_try(bank)
    monkeypatch.setattr(execute, "begin_of", broken)
    with monkeypatch.context() as patched:
        patched.setattr(fallback, "lock_entities", locked)
        held_up(bank, MAX_ABANDONED_LEASES)
    bank.work()
    assert (bank.runs()[0].state, taken(bank)) == ("quarantined", ["hold", "look", "bound"])
    assert (bank.runs()[0].error or "").startswith("RuntimeError"), "its own fault, and no lock, is the reason"


@pytest.mark.parametrize("kind", ["postgresql"])
def test_others_record_what_they_do_between_the_actions_of_a_failure(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag is an entry of the log; the next action may wait for a lock of one who waits for the log."""
    bank = FlowBank(engine)
    bank.add_flow(HOLDS.replace("[hold, look, bound]", "[note, hold]"))
    bank.post(1, 500)
    on_the_last_try(bank)
    carry_out = fallback.carry_out

    def with_an_entry_beside(*given: Any) -> Any:
        with writing(bank.engine, busy_seconds=2) as session:
            bank.context.record(session, "thing.done", ("thing", 1))
        return carry_out(*given)

    monkeypatch.setattr(execute, "begin_of", broken)
    monkeypatch.setattr(fallback, "carry_out", with_an_entry_beside)
    bank.work()
    assert (bank.runs()[0].state, taken(bank)) == ("quarantined", ["note", "hold"])


def test_a_source_that_was_asked_is_not_asked_again(
    engine: Engine, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, bank = register(), bank_that_asks(engine)
    with monkeypatch.context() as patched:
        patched.setattr(asking, "lock_entities", locked)
        asked_us = bank.now
        run = held_up(bank)
        assert (run.asked_us, run.asks, run.stopped_at) == (asked_us, None, "register")
    bank.work()
    assert len(server.got) == 1
    expect_not_known(bank)


def test_a_source_that_may_be_asked_again_is_once_the_lock_is_gone(
    engine: Engine, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, bank = register(repeatable=True), bank_that_asks(engine)
    with monkeypatch.context() as patched:
        patched.setattr(asking, "lock_entities", locked)
        assert held_up(bank).asked_us is None
    bank.work()
    assert len(server.got) == 2
    assert bank.states() == [("transaction:t1", "ended", "known")] * 2


def test_a_lock_that_is_met_while_a_question_is_read_is_no_failure_of_the_run(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration may hold it. An outage there is not counted either."""
    bank = bank_that_asks(engine)

    def met(*_: Any) -> None:
        raise OperationalError("SELECT", {}, psycopg.errors.LockNotAvailable())

    monkeypatch.setattr(asking, "_question_of", met)
    with pytest.raises(LockedError):
        bank.work()
    run = bank.runs()[0]
    assert (run.state, run.attempts, (run.error or "").partition(":")[0]) == ("queued", 0, "LockedError")


def test_whom_a_run_asked_stays_with_it_until_that_nobody_came_is_stored(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = bank_of_one(engine, 5000)
    bank.work()
    asked_us = bank.now
    bank.now += 4 * HOUR_US
    with monkeypatch.context() as patched:
        patched.setattr(execute, "lock_entities", locked)
        run = held_up(bank)
    assert (run.asks, run.asked_us, run.stopped_at) == ("investigator", asked_us, "ask")
    bank.work()
    assert bank.states() == [("transaction:t1", "ended", "flag")]


@pytest.mark.parametrize("is_all_locked", [False, True])
def test_who_answers_learns_that_the_answer_stands_and_that_the_run_waits(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, is_all_locked: bool
) -> None:
    """The answer is stored before the run goes on: to refuse it would tell that nothing was done."""
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    number = call_flow(bank.context, "large", "customer", "a", payment(5000)).number
    with monkeypatch.context() as patched:
        if is_all_locked:
            patched.setattr(execute.stored, "claim_one", locked)
            patched.setattr("fivefold.usecases.flows.runs.calling.LONGEST_WAIT_SECONDS", 0)
        else:
            patched.setattr(execute, "lock_entities", locked)
        view = answer_run(person(bank), Role.INVESTIGATOR, number, "wrong", WHY)
    assert view.state == ("running" if is_all_locked else "queued")
    assert [each.outcome["answer"] for each in view.answered] == ["wrong"]
    bank.now += execute.LEASE_US
    bank.work()
    assert (view_run(bank.context, number).state, taken(bank)) == ("ended", ["blocked"])


@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.parametrize("paid", ["ab", "ba"])
def test_a_fact_is_stored_while_a_flow_acts_on_several_customers(engine: Engine, paid: str) -> None:
    """Whoever stores a fact makes the customer due, and then records that; the flow acts on another one before."""
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    for number, name in enumerate(paid):
        bank.post(number, 500, name)
    acts_beside(bank, "b", lambda session: bank.context.record(session, "thing.done", ("thing", 1)))


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_fact_of_several_owners_is_stored_while_a_flow_acts_on_what_they_own(engine: Engine) -> None:
    """The owners are in another order than what they own: the flow makes both due, one after the other."""
    bank = FlowBank(engine, "xyab")
    bank.add_flow(LARGE)
    for number, (name, owner) in enumerate(("ay", "bx")):
        bank.put(name, ("customer", owner))
        bank.post(number, 500, name)
    acts_beside(bank, "x", lambda session: session.execute(MARK, {"of": bank.id_of("y")}))


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_fact_of_several_linked_customers_is_stored_while_a_flow_acts_on_others_of_their_households(
    engine: Engine,
) -> None:
    """The first of them is in the household of the last one on whom the flow acts."""
    bank = FlowBank(engine, "xyab")
    define_type(bank.context, "customer", {}, links={name: kind["kind"] for name, kind in linking.LINKS.items()})
    bank.activate(linking.document(fraud=linking.FRAUD))
    linking.put(bank, *((name, "household", household) for household in ("ay", "bx") for name in household))
    bank.settle()
    bank.add_flow(LARGE)
    for number, name in enumerate("ab"):
        bank.post(number, 500, name)
    acts_beside(bank, "x", lambda session: session.execute(MARK, {"of": bank.id_of("y")}))


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_fact_of_one_who_is_linked_while_the_flow_locks_its_customers_is_stored(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flow does not know y yet as it locks, and finds y as it acts on b: its entries must not hold the log then."""
    bank = FlowBank(engine, "xyab")
    define_type(bank.context, "customer", {}, links={name: kind["kind"] for name, kind in linking.LINKS.items()})
    bank.activate(linking.document(fraud=linking.FRAUD))
    linking.put(bank, *((name, "household", "of b") for name in "bx"))
    bank.settle()
    bank.add_flow(LARGE)
    for number, name in enumerate("ab"):
        bank.post(number, 500, name)
    linked, held = Event(), Event()
    lock_marks = owners.lock_marks

    def with_a_link_before(session: Session, entity_ids: set[int]) -> None:
        linking.put(bank, ("y", "household", "of b"))
        linked.set()
        assert held.wait(60)
        lock_marks(session, entity_ids)

    monkeypatch.setattr(owners, "lock_marks", with_a_link_before)
    with ThreadPoolExecutor(1) as pool, bank.context.writing() as session:
        acting = pool.submit(bank.work)
        assert linked.wait(60)
        session.execute(MARK, {"of": bank.id_of("y")})
        held.set()
        while not databases.waits_for_a_lock(bank.engine) and not acting.done():
            sleep(0.002)
        bank.context.record(session, "thing.done", ("thing", 1))
    assert acting.result() == 2
    assert [action.entity_id for action in bank.actions()] == [bank.id_of("a")] * 5 + [bank.id_of("b")] * 5
