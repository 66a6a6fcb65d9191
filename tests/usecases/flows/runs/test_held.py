"""Who calls a flow, or answers, holds the run: a worker beside them takes none of it, and all of it once they died."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from threading import Event, Semaphore, current_thread, main_thread
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import second_text
from fivefold.domain.errors import ConflictError
from fivefold.store.flows.runs import RunBatch, claim, hold
from fivefold.store.sql.database import writing
from fivefold.usecases.flows.runs import asking, calling, execute
from fivefold.usecases.flows.runs.answering import answer_run
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.execute import LEASE_US, carry_on
from fivefold.usecases.flows.runs.reading import RunView
from fivefold.usecases.shared.actors import Role
from tests.pace import until
from tests.store import databases
from tests.usecases.flows.documents import ASKS_SOURCE
from tests.usecases.flows.flowing import HOUR_US, LARGE, FlowBank
from tests.usecases.flows.runs.test_calls import WHY, broken, payment, person
from tests.usecases.flows.runs.test_killed import DiedError

pytestmark = pytest.mark.postgresql

SECOND = """
    on_unknown: second
  - id: second
    title: Another register
    data: {source: register, send: {amount: {transaction: amount}}, gives: {live: flag}}
    on_unknown: unknown
"""
ASKS_TWICE = ASKS_SOURCE.replace("\n    on_unknown: unknown\n", SECOND, 1)


@pytest.fixture(autouse=True)
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every source fail at once."""
    monkeypatch.setattr(asking, "ask_of", lambda _, clock: asking.failed_outcome("gone", "nothing", clock()))


def claimed(bank: FlowBank) -> RunBatch | None:
    """Claim what is due, as a worker does before it carries that on."""
    with writing(bank.engine) as session:
        return claim(session, "worker", bank.now, bank.now + LEASE_US, 500, 3)


def beside_a_worker(bank: FlowBank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker claim what is due before each time that a call carries its run on, and be slow with it."""
    real = calling.run_one

    def overtaken(*given: Any, **named: Any) -> bool:
        claimed(bank)
        return real(*given, **named)

    monkeypatch.setattr(calling, "run_one", overtaken)
    monkeypatch.setattr(calling, "LONGEST_WAIT_SECONDS", 0)


def dies(*_: Any, **__: Any) -> None:
    raise DiedError


def called(bank: FlowBank) -> RunView:
    return call_flow(bank.context, "asks", "customer", "a", payment(500), "k")


def answered(bank: FlowBank) -> RunView:
    return answer_run(person(bank), Role.INVESTIGATOR, 1, "wrong", WHY)


def bank_called(engine: Engine) -> FlowBank:
    bank = FlowBank(engine)
    bank.add_flow(ASKS_TWICE)
    return bank


def bank_answered(engine: Engine) -> FlowBank:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    call_flow(bank.context, "large", "customer", "a", payment(5000))
    return bank


STORIES = pytest.mark.parametrize(
    ("begun", "act", "at"),
    [(bank_called, called, "unknown"), (bank_answered, answered, "stop")],
    ids=["a call", "an answer"],
)


@STORIES
@pytest.mark.parametrize("how", ["at once", "after a fault"])
def test_a_worker_beside_takes_none_of_a_run_that_is_called_or_answered(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    begun: Callable[[Engine], FlowBank],
    act: Callable[[FlowBank], RunView],
    at: str,
    how: str,
) -> None:
    """The answer was `running`, without an action, though the call could have carried its run on."""
    bank = begun(engine)
    beside_a_worker(bank, monkeypatch)
    if how == "after a fault":
        monkeypatch.setattr(calling, "begin_of", broken)
    view = act(bank)
    assert (view.state, view.at, len(view.taken), view.error) == ("ended", at, 1, None)
    assert claimed(bank) is None


@STORIES
def test_a_worker_takes_over_from_who_called_or_answered_and_died(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    begun: Callable[[Engine], FlowBank],
    act: Callable[[FlowBank], RunView],
    at: str,
) -> None:
    bank = begun(engine)
    with monkeypatch.context() as patched:
        patched.setattr(calling, "run_one", dies)
        with pytest.raises(DiedError):
            act(bank)
    bank.now += LEASE_US - 1
    assert (bank.work(), bank.actions()) == (0, [])
    bank.now += 1
    bank.work()
    assert [(state, step) for _, state, step in bank.states()] == [("ended", at)]
    assert len(bank.actions()) == 1


def test_a_worker_takes_over_from_a_call_that_died_between_two_questions(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, real = bank_called(engine), calling.run_one

    def once(*given: Any, **named: Any) -> bool:
        monkeypatch.setattr(calling, "run_one", dies)
        return real(*given, **named)

    monkeypatch.setattr(calling, "run_one", once)
    with pytest.raises(DiedError):
        called(bank)
    assert bank.states() == [("call:k", "running", "second")]
    assert bank.work() == 0
    bank.now += LEASE_US
    bank.work()
    assert bank.states() == [("call:k", "ended", "unknown")]
    assert len(bank.actions()) == 1


def begun_by_who_died(bank: FlowBank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call die at its run."""
    with monkeypatch.context() as patched:
        patched.setattr(calling, "run_one", dies)
        with pytest.raises(DiedError):
            called(bank)


def taken_over(bank: FlowBank, monkeypatch: pytest.MonkeyPatch) -> RunBatch:
    """Let a worker take over from a call that died."""
    begun_by_who_died(bank, monkeypatch)
    bank.now += LEASE_US
    batch = claimed(bank)
    assert batch is not None
    return batch


def test_a_repeated_call_waits_for_the_process_that_is_at_its_run_but_not_for_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = bank_called(engine)
    batch = taken_over(bank, monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(calling, "LONGEST_WAIT_SECONDS", 0)
        view = called(bank)
        assert (view.state, view.at, view.taken) == ("running", "register", ())

    def worker_goes_on(_: float) -> None:
        carry_on(engine, batch, lambda: bank.now)

    monkeypatch.setattr(calling, "sleep", worker_goes_on)
    view = called(bank)
    assert (view.state, view.at, len(view.taken)) == ("ended", "unknown", 1)


def test_a_repeated_call_goes_on_with_a_run_that_a_worker_lets_go_at_that_moment(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was `queued`, as after a fault."""
    bank = bank_called(engine)
    batch, real = taken_over(bank, monkeypatch), calling.run_one

    def too_early(*given: Any, **named: Any) -> bool:
        monkeypatch.setattr(calling, "run_one", real)
        moved = real(*given, **named)
        carry_on(engine, batch, lambda: bank.now)
        assert bank.states() == [("call:k", "queued", "second")]
        return moved

    monkeypatch.setattr(calling, "run_one", too_early)
    view = called(bank)
    assert (view.state, view.at, len(view.taken)) == ("ended", "unknown", 1)


def test_a_call_that_waits_writes_nothing_and_looks_ever_less_often(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that was at the run is dead: each look took SQLite's one writer, ten times a second."""
    bank = bank_called(engine)
    begun_by_who_died(bank, monkeypatch)
    pauses: list[float] = []
    monkeypatch.setattr(calling, "sleep", pauses.append)
    monkeypatch.setattr(calling, "monotonic", lambda: sum(pauses))
    monkeypatch.setattr(execute, "writing", dies)
    assert called(bank).state == "running"
    assert pauses == sorted(pauses)
    assert pauses[-1] > pauses[0]
    assert sum(pauses) < 6
    assert len(pauses) < 15


def test_a_call_that_waits_goes_on_with_a_run_whose_lease_ends_meanwhile(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, looks = bank_called(engine), count()
    begun_by_who_died(bank, monkeypatch)

    def later(_: float) -> None:
        bank.now += LEASE_US // 3 + 1 if next(looks) < 3 else 0

    monkeypatch.setattr(calling, "sleep", later)
    view = called(bank)
    assert (view.state, view.at, len(view.taken)) == ("ended", "unknown", 1)
    assert next(looks) == 3


def other_beside(bank: FlowBank, monkeypatch: pytest.MonkeyPatch, act: Callable[[], RunView]) -> list[Future[RunView]]:
    """Let another call come while the first one has begun its run, before that is committed; neither runs at once."""
    others: list[Future[RunView]] = []
    threads, real = ThreadPoolExecutor(1), calling.begin_runs

    def beside(*given: Any) -> None:
        monkeypatch.setattr(calling, "begin_runs", real)
        real(*given)
        others.append(threads.submit(act))
        threads.shutdown(wait=False)
        if bank.engine.dialect.name == "postgresql":
            until(lambda: databases.waits_for_a_lock(bank.engine))

    monkeypatch.setattr(calling, "begin_runs", beside)
    monkeypatch.setattr(calling, "_run_at_once", lambda *_: None)
    monkeypatch.setattr(calling, "LONGEST_WAIT_SECONDS", 0)
    return others


def test_of_two_calls_with_one_key_at_once_one_asks_the_source(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one took the lease away while the first one was at the source, and asked it again."""
    bank = bank_called(engine)
    asked: list[int] = []
    others = other_beside(bank, monkeypatch, lambda: called(bank))

    def ask(_: object, clock: Callable[[], int]) -> asking.OutsideOutcome:
        asked.append(clock())
        if len(asked) == 1:
            until(others[0].done)
        return asking.failed_outcome("gone", "nothing", clock())

    monkeypatch.setattr(asking, "ask_of", ask)
    view = called(bank)
    assert [(each.result().state, each.result().number) for each in others] == [("running", view.number)]
    assert (view.state, view.at, len(view.taken), len(asked)) == ("ended", "unknown", 1, 2)


def test_of_two_calls_with_one_key_at_once_for_something_else_one_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one was answered with the run of the first one."""
    bank = bank_called(engine)
    other = (bank.context, "asks", "customer", "a", payment(900), "k")
    others = other_beside(bank, monkeypatch, lambda: call_flow(*other))
    assert called(bank).state == "ended"
    assert isinstance(others[0].exception(), ConflictError)


def test_of_two_calls_with_one_key_about_an_activation_one_begins_a_run(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both began one, of the version before and of the one after: a worker carried the second one on as well."""
    bank = bank_called(engine)

    def after_an_activation() -> RunView:
        bank.add_flow(ASKS_SOURCE)
        return called(bank)

    others = other_beside(bank, monkeypatch, after_an_activation)
    view = called(bank)
    assert others[0].result().number == view.number
    assert [(run.id, run.state) for run in bank.runs()] == [(view.number, "ended")]


def test_a_run_that_ended_or_that_another_lease_holds_stays_as_it_is(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = bank_called(engine)
    begun_by_who_died(bank, monkeypatch)

    def held() -> tuple[str, str | None]:
        with writing(engine) as session:
            hold(session, 1, "other", bank.now, bank.now + LEASE_US)
        return bank.runs()[0].state, bank.runs()[0].lease

    before = bank.runs()[0].lease
    assert before is not None
    assert held() == ("running", before)
    bank.now += LEASE_US
    bank.work()
    assert held() == ("ended", None)


def test_few_calls_wait_at_once_and_others_are_answered_meanwhile(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that repeated its call a few times kept all threads that its organisation has."""
    bank = bank_called(engine)
    batch = taken_over(bank, monkeypatch)
    wait, went_on = Semaphore(0), Event()

    def stand(_: float) -> None:
        assert current_thread() is not main_thread(), "it waits, though as many do already"
        wait.release()
        assert went_on.wait(60)

    monkeypatch.setattr(calling, "sleep", stand)
    with ThreadPoolExecutor(calling.MOST_WAITING) as threads:
        waiting = [threads.submit(called, bank) for _ in range(calling.MOST_WAITING)]
        try:
            assert all(wait.acquire(timeout=60) for _ in waiting)
            assert called(bank).state == "running"
            while carry_on(engine, batch, lambda: bank.now) and bank.states()[0][1] != "ended":
                batch = claimed(bank) or batch
        finally:
            went_on.set()
        assert [each.result().state for each in waiting] == ["ended"] * calling.MOST_WAITING
    monkeypatch.undo()
    assert called(bank).state == "ended"


def test_an_answer_that_comes_while_a_worker_carries_the_run_on_is_told_that_its_time_was_over(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    run = call_flow(bank.context, "large", "customer", "a", payment(5000))
    bank.now += 4 * HOUR_US
    assert claimed(bank) is not None
    over = f"was over at {second_text(bank.now)}, and the run is being carried on"
    with pytest.raises(ConflictError, match=f"^the time for an answer to run f:{run.number} {over}$"):
        answered(bank)
