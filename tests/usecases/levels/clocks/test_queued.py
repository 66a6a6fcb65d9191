"""Work that a clock ahead queued: after a day ahead nothing waits for a day, and nothing that may wait is hurried."""

import json

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, SECOND_US, now_microseconds
from fivefold.store.levels import markings
from fivefold.store.levels.assessment_queue import PLANNED, Reason
from fivefold.store.levels.future_rows import LONGEST_WAIT_TO_RETRY_US, LONGEST_WAIT_US
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.events import Delivery
from fivefold.store.tables.levels import DueMark
from fivefold.store.tables.rulesets import Activation, ThresholdReview
from fivefold.usecases.accounts.rate_tables import put_rates_in, rates_content, rates_from_rows
from fivefold.usecases.groups.members import count_sizes, sizes_of
from fivefold.usecases.levels.clock_repair import read_clocks, repair_dates
from fivefold.usecases.rulesets.activate import advance_backfills, advance_markings, has_waiting_backfills
from fivefold.usecases.rulesets.threshold_reviews import begin_threshold_reviews
from fivefold.usecases.webhooks.plan import MOST_WAIT_SECONDS, claim_deliveries, plan_deliveries
from tests.usecases.at_once import put_list_version, switch_family
from tests.usecases.banks import COUNTRY, LISTED, Bank, document
from tests.usecases.groups.grouped import HIGH, Circle
from tests.usecases.webhooks import receivers

CUSTOMERS = ("a", "b", "c", "d", "e")


@pytest.fixture
def bank(engine: Engine) -> Bank:
    """A bank of today, with five customers of one country, which is on no list yet."""
    made = Bank(engine)
    made.now = now_microseconds() - 60 * SECOND_US
    put_list_version(made.context, "hot", 0, ["KP"], "Hot", "ours")
    made.activate(document({"listed": LISTED}))
    for name in CUSTOMERS:
        made.put(name, country="NO")
    made.settle()
    return made


def ahead(bank: Bank) -> list[tuple[str, int]]:
    return [(each.kind, each.entries) for each in read_clocks(bank.engine).ahead]


def repaired(bank: Bank) -> int:
    """Repair what a clock ahead left, and let the worker do what is due then; how many it assessed."""
    repair_dates(bank.engine, "cli:op", "NTP was off")
    assert ahead(bank) == []
    bank.now = now_microseconds()
    return bank.settle()


@pytest.mark.postgresql
def test_who_is_due_by_a_list_or_an_override_of_a_clock_ahead_is_due_after_the_repair(bank: Bank) -> None:
    since = bank.now - SECOND_US
    bank.wait(1)
    put_list_version(bank.context, "hot", since, ["NO"], "Hot", "ours")
    bank.override("b", 3)
    bank.now = now_microseconds()
    assert bank.settle() == 0
    assert ahead(bank) == [("entities due", 5)]
    assert repaired(bank) == 5
    assert [bank.level(name) for name in CUSTOMERS] == [2, 3, 2, 2, 2]


def test_who_is_due_by_rates_of_a_clock_ahead_is_due_after_the_repair(bank: Bank) -> None:
    rates = rates_from_rows([{"currency": "AED", "date": "2024-06-28", "rate": 0.25}], "ours")
    bank.wait(1)
    with bank.context.writing() as session:
        put_rates_in(session, bank.context, "EUR", "ours", rates_content(rates), bank.now)
    assert ahead(bank) == [("entities due", 5)]
    assert repaired(bank) == 5


@pytest.mark.parametrize("reason", sorted(Reason))
def test_a_mark_that_time_never_plans_does_not_wait_for_a_clock_that_was_ahead(bank: Bank, reason: Reason) -> None:
    """By a list only a version that is still to come plans one."""
    bank.wait(1)
    with Session(bank.engine) as session, session.begin():
        session.execute(update(DueMark).values(due_us=bank.now, reasons=int(reason)))
    may_wait = reason in PLANNED and reason != Reason.LIST
    assert ahead(bank) == ([] if may_wait else [("entities due", 5)])


@pytest.mark.postgresql
def test_a_list_that_holds_later_and_what_is_tried_again_later_may_wait(bank: Bank) -> None:
    bank.now = now_microseconds()
    put_list_version(bank.context, "hot", bank.now + DAY_US, ["NO"], "Hot", "ours")
    with Session(bank.engine) as session, session.begin():
        tried = update(DueMark).where(DueMark.entity_id == bank.id_of("a"))
        due_us = bank.now + LONGEST_WAIT_TO_RETRY_US
        session.execute(tried.values(reasons=int(Reason.TAG), attempts=3, due_us=due_us))
    assert ahead(bank) == []
    with Session(bank.engine) as session, session.begin():
        session.execute(tried.values(reasons=int(Reason.INTERVAL), due_us=bank.now + DAY_US))
    assert ahead(bank) == [("entities due", 1)], "that is longer than any waits for another attempt"


@pytest.mark.postgresql
def test_a_change_that_a_clock_ahead_was_marking_marks_the_rest_at_once(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(markings, "PART", 2)
    since = bank.now + DAY_US
    bank.wait(1)
    put_list_version(bank.context, "hot", since, ["NO"], "Hot", "ours")
    bank.now = now_microseconds()
    while advance_markings(bank.engine, bank.now):
        pass
    assert bank.settle() == 3, "the first two are due by the clock that was ahead"


@pytest.mark.postgresql
@pytest.mark.parametrize("days", [1, 30])
def test_a_switch_by_a_clock_ahead_reaches_everybody_from_now_on_by_itself(bank: Bank, days: int) -> None:
    """Also those whom it marked while its clock was ahead; before, a worker that was to end never did."""
    bank.wait(days)
    switch_family(bank.context, "retail", False, "why", 2)
    bank.wait(microseconds=SECOND_US)
    assert advance_backfills(bank.engine, bank.now) == 2
    assert ahead(bank) == [("activations", 1), ("entities due", 2)]
    bank.now = now_microseconds()
    for marked in (0, 2, 2, 1):
        assert advance_backfills(bank.engine, bank.now) == marked
        assert has_waiting_backfills(bank.engine, bank.now) is (marked != 1)
        bank.wait(microseconds=SECOND_US)
    assert bank.settle() == 5
    assert ahead(bank) == []


@pytest.mark.postgresql
def test_a_switch_of_a_clock_ahead_is_counted_and_repaired_where_no_worker_runs(bank: Bank) -> None:
    bank.wait(1)
    switch_family(bank.context, "retail", False, "why", 2)
    assert ahead(bank) == [("activations", 1)]
    repair_dates(bank.engine, "cli:op", "NTP was off")
    assert ahead(bank) == []
    with Session(bank.engine) as session:
        [row] = session.scalars(select(Activation))
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc())).first()
    assert row.reached_us <= now_microseconds()
    assert entry is not None
    assert (entry.action, json.loads(entry.details)["activations"]) == ("clock.repaired", 1)


def test_a_change_that_has_not_begun_by_the_clock_of_a_worker_of_the_past_keeps_none_from_ending(bank: Bank) -> None:
    switch_family(bank.context, "retail", False, "why", 2)
    assert has_waiting_backfills(bank.engine, bank.now)
    assert not has_waiting_backfills(bank.engine, bank.now - DAY_US)


@pytest.mark.postgresql
def test_a_delivery_that_a_clock_ahead_planned_is_sent_after_the_repair(engine: Engine) -> None:
    assert LONGEST_WAIT_US == MOST_WAIT_SECONDS * SECOND_US
    ours, now = receivers.organisation(engine), now_microseconds()
    told = receivers.endpoint(engine, ours, "http://127.0.0.1:9/").endpoint_id
    receivers.tell(engine, ours, ["c1-a", "c1-b", "c2-a", "c3-a"])
    plan_deliveries(engine, now + DAY_US // 24)
    failed = now + LONGEST_WAIT_US
    with Session(engine) as session, session.begin():  # c1-a failed, so c1-b waits with it
        first, second, _, _ = session.scalars(select(Delivery).order_by(Delivery.event_number))
        first.attempts, first.next_us, second.next_us = 9, failed, failed
    assert [(each.kind, each.entries) for each in read_clocks(engine).ahead] == [("deliveries", 2)]
    repair_dates(engine, "cli:op", "NTP was off")
    assert read_clocks(engine).ahead == []
    batch = claim_deliveries(engine, told, now_microseconds, 9)
    assert batch is not None
    assert sorted(claim.event_id for claim in batch.claims) == ["c2-a", "c3-a"]


@pytest.mark.postgresql
def test_a_review_of_a_quarter_that_is_not_over_begins_again_once_it_is(bank: Bank) -> None:
    bank.wait(100)
    assert begin_threshold_reviews(bank.engine, bank.now)
    assert ahead(bank) == [("reviews of thresholds", 1)]
    repair_dates(bank.engine, "cli:op", "NTP was off")
    with Session(bank.engine) as session:
        assert session.scalars(select(ThresholdReview)).all() == []
    assert begin_threshold_reviews(bank.engine, bank.now)


@pytest.mark.postgresql
def test_a_group_that_a_clock_ahead_counted_is_counted_again_on_its_day(engine: Engine) -> None:
    bank = Bank(engine)
    bank.now = now_microseconds()
    bank.activate(document({"country": COUNTRY}))
    circle = Circle(bank)
    circle.publish(HIGH)
    bank.put("ada", country="KP")
    circle.settle()
    today = bank.now
    for moment in (today, today + DAY_US):
        assert count_sizes(engine, moment) == 1
    assert ahead(bank) == [("sizes of groups", 1)]
    repaired(bank)
    with Session(engine) as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc())).first()
    assert entry is not None
    assert (entry.action, json.loads(entry.details)["sizes"]) == ("clock.repaired", 1)
    assert [each.members for each in sizes_of(bank.context, "watched", with_aml=True)] == [1]
    bank.put("bo", country="KP")
    circle.settle()
    assert count_sizes(engine, today + DAY_US) == 1
    assert [each.members for each in sizes_of(bank.context.at(today + DAY_US), "watched", with_aml=True)] == [1, 2]
