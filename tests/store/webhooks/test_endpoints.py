"""Endpoints as they are found, listed and removed. `tests/usecases/webhooks/test_endpoints.py` shows the rest."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Part
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.events import Delivery, Endpoint, OutboxEvent
from fivefold.store.webhooks import endpoints

NOW = 1_795_000_000_000_000


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """Two organisations with an endpoint each, and three deliveries of each state to each."""
    with Session(engine) as session, session.begin():
        for number in (1, 2):
            session.add(Organisation(id=number, name=f"bank {number}", created_us=NOW))
            session.flush()
            session.add(
                Endpoint(
                    id=number, organisation_id=number, url="https://hooks.example/", kinds=[], secrets="[]",
                    enabled=True, private_allowed=False, planned_id=number * 100 + 8, created_us=NOW,
                )
            )  # fmt: skip
            session.flush()
            for event_number in range(9):
                numbered = number * 100 + event_number
                session.add(
                    OutboxEvent(
                        id=numbered, organisation_id=number, event_id=f"e{numbered}", kind="level.reached",
                        entity_id=1, at_us=NOW, body="{}",
                    )
                )  # fmt: skip
                session.add(
                    Delivery(
                        endpoint_id=number, event_number=numbered, entity_id=1, attempts=3, next_us=0, error="no",
                        state=("waiting", "delivered", "dead")[event_number % 3],
                    )
                )  # fmt: skip
    return engine


def states(engine: Engine, endpoint_id: int) -> dict[int, str]:
    with Session(engine) as session:
        found = session.query(Delivery).filter_by(endpoint_id=endpoint_id).order_by(Delivery.event_number)
        return {delivery.event_number: delivery.state for delivery in found}


@pytest.mark.parametrize("locked", [False, True])
def test_an_endpoint_is_found_within_its_organisation_alone(filled: Engine, locked: bool) -> None:
    with Session(filled) as session:
        assert endpoints.find_endpoint(session, 1, 1, locked=locked).organisation_id == 1
        for organisation_id, endpoint_id in ((1, 2), (2, 1), (1, 3)):
            with pytest.raises(NotFoundError, match=f"there is no endpoint {endpoint_id}"):
                endpoints.find_endpoint(session, organisation_id, endpoint_id, locked=locked)


def test_endpoints_are_listed_with_what_waits_and_what_is_dead(filled: Engine) -> None:
    with Session(filled) as session:
        ((endpoint, counts),) = endpoints.counted_endpoints(session, 2)
    assert (endpoint.id, counts.waiting, counts.failing, counts.dead) == (2, 3, 3, 3)


def test_the_state_of_an_endpoint_is_that_of_its_own_deliveries(filled: Engine) -> None:
    """Of endpoint 1 three wait, of which two failed before; all that waits for endpoint 2 would be tried first."""
    with Session(filled) as session, session.begin():
        for number, attempts, next_us in ((100, 0, 5), (103, 2, 7), (106, 1, 9)):
            waiting = session.get_one(Delivery, (1, number))
            waiting.attempts, waiting.next_us = attempts, next_us
        for endpoint_id, number, at_us in ((1, 101, 13), (1, 104, 11), (2, 201, 17)):
            session.get_one(Delivery, (endpoint_id, number)).delivered_us = at_us
        session.get_one(Endpoint, 2).organisation_id = 1
    with Session(filled) as session:
        first, second = endpoints.counted_endpoints(session, 1)
        for endpoint_id, row in ((1, first), (2, second)):
            (alone,) = endpoints.counted_endpoints(session, 1, endpoint_id=endpoint_id)
            assert alone == row
            assert alone[0].id == endpoint_id
        assert first[1] == endpoints.EndpointCounts(waiting=3, failing=2, dead=3, next_us=7, delivered_us=13)
        assert (second[1].failing, second[1].next_us, second[1].delivered_us) == (3, 0, 17)
        failing = endpoints.failing_deliveries(session, 1, 1, Part(9, (0, 0)))
        assert [delivery.event_number for delivery, *_ in failing] == [103, 106]


def test_what_waits_for_an_organisation_is_the_sum_of_its_endpoints(filled: Engine) -> None:
    """Also events that no worker has planned yet, which an endpoint receives by its kinds."""
    with Session(filled) as session, session.begin():
        for number, next_us in ((100, 9), (102, 3), (103, 5), (106, 7)):
            session.get_one(Delivery, (1, number)).next_us = next_us
        session.add(Organisation(id=3, name="bank 3", created_us=NOW))
        session.flush()
        for number, of, kinds in ((3, 1, []), (4, 1, ["tag.set"]), (5, 3, [])):
            session.add(
                Endpoint(
                    id=number, organisation_id=of, url="https://hooks.example/", kinds=kinds, secrets="[]",
                    enabled=True, private_allowed=False, planned_id=106, created_us=NOW,
                )
            )  # fmt: skip
    with Session(filled) as session:
        totals = endpoints.counted_deliveries(session)
        assert totals == {
            1: endpoints.DeliveryCounts(waiting=3 + 2, next_us=5, dead=3),
            2: endpoints.DeliveryCounts(waiting=3, next_us=0, dead=3),
        }, "endpoint 3 is yet to receive the events 107 and 108; nothing waits for organisation 3"
        for of in (1, 2):
            each = [counts for _, counts in endpoints.counted_endpoints(session, of)]
            assert totals[of].waiting == sum(counts.waiting for counts in each)
            assert totals[of].dead == sum(counts.dead for counts in each)
            assert endpoints.counted_deliveries(session, of) == {of: totals[of]}
        assert endpoints.counted_deliveries(session, 3) == {}


def test_the_dead_are_listed_page_by_page(filled: Engine) -> None:
    with Session(filled) as session:

        def listed(after: tuple[int, int], most: int, endpoint_id: int | None = None) -> list[int]:
            found = endpoints.dead_deliveries(session, 1, endpoint_id, Part(most, after))
            return [delivery.event_number for delivery, *_ in found]

        assert listed((0, 0), 2) == [102, 105]
        assert listed((1, 105), 2) == [108]
        assert listed((0, 0), 9, 1) == [102, 105, 108]
        assert listed((0, 0), 9, 2) == [], "the other organisation's"


def test_the_dead_are_put_back_as_if_never_tried(filled: Engine) -> None:
    with Session(filled) as session, session.begin():
        assert endpoints.replay(session, 1, None, NOW) == [102, 105, 108]
    assert states(filled, 1) == dict(zip(range(100, 109), ["waiting", "delivered", "waiting"] * 3, strict=True))
    assert list(states(filled, 2).values()) == ["waiting", "delivered", "dead"] * 3
    with Session(filled) as session:
        back = session.get_one(Delivery, (1, 105))
        assert (back.attempts, back.next_us, back.error) == (0, NOW, None)


def test_a_range_is_put_back_but_for_what_is_being_sent(filled: Engine) -> None:
    with Session(filled) as session, session.begin():
        flying = session.get_one(Delivery, (1, 103))
        flying.lease, flying.lease_until_us = "theirs", NOW
    with Session(filled) as session, session.begin():
        assert endpoints.replay(session, 1, (101, 105), NOW) == [101, 102, 104, 105]
    assert list(states(filled, 1).values()) == ["waiting"] * 7 + ["delivered", "dead"]


def test_of_a_range_the_dead_alone_are_put_back_where_that_is_asked_for(filled: Engine) -> None:
    with Session(filled) as session, session.begin():
        assert endpoints.replay(session, 1, (101, 105), NOW, dead_only=True) == [102, 105]
    assert list(states(filled, 1).values()) == ["waiting", "delivered", "waiting"] * 2 + [
        "waiting",
        "delivered",
        "dead",
    ]


def test_an_endpoint_goes_with_its_deliveries(filled: Engine) -> None:
    with Session(filled) as session, session.begin():
        assert endpoints.remove(session, endpoints.find_endpoint(session, 1, 1, locked=True)) == 3
    assert states(filled, 1) == {}
    assert len(states(filled, 2)) == 9
    with Session(filled) as session:
        assert endpoints.counted_endpoints(session, 1) == []
