"""Planning loses nothing, whoever commits first; of a pair one is claimed at a time, in order; attempts end."""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.store.tables.events import Delivery, Endpoint, OutboxEvent
from fivefold.store.webhooks.outbox import NewEvent, add_events
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks import plan as delivering
from fivefold.usecases.webhooks.endpoints import (
    change_kinds,
    list_endpoints,
    remove_endpoint,
    replay_dead_letters,
    set_enabled,
)
from fivefold.usecases.webhooks.plan import (
    FIRST_WAIT_SECONDS,
    KEPT_DAYS,
    LEASE_SECONDS,
    MOST_ATTEMPTS,
    MOST_WAIT_SECONDS,
    DeliveryAttempt,
    DeliveryBatch,
    claim_deliveries,
    endpoints_to_serve,
    failing_count,
    plan_deliveries,
    prune_deliveries,
    record_attempts,
    wait_us,
)
from fivefold.usecases.webhooks.progress import read_endpoint
from tests.usecases.platforms import NOW
from tests.usecases.webhooks.receivers import MACHINE, SECOND_US, endpoint, entities, organisation, tell

URL = "http://127.0.0.1:9/"
LEASE_US = LEASE_SECONDS * SECOND_US


def planned(engine: Engine, endpoint_id: int) -> list[str]:
    with Session(engine) as session:
        events = select(OutboxEvent.event_id).join(Delivery, Delivery.event_number == OutboxEvent.id)
        return list(session.scalars(events.where(Delivery.endpoint_id == endpoint_id).order_by(Delivery.event_number)))


def claimed(engine: Engine, endpoint_id: int, now_us: int = NOW, most: int = 10) -> DeliveryBatch | None:
    return claim_deliveries(engine, endpoint_id, lambda: now_us, most)


def names(batch: DeliveryBatch | None) -> list[str]:
    return [claim.event_id for claim in batch.claims] if batch else []


def arrive(engine: Engine, batch: DeliveryBatch | None, now_us: int = NOW, error: str | None = None) -> None:
    assert batch
    record_attempts(engine, [DeliveryAttempt(claim, error) for claim in batch.claims], now_us)


def row(engine: Engine, event_id: str) -> Delivery:
    with Session(engine) as session:
        found = select(Delivery).join(OutboxEvent, OutboxEvent.id == Delivery.event_number)
        return session.scalars(found.where(OutboxEvent.event_id == event_id)).one()


def test_each_endpoint_is_told_what_its_organisation_has_and_it_asked_for(engine: Engine) -> None:
    ours, theirs = organisation(engine), organisation(engine, "other")
    tell(engine, ours, ["c1-before"])
    every = endpoint(engine, ours, URL).endpoint_id
    some = endpoint(engine, ours, URL, ["group.entered", "group.left"]).endpoint_id
    other = endpoint(engine, theirs, URL).endpoint_id
    tell(engine, ours, ["c1-a", "c2-a"])
    tell(engine, ours, ["c1-b"], kind="group.entered")
    tell(engine, theirs, ["c1-x"])
    assert plan_deliveries(engine, NOW) == 5
    assert planned(engine, every) == ["c1-a", "c2-a", "c1-b"], "what was before it came is not for it"
    assert planned(engine, some) == ["c1-b"]
    assert planned(engine, other) == ["c1-x"]
    assert plan_deliveries(engine, NOW) == 0


def test_planning_goes_on_until_it_is_done(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "PLANNED_AT_ONCE", 4)
    ours = organisation(engine)
    asked = endpoint(engine, ours, URL, ["group.entered"]).endpoint_id
    tell(engine, ours, [f"c1-{number}" for number in range(9)])
    tell(engine, ours, ["c2-last"], kind="group.entered")
    assert plan_deliveries(engine, NOW) == 1, "nine that it does not want are passed over"
    assert planned(engine, asked) == ["c2-last"]


def test_a_disabled_endpoint_is_told_later(engine: Engine) -> None:
    ours = organisation(engine)
    actor = Actor(ours, MACHINE)
    told = endpoint(engine, ours, URL).endpoint_id
    tell(engine, ours, ["c1-a"])
    plan_deliveries(engine, NOW)
    set_enabled(Context(engine, actor), told, enabled=False)
    tell(engine, ours, ["c1-b"])
    assert plan_deliveries(engine, NOW) == 1
    assert claimed(engine, told) is None
    assert list(endpoints_to_serve(engine, NOW)) == []
    set_enabled(Context(engine, actor), told, enabled=True)
    assert plan_deliveries(engine, NOW) == 0
    assert planned(engine, told) == ["c1-a", "c1-b"]
    assert list(endpoints_to_serve(engine, NOW)) == [told]


@pytest.mark.parametrize("is_planned", [True, False])
@pytest.mark.parametrize("enabled", [True, False])
def test_other_kinds_are_for_events_from_then_on(engine: Engine, enabled: bool, is_planned: bool) -> None:
    """Whether a worker runs meanwhile or not, and whether the endpoint is enabled: all of it is sent in the end."""
    ours = organisation(engine)
    context = Context(engine, Actor(ours, MACHINE))
    told = endpoint(engine, ours, URL, ["level.reached"]).endpoint_id
    set_enabled(context, told, enabled=enabled)
    tell(engine, ours, ["c1-a"])
    tell(engine, ours, ["c1-b"], kind="group.entered")
    if is_planned:
        plan_deliveries(engine, NOW)
    assert change_kinds(context, told, ["group.entered"])
    tell(engine, ours, ["c1-c"])
    tell(engine, ours, ["c1-d"], kind="group.entered")
    plan_deliveries(engine, NOW)
    assert planned(engine, told) == ["c1-a", "c1-d"]


@pytest.mark.parametrize("is_planned", [True, False])
def test_what_waits_for_a_disabled_endpoint_is_counted(engine: Engine, is_planned: bool) -> None:
    """Also where no worker runs: who removes it must know what is lost."""
    ours = organisation(engine)
    context = Context(engine, Actor(ours, MACHINE))
    other = endpoint(engine, ours, URL, ["flow.acted"]).endpoint_id
    told = endpoint(engine, ours, URL, ["level.reached"]).endpoint_id
    set_enabled(context, told, enabled=False)
    tell(engine, ours, ["c1-a", "c2-a"])
    tell(engine, ours, ["c1-b"], kind="group.entered")
    if is_planned:
        plan_deliveries(engine, NOW)
    assert {line.id: line.waiting for line in list_endpoints(context)} == {other: 0, told: 2}
    assert (read_endpoint(context, other).waiting, read_endpoint(context, told).waiting) == (0, 2)
    assert remove_endpoint(context, told) == 2


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_the_one_that_commits_last_is_planned_too_though_its_number_is_smaller(engine: Engine) -> None:
    ours = organisation(engine)
    told = endpoint(engine, ours, URL).endpoint_id
    numbers = entities(engine, ours)
    with Session(engine) as slow, Session(engine) as quick:
        add_events(slow, ours, [NewEvent("slow", "level.reached", numbers["c1"], NOW, "{}")])
        add_events(quick, ours, [NewEvent("quick", "level.reached", numbers["c2"], NOW, "{}")])
        quick.commit()
        assert plan_deliveries(engine, NOW) == 0
        slow.commit()
    with Session(engine) as session:
        assert session.scalars(select(OutboxEvent.event_id).order_by(OutboxEvent.id)).all() == ["slow", "quick"]
    assert plan_deliveries(engine, NOW) == 2
    assert planned(engine, told) == ["slow", "quick"]


def test_nothing_is_lost_or_planned_twice_while_many_write_and_two_plan(engine: Engine) -> None:
    ours = organisation(engine)
    told = endpoint(engine, ours, URL).endpoint_id
    numbers = entities(engine, ours)
    written: list[str] = []
    done = threading.Event()

    def write(writer: int) -> None:
        chance = random.Random(writer)
        for turn in range(15):
            event_ids = [f"{writer}-{turn}-{part}" for part in range(chance.randint(1, 3))]
            rows = [NewEvent(event_id, "level.reached", numbers["c1"], NOW, "{}") for event_id in event_ids]
            with Session(engine) as session:
                add_events(session, ours, rows)
                if engine.dialect.name == "postgresql":  # on SQLite the others would wait for this one
                    time.sleep(chance.random() / 20)
                if chance.random() < 0.2:
                    session.rollback()
                else:
                    session.commit()
                    written.extend(event_ids)

    def plan() -> int:
        made = 0
        while not done.is_set():
            made += plan_deliveries(engine, NOW)
        return made

    with ThreadPoolExecutor(6) as threads:
        planners = [threads.submit(plan) for _ in range(2)]
        for writing in [threads.submit(write, writer) for writer in range(4)]:
            writing.result()
        done.set()
        made = sum(planner.result() for planner in planners)
    made += plan_deliveries(engine, NOW)
    assert made == len(written)
    assert Counter(planned(engine, told)) == Counter(written)
    assert planned(engine, told) == sorted(written, key=dict(zip(planned(engine, told), range(made), strict=True)).get)  # type: ignore[arg-type]  # all are there


def test_of_each_pair_the_first_is_claimed_and_what_follows_waits_for_it(engine: Engine) -> None:
    ours = organisation(engine)
    told = endpoint(engine, ours, URL).endpoint_id
    other = endpoint(engine, ours, URL).endpoint_id
    tell(engine, ours, ["c1-a", "c1-b", "c2-a", "c2-b", "c1-c"])
    plan_deliveries(engine, NOW)
    first = claimed(engine, told)
    assert names(first) == ["c1-a", "c2-a"]
    assert claimed(engine, told) is None, "both pairs are being sent"
    assert names(claimed(engine, other, most=1)) == ["c1-a"], "another endpoint's pairs are others"
    assert first
    record_attempts(
        engine, [DeliveryAttempt(first.claims[0], None), DeliveryAttempt(first.claims[1], "answered 500")], NOW
    )
    assert names(claimed(engine, told)) == ["c1-b"], "the failed one blocks its pair alone"
    later = NOW + FIRST_WAIT_SECONDS * SECOND_US
    assert names(claimed(engine, told, later)) == ["c2-a"]


def test_a_claim_says_what_is_to_be_told(engine: Engine) -> None:
    ours = organisation(engine)
    made = endpoint(engine, ours, URL)
    tell(engine, ours, ["c2-a"])
    plan_deliveries(engine, NOW)
    batch = claimed(engine, made.endpoint_id)
    assert batch
    (claim,) = batch.claims
    assert (claim.event_id, claim.kind, claim.at_us) == ("c2-a", "level.reached", NOW)
    assert (claim.entity_type, claim.external_id, claim.attempts) == ("customer", "c2", 0)
    assert claim.lease_until_us == NOW + LEASE_US
    assert (str(batch.destination.url), batch.destination.private_allowed) == (URL, True)
    assert [secret.text for secret in batch.destination.secrets] == [made.secret]
    assert made.secret not in repr(batch)


def test_an_ended_lease_is_taken_over_and_its_holder_has_nothing_to_say_any_more(engine: Engine) -> None:
    ours = organisation(engine)
    told = endpoint(engine, ours, URL).endpoint_id
    tell(engine, ours, ["c1-a", "c1-b"])
    plan_deliveries(engine, NOW)
    lost = claimed(engine, told)
    assert claimed(engine, told, NOW + LEASE_US - 1) is None
    again = claimed(engine, told, NOW + LEASE_US)
    assert names(again) == names(lost) == ["c1-a"]
    arrive(engine, lost, error="answered 500")
    assert (row(engine, "c1-a").attempts, row(engine, "c1-b").next_us) == (0, NOW)
    arrive(engine, lost)
    assert row(engine, "c1-a").state == "waiting", "it is on its way once more; what follows must not overtake it"
    assert claimed(engine, told, NOW + LEASE_US) is None
    arrive(engine, again)
    assert (row(engine, "c1-a").state, row(engine, "c1-a").delivered_us) == ("delivered", NOW)
    assert names(claimed(engine, told, NOW + LEASE_US)) == ["c1-b"]


def test_a_replay_does_not_wait_for_a_lease_of_a_clock_that_was_ahead(engine: Engine) -> None:
    ours = organisation(engine)
    told = endpoint(engine, ours, URL).endpoint_id
    tell(engine, ours, ["c1-a", "c1-b"])
    plan_deliveries(engine, NOW)
    arrive(engine, claimed(engine, told))
    assert names(claimed(engine, told, NOW + 400 * DAY_US)) == ["c1-b"], "its worker dies"
    first = row(engine, "c1-a").event_number
    assert replay_dead_letters(Context(engine, Actor(ours, MACHINE)).at(NOW), told, (first, first)) == 1
    arrive(engine, claimed(engine, told))
    assert row(engine, "c1-a").state == "delivered"
    assert names(claimed(engine, told)) == ["c1-b"]


def test_after_the_last_attempt_it_is_dead_and_out_of_the_way(engine: Engine) -> None:
    ours = organisation(engine)
    told = endpoint(engine, ours, URL).endpoint_id
    tell(engine, ours, ["c1-a", "c1-b"])
    plan_deliveries(engine, NOW)
    now, waits = NOW, []
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert row(engine, "c1-a").state == "waiting"
        assert claimed(engine, told, now - 1) is None or attempt == 1
        arrive(engine, claimed(engine, told, now), now, f"answered {500 + attempt}")
        waits.append(row(engine, "c1-a").next_us - now)
        now = row(engine, "c1-a").next_us
    assert waits == [wait_us("c1-a", attempt) for attempt in range(1, MOST_ATTEMPTS)] + [0]
    dead = row(engine, "c1-a")
    assert (dead.state, dead.attempts, dead.error, dead.lease) == ("dead", MOST_ATTEMPTS, "answered 514", None)
    assert names(claimed(engine, told, now)) == ["c1-b"]


def test_what_waits_behind_a_failed_one_is_not_looked_at_before_it(engine: Engine) -> None:
    ours = organisation(engine)
    told = endpoint(engine, ours, URL).endpoint_id
    tell(engine, ours, ["c1-a", "c1-b", "c2-a"])
    plan_deliveries(engine, NOW)
    arrive(engine, claimed(engine, told), error="answered 500")
    assert list(endpoints_to_serve(engine, NOW)) == []
    assert row(engine, "c1-b").next_us == row(engine, "c1-a").next_us


def test_a_failure_brings_no_retry_of_what_follows_forward(engine: Engine) -> None:
    """The second failed often; then the first, which arrived, is sent again and fails for the first time."""
    ours = organisation(engine)
    told = endpoint(engine, ours, URL).endpoint_id
    tell(engine, ours, ["c1-a", "c1-b"])
    plan_deliveries(engine, NOW)
    arrive(engine, claimed(engine, told))
    now = NOW
    for _ in range(3):
        arrive(engine, claimed(engine, told, now), now, "answered 500")
        now = row(engine, "c1-b").next_us
    first = row(engine, "c1-a").event_number
    replay_dead_letters(Context(engine, Actor(ours, MACHINE)).at(NOW), told, (first, first))
    arrive(engine, claimed(engine, told), error="answered 500")
    assert row(engine, "c1-a").next_us < row(engine, "c1-b").next_us == now


def test_what_failed_is_counted_until_it_arrives_and_while_its_endpoint_is_enabled(engine: Engine) -> None:
    ours = organisation(engine)
    told = endpoint(engine, ours, URL).endpoint_id
    tell(engine, ours, ["c1-a", "c1-b", "c2-a"])
    plan_deliveries(engine, NOW)
    assert failing_count(engine) == 0, "nothing was sent yet"
    arrive(engine, claimed(engine, told, most=1), error="answered 500")
    assert failing_count(engine) == 1
    of = Context(engine, Actor(ours, MACHINE)), told
    set_enabled(*of, enabled=False)
    assert failing_count(engine) == 0
    set_enabled(*of, enabled=True)
    arrive(engine, claimed(engine, told, row(engine, "c1-a").next_us))
    assert failing_count(engine) == 0


def test_an_endpoint_that_is_gone_has_nothing_to_be_sent(engine: Engine) -> None:
    organisation(engine)
    assert claimed(engine, 7) is None
    record_attempts(engine, [], NOW)


def test_no_two_that_claim_at_once_get_the_same_or_two_of_a_pair(engine: Engine) -> None:
    ours = organisation(engine, customers=5)
    told = endpoint(engine, ours, URL).endpoint_id
    expected = [f"c{number}-{turn}" for turn in range(8) for number in range(1, 6)]
    tell(engine, ours, expected)
    plan_deliveries(engine, NOW)
    flying: Counter[int] = Counter()
    most_flying, order, lock = [0], list[str](), threading.Lock()

    def work() -> None:
        while len(order) < len(expected):
            batch = claimed(engine, told, most=2)
            if batch is None:
                continue
            with lock:
                flying.update(claim.entity_id for claim in batch.claims)
                most_flying.append(max(flying.values()))
            time.sleep(0.002)
            with lock:
                flying.subtract(claim.entity_id for claim in batch.claims)
                order.extend(names(batch))
            arrive(engine, batch)

    with ThreadPoolExecutor(3) as threads:
        for working in [threads.submit(work) for _ in range(3)]:
            working.result()
    assert max(most_flying) == 1
    assert sorted(order) == sorted(expected)
    assert all(
        [event for event in order if event.startswith(f"c{number}-")] == [f"c{number}-{turn}" for turn in range(8)]
        for number in range(1, 6)
    )


@given(st.text(max_size=80), st.integers(1, 10_000))
def test_waits_double_up_to_twelve_hours_and_are_shorter_by_a_fifth_at_most(event_id: str, attempts: int) -> None:
    full_us = min(FIRST_WAIT_SECONDS * 2 ** (attempts - 1), MOST_WAIT_SECONDS) * SECOND_US
    assert full_us * 4 // 5 <= wait_us(event_id, attempts) <= full_us
    assert wait_us(event_id, attempts) == wait_us(event_id, attempts)
    assert wait_us(event_id, attempts + 1) >= wait_us(event_id, attempts) * 4 // 5


def test_waits_differ_from_event_to_event() -> None:
    waits = sorted(wait_us(f"event-{number}", 20) for number in range(1000))
    assert len(set(waits)) > 990
    assert waits[-1] - waits[0] > MOST_WAIT_SECONDS * SECOND_US * 0.19
    total_hours = sum(wait_us("event", attempt) for attempt in range(1, MOST_ATTEMPTS)) / 3600 / SECOND_US
    assert 32 < total_hours < 42, "docs/webhooks.md says so"


def test_removing_it_from_the_database_ends_what_is_on_its_way(engine: Engine) -> None:
    ours = organisation(engine)
    told = endpoint(engine, ours, URL).endpoint_id
    tell(engine, ours, ["c1-a"])
    plan_deliveries(engine, NOW)
    batch = claimed(engine, told)
    with Session(engine) as session, session.begin():
        session.query(Delivery).delete()
        session.query(Endpoint).delete()
    arrive(engine, batch)
    assert planned(engine, told) == []


def test_what_arrived_long_ago_is_pruned_and_nothing_else(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "PRUNED_AT_ONCE", 2)
    ours = organisation(engine)
    told = endpoint(engine, ours, URL).endpoint_id
    tell(engine, ours, ["c1-old", "c2-old", "c3-old"])
    plan_deliveries(engine, NOW)
    arrive(engine, claimed(engine, told))
    tell(engine, ours, ["c1-waits"])
    plan_deliveries(engine, NOW)
    later = NOW + KEPT_DAYS * DAY_US
    assert prune_deliveries(engine, later) == 0
    assert prune_deliveries(engine, later + 1) == 3
    assert planned(engine, told) == ["c1-waits"]
    assert plan_deliveries(engine, later + 1) == 0, "what was pruned is not sent again"


@pytest.mark.parametrize(("days", "pruned"), [(0, 1), (90, 0)])
def test_what_arrived_is_left_to_the_policy_of_an_organisation_that_has_one(
    engine: Engine, days: int, pruned: int
) -> None:
    ours = organisation(engine)
    told = endpoint(engine, ours, URL).endpoint_id
    with Session(engine) as session, session.begin():
        session.get_one(OrganisationSettings, ours).deliveries_days = days
    tell(engine, ours, ["c1-old"])
    plan_deliveries(engine, NOW)
    arrive(engine, claimed(engine, told))
    assert prune_deliveries(engine, NOW + KEPT_DAYS * DAY_US + 1) == pruned
