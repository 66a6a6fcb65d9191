"""A source that must not be asked twice is asked once for a step of a run, whoever dies, is late or tries again."""

import sqlite3
from contextlib import suppress
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.tables.flows import FlowRun
from fivefold.usecases.flows import outside
from fivefold.usecases.flows.runs import asking
from fivefold.usecases.flows.runs.answering import retry_run
from fivefold.usecases.flows.runs.asking import PERHAPS_ASKED
from fivefold.usecases.flows.runs.execute import LEASE_US, run_flows
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.flows.runs.reading import view_run
from fivefold.usecases.levels.worker import MAX_ABANDONED_LEASES
from tests.usecases.flows.conftest import Register
from tests.usecases.flows.documents import ASKS_SOURCE
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.runs.test_calls import person
from tests.usecases.flows.runs.test_killed import DiedError, dying
from tests.usecases.flows.runs.test_retried import tried

pytestmark = pytest.mark.postgresql


def dies(*_: Any) -> None:
    raise DiedError


def bank_that_asks(engine: Engine, document: str = ASKS_SOURCE) -> FlowBank:
    """A bank with a run that stopped where it is to ask, and a shadow that no worker took up yet."""
    bank = FlowBank(engine)
    bank.add_flow(document)
    bank.add_flow(document.replace("title: Known", "title: Known better"), shadow=True)
    bank.post(1, 500)
    assert run_flows(engine, clock=lambda: bank.now) == 1
    assert bank.states()[0] == ("transaction:t1", "queued", "register")
    return bank


def die_before_the_answer_is_stored(bank: FlowBank) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(asking, "_store", dies)
        with pytest.raises(DiedError):
            bank.work()
    bank.now += LEASE_US


def expect_not_known(bank: FlowBank) -> None:
    """The run, and its shadow, went on as nothing came; they are made again from that."""
    assert bank.states() == [("transaction:t1", "ended", "unknown")] * 2
    assert [each.action for each in bank.actions()] == ["look"]
    outcome = view_run(bank.context, 1).answered[0].outcome
    assert (outcome["failed"], "cost" in outcome) == (PERHAPS_ASKED, False)
    assert [run.asked_us for run in bank.runs()] == [None, None]
    assert [replay_record(bank.context, f"f:{run.id}").same for run in bank.runs()] == [True, True]


def test_who_finds_that_a_source_was_asked_perhaps_does_not_ask_it_again(engine: Engine, register: Register) -> None:
    server, bank = register(), bank_that_asks(engine)
    die_before_the_answer_is_stored(bank)
    bank.work()
    assert len(server.got) == 1
    expect_not_known(bank)


@pytest.mark.parametrize("words", [{"method": "GET"}, {"repeatable": True}])
def test_a_source_that_may_be_asked_again_is(engine: Engine, register: Register, words: dict[str, Any]) -> None:
    server, bank = register(**words), bank_that_asks(engine)
    die_before_the_answer_is_stored(bank)
    assert bank.runs()[0].asked_us is None
    bank.work()
    assert len(server.got) == 2
    assert bank.states() == [("transaction:t1", "ended", "known")] * 2


def test_each_run_asks_once_where_nobody_dies(engine: Engine, register: Register) -> None:
    server, bank = register(), bank_that_asks(engine)
    bank.post(2, 500)
    bank.work()
    assert len(server.got) == 2
    assert {(state, step) for _, state, step in bank.states()} == {("ended", "known")}
    assert {run.asked_us for run in bank.runs()} == {None}


def test_an_answer_that_is_still_in_memory_is_taken(engine: Engine, register: Register) -> None:
    """The database was out of reach as the answer was to be stored; the same process tries again."""
    document = ASKS_SOURCE.replace("gives: {live: flag}", "gives: {live: flag}, no_older_than: 1 hour")
    server, bank = register(), bank_that_asks(engine, document)
    die_before_the_answer_is_stored(bank)
    assert bank.runs()[0].asked_us is not None
    bank.work()
    assert len(server.got) == 1
    assert bank.states() == [("transaction:t1", "ended", "known")] * 2


def test_a_fault_after_the_question_does_not_ask_again(
    engine: Engine, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, bank = register(), bank_that_asks(engine)

    def broken(*_: Any) -> None:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(outside, "read_json", broken)
        bank.work()
    assert (bank.runs()[0].state, bank.runs()[0].error) == (
        "queued",
        "RuntimeError in usecases.flows.outside._ask_source",
    )
    bank.wait(1)
    bank.work()
    assert len(server.got) == 1
    expect_not_known(bank)


def test_a_person_who_lets_it_be_tried_again_lets_nothing_be_asked_again(engine: Engine, register: Register) -> None:
    """It ended so many workers that it was quarantined; whatever it was, the source was asked by the first."""
    server, bank = register(), bank_that_asks(engine)
    die_before_the_answer_is_stored(bank)
    with Session(engine) as session, session.begin():
        session.get_one(FlowRun, 1).attempts = MAX_ABANDONED_LEASES
    bank.work()
    assert view_run(bank.context, 1).state == "quarantined"
    retry_run(person(bank), 1)
    bank.work()
    assert len(server.got) == 1
    expect_not_known(bank)


def test_a_run_that_stays_broken_and_is_tried_again_asks_nothing_again(
    engine: Engine, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, bank = register(), bank_that_asks(engine)

    def broken(*_: Any) -> None:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(asking, "_store", broken)
        tried(bank)
    assert view_run(bank.context, 1).state == "quarantined"
    retry_run(person(bank), 1)
    bank.work()
    assert len(server.got) == 1
    expect_not_known(bank)


def test_who_lost_the_lease_before_it_asks_asks_nothing(
    engine: Engine, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, bank = register(), bank_that_asks(engine)
    real = asking.ask_of

    def late(question: Any, clock: Any) -> Any:
        monkeypatch.setattr(asking, "ask_of", real)
        bank.now += LEASE_US
        bank.work()  # another worker
        assert len(server.got) == 1
        return real(question, clock)

    monkeypatch.setattr(asking, "ask_of", late)
    bank.work()
    assert len(server.got) == 1
    assert bank.states() == [("transaction:t1", "ended", "known")] * 2
    assert bank.count("flow_steps") == 2


def test_who_lost_the_lease_while_it_asks_changes_nothing_any_more(
    engine: Engine, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, bank = register(), bank_that_asks(engine)
    real = outside.answer_after_tries

    def slow(*given: Any) -> Any:
        answer = real(*given)
        bank.now += LEASE_US
        bank.work()  # another worker
        return answer

    monkeypatch.setattr(outside, "answer_after_tries", slow)
    bank.work()
    assert len(server.got) == 1
    expect_not_known(bank)
    assert bank.count("flow_steps") == 2


def test_what_is_not_asked_leaves_no_note(engine: Engine, register: Register) -> None:
    """The registration takes another fact by now: the outcome failed, and once more where a worker died meanwhile."""
    server, bank = register(sends=["other"]), bank_that_asks(engine)
    die_before_the_answer_is_stored(bank)
    assert bank.runs()[0].asked_us is None
    register()
    bank.work()
    assert len(server.got) == 1
    assert bank.states() == [("transaction:t1", "ended", "known")] * 2


@pytest.mark.full
def test_a_worker_may_die_before_every_statement(engine: Engine, register: Register) -> None:
    """Each round a worker dies one statement later, and others end the run: a source is asked once, or not at all."""
    server, bank = register(), FlowBank(engine)
    bank.add_flow(ASKS_SOURCE)
    ends = list[str | None]()
    for statement in range(200):
        bank.post(statement, 500)
        before = len(server.got)
        with dying(engine, statement) as count, suppress(DiedError, sqlite3.ProgrammingError):
            bank.work()
        bank.now += LEASE_US
        until = monotonic() + 10
        while bank.states()[-1][1] != "ended":  # PostgreSQL undoes in its own time what a dead process had begun
            assert monotonic() < until
            bank.work()
        assert len(server.got) - before <= 1
        ends.append(bank.states()[-1][2])
        assert (len(server.got) - before, ends[-1]) != (0, "known")
        if count[0] <= statement:
            break
    assert 10 < len(ends) < 200
    assert ends[0] == ends[-1] == "known"
    assert "unknown" in ends
