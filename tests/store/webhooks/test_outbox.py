"""The outbox: in order, once, and complete up to a number that is told."""

from collections.abc import Iterable

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.store.tables.events import OutboxEvent
from fivefold.store.webhooks.outbox import NewEvent, add_events, settled_number

AT_US = 1_795_000_000_000_000


def events(names: Iterable[object], entity_id: int = 1) -> list[NewEvent]:
    return [NewEvent(f"event-{name}", "level.reached", entity_id, AT_US, '{"level":2}') for name in names]


def add(engine: Engine, *names: object) -> int:
    with Session(engine) as session, session.begin():
        return add_events(session, 1, events(names))


def settled(engine: Engine) -> int:
    with Session(engine) as session:
        return settled_number(session)


def numbers(engine: Engine) -> dict[str, int]:
    with Session(engine) as session:
        return {
            event.event_id.removeprefix("event-"): event.id
            for event in session.scalars(select(OutboxEvent).order_by(OutboxEvent.id))
        }


def test_events_are_numbered_in_the_order_given(engine: Engine) -> None:
    names = [str(name * 7919 % 2000) for name in range(2000)]
    assert add(engine, *names) == 2000
    assert list(numbers(engine)) == names
    with Session(engine) as session:
        first = session.scalars(select(OutboxEvent).order_by(OutboxEvent.id).limit(1)).one()
        told = (first.organisation_id, first.kind, first.entity_id, first.at_us, first.body)
        assert told == (1, "level.reached", 1, AT_US, '{"level":2}')


def test_no_events_are_nothing(engine: Engine) -> None:
    assert add(engine) == 0
    assert settled(engine) == 0


def test_an_event_that_is_there_stays_as_it_is(engine: Engine) -> None:
    assert add(engine, "a", "b") == 2
    before = numbers(engine)
    assert add(engine, "b", "c", "a") == 1
    assert {name: before[name] for name in before} == {name: numbers(engine)[name] for name in before}
    assert list(numbers(engine)) == ["a", "b", "c"]


def test_events_that_are_rolled_back_are_not_there(engine: Engine) -> None:
    with Session(engine) as session:
        add_events(session, 1, events("ab"))
        session.rollback()
    assert numbers(engine) == {}
    assert add(engine, "c") == 1
    assert settled(engine) == numbers(engine)["c"]


def test_what_is_committed_is_settled(engine: Engine) -> None:
    add(engine, "a", "b")
    assert settled(engine) == numbers(engine)["b"]


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_smaller_number_that_is_not_committed_yet_holds_the_larger_ones_back(engine: Engine) -> None:
    """On PostgreSQL alone two can be at it at once."""
    add(engine, "before")
    with Session(engine) as first, Session(engine) as second:
        add_events(first, 1, events(["first"]))
        add_events(second, 2, events(["second"]))
        second.commit()
        assert list(numbers(engine)) == ["before", "second"]
        assert settled(engine) == numbers(engine)["before"]
        first.commit()
    found = numbers(engine)
    assert found["first"] < found["second"] == settled(engine)


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_writer_that_gives_up_holds_nothing_back(engine: Engine) -> None:
    with Session(engine) as first:
        add_events(first, 1, events(["first"]))
        add(engine, "second")
        assert settled(engine) == 0
        first.rollback()
    assert settled(engine) == numbers(engine)["second"]
