"""Quota charges: requests that come together share a commit, and each learns its own result."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import StoreError
from fivefold.serving import quota as charger
from fivefold.serving.quota import MOST_TOGETHER, QuotaCharger
from fivefold.store.accounts.plans import read_plans
from fivefold.store.accounts.tokens import Allowance, Charge, UsageTotals, usage_in
from fivefold.store.sql.fast_statements import PreparedStatements
from fivefold.usecases.accounts.credentials import charge_all
from fivefold.usecases.accounts.tokens import create_token, revoke_token
from tests.store import databases

pytestmark = pytest.mark.postgresql

Wanted = Callable[[int], bool]
MONTH = "2026-11"
PLENTY = Allowance(10**9, 10**9)


@pytest.fixture(params=databases.KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with databases.opened(databases.new_url(request.param, tmp_path)) as opened:
        yield opened


def locked(statements: PreparedStatements) -> None:
    """Another process writes: whoever does not wait is refused."""
    if statements._quick:
        raise StoreError("the database cannot be reached")


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many charges went into each commit of the thread, with which the database is never free at once."""
    sizes: list[int] = []

    def noted(statements: PreparedStatements, costs: list[Charge], *wanted: Wanted) -> list[bool | None]:
        locked(statements)
        sizes.append(len(costs))
        return charge_all(statements, costs, *wanted)

    monkeypatch.setattr(charger, "charge_all", noted)
    return sizes


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The first commit waits for its lock: an event that says it has begun, and one that lets it go on."""
    begun, go_on = threading.Event(), threading.Event()

    def waiting(statements: PreparedStatements, costs: list[Charge], *wanted: Wanted) -> list[bool | None]:
        locked(statements)
        begun.set()
        assert go_on.wait(20)
        return charge_all(statements, costs, *wanted)

    monkeypatch.setattr(charger, "charge_all", waiting)
    yield begun, go_on
    go_on.set()


def add(engine: Engine) -> int:
    return create_token(engine, read_plans(None), plan="unlimited")[0]


def cost(token: int, users: int = 1, allowance: Allowance = PLENTY) -> Charge:
    return Charge(token_id=token, month=MONTH, users=users, allowance=allowance, at_us=now_microseconds())


def used(engine: Engine, token: int) -> tuple[int, int]:
    with Session(engine) as session:
        found = usage_in(session, MONTH).get(token)
        return (found.calls, found.users) if found else (0, 0)


def started(engine: Engine) -> QuotaCharger:
    made = QuotaCharger(engine)
    made.start()
    return made


async def charge_together(book: QuotaCharger, costs: list[Charge]) -> list[bool | None]:
    return await asyncio.gather(*(book.charge(one) for one in costs))


def test_many_together_are_charged_exactly_and_share_commits(engine: Engine, batches: list[int]) -> None:
    book, token = started(engine), add(engine)
    costs = [cost(token, 2, Allowance(calls=150, users=10**6))] * 200
    results = asyncio.run(charge_together(book, costs))
    assert (results.count(True), results.count(False)) == (150, 50)
    assert used(engine, token) == (150, 300)
    assert sum(batches) == 200
    assert len(batches) < 50
    assert max(batches) <= MOST_TOGETHER
    book.stop()


def test_each_request_learns_its_own_result(engine: Engine) -> None:
    book, tokens = started(engine), [add(engine) for _ in range(3)]
    revoke_token(engine, tokens[2])
    once = Allowance(calls=10**9, users=10)
    asked = [(tokens[number % 3], 11 if number % 2 else 0) for number in range(60)]
    results = asyncio.run(charge_together(book, [cost(token, users, once) for token, users in asked]))
    expected = [None if token == tokens[2] else users == 0 for token, users in asked]
    assert results == expected
    book.stop()


def test_what_is_used_is_known_of_the_last_charge_of_each_token_and_month(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charger, "MOST_TOKENS", 2)
    book, token, other = started(engine), cost(add(engine), 3), cost(add(engine))
    assert book.used(token) is None
    asyncio.run(charge_together(book, [token, token, other]))
    assert (book.used(token), book.used(other)) == (UsageTotals(2, 6), UsageTotals(1, 1))
    later = token._replace(month="2026-12")
    assert book.used(later) is None, "a month begins with nothing used"
    asyncio.run(charge_together(book, [later]))
    assert (book.used(later), book.used(token)) == (UsageTotals(1, 3), None), "no more are kept than so many"
    book.stop()


def test_an_error_reaches_everyone_who_waits_and_the_next_are_charged(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, token = started(engine), add(engine)

    def down(*_: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("the disk is full"))

    async def gather() -> list[bool | BaseException | None]:
        return await asyncio.gather(*(book.charge(cost(token)) for _ in range(10)), return_exceptions=True)

    with monkeypatch.context() as patch:
        patch.setattr(charger, "charge_all", down)
        assert [type(result) for result in asyncio.run(gather())] == [OperationalError] * 10
    assert asyncio.run(gather()) == [True] * 10
    assert used(engine, token) == (10, 10)
    book.stop()


def test_what_comes_while_another_loop_charges_is_charged_by_the_thread(tmp_path: Path) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        book, token = started(engine), add(engine)
        with book._turn:  # another thread's loop charges
            results = asyncio.run(asyncio.wait_for(charge_together(book, [cost(token)] * 3), 20))
        assert results == [True] * 3
        assert asyncio.run(charge_together(book, [cost(token)])) == [True]
        assert not book._turn.locked()
        book.stop()
        assert used(engine, token) == (4, 4)


def test_what_waits_is_finished_before_the_end(engine: Engine, held: tuple[threading.Event, threading.Event]) -> None:
    book, token = started(engine), add(engine)
    begun, go_on = held

    async def stop_in_the_middle() -> list[bool | None]:
        waiting = asyncio.gather(*(book.charge(cost(token)) for _ in range(100)))
        await asyncio.to_thread(begun.wait)
        stopping = asyncio.create_task(asyncio.to_thread(book.stop))
        await asyncio.sleep(0.05)
        assert not stopping.done()
        go_on.set()
        results = await waiting
        await stopping
        return results

    assert asyncio.run(stop_in_the_middle()) == [True] * 100
    assert used(engine, token) == (100, 100)
    assert not book._thread.is_alive()


def test_nothing_waiting_ends_at_once(engine: Engine) -> None:
    book = started(engine)
    book.stop()
    assert not book._thread.is_alive()


def test_who_does_not_wait_any_more_is_not_charged(
    engine: Engine, held: tuple[threading.Event, threading.Event]
) -> None:
    """The time limit ended the request while another's commit took long."""
    book, token, other = started(engine), add(engine), add(engine)
    begun, go_on = held

    async def leave() -> None:
        first = asyncio.create_task(book.charge(cost(token)))
        await asyncio.to_thread(begun.wait)
        second, third = (asyncio.create_task(book.charge(cost(other))) for _ in range(2))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        go_on.set()
        assert (await first, await third) == (True, True)

    asyncio.run(leave())
    assert (used(engine, token), used(engine, other)) == ((1, 1), (1, 1))
    book.stop()


def test_who_would_leave_during_the_commit_gets_its_result(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was charged is answered: the time limit comes too late by then."""
    book, token = started(engine), add(engine)
    begun, go_on = threading.Event(), threading.Event()

    def claimed_and_held(
        statements: PreparedStatements, costs: list[Charge], wanted: Wanted, *note: Any
    ) -> list[bool | None]:
        locked(statements)
        claimed = [wanted(number) for number in range(len(costs))]
        begun.set()
        assert go_on.wait(20)
        return charge_all(statements, costs, claimed.__getitem__, *note)

    monkeypatch.setattr(charger, "charge_all", claimed_and_held)

    async def leave() -> None:
        first = asyncio.create_task(book.charge(cost(token)))
        await asyncio.to_thread(begun.wait)
        for _ in range(2):  # as the time limit and then a service that stops would
            first.cancel()
            await asyncio.sleep(0)
        go_on.set()
        assert await first is True
        assert await book.charge(cost(token)) is True

    asyncio.run(leave())
    assert used(engine, token) == (2, 2)
    book.stop()


def test_who_leaves_before_the_turn_of_the_loop_ends_is_not_charged(tmp_path: Path) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        book, token = started(engine), add(engine)

        async def leave() -> None:
            first, second = (asyncio.create_task(book.charge(cost(token))) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            assert await second is True
            with pytest.raises(asyncio.CancelledError):
                await first

        asyncio.run(leave())
        book.stop()
        assert used(engine, token) == (1, 1)


def test_a_locked_database_is_waited_for_no_longer_than_the_request_lives(tmp_path: Path) -> None:
    """Another program holds SQLite: the request ends at its own time limit, and costs nothing."""
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        book, token = started(engine), add(engine)

        async def limited() -> bool | None:
            async with asyncio.timeout(0.2):
                return await book.charge(cost(token))

        with engine.connect() as other:
            other.exec_driver_sql("BEGIN IMMEDIATE")
            with pytest.raises(TimeoutError):
                asyncio.run(limited())
            other.rollback()
        assert asyncio.run(book.charge(cost(token))) is True
        book.stop()
        assert used(engine, token) == (1, 1)


def test_the_log_is_brought_back_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brought: list[bool] = []
    monkeypatch.setattr(charger, "CHECKPOINT_COMMITS", 1)
    real = PreparedStatements.checkpoint

    def noted(statements: PreparedStatements) -> None:
        real(statements)
        brought.append(True)
        if len(brought) == 1:
            raise StoreError("not now")  # the thread lives on

    monkeypatch.setattr(PreparedStatements, "checkpoint", noted)
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        book, token = started(engine), add(engine)
        for _ in range(3):
            assert asyncio.run(charge_together(book, [cost(token)] * 10)) == [True] * 10
        book.stop()
        assert used(engine, token) == (30, 30)
    assert brought


def test_an_event_loop_that_is_gone_disturbs_nobody(
    engine: Engine, held: tuple[threading.Event, threading.Event]
) -> None:
    book, token = started(engine), add(engine)
    begun, go_on = held

    async def vanish() -> asyncio.Task[bool | None]:
        asked = asyncio.create_task(book.charge(cost(token)))
        await asyncio.to_thread(begun.wait)
        return asked

    loop = asyncio.new_event_loop()
    asked = loop.run_until_complete(vanish())
    asked.cancel()
    loop.run_until_complete(asyncio.gather(asked, return_exceptions=True))
    loop.close()
    go_on.set()
    assert asyncio.run(book.charge(cost(token))) is True
    book.stop()


def test_threads_and_loops_share_a_charger(engine: Engine) -> None:
    book, token = started(engine), add(engine)
    allowance = Allowance(calls=90, users=10**6)
    results: list[bool | None] = []

    def several() -> None:
        results.extend(asyncio.run(charge_together(book, [cost(token, 1, allowance)] * 25)))

    threads = [threading.Thread(target=several) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (results.count(True), results.count(False)) == (90, 10)
    assert used(engine, token) == (90, 90)
    book.stop()
