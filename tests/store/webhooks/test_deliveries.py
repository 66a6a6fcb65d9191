"""Deliveries, below the use cases: what is claimed says what is erased, one of a pair is on its way, indexes are used.

`tests/usecases/webhooks/test_plan.py` shows the rest: planning, order, leases, attempts.
"""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import Engine, event, text, update
from sqlalchemy.orm import Session

from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.events import Delivery, Endpoint, OutboxEvent
from fivefold.store.webhooks import deliveries
from fivefold.store.webhooks.deliveries import LeasedDelivery
from fivefold.store.webhooks.endpoints import replay

NOW = 1_795_000_000_000_000
MINUTE_US = 60_000_000


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """An endpoint, and two customers with three events each: odd numbers are the first's, even ones the second's."""
    with Session(engine) as session, session.begin():
        session.add(Organisation(id=1, name="bank", created_us=NOW))
        session.flush()
        session.add(
            EntityType(
                id=1, organisation_id=1, name="customer", fields={}, transaction_fields={}, case_fields={},
                created_us=NOW,
            )
        )  # fmt: skip
        session.flush()
        session.add_all(
            Entity(id=number, organisation_id=1, type_id=1, external_id=f"c{number}", created_us=NOW)
            for number in (1, 2)
        )
        session.add(
            Endpoint(
                id=1, organisation_id=1, url="https://hooks.example/", kinds=[], secrets="[]", enabled=True,
                private_allowed=False, planned_id=6, created_us=NOW,
            )
        )  # fmt: skip
        session.flush()
        for number in range(1, 7):
            entity_id = 2 - number % 2
            session.add(
                OutboxEvent(
                    id=number, organisation_id=1, event_id=f"e{number}", kind="level.reached", entity_id=entity_id,
                    at_us=NOW, body=json.dumps({"n": number}),
                )
            )  # fmt: skip
            session.add(
                Delivery(
                    endpoint_id=1, event_number=number, entity_id=entity_id, state="waiting", attempts=0, next_us=NOW
                )
            )
    return engine


def claim(engine: Engine, lease: str = "ours", now_us: int = NOW) -> list[LeasedDelivery]:
    with Session(engine) as session, session.begin():
        return deliveries.claim(session, 1, lease, now_us, now_us + MINUTE_US, 10)


def arrive(engine: Engine, claims: Iterable[LeasedDelivery]) -> None:
    with Session(engine) as session, session.begin():
        deliveries.record_delivered(session, claims, NOW)


def numbers(claims: Iterable[LeasedDelivery]) -> list[int]:
    return [claim.event_number for claim in claims]


def test_what_was_erased_is_not_in_a_claim(filled: Engine) -> None:
    with Session(filled) as session, session.begin():
        session.execute(update(OutboxEvent).where(OutboxEvent.id == 1).values(body=None))
        session.execute(update(Entity).where(Entity.id == 2).values(erased_us=NOW))
    first, second = claim(filled)
    for erased in (first, second):
        assert (erased.body, erased.external_id, erased.entity_type) == (None, None, "customer")
        assert (erased.event_id, erased.kind) == (f"e{erased.event_number}", "level.reached")


def test_an_entity_that_is_not_there_does_not_hold_its_events_up(filled: Engine) -> None:
    with Session(filled) as session, session.begin():
        session.execute(update(Delivery).where(Delivery.event_number == 1).values(entity_id=99))
    found = claim(filled)
    assert numbers(found) == [1, 2, 3]
    assert (found[0].entity_type, found[0].external_id, found[0].body) == (None, None, None)


def test_what_is_put_back_waits_for_what_is_on_its_way(filled: Engine) -> None:
    arrive(filled, claim(filled))
    flying = claim(filled, "theirs")
    assert numbers(flying) == [3, 4]
    with Session(filled) as session, session.begin():
        assert replay(session, 1, (1, 1), NOW) == [1]
    assert claim(filled) == [], "the same pair's third event is being sent"
    arrive(filled, flying)
    assert numbers(claim(filled)) == [1, 6], "and then the first comes before the fifth"


def test_a_failure_holds_up_what_follows_and_nothing_before_it(filled: Engine) -> None:
    arrive(filled, claim(filled))
    third, _ = claim(filled, "theirs")
    with Session(filled) as session, session.begin():
        replay(session, 1, (1, 1), NOW)
    with Session(filled) as session, session.begin():
        deliveries.record_failed(session, [deliveries.DeliveryFailure(third, "answered 500", NOW + MINUTE_US)], NOW)
    with Session(filled) as session:
        waiting = session.query(Delivery).filter_by(entity_id=1, state="waiting").order_by(Delivery.event_number)
        assert [delivery.next_us for delivery in waiting] == [NOW, NOW + MINUTE_US, NOW + MINUTE_US]


def test_what_is_planned_is_not_planned_again_where_fewer_events_are_settled_than_before(filled: Engine) -> None:
    """On PostgreSQL a writer may take its lock a moment after it read the last number."""
    with Session(filled) as session, session.begin():
        backlog = deliveries.backlog_of(session.get_one(Endpoint, 1), 3)
        assert deliveries.plan(session, backlog, NOW) == 0
    with Session(filled) as session, session.begin():
        assert session.get_one(Endpoint, 1).planned_id == 6
        assert deliveries.planning_backlogs(session, 6, 10) == []


def test_a_claim_goes_by_the_indexes_of_what_waits(filled: Engine) -> None:
    """What was delivered long ago, and another endpoint's backlog, must cost nothing."""
    asked: list[tuple[str, Any]] = []
    event.listen(filled, "before_cursor_execute", lambda *said: asked.append((said[2], said[3])))
    claim(filled)
    ((claiming, values),) = [(said, given) for said, given in asked if said.lstrip().startswith("WITH ready")]
    with filled.connect() as connection:
        if filled.dialect.name == "postgresql":
            # It would read so few rows one by one; of a table that is new it does not know how few they are.
            connection.execute(text("SET enable_seqscan = off"))
            connection.execute(text("CREATE TEMP TABLE kept AS TABLE deliveries"))
            connection.execute(text("TRUNCATE deliveries"))
            connection.execute(text("INSERT INTO deliveries TABLE kept"))
            claiming = f"EXPLAIN {claiming}"
        else:
            claiming = f"EXPLAIN QUERY PLAN {claiming}"
        plan = "\n".join(str(row[-1]) for row in connection.exec_driver_sql(claiming, values))
    assert "ix_deliveries_next" in plan, plan
    assert "ix_deliveries_pair" in plan, plan
