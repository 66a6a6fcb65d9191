"""Deliveries against a simple model of them: whatever happens in whatever order, both say the same after every step."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from fivefold.store.tables.events import Delivery, Endpoint, OutboxEvent
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks.endpoints import replay_dead_letters, set_enabled
from fivefold.usecases.webhooks.plan import (
    LEASE_SECONDS,
    MOST_ATTEMPTS,
    DeliveryAttempt,
    DeliveryBatch,
    claim_deliveries,
    plan_deliveries,
    record_attempts,
    wait_us,
)
from tests.depth import examples
from tests.usecases.platforms import NOW
from tests.usecases.webhooks.receivers import MACHINE, SECOND_US, endpoint, organisation, tell

CUSTOMERS = ("c1", "c2")
LEASE_US = LEASE_SECONDS * SECOND_US
SHORTLY_DEAD = MOST_ATTEMPTS - 2
"""Attempts are taken to have been made, so that a few more are the last."""


@dataclass
class Expected:
    """A delivery as the model has it."""

    customer: str
    event_id: str
    next_us: int
    state: str = "waiting"
    attempts: int = 0
    holder: str | None = None
    until_us: int = 0


@dataclass
class Held:
    """What a worker claimed, with the name of its lease."""

    lease: str
    batch: DeliveryBatch
    numbers: list[int] = field(default_factory=list)


class Deliveries:
    """One endpoint, two customers, two workers."""

    def __init__(self, engine: Engine, actor: Actor) -> None:
        with Session(engine) as session, session.begin():
            for table in (Delivery, Endpoint, OutboxEvent):
                session.execute(delete(table))
        self.engine, self.actor = engine, actor
        self.told = endpoint(engine, actor.organisation_id, "http://127.0.0.1:9/").endpoint_id
        self.now_us, self.enabled, self.made = NOW, True, 0
        self.waiting_to_be_planned: list[str] = []
        self.expected: dict[int, Expected] = {}
        self.held: dict[int, Held] = {}

    def live(self, delivery: Expected) -> bool:
        return delivery.holder is not None and delivery.until_us > self.now_us

    def ready(self) -> list[int]:
        """List what may be claimed: the first of each customer, if it is due and none of them is on its way."""
        found = []
        for customer in CUSTOMERS:
            theirs = {
                number: each
                for number, each in self.expected.items()
                if each.customer == customer and each.state == "waiting"
            }
            if theirs and not any(map(self.live, theirs.values())) and theirs[min(theirs)].next_us <= self.now_us:
                found.append(min(theirs))
        return found if self.enabled else []

    def something_happens(self, customers: list[str], planned: bool) -> None:
        events = [f"{customer}-{self.made + place}" for place, customer in enumerate(customers)]
        tell(self.engine, self.actor.organisation_id, events)
        self.made += len(events)
        self.waiting_to_be_planned += events
        if planned:
            self.plan()

    def plan(self) -> None:
        planned = plan_deliveries(self.engine, self.now_us)
        assert planned == len(self.waiting_to_be_planned)
        with Session(self.engine) as session:
            numbers = session.scalars(select(Delivery.event_number).order_by(Delivery.event_number)).all()
        new = numbers[len(self.expected) :]
        for number, event_id in zip(new, self.waiting_to_be_planned, strict=True):
            self.expected[number] = Expected(event_id.partition("-")[0], event_id, self.now_us)
        self.waiting_to_be_planned = []

    def claim(self, worker: int, most: int) -> None:
        ready = self.ready()
        batch = claim_deliveries(self.engine, self.told, lambda: self.now_us, most)
        numbers = [claim.event_number for claim in batch.claims] if batch else []
        assert set(numbers) <= set(ready)
        assert len(numbers) == min(most, len(ready))
        if batch:
            lease = batch.claims[0].lease
            for number in numbers:
                self.expected[number].holder, self.expected[number].until_us = lease, self.now_us + LEASE_US
            self.held[worker] = Held(lease, batch, numbers)

    def record(self, worker: int, arrives: bool) -> None:
        held = self.held.pop(worker, None)
        if held is None:
            return  # nothing was claimed
        error = None if arrives else "answered 500"
        record_attempts(self.engine, [DeliveryAttempt(claim, error) for claim in held.batch.claims], self.now_us)
        for claim in held.batch.claims:
            each = self.expected[claim.event_number]
            if each.holder == held.lease:
                each.holder, each.attempts = None, each.attempts + 1
                self._arrived_or_not(claim.event_number, claim.attempts + 1, arrives)

    def _arrived_or_not(self, number: int, attempts: int, arrives: bool) -> None:
        each = self.expected[number]
        if arrives:
            each.state = "delivered"
        elif attempts >= MOST_ATTEMPTS:
            each.state, each.next_us = "dead", self.now_us
        else:
            each.next_us = self.now_us + wait_us(each.event_id, attempts)
            for later, other in self.expected.items():  # what follows waits at least as long
                if later > number and other.customer == each.customer and other.state == "waiting":
                    other.next_us = max(other.next_us, each.next_us)

    def time_passes(self, seconds: int) -> None:
        self.now_us += seconds * SECOND_US

    def nearly_given_up(self) -> None:
        with Session(self.engine) as session, session.begin():
            for row in session.scalars(select(Delivery).where(Delivery.state == "waiting", Delivery.lease.is_(None))):
                row.attempts = self.expected[row.event_number].attempts = SHORTLY_DEAD

    def replay(self, first: int, last: int, dead_only: bool) -> None:
        numbers = sorted(self.expected)
        if not numbers:
            return
        ends = sorted((numbers[first % len(numbers)], numbers[last % len(numbers)]))
        wanted = {
            number: each
            for number, each in self.expected.items()
            if (each.state == "dead" if dead_only else ends[0] <= number <= ends[1] and each.holder is None)
        }
        assert replay_dead_letters(
            Context(self.engine, self.actor).at(self.now_us), self.told, None if dead_only else (ends[0], ends[1])
        ) == len(wanted)
        for each in wanted.values():
            each.state, each.attempts, each.next_us = "waiting", 0, self.now_us
        customers = {each.customer for each in wanted.values()}
        for other in self.expected.values():  # what was put off behind one of them follows it at once
            if other.customer in customers and other.state == "waiting" and other.attempts == 0:
                other.next_us = min(other.next_us, self.now_us)

    def set_enabled(self, enabled: bool) -> None:
        set_enabled(Context(self.engine, self.actor), self.told, enabled=enabled)
        self.enabled = enabled

    def both_say_the_same(self) -> None:
        with Session(self.engine) as session:
            found = {
                row.event_number: (row.state, row.attempts, row.next_us, row.lease)
                for row in session.scalars(select(Delivery))
            }
        assert found == {
            number: (each.state, each.attempts, each.next_us, each.holder) for number, each in self.expected.items()
        }

    def of_each_customer_one_is_on_its_way_at_most(self) -> None:
        flying = [each.customer for each in self.expected.values() if self.live(each)]
        assert len(flying) == len(set(flying))

    def end(self) -> None:
        """Whatever happened, all of it arrives in the end, in order for each customer."""
        set_enabled(Context(self.engine, self.actor), self.told, enabled=True)
        plan_deliveries(self.engine, self.now_us)
        self.now_us += LEASE_US + 50_000 * SECOND_US
        order: list[int] = []
        while batch := claim_deliveries(self.engine, self.told, lambda: self.now_us, 10):
            order += [claim.event_number for claim in batch.claims]
            record_attempts(self.engine, [DeliveryAttempt(claim, None) for claim in batch.claims], self.now_us)
        with Session(self.engine) as session:
            rows = session.scalars(select(Delivery).order_by(Delivery.event_number)).all()
        assert not [row.event_number for row in rows if row.state == "waiting"]
        for entity_id in {row.entity_id for row in rows}:
            theirs = {row.event_number for row in rows if row.entity_id == entity_id}
            assert [number for number in order if number in theirs] == sorted(theirs.intersection(order))


STEPS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "something_happens": st.fixed_dictionaries(
        {"customers": st.lists(st.sampled_from(CUSTOMERS), min_size=1, max_size=4), "planned": st.booleans()}
    ),
    "plan": st.just({}),
    "claim": st.fixed_dictionaries({"worker": st.integers(0, 1), "most": st.integers(1, 2)}),
    "record": st.fixed_dictionaries({"worker": st.integers(0, 1), "arrives": st.booleans()}),
    "time_passes": st.fixed_dictionaries({"seconds": st.sampled_from([1, LEASE_SECONDS, 50_000])}),
    "nearly_given_up": st.just({}),
    "replay": st.fixed_dictionaries(
        {"first": st.integers(0, 10), "last": st.integers(0, 10), "dead_only": st.booleans()}
    ),
    "set_enabled": st.fixed_dictionaries({"enabled": st.sampled_from([True, True, False])}),
}
OFTEN = [
    "something_happens",
    "something_happens",
    "claim",
    "claim",
    "claim",
    "record",
    "record",
    "time_passes",
    "replay",
]
STEP = st.sampled_from([*STEPS, *OFTEN]).flatmap(lambda name: st.tuples(st.just(name), STEPS[name]))


@pytest.mark.postgresql
def test_deliveries_do_what_a_simple_model_of_them_does(engine: Engine) -> None:
    actor = Actor(organisation(engine), MACHINE)

    @settings(max_examples=examples(25) if engine.dialect.name == "sqlite" else 8)
    @given(st.lists(STEP, min_size=30, max_size=60))
    def go(steps: list[tuple[str, dict[str, Any]]]) -> None:
        both = Deliveries(engine, actor)
        for name, arguments in steps:
            getattr(both, name)(**arguments)
            both.both_say_the_same()
            both.of_each_customer_one_is_on_its_way_at_most()
        both.end()

    go()
