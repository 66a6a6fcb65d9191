"""Due marks: nothing that happened is forgotten, nobody is assessed by two at once, and nobody waits for anybody."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels import leases as claims
from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason, Subject
from fivefold.store.levels.failures import assessment_failures
from fivefold.store.levels.leases import LeasedBatch, LeasedEntity
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import DueMark
from tests.store.filling import filled_once
from tests.usecases import platforms

NOW = 1_000_000
MOST = 3
NOTHING = Reason(0)


@pytest.fixture
@filled_once
def subjects(engine: Engine) -> list[Subject]:
    """Five entities of one type, none of them marked."""
    return entities(engine, platforms.organisation(engine), 5)


def entities(engine: Engine, organisation_id: int, count: int, type_name: str = "customer") -> list[Subject]:
    with Session(engine) as session, session.begin():
        of = (EntityType.organisation_id == organisation_id, EntityType.name == type_name)
        kind = session.scalars(select(EntityType).where(*of)).one()
        made = [
            Entity(organisation_id=organisation_id, type_id=kind.id, external_id=str(number), created_us=NOW)
            for number in range(count)
        ]
        session.add_all(made)
        session.flush()
        return [Subject(entity.id, organisation_id, kind.id) for entity in made]


def mark(engine: Engine, subjects: list[Subject], reason: Reason, due_us: int = NOW, priority: int = EVENT) -> None:
    with Session(engine) as session, session.begin():
        due.mark(session, subjects, reason, due_us, priority)


def claim(engine: Engine, lease: str, now_us: int = NOW, most: int = 100, length_us: int = 60) -> LeasedBatch | None:
    with Session(engine) as session, session.begin():
        return claims.claim(session, lease, now_us, now_us + length_us, most, MOST)


def claimed(engine: Engine, lease: str, now_us: int = NOW, most: int = 100) -> LeasedBatch:
    batch = claim(engine, lease, now_us, most)
    assert batch is not None
    return batch


def held(engine: Engine, batch: LeasedBatch) -> set[int]:
    with Session(engine) as session, session.begin():
        return claims.lock_leased(session, batch)


def clear(engine: Engine, batch: LeasedBatch, next_us: int | None = None, reason: Reason = NOTHING) -> None:
    with Session(engine) as session, session.begin():
        claims.clear(session, batch, {one.entity_id: (next_us, reason) for one in batch.claims}, {})


def fail(engine: Engine, batch: LeasedBatch, next_us: int) -> None:
    ids = [one.entity_id for one in batch.claims]
    with Session(engine) as session, session.begin():
        claims.fail(session, batch, dict.fromkeys(ids, "it broke"), dict.fromkeys(ids, next_us), MOST)


def row(engine: Engine, subject: Subject) -> dict[str, Any]:
    with Session(engine) as session:
        found = session.get_one(DueMark, subject.entity_id)
        return {column.name: getattr(found, column.name) for column in DueMark.__table__.columns}


def numbers(batch: LeasedBatch | None) -> list[int]:
    return [] if batch is None else [one.entity_id for one in batch.claims]


def test_a_mark_is_claimed_from_its_moment_on(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, subjects[:2], Reason.NEW)
    assert claim(engine, "a", NOW - 1) is None
    batch = claimed(engine, "a")
    assert (batch.organisation_id, batch.type_id) == (subjects[0].organisation_id, subjects[0].type_id)
    assert batch.claims == tuple(LeasedEntity(one.entity_id, 1, Reason.NEW, 0) for one in subjects[:2])


def test_several_marks_are_one_with_all_reasons_from_the_earliest_moment(
    engine: Engine, subjects: list[Subject]
) -> None:
    mark(engine, subjects[:1], Reason.TAG, NOW + 5)
    mark(engine, subjects[:1], Reason.TRANSACTION, NOW + 9)
    mark(engine, subjects[:1], Reason.TAG, NOW + 3)
    found = row(engine, subjects[0])
    assert (found["revision"], found["due_us"]) == (3, NOW + 3)
    assert found["reasons"] == Reason.TAG | Reason.TRANSACTION


def test_of_what_was_planned_the_first_moment_is_kept_where_a_view_comes_before_it(
    engine: Engine, subjects: list[Subject]
) -> None:
    mark(engine, subjects[:1], Reason.INTERVAL, NOW + 30)
    mark(engine, subjects[:1], Reason.LIST, NOW + 10)
    for view in (NOW + 9, NOW + 8):
        mark(engine, subjects[:1], Reason.VIEW, view)
        found = row(engine, subjects[0])
        assert (found["due_us"], found["planned_us"], found["reasons"]) == (view, NOW + 10, Reason.VIEW)


@pytest.mark.parametrize(
    ("reasons", "planned"), [((Reason.TAG,), None), ((Reason.VIEW,), None), ((Reason.TIME, Reason.VIEW), NOW)]
)
def test_a_moment_before_which_a_clock_is_set_back_stays_planned_if_it_was_planned(
    engine: Engine, subjects: list[Subject], reasons: tuple[Reason, ...], planned: int | None
) -> None:
    for reason in reasons:
        mark(engine, subjects[:1], reason)
    mark(engine, subjects[:1], Reason.VIEW, NOW - 1)
    found = row(engine, subjects[0])
    assert (found["due_us"], found["planned_us"]) == (NOW - 1, planned)
    assert found["reasons"] == Reason.VIEW | (reasons[0] & ~due.PLANNED)


def test_the_same_entity_twice_in_one_call_is_one_mark(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, [subjects[0], subjects[0]], Reason.TAG)
    assert row(engine, subjects[0])["revision"] == 1


def test_a_mark_that_says_all_of_it_is_left_as_it_is_while_nobody_is_at_it(
    engine: Engine, subjects: list[Subject]
) -> None:
    mark(engine, subjects[:1], Reason.TAG | Reason.RECORD)
    mark(engine, subjects[:1], Reason.TAG, NOW + 3, BULK)
    assert row(engine, subjects[0])["revision"] == 1
    claim(engine, "a")
    mark(engine, subjects[:1], Reason.TAG)
    assert row(engine, subjects[0])["revision"] == 2, "whoever is at it may not have seen what happened now"


@pytest.mark.parametrize("kind", ["postgresql"])
def test_whoever_marks_is_waited_for_even_where_the_mark_says_it_already(
    engine: Engine, subjects: list[Subject]
) -> None:
    mark(engine, subjects[:1], Reason.TAG)
    with Session(engine) as session, session.begin():
        due.mark(session, subjects[:1], Reason.TAG, NOW)
        assert claim(engine, "a") is None, "it would not see the fact that is about to be there"
    assert claimed(engine, "b").claims[0].entity_id == subjects[0].entity_id


def test_nobody_marked_is_no_statement(engine: Engine) -> None:
    mark(engine, [], Reason.TAG)
    assert claim(engine, "a") is None


def test_what_is_claimed_is_not_claimed_again_while_its_lease_lasts(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, subjects, Reason.NEW)
    first = claimed(engine, "a", most=3)
    second = claimed(engine, "b")
    assert sorted(numbers(first) + numbers(second)) == [one.entity_id for one in subjects]
    assert claim(engine, "c", NOW + 59) is None
    assert len(numbers(claim(engine, "c", NOW + 60))) == 5  # at its end a lease is over


def test_what_was_assessed_is_due_when_it_says(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, subjects[:1], Reason.NEW)
    clear(engine, claimed(engine, "a"), NOW + 7, Reason.DECAY)
    assert claim(engine, "b", NOW + 6) is None
    assert claimed(engine, "b", NOW + 7).claims[0].reasons == Reason.DECAY


def test_what_has_nothing_to_come_is_never_due(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, subjects[:1], Reason.NEW)
    clear(engine, claimed(engine, "a"))
    assert claim(engine, "b", 2**62) is None


def test_a_mark_after_a_claim_keeps_the_entity_due(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, subjects[:2], Reason.NEW)
    batch = claimed(engine, "a")
    mark(engine, subjects[:1], Reason.TAG, NOW + 1)
    clear(engine, batch, NOW + 1000, Reason.INTERVAL)
    again = claimed(engine, "b", NOW + 1)
    assert [(one.entity_id, one.reasons) for one in again.claims] == [(subjects[0].entity_id, Reason.NEW | Reason.TAG)]


def test_a_mark_for_later_after_a_claim_is_not_forgotten(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, subjects[:1], Reason.NEW)
    batch = claimed(engine, "a")
    mark(engine, subjects[:1], Reason.LIST, NOW + 500)
    clear(engine, batch)
    assert numbers(claim(engine, "b", NOW + 500)) == [subjects[0].entity_id]


def test_a_lease_that_was_lost_holds_nothing_and_clears_nothing(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, subjects[:2], Reason.NEW)
    slow = claimed(engine, "slow")
    quick = claimed(engine, "quick", NOW + 60)
    assert held(engine, slow) == set()
    clear(engine, slow, NOW + 1000, Reason.INTERVAL)
    fail(engine, slow, NOW + 1000)
    assert held(engine, quick) == set(numbers(quick)) == {one.entity_id for one in subjects[:2]}
    assert row(engine, subjects[0])["attempts"] == 1, "one that did not come back; its failure came too late to count"
    clear(engine, quick, NOW + 5, Reason.INTERVAL)
    assert held(engine, quick) == set()
    assert row(engine, subjects[0])["due_us"] == NOW + 5


def test_a_lease_that_is_over_still_holds_what_nobody_took(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, subjects[:2], Reason.NEW)
    slow = claimed(engine, "slow")
    quick = claimed(engine, "quick", NOW + 60, most=1)
    assert held(engine, slow) == {one.entity_id for one in subjects[:2]} - set(numbers(quick))


def test_who_fails_is_put_off_then_quarantined(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, subjects[:1], Reason.NEW)
    for attempt in range(MOST):
        now = NOW + attempt * 10
        assert claimed(engine, str(attempt), now).claims[0].attempts == attempt
        fail(engine, held_batch(engine, subjects[0], str(attempt), attempt), now + 10)
        assert claim(engine, "early", now + 9) is None
    assert claim(engine, "late", 2**62) is None
    found = row(engine, subjects[0])
    assert (found["quarantined"], found["attempts"], found["error"]) == (True, MOST, "it broke")
    with Session(engine) as session:
        of = subjects[0].organisation_id
        (failure,) = assessment_failures(session, of, 2**62, WHOLE)
        assert (failure.entity_id, failure.attempts, failure.error) == (subjects[0].entity_id, MOST, "it broke")
        assert assessment_failures(session, of + 1, 2**62, WHOLE) == []


def held_batch(engine: Engine, subject: Subject, lease: str, attempts: int) -> LeasedBatch:
    """The batch that a lease holds."""
    found = row(engine, subject)
    assert found["lease"] == lease
    claims = (LeasedEntity(subject.entity_id, found["revision"], found["reasons"], attempts),)
    return LeasedBatch(organisation_id=subject.organisation_id, type_id=subject.type_id, lease=lease, claims=claims)


def quarantine(engine: Engine, subject: Subject) -> None:
    mark(engine, [subject], Reason.NEW)
    for attempt in range(MOST):
        fail(engine, claimed(engine, str(attempt)), NOW)
    assert row(engine, subject)["quarantined"]


def test_a_new_mark_releases_from_quarantine_and_the_last_error_stays(engine: Engine, subjects: list[Subject]) -> None:
    quarantine(engine, subjects[0])
    mark(engine, subjects[:1], Reason.ATTRIBUTE)
    found = row(engine, subjects[0])
    assert (found["quarantined"], found["attempts"], found["error"]) == (False, 0, "it broke")
    assert numbers(claim(engine, "b")) == [subjects[0].entity_id]


def test_whoever_is_assessed_though_quarantined_is_released(engine: Engine, subjects: list[Subject]) -> None:
    """As by a person who looks at a profile: time goes on for it then."""
    quarantine(engine, subjects[0])
    with Session(engine) as session, session.begin():
        batch = claims.claim_one(session, subjects[0], "view", NOW, NOW + 60)
    assert batch is not None
    clear(engine, batch, NOW + 5, Reason.INTERVAL)
    assert not row(engine, subjects[0])["quarantined"]
    assert numbers(claim(engine, "b", NOW + 5)) == [subjects[0].entity_id]


def test_a_failure_is_not_that_of_what_came_since(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, subjects[:1], Reason.NEW)
    for attempt in range(MOST):
        batch = claimed(engine, str(attempt))
        if attempt == MOST - 1:
            mark(engine, subjects[:1], Reason.ATTRIBUTE)
        fail(engine, batch, NOW)
    assert not row(engine, subjects[0])["quarantined"]
    assert numbers(claim(engine, "b")) == [subjects[0].entity_id]


def test_what_just_happened_to_one_goes_before_what_happens_to_many(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, subjects[:3], Reason.ACTIVATION, NOW - 9, BULK)
    mark(engine, subjects[3:4], Reason.TAG, NOW)
    mark(engine, subjects[4:], Reason.TAG, NOW - 1)
    order = [numbers(claim(engine, str(number), most=1))[0] for number in range(3)]
    assert order[:2] == [subjects[4].entity_id, subjects[3].entity_id]
    assert order[2] in [subject.entity_id for subject in subjects[:3]], "due at one moment: in any order"


@pytest.mark.parametrize(
    ("first", "second", "priority"),
    [
        ((NOW, BULK), (NOW, EVENT), EVENT),
        ((NOW, EVENT), (NOW, BULK), EVENT),
        ((NOW + 900, EVENT), (NOW, BULK), BULK),  # the event lies in the future: many go now
        ((NOW + 900, BULK), (NOW, EVENT), EVENT),
    ],
)
def test_the_more_urgent_of_what_waits_counts(
    engine: Engine, subjects: list[Subject], first: tuple[int, int], second: tuple[int, int], priority: int
) -> None:
    mark(engine, subjects[:1], Reason.TAG, *first)
    mark(engine, subjects[:1], Reason.TAG, *second)
    assert row(engine, subjects[0])["priority"] == priority


@pytest.mark.parametrize(
    ("reason", "priority"),
    [(Reason.INTERVAL, BULK), (Reason.LIST, BULK), (Reason.EXPIRY, EVENT), (Reason.MOVE_DOWN, EVENT)],
)
def test_what_comes_by_time_has_a_priority_of_its_own(
    engine: Engine, subjects: list[Subject], reason: Reason, priority: int
) -> None:
    """Not that of the mark before: an interval that ends for a whole portfolio holds up nothing that happens."""
    mark(engine, subjects[:1], Reason.NEW, NOW, EVENT)
    mark(engine, subjects[1:2], Reason.ACTIVATION, NOW, BULK)
    clear(engine, claimed(engine, "a"), NOW + 5, reason)
    assert [row(engine, one)["priority"] for one in subjects[:2]] == [priority, priority]


def test_a_batch_is_of_one_organisation_and_type(engine: Engine, subjects: list[Subject]) -> None:
    others = entities(engine, platforms.organisation(engine, "other"), 2)
    mark(engine, subjects[:2], Reason.NEW, NOW)
    mark(engine, others, Reason.NEW, NOW - 1)
    first, second = claimed(engine, "a"), claimed(engine, "b")
    assert (first.organisation_id, numbers(first)) == (others[0].organisation_id, [one.entity_id for one in others])
    assert numbers(second) == [one.entity_id for one in subjects[:2]]


def test_one_entity_is_leased_whether_it_is_due_or_not(engine: Engine, subjects: list[Subject]) -> None:
    def one(lease: str, now_us: int) -> LeasedBatch | None:
        with Session(engine) as session, session.begin():
            return claims.claim_one(session, subjects[0], lease, now_us, now_us + 60)

    assert one("none", NOW) is None  # no mark, so there is no such entity any more
    mark(engine, subjects[:1], Reason.NEW, NOW + 5)
    assert numbers(one("a", NOW)) == [subjects[0].entity_id]
    assert one("b", NOW + 59) is None
    assert claim(engine, "c", NOW + 59) is None
    assert numbers(one("b", NOW + 60)) == [subjects[0].entity_id]


def test_reasons_that_lie_ahead_are_none_yet(engine: Engine, subjects: list[Subject]) -> None:
    """Whoever looks before a decay step sees no decay."""
    mark(engine, subjects[:1], Reason.NEW)
    clear(engine, claimed(engine, "a"), NOW + 50, Reason.DECAY)
    with Session(engine) as session, session.begin():
        batch = claims.claim_one(session, subjects[0], "b", NOW + 49, NOW + 60)
    assert batch is not None
    assert batch.claims[0].reasons == Reason.VIEW


def test_two_claimers_never_share_an_entity_and_never_wait(kind: str, engine: Engine, subjects: list[Subject]) -> None:
    """One claim is still open while the other one is made."""
    if kind == "sqlite":
        pytest.skip("SQLite has one writer: a second claim begins when the first has ended")
    mark(engine, subjects, Reason.NEW)
    with Session(engine) as one, Session(engine) as two:
        for session in (one, two):
            session.execute(text("SET LOCAL lock_timeout = '2s'"))
        first = claims.claim(one, "a", NOW, NOW + 60, 2, MOST)
        second = claims.claim(two, "b", NOW, NOW + 60, 100, MOST)
        one.commit()
        two.commit()
    assert (len(numbers(first)), len(numbers(second))) == (2, 3)
    assert not set(numbers(first)) & set(numbers(second))


def test_many_claimers_take_each_entity_once(kind: str, engine: Engine) -> None:
    many = entities(engine, platforms.organisation(engine), 300)
    mark(engine, many, Reason.NEW)
    barrier = Barrier(4)

    def take(worker: int) -> list[int]:
        taken: list[int] = []
        barrier.wait()
        while found := numbers(claim(engine, f"{worker}-{len(taken)}", most=7)):
            taken += found
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [entity for part in pool.map(take, range(4)) for entity in part]
    assert sorted(taken) == [one.entity_id for one in many]


def test_those_who_mark_the_same_in_other_orders_do_not_wait_for_each_other(kind: str, engine: Engine) -> None:
    many = entities(engine, platforms.organisation(engine), 40)
    mark(engine, many, Reason.TAG)
    claim(engine, "a")  # while somebody is at them, every mark counts
    barrier = Barrier(4)

    def keep_marking(worker: int) -> None:
        barrier.wait()
        for _ in range(10):
            mark(engine, many if worker % 2 else many[::-1], Reason.TAG)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(keep_marking, range(4)))
    assert {row(engine, one)["revision"] for one in many} == {41}
