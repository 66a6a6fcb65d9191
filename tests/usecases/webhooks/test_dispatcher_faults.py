"""Faults of the database and of single endpoints: the others are served, and what was not sent is sent later."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import ConfigError, StoreError
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks import dispatcher as webhook_courier
from fivefold.usecases.webhooks.dispatcher import deliver_due, keep_delivering
from fivefold.usecases.webhooks.endpoints import list_endpoints, rotate_secret, set_enabled
from fivefold.usecases.webhooks.plan import LEASE_SECONDS, DeliveryAttempt, plan_deliveries
from tests.pace import until
from tests.usecases.platforms import NOW
from tests.usecases.webhooks.receivers import MACHINE, SECOND_US, endpoint, organisation, receiving, tell


def broken_endpoint(engine: Engine, ours: int, url: str) -> int:
    """An endpoint whose secrets cannot be read."""
    broken = endpoint(engine, ours, url).endpoint_id
    with engine.begin() as connection:
        connection.execute(text("UPDATE endpoints SET secrets = '?' WHERE id = :id"), {"id": broken})
    return broken


def test_a_database_out_of_reach_and_a_broken_endpoint_stop_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = organisation(engine)
    real, failures = plan_deliveries, [StoreError("the database cannot be reached")]

    def planning(opened: Engine, now_us: int) -> int:
        if failures:
            raise failures.pop()
        return real(opened, now_us)

    monkeypatch.setattr(webhook_courier, "plan_deliveries", planning)
    monkeypatch.setattr(webhook_courier, "POLL_SECONDS", 0.05)
    with receiving() as receiver, ThreadPoolExecutor(1) as thread:
        broken = broken_endpoint(engine, ours, receiver.url)
        endpoint(engine, ours, receiver.url)
        tell(engine, ours, ["c1-a", "c1-b"])
        stop = threading.Event()
        faults: list[str | None] = []
        keeping = thread.submit(keep_delivering, engine, stop, faults.append)
        try:
            until(lambda: receiver.events() == ["c1-a", "c1-b"])
            until(lambda: f"endpoint {broken}: " in str(faults[-1]))
            context = Context(engine, Actor(ours, MACHINE))
            # The receiver has an event a moment before its delivery is marked as sent.
            until(lambda: [line.waiting for line in list_endpoints(context)] == [2, 0])
            rotate_secret(context, broken, kept_hours=0)
            until(lambda: receiver.events() == ["c1-a", "c1-b"] * 2 and faults[-1] is None)
        finally:
            stop.set()
        keeping.result()
    assert not failures
    assert faults[0] == "the database cannot be reached"


def test_one_round_serves_the_others_before_it_ends_with_the_fault_of_one(engine: Engine) -> None:
    ours = organisation(engine)
    with receiving() as receiver:
        broken_endpoint(engine, ours, receiver.url)
        endpoint(engine, ours, receiver.url)
        tell(engine, ours, ["c1-a", "c1-b"])
        with pytest.raises(ConfigError, match="encrypted with another key"):
            deliver_due(engine, NOW)
        assert receiver.events() == ["c1-a", "c1-b"]


def test_a_round_that_could_claim_nothing_says_why_and_the_next_one_sends(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a worker that is to end once nothing is left would end well, and the event would wait."""
    ours = organisation(engine)

    def refusing(*_: object) -> None:
        raise StoreError("the database cannot be reached")

    with receiving() as receiver:
        endpoint(engine, ours, receiver.url)
        tell(engine, ours, ["c1-a"])
        with monkeypatch.context() as patch:
            patch.setattr(webhook_courier, "claim_deliveries", refusing)
            with pytest.raises(StoreError, match="the database cannot be reached"):
                deliver_due(engine, NOW)
        assert deliver_due(engine, NOW) == 1
        assert receiver.events() == ["c1-a"]


@pytest.mark.parametrize("is_to_end", [False, True])
def test_an_outcome_that_the_database_refuses_is_given_up_with_its_lease_or_its_worker_and_sent_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, is_to_end: bool
) -> None:
    ours = organisation(engine)
    stop, refusals = threading.Event(), 0

    def refusing(_engine: Engine, attempts: Sequence[DeliveryAttempt], _now_us: int) -> None:
        nonlocal refusals
        if not attempts:  # on a busy machine the dispatcher looks again before the first one has ended
            return
        refusals += 1
        assert refusals < 100, "it goes on and on"
        if is_to_end:
            stop.set()
        raise StoreError("the database cannot be reached")

    monkeypatch.setattr(webhook_courier, "POLL_SECONDS", 0.01)
    with receiving() as receiver:
        endpoint(engine, ours, receiver.url)
        tell(engine, ours, ["c1-a"])
        with monkeypatch.context() as patch:
            patch.setattr(webhook_courier, "record_attempts", refusing)
            if is_to_end:
                keep_delivering(engine, stop)
                assert refusals == 1
            else:
                patch.setattr(webhook_courier, "LEASE_SECONDS", 0.1)
                with pytest.raises(StoreError, match="the database cannot be reached"):
                    deliver_due(engine, NOW)
        later = max(NOW, now_microseconds()) + LEASE_SECONDS * SECOND_US
        assert deliver_due(engine, later) == 1
        assert receiver.events() == ["c1-a", "c1-a"]


@pytest.mark.parametrize("is_switched_off", [False, True])
def test_a_fault_is_said_until_its_endpoint_is_served_again_or_has_nothing_to_be_sent(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, is_switched_off: bool
) -> None:
    """Where others have leased what waits, it is served, though nothing is sent and something still waits."""
    ours = organisation(engine)
    is_over = threading.Event()

    def refusing(*_: object) -> None:
        if not is_over.is_set():
            raise StoreError("the disk is full")

    monkeypatch.setattr(webhook_courier, "claim_deliveries", refusing)
    monkeypatch.setattr(webhook_courier, "POLL_SECONDS", 0.02)
    with ThreadPoolExecutor(1) as thread:
        refused = endpoint(engine, ours, "http://127.0.0.1:9/").endpoint_id
        tell(engine, ours, ["c1-a"])
        stop, faults = threading.Event(), list[str | None]()
        keeping = thread.submit(keep_delivering, engine, stop, faults.append)
        try:
            until(lambda: faults[-1:] == [f"endpoint {refused}: the disk is full"])
            if is_switched_off:
                set_enabled(Context(engine, Actor(ours, MACHINE)), refused, enabled=False)
            else:
                is_over.set()
            until(lambda: faults[-1] is None, seconds=10)
        finally:
            stop.set()
        keeping.result()
