"""The courier: in order for each endpoint and entity, whatever fails, whoever dies, however many are at it."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import LockedError, StoreError
from fivefold.store.sql import clocks
from fivefold.store.sql.clocks import LONGEST_LEASE_US
from fivefold.store.tables.events import Delivery
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks import dispatcher as webhook_courier
from fivefold.usecases.webhooks import plan as webhook_plan
from fivefold.usecases.webhooks import send as webhook_sending
from fivefold.usecases.webhooks.dispatcher import deliver_due, keep_delivering
from fivefold.usecases.webhooks.endpoints import (
    add_endpoint,
    dead_letters,
    replay_dead_letters,
    rotate_secret,
)
from fivefold.usecases.webhooks.plan import (
    FIRST_WAIT_SECONDS,
    LEASE_SECONDS,
    MOST_ATTEMPTS,
    claim_deliveries,
    plan_deliveries,
)
from fivefold.usecases.webhooks.send import LookUp
from tests.pace import slowness, until
from tests.store import databases
from tests.usecases.platforms import NOW
from tests.usecases.webhooks.receivers import MACHINE, SECOND_US, Got, endpoint, organisation, receiving, tell


def of(events: list[str], customer: str) -> list[str]:
    return [event for event in events if event.startswith(f"{customer}-")]


LONGEST_SECONDS = 60 * slowness()
"""Time limit for a signal of another thread or process."""


def test_everything_is_delivered_in_order_and_once(engine: Engine) -> None:
    ours = organisation(engine, customers=20)
    events = [f"c{number}-{turn}" for turn in range(5) for number in range(1, 21)]
    with receiving() as receiver:
        endpoint(engine, ours, receiver.url)
        tell(engine, ours, events)
        assert deliver_due(engine, NOW) == 100
        assert Counter(receiver.events()) == Counter(events)
        for number in range(1, 21):
            assert of(receiver.events(), f"c{number}") == of(events, f"c{number}")
        assert deliver_due(engine, NOW) == 0
        assert len(receiver.got) == 100
    sequences = [got.told["sequence"] for got in receiver.got if got.told["entity"]["id"] == "c7"]
    assert sequences == sorted(sequences)


def test_a_failing_entity_blocks_itself_at_that_endpoint_and_nobody_else(engine: Engine) -> None:
    ours = organisation(engine)
    broken = {"c1"}

    def picky(got: Got) -> int:
        return 500 if got.told["entity"]["id"] in broken else 200

    with receiving(picky) as first, receiving() as second:
        endpoint(engine, ours, first.url)
        endpoint(engine, ours, second.url)
        tell(engine, ours, ["c1-a", "c2-a", "c1-b", "c2-b"])
        assert deliver_due(engine, NOW) == 3 + 4
        assert first.events(500) == ["c1-a"]
        assert first.events(200) == ["c2-a", "c2-b"]
        assert sorted(second.events()) == ["c1-a", "c1-b", "c2-a", "c2-b"]
        tell(engine, ours, ["c1-c", "c2-c"])
        deliver_due(engine, NOW + SECOND_US)
        assert first.events(200) == ["c2-a", "c2-b", "c2-c"]
        broken.clear()
        deliver_due(engine, NOW + FIRST_WAIT_SECONDS * SECOND_US)
        assert of(first.events(), "c1") == ["c1-a", "c1-a", "c1-b", "c1-c"]
        assert of(second.events(), "c1") == ["c1-a", "c1-b", "c1-c"]


def test_a_receiver_that_says_nothing_keeps_no_other_waiting(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where the attempt or its lease ended before the receiver answers, it would be sent twice.
    monkeypatch.setattr(webhook_sending, "LIMIT_SECONDS", LONGEST_SECONDS)
    monkeypatch.setattr(webhook_plan, "LEASE_SECONDS", LONGEST_LEASE_US // SECOND_US)
    ours = organisation(engine)
    asleep, woken = threading.Event(), threading.Event()

    def sleepy(got: Got) -> int:
        if got.told["entity"]["id"] == "c1":
            asleep.set()
            assert woken.wait(LONGEST_SECONDS)
        return 200

    with receiving(sleepy) as slow, receiving() as quick, ThreadPoolExecutor(1) as thread:
        endpoint(engine, ours, slow.url)
        endpoint(engine, ours, quick.url)
        stop = threading.Event()
        keeping = thread.submit(keep_delivering, engine, stop)
        tell(engine, ours, ["c1-a", "c1-b", "c2-a", "c2-b"])
        try:
            assert asleep.wait(LONGEST_SECONDS)
            until(lambda: len(quick.got) == 4 and slow.events() == ["c2-a", "c2-b"])
            tell(engine, ours, ["c2-c", "c3-a"])
            until(lambda: len(quick.got) == 6 and sorted(slow.events()) == ["c2-a", "c2-b", "c2-c", "c3-a"])
            assert of(slow.events(), "c1") == []
            woken.set()
            until(lambda: of(slow.events(), "c1") == ["c1-a", "c1-b"])
        finally:
            woken.set()
            stop.set()
        keeping.result()


def test_what_is_on_its_way_is_brought_to_its_end_by_whoever_is_told_to_stop(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = organisation(engine)
    begun, stop = threading.Event(), threading.Event()
    monkeypatch.setattr(webhook_courier, "POLL_SECONDS", 0.01)

    def slow(_: Got) -> int:
        begun.set()
        assert stop.wait(LONGEST_SECONDS)
        time.sleep(0.3)  # many times longer than from one round to the next
        return 200

    with receiving(slow) as receiver, ThreadPoolExecutor(1) as thread:
        endpoint(engine, ours, receiver.url)
        tell(engine, ours, ["c1-a", "c1-b"])
        keeping = thread.submit(keep_delivering, engine, stop)
        assert begun.wait(LONGEST_SECONDS)
        stop.set()
        keeping.result(timeout=LONGEST_SECONDS)
        assert receiver.events() == ["c1-a"]
        with Session(engine) as session:
            states = {row.event_number: (row.state, row.lease) for row in session.query(Delivery)}
        assert states == {1: ("delivered", None), 2: ("waiting", None)}


def test_no_more_are_on_their_way_to_an_endpoint_than_it_may_get_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round plans; an endpoint that is being served is not served a second time beside that."""
    ours = organisation(engine)
    woken, stop = threading.Event(), threading.Event()
    rounds = list[str | None]()

    def sleepy(_: Got) -> int:
        assert woken.wait(LONGEST_SECONDS)
        return 200

    monkeypatch.setattr(webhook_courier, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(webhook_courier, "SENT_AT_ONCE", 2)
    with receiving(sleepy) as receiver, ThreadPoolExecutor(1) as thread:
        endpoint(engine, ours, receiver.url)
        tell(engine, ours, ["c1-a", "c2-a", "c3-a"])
        keeping = thread.submit(keep_delivering, engine, stop, rounds.append)
        try:
            until(lambda: len(receiver.got) == 2)
            seen = len(rounds)
            until(lambda: len(rounds) > seen + 5)
            assert len(receiver.got) == 2
            woken.set()
            until(lambda: sorted(receiver.events()) == ["c1-a", "c2-a", "c3-a"])
        finally:
            woken.set()
            stop.set()
        keeping.result()


def test_a_lease_left_behind_is_taken_over_once_it_ends_and_in_order(engine: Engine) -> None:
    ours = organisation(engine)
    with receiving() as receiver:
        told = endpoint(engine, ours, receiver.url).endpoint_id
        tell(engine, ours, ["c1-a", "c1-b"])
        plan_deliveries(engine, NOW)
        assert claim_deliveries(engine, told, lambda: NOW, 1), "and whoever claimed it is gone"
        tell(engine, ours, ["c2-a"])  # later, as either of two that are due at once may be claimed first
        assert deliver_due(engine, NOW) == 1
        assert receiver.events() == ["c2-a"]
        assert deliver_due(engine, NOW + LEASE_SECONDS * SECOND_US) == 2
        assert receiver.events() == ["c2-a", "c1-a", "c1-b"]


def test_two_workers_deliver_once_though_the_clock_of_one_is_two_minutes_ahead(
    engine: Engine, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ends = threading.Event(), threading.Event()

    def slow(_: Got) -> int:
        begun.set()
        assert ends.wait(LONGEST_SECONDS)
        return 200

    @contextmanager
    def on_its_machine() -> Iterator[None]:
        """All workers of a file have the clock of its machine."""
        ahead_us = 0 if kind == "sqlite" else 120 * SECOND_US
        with monkeypatch.context() as patched:
            patched.setattr(clocks, "now_microseconds", lambda: now_microseconds() + ahead_us)
            yield

    ours, started_us = organisation(engine), now_microseconds()
    url = engine.url.render_as_string(hide_password=False)
    with receiving(slow) as receiver, ThreadPoolExecutor(1) as pool, databases.opened(url, 7200) as fast:
        endpoint(engine, ours, receiver.url)
        tell(engine, ours, ["c1-a"])
        first = pool.submit(deliver_due, engine, started_us)
        try:
            assert begun.wait(LONGEST_SECONDS)
            with on_its_machine():
                assert deliver_due(fast) == 0, "the lease of the first worker is not over by the database's clock"
        finally:
            ends.set()
        assert first.result() == 1
        assert receiver.events() == ["c1-a"]
        tell(engine, ours, ["c1-b"])
        with on_its_machine():
            assert deliver_due(fast) == 1
    sent_s = [int(got.headers["webhook-timestamp"]) for got in receiver.got]
    assert sent_s[1] - sent_s[0] < LEASE_SECONDS, "a receiver judges its age by the right clock"


def test_a_process_that_is_killed_while_sending_loses_nothing(engine: Engine, tmp_path: os.PathLike[str]) -> None:
    ours = organisation(engine)
    begun, woken = threading.Event(), threading.Event()

    def slow(_: Got) -> int:
        begun.set()
        assert woken.wait(LONGEST_SECONDS)
        return 200

    with receiving(slow) as receiver:
        endpoint(engine, ours, receiver.url)
        tell(engine, ours, ["c1-a", "c1-b"])
        url = engine.url.render_as_string(hide_password=False)
        program = textwrap.dedent(
            f"""
            import threading
            from fivefold.store.sql.database import open_database
            from fivefold.usecases.webhooks.dispatcher import keep_delivering
            keep_delivering(open_database({url!r}), threading.Event())
            """
        )
        process = subprocess.Popen([sys.executable, "-c", program])
        try:
            assert begun.wait(LONGEST_SECONDS)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        woken.set()
        until(lambda: len(receiver.ended) == 1)
        assert deliver_due(engine) == 0, "the lease is not at its end"
        assert deliver_due(engine, now_microseconds() + LEASE_SECONDS * SECOND_US) == 2
        assert receiver.events() == ["c1-a", "c1-a", "c1-b"], "at least once, and in order"


def test_a_database_that_is_locked_while_webhooks_are_on_their_way_sends_none_of_them_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = organisation(engine)
    claim, record = webhook_courier.claim_deliveries, webhook_courier.record_attempts
    locked = {"claims": 1, "records": 2}

    def claim_unless_locked(engine: Engine, endpoint_id: int, now_us: int, most: int) -> Any:
        if most < webhook_courier.SENT_AT_ONCE and locked["claims"]:
            locked["claims"] -= 1
            raise LockedError("another transaction held a lock")
        return claim(engine, endpoint_id, now_us, most)

    def record_unless_locked(*given: Any) -> None:
        if locked["records"]:
            locked["records"] -= 1
            raise LockedError("another transaction held a lock")
        record(*given)

    monkeypatch.setattr(webhook_courier, "claim_deliveries", claim_unless_locked)
    monkeypatch.setattr(webhook_courier, "record_attempts", record_unless_locked)
    monkeypatch.setattr(webhook_courier, "POLL_SECONDS", 0.01)
    with receiving(lambda got: time.sleep(0.05 if got.told["entity"]["id"] == "c2" else 0) or 200) as receiver:
        endpoint(engine, ours, receiver.url)
        tell(engine, ours, ["c1-a", "c2-a", "c1-b"])
        assert deliver_due(engine, NOW) == 3
        assert locked == {"claims": 0, "records": 0}
        assert deliver_due(engine, NOW + LEASE_SECONDS * SECOND_US) == 0
        assert Counter(receiver.events()) == Counter(["c1-a", "c2-a", "c1-b"])


def test_couriers_beside_each_other_never_have_two_of_a_pair_on_the_way(engine: Engine) -> None:
    ours = organisation(engine, customers=8)
    events = [f"c{number}-{turn}" for turn in range(6) for number in range(1, 9)]
    lock = threading.Lock()
    flying: Counter[str] = Counter()
    most = Counter[str]()
    failed = set[str]()

    def watched(got: Got) -> int:
        told, who = got.told["event_id"], f"{got.told['entity']['id']} at {got.headers['Host']}"
        with lock:
            flying[who] += 1
            most[who] = max(most[who], flying[who])
        time.sleep(0.003)
        with lock:
            flying[who] -= 1
            again = f"{told} at {got.headers['Host']}"
            fails = told.endswith("-2") and again not in failed
            failed.add(again)
        return 503 if fails else 200

    with ExitStack() as stack:
        receivers = [stack.enter_context(receiving(watched)) for _ in range(2)]
        threads = stack.enter_context(ThreadPoolExecutor(3))
        for receiver in receivers:
            endpoint(engine, ours, receiver.url)
        tell(engine, ours, events)
        for at_us in (NOW, NOW + 60 * SECOND_US):
            for delivering in [threads.submit(deliver_due, engine, at_us) for _ in range(3)]:
                delivering.result()
    assert set(most.values()) == {1}
    for receiver in receivers:
        arrived = receiver.events(200)
        assert Counter(arrived) == Counter(events)
        for number in range(1, 9):
            assert of(arrived, f"c{number}") == of(events, f"c{number}")


def test_dead_letters_are_listed_and_replayed_in_order(engine: Engine) -> None:
    ours = organisation(engine)
    actor = Actor(ours, MACHINE)
    status = [503]
    with receiving(lambda _: status[0]) as receiver:
        told = endpoint(engine, ours, receiver.url).endpoint_id
        tell(engine, ours, ["c1-a", "c1-b"])
        now = NOW
        for _ in range(MOST_ATTEMPTS):
            deliver_due(engine, now)
            now += 13 * 3600 * SECOND_US
        assert receiver.events() == ["c1-a"] * MOST_ATTEMPTS + ["c1-b"], "what follows goes on at once"
        for _ in range(MOST_ATTEMPTS):
            deliver_due(engine, now)
            now += 13 * 3600 * SECOND_US
        first, second = dead_letters(Context(engine, actor))
        assert (first.event_id, second.event_id) == ("c1-a", "c1-b")
        assert (first.attempts, first.error, first.external_id) == (MOST_ATTEMPTS, "answered 503", "c1")
        assert deliver_due(engine, now) == 0
        status[0], receiver.ended[:] = 200, []
        assert replay_dead_letters(Context(engine, actor).at(now), told) == 2
        tell(engine, ours, ["c1-c"])
        assert deliver_due(engine, now) == 3
        assert receiver.events() == ["c1-a", "c1-b", "c1-c"]
        assert dead_letters(Context(engine, actor)) == []


def test_both_secrets_sign_after_a_rotation_and_the_new_one_alone_a_day_later(engine: Engine) -> None:
    ours = organisation(engine)
    actor = Actor(ours, MACHINE)
    with receiving() as receiver:
        made = endpoint(engine, ours, receiver.url)
        day_us = 24 * 3600 * SECOND_US
        rotate_secret(Context(engine, actor).at(NOW), made.endpoint_id)
        for number, at_us in enumerate((NOW, NOW + day_us - 1, NOW + day_us)):
            tell(engine, ours, [f"c1-{number}"])
            deliver_due(engine, at_us)
    assert [got.headers["webhook-signature"].count("v1,") for got in receiver.got] == [2, 2, 1]
    assert [got.headers["Fivefold-Signature"].count("v1=") for got in receiver.got] == [2, 2, 1]
    assert [got.headers["Fivefold-Timestamp"] for got in receiver.got] == [
        str(at_us // SECOND_US) for at_us in (NOW, NOW + day_us - 1, NOW + day_us)
    ]


def test_an_endpoint_on_this_machine_is_never_reached_unless_that_is_allowed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = organisation(engine)
    actor = Actor(ours, "member:1")
    with receiving() as receiver:
        here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [here])
        add_endpoint(Context(engine, actor).at(NOW), f"https://hooks.example:{receiver.port}/")
        tell(engine, ours, ["c1-a"])
        assert deliver_due(engine, NOW) == 1
        assert receiver.connections == 0
    with Session(engine) as session:
        (row,) = session.query(Delivery)
        assert "which is loopback" in (row.error or "")


def test_the_host_is_looked_up_again_for_what_follows(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something always waits, serving never ends, and a host that moves is followed all the same."""
    ours = organisation(engine)
    answers = [LookUp(("127.0.0.1",)), LookUp(error="it has moved")]

    async def look_up(_: object) -> LookUp:
        return answers.pop(0)

    monkeypatch.setattr(webhook_courier, "look_up", look_up)
    with receiving() as receiver:
        endpoint(engine, ours, receiver.url)
        tell(engine, ours, ["c1-a", "c1-b"])
        assert deliver_due(engine, NOW) == 2
        assert receiver.events() == ["c1-a"]
    with Session(engine) as session:
        assert [row.error for row in session.query(Delivery)] == [None, "it has moved"]


def test_old_deliveries_are_pruned_at_first_and_then_every_hour_even_after_a_failure(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, pruned_in = 0, list[int]()
    stop = threading.Event()

    def count_round(_: object) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 16:
            stop.set()

    def refusing(*_: object) -> None:
        pruned_in.append(rounds)
        raise StoreError("the disk is full")

    monkeypatch.setattr(webhook_courier, "prune_deliveries", refusing)
    monkeypatch.setattr(webhook_courier, "monotonic", lambda: rounds * webhook_courier.PRUNED_SECONDS / 6)
    monkeypatch.setattr(webhook_courier, "POLL_SECONDS", 0)
    keep_delivering(engine, stop, count_round)
    assert pruned_in == [1, 7, 13]


def test_an_attempt_does_not_begin_so_late_that_another_may_begin_too(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = organisation(engine)
    monkeypatch.setattr(webhook_courier, "LIMIT_SECONDS", LEASE_SECONDS)
    with receiving() as receiver:
        endpoint(engine, ours, receiver.url)
        tell(engine, ours, ["c1-a"])
        assert deliver_due(engine, NOW) == 0
        assert receiver.got == []
