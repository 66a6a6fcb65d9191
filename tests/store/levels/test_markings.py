"""Everybody of a type is made due part by part; an entity that is not marked yet counts as due."""

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels import markings
from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason, Subject
from fivefold.store.levels.markings import (
    JOINED_US,
    WaitingCount,
    due_state,
    join_waiting,
    lock_marking,
    mark_everybody,
    mark_everybody_once,
    mark_part,
    marked_from_us,
    may_begin,
    open_markings,
    queue_depth,
    waiting_counts,
)
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import DueMark, Marking
from tests.store.rulesets.test_backfills import people

NOW = 17


def marked(session: Session) -> list[tuple[int, int | None, int, int, int]]:
    rows = session.scalars(select(DueMark).order_by(DueMark.entity_id))
    return [(row.entity_id, row.due_us, row.priority, row.reasons, row.revision) for row in rows]


def waiting(session: Session, now_us: int = NOW) -> list[bool]:
    """Tell of everybody whether a change has yet to mark them."""
    return [due_state(session, number, now_us)[1] for number in session.scalars(select(Entity.id).order_by(Entity.id))]


@pytest.fixture
def customers(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> EntityType:
    """Five customers, the third of them erased, and two companies; two are marked at a time."""
    monkeypatch.setattr(markings, "PART", 2)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        number = people(session, 5)
        people(session, 2, "company")
        session.execute(update(Entity).where(Entity.id == 3).values(erased_us=1))
        return session.get_one(EntityType, number)


def test_few_are_marked_at_once_behind_what_just_happened(
    engine: Engine, customers: EntityType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(markings, "PART", 5)
    with Session(engine) as session, session.begin():
        due.mark(session, [Subject(2, customers.organisation_id, customers.id)], Reason.TAG, 5)
        assert mark_everybody(session, customers, Reason.LIST, 0, NOW) == 4
        assert marked(session) == [
            (1, 17, BULK, Reason.LIST, 1),
            (2, 5, EVENT, Reason.TAG | Reason.LIST, 2),
            (4, 17, BULK, Reason.LIST, 1),
            (5, 17, BULK, Reason.LIST, 1),
        ]
        assert not open_markings(session)
        assert not any(waiting(session))


def test_the_others_wait_for_workers_and_count_as_due(engine: Engine, customers: EntityType) -> None:
    with Session(engine) as session, session.begin():
        assert mark_everybody(session, customers, Reason.LIST, 0, NOW) == 4
        assert [row[0] for row in marked(session)] == [1, 2]
        assert waiting(session) == [False, False, True, True, True, False, False], (
            "companies have nothing to do with it"
        )
        assert waiting_counts(session, NOW) == [WaitingCount(customers.organisation_id, 2, NOW)]
        assert waiting_counts(session, NOW, customers.organisation_id + 1) == []
        (number,) = open_markings(session)
        marking = lock_marking(session, number)
        assert marking is not None
        assert [mark_part(session, marking, NOW + 1), mark_part(session, marking, NOW + 2)] == [2, 0]
        assert [row[:2] for row in marked(session)] == [(1, 17), (2, 17), (4, 18), (5, 18)]
        assert not any(waiting(session))
        assert waiting_counts(session, NOW) == []
        assert lock_marking(session, number) is None, "it is over"


def test_who_is_due_for_something_else_is_counted_once(engine: Engine, customers: EntityType) -> None:
    with Session(engine) as session, session.begin():
        due.mark(session, [Subject(4, customers.organisation_id, customers.id)], Reason.TAG, NOW)
        due.mark(session, [Subject(5, customers.organisation_id, customers.id)], Reason.INTERVAL, NOW + 1)
        mark_everybody(session, customers, Reason.LIST, 0, NOW)
        assert waiting_counts(session, NOW) == [WaitingCount(customers.organisation_id, 1, NOW)]


def test_who_is_quarantined_is_due_by_the_change_and_counted(engine: Engine, customers: EntityType) -> None:
    """A mark that failed too often is due by none of the counts of marks; the change that comes is news to it."""
    with Session(engine) as session, session.begin():
        due.mark(session, [Subject(4, customers.organisation_id, customers.id)], Reason.TAG, NOW)
        session.get_one(DueMark, 4).quarantined = True
        assert queue_depth(session, customers.organisation_id, NOW).due == 0
        mark_everybody(session, customers, Reason.LIST, 0, NOW)
        assert waiting_counts(session, NOW) == [WaitingCount(customers.organisation_id, 2, NOW)]
        before = queue_depth(session, customers.organisation_id, NOW)
        while numbers := open_markings(session):
            mark_part(session, session.get_one(Marking, numbers[0]), NOW)
        after = queue_depth(session, customers.organisation_id, NOW)
        assert (before.due, after.due) == (4, 4), "marked or yet to be marked, each is counted once"
        assert (before.quarantined, after.quarantined) == (1, 0)


def test_what_holds_from_a_later_moment_on_makes_due_from_then_on(engine: Engine, customers: EntityType) -> None:
    with Session(engine) as session, session.begin():
        mark_everybody(session, customers, Reason.LIST, NOW + 10, NOW)
        assert not any(waiting(session, NOW + 9))
        assert waiting(session, NOW + 10)[4]
        assert waiting_counts(session, NOW) == []
        later = select(marked_from_us(Entity.type_id, Entity.id)).where(Entity.id == 5)
        assert session.scalar(later) == NOW + 10
        (number,) = open_markings(session)
        marking = session.get_one(Marking, number)
        mark_part(session, marking, NOW + 1)
        assert {row[1] for row in marked(session)} == {NOW + 10}


def test_several_changes_are_marked_each_for_itself(engine: Engine, customers: EntityType) -> None:
    with Session(engine) as session, session.begin():
        mark_everybody(session, customers, Reason.LIST, 0, NOW)
        first = session.get_one(Marking, open_markings(session)[0])
        mark_part(session, first, NOW)
        session.execute(update(DueMark).values(due_us=None, reasons=0))
        mark_everybody(session, customers, Reason.VALUE, 0, NOW)
        second = session.get_one(Marking, open_markings(session)[1])
        assert mark_part(session, first, NOW) == 0
        assert waiting(session)[3], "the second has yet to reach it"
        mark_part(session, second, NOW)
        assert {row[0]: row[3] for row in marked(session)} == dict.fromkeys((1, 2, 4, 5), Reason.VALUE)


def once(session: Session, customers: EntityType, now_us: int = NOW, reason: Reason = Reason.TAG) -> list[int]:
    mark_everybody_once(session, customers, reason, now_us)
    return list(open_markings(session))


def test_facts_that_concern_everybody_wait_together_until_they_are_marked(
    engine: Engine, customers: EntityType
) -> None:
    with Session(engine) as session, session.begin():
        (first,) = once(session, customers)
        assert once(session, customers, NOW + 1) == [first]
        assert (marked(session), any(waiting(session, NOW - 1))) == ([], False)
        assert [index for index, waits in enumerate(waiting(session), 1) if waits] == [1, 2, 3, 4, 5]
        assert len(once(session, customers, reason=Reason.SCREENING)) == 2, "why somebody was assessed is kept apart"


def test_a_fact_while_others_are_marked_is_not_lost_and_waits_for_them(engine: Engine, customers: EntityType) -> None:
    with Session(engine) as session, session.begin():
        begun = session.get_one(Marking, once(session, customers)[0])
        assert mark_part(session, begun, NOW) == 2
        session.execute(update(DueMark).values(due_us=None, reasons=0))  # they were assessed before the fact came
        for _ in range(3):
            after = once(session, customers, NOW + 1)
        assert len(after) == 2
        second = session.get_one(Marking, after[1])
        assert (may_begin(session, begun), may_begin(session, second)) == (True, False)
        assert mark_part(session, begun, NOW + 1) == 2
        assert mark_part(session, begun, NOW + 1) == 0
        assert may_begin(session, second)
        while open_markings(session):
            mark_part(session, second, NOW + 1)
        assert {row[0]: row[1] for row in marked(session)} == dict.fromkeys((1, 2, 4, 5), NOW + 1)


def test_those_that_wait_become_one_as_it_begins(engine: Engine, customers: EntityType) -> None:
    with Session(engine) as session, session.begin():
        later = NOW + JOINED_US + 1
        assert len([once(session, customers, at) for at in (NOW, later)][-1]) == 2, "or nobody could ever begin it"
        first = session.get_one(Marking, open_markings(session)[0])
        join_waiting(session, first, later - 1)
        assert len(open_markings(session)) == 2, "what holds later is not marked now"
        join_waiting(session, first, later)
        assert list(open_markings(session)) == [first.id]


@pytest.mark.postgresql
def test_nobody_begins_what_a_fact_waits_for_before_the_fact_is_there(engine: Engine, customers: EntityType) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("there one transaction writes at a time")
    with Session(engine) as session, session.begin():
        (number,) = once(session, customers)
    with Session(engine) as fact, Session(engine) as other, Session(engine) as worker:
        assert once(fact, customers) == once(other, customers) == [number]
        assert lock_marking(worker, number) is None
        fact.commit()
        assert lock_marking(worker, number) is None, "the other fact is not there yet"
        other.commit()
        begins = lock_marking(worker, number)
        assert begins is not None
        assert len(once(fact, customers)) == 2, "it may be read before this fact is there"
        join_waiting(worker, begins, NOW)
        mark_part(worker, begins, NOW)
        fact.commit()
        worker.commit()
        assert len(open_markings(fact)) == 2
