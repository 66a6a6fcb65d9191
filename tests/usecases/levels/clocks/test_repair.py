"""A clock that was ahead: levels must not stop for years, and nobody must read them as if they were fresh."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, SECOND_US, now_microseconds, parse_moment
from fivefold.domain.errors import ConfigError, UntrustedClockError
from fivefold.store.levels.future_rows import LONGEST_WAIT_TO_RETRY_US
from fivefold.store.sql import clocks
from fivefold.store.sql.database import open_database, writing
from fivefold.store.tables.accounts import Base
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import Screening, Tag, ValueScore
from fivefold.store.tables.flows import FlowRun
from fivefold.store.tables.levels import DueMark
from fivefold.usecases.accounts.organisations import add_member
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.flows.runs import answering
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, put_record, set_tag
from fivefold.usecases.levels.clock_repair import read_clocks, refuse_future, repair_dates
from fivefold.usecases.levels.read import Freshness, list_failed, read_level
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.levels.worker import MAX_ATTEMPTS, back_off_us
from fivefold.usecases.monitoring.statistics import PlatformFigures
from fivefold.usecases.portfolio.migration import Every, levels_over_time, read_migration
from fivefold.usecases.queue.items import QueueFilters, change_item, list_items
from fivefold.usecases.shared import context
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.store import databases
from tests.store.audits import bind_unnamed
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank
from tests.usecases.flows.flowing import LARGE, FlowBank

FUTURE = parse_moment("2062-01-01")
HOUR_US = DAY_US // 24


@pytest.fixture
def bank(engine: Engine) -> Bank:
    """A bank of today whose customer pays in cash: 1,000 within 180 days are worth 40 points, medium."""
    made = Bank(engine)
    made.now = now_microseconds()
    made.activate(banks.document({"cash": banks.CASH, "country": banks.COUNTRY, "watch": banks.WATCH}))
    made.put("a", country="NO")
    made.put("b", country="NO")
    made.settle()
    return made


@contextmanager
def bank_at(bank: Bank, moment: int) -> Iterator[None]:
    """Let everything of a bank happen by a clock that shows that moment."""
    now, bank.now = bank.now, moment
    yield
    bank.now = now


def at(bank: Bank, moment: int) -> None:
    """Let a worker whose clock shows that moment assess everybody."""
    now, bank.now = bank.now, moment
    for name in "ab":
        bank.mark(name)
    bank.settle()
    bank.now = now


@pytest.mark.parametrize("ahead", [FUTURE - now_microseconds(), HOUR_US], ids=["decades", "an hour"])
def test_after_a_clock_that_was_ahead_payments_count_again_once_it_is_mended(bank: Bank, ahead: int) -> None:
    at(bank, bank.now + ahead)
    for number in range(40):
        bank.pay(number, transaction_amount=9000.0)
    done = bank.run()
    assert done is not None
    assert (done.assessed, done.failed) == (0, 1)
    shown = read_level(Context(bank.engine, bank.actor, lambda: bank.now), "customer", "a", Freshness.STORED)
    assert (shown.status, shown.level) == ("failed", "low")
    assert "a clock was ahead; `fivefold clock repair` repairs it" in (shown.problem or "")
    failed = list_failed(Context(bank.engine, bank.actor, lambda: bank.now))
    dated_ahead, retried = ("a", True), ("a", True)
    assert [(name, "a clock was ahead" in why) for _, name, why in failed] == [dated_ahead, retried, ("b", True)]
    assert [each.ahead for each in PlatformFigures(bank.engine, lambda: bank.now).read()] == [2]
    waiting = {each.kind: each.entries for each in read_clocks(bank.engine).ahead}
    assert waiting == {"assessments": 2, "entities due": 1}

    assert repair_dates(bank.engine, "cli:op", "NTP was off")
    bank.now = now_microseconds()
    assert bank.settle() == 2
    shown = read_level(Context(bank.engine, bank.actor, lambda: bank.now), "customer", "a", Freshness.STORED)
    assert (shown.status, shown.level, shown.problem) == ("assessed", "medium", None)
    assert read_clocks(bank.engine).ahead == []
    assert list_failed(Context(bank.engine, bank.actor, lambda: bank.now)) == []
    assert replay_assessment(bank.context, shown.assessment or "").same
    bind_unnamed(bank.engine)
    findings: list[object] = []
    assert verify(bank.engine, findings.append).findings == 0, findings


@pytest.mark.postgresql
def test_who_was_assessed_by_a_clock_ahead_waits_for_that_moment_and_is_assessed_then(bank: Bank) -> None:
    ahead = bank.now + HOUR_US
    at(bank, ahead)
    bank.put("a", country="IR")
    for _ in range(2 * MAX_ATTEMPTS):
        bank.run()
        bank.wait(microseconds=120 * SECOND_US)
    mark = bank.mark_of()
    assert (mark.attempts, mark.quarantined, mark.due_us) == (0, False, ahead)
    bank.now = ahead
    assert bank.settle() == 1
    assert bank.level() == 3


@pytest.mark.postgresql
def test_who_is_quarantined_since_a_clock_was_ahead_is_found_and_assessed_after_a_repair(bank: Bank) -> None:
    bank.put("a", country="IR")
    with Session(bank.engine) as session, session.begin():
        row = session.get_one(DueMark, bank.id_of("a"))
        row.attempts, row.quarantined, row.error = MAX_ATTEMPTS, True, clocks.ahead_message(bank.now)
    assert bank.settle() == 0
    assert [(each.kind, each.entries) for each in read_clocks(bank.engine).ahead] == [("entities due", 1)]
    repair_dates(bank.engine, "cli:op", "NTP was off")
    assert read_clocks(bank.engine).ahead == []
    bank.now = now_microseconds()
    bank.settle()
    assert bank.level() == 3


@pytest.mark.postgresql
def test_a_level_that_a_clock_ahead_reached_counts_from_the_repair_and_nothing_is_fewer_than_none(bank: Bank) -> None:
    bank.put("a", country="RU")
    at(bank, FUTURE)
    assert bank.level() == 2
    repair_dates(bank.engine, "cli:op", "NTP was off")
    for country in ("RU", "IR"):
        bank.now = now_microseconds()
        bank.put("a", country=country)
        bank.settle()
        context = Context(bank.engine, bank.actor, now_microseconds)
        since_us = read_level(context, "customer", "a", Freshness.STORED).since_us
        assert since_us is not None
        assert since_us <= now_microseconds()
        bind_unnamed(bank.engine)
        findings: list[object] = []
        assert verify(bank.engine, findings.append).findings == 0, findings
        cells = read_migration(context, "customer").cells or ()
        level = bank.level()
        here = {(None, "low"): 1, (None, bank_level(level)): 1}
        assert {(each.from_level, each.to_level): each.entities for each in cells} == here
        for moment in levels_over_time(context, "customer", Every.DAY).moments:
            assert all(each.entities >= 0 for each in moment.levels)
            assert moment.entities == 2


def bank_level(number: int | None) -> str:
    return platforms.LEVELS[(number or 0) - 1]


def test_what_the_rules_said_before_and_since_when_is_what_counts_after_the_repair(bank: Bank) -> None:
    bank.put("a", country="IR")
    bank.settle()
    before = bank.standing()
    bank.put("a", country="NO")  # it falls after the cooldown, which a clock far ahead takes to be over
    at(bank, FUTURE)
    assert (before.level, bank.level()) == (3, 1)
    repair_dates(bank.engine, "cli:op", "NTP was off")
    mended = bank.standing()
    assert (mended.level, mended.rules_level, mended.entered_us) == (1, 3, before.entered_us)
    assert (mended.status, len(bank.assessments())) == ("failed", 3)
    bank.now = now_microseconds()
    bank.settle()
    assert (bank.level(), bank.standing().entered_us) == (3, before.entered_us)
    assert bank.transitions() == [(None, 1), (1, 3), (3, 1), (1, 3)]
    assert [event["to"] for event in bank.events()] == ["low", "high", "low", "high"]


def test_facts_that_a_clock_ahead_dated_are_known_from_the_repair_on(bank: Bank) -> None:
    set_tag(bank.context.at(bank.now + HOUR_US), "customer", "a", "watch")
    add_screening(bank.context.at(bank.now + HOUR_US), "customer", "a", "pep", has_match=False)
    bank.settle()
    assert bank.level() == 1
    assert [each.kind for each in read_clocks(bank.engine).ahead] == ["entities due", "screenings", "tags"]
    repair_dates(bank.engine, "cli:op", "NTP was off")
    with Session(bank.engine) as session:
        assert session.scalars(select(Tag.from_us)).one() <= now_microseconds()
        assert session.scalars(select(Screening.recorded_us)).one() <= now_microseconds()
    bank.now = now_microseconds()
    bank.settle()
    assert bank.level() == 3


def test_a_case_that_was_opened_in_time_and_closed_by_a_clock_ahead_counts_after_the_repair(engine: Engine) -> None:
    bank = Bank(engine)
    bank.now = now_microseconds()
    bank.activate(banks.document({"confirmed": banks.CONFIRMED}))
    bank.put("a")
    given = RecordGiven(external_id="7", opened_us=bank.now - HOUR_US, closed_us=FUTURE, outcome="confirmed")
    put_record(bank.context.at(FUTURE), "customer", "a", "case", given)
    bank.settle()
    assert (bank.level(), [each.kind for each in read_clocks(bank.engine).ahead]) == (1, ["cases and alerts"])
    repair_dates(bank.engine, "cli:op", "NTP was off")
    bank.now = now_microseconds()
    bank.settle()
    assert (bank.level(), read_clocks(bank.engine).ahead) == (2, [])


def test_a_value_of_a_moment_to_come_goes_and_an_erased_customer_is_left_alone(bank: Bank) -> None:
    with Session(bank.engine) as session, session.begin():
        said = {"currency": "EUR", "model": "m", "model_version": 1, "fingerprint": "f"}
        for moment in (bank.now - DAY_US, FUTURE):
            session.add(ValueScore(entity_id=bank.id_of("a"), as_of_us=moment, score=1.0, **said))
    repair_dates(bank.engine, "cli:op", "NTP was off")
    with Session(bank.engine) as session:
        assert session.scalars(select(ValueScore.as_of_us)).all() == [bank.now - DAY_US]


def test_a_lease_of_a_worker_whose_clock_was_ahead_ends_by_itself(bank: Bank) -> None:
    bank.mark("a")
    with Session(bank.engine) as session, session.begin():
        session.execute(update(DueMark).values(lease="gone", lease_until_us=FUTURE, claimed=1))
    assert bank.settle() == 1


def test_a_run_that_a_clock_ahead_began_and_one_that_it_let_ask_go_on_after_the_repair(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.now = now_microseconds()
    bank.add_flow(LARGE)
    with bank_at(bank, FUTURE):
        bank.post(1, 5000.0)
        bank.work()
        bank.post(2, 500.0, "b")
    assert [state for _, state, _ in bank.states()] == ["waiting", "queued"]
    assert bank.work() == 0

    _, ben = (add_member(bank.context, name, ["investigator"]).id for name in ("ana", "ben"))  # the bank is ana
    with bank_at(bank, FUTURE):
        [item] = list_items(bank.context, Role.ADMIN, QueueFilters(kinds=["question"]))
        change_item(bank.context, Role.ADMIN, item.item, 0, assigned_to=ben)

    repair_dates(engine, "cli:op", "NTP was off")
    bank.now = now_microseconds()
    bank.work()
    assert bank.states() == [("transaction:t1", "waiting", "ask"), ("transaction:t2", "ended", "flag")]
    [item] = list_items(bank.context, Role.ADMIN, QueueFilters(kinds=["question"]))
    assert (item.assigned_to, item.revision) == (ben, 1), "the question is still his"
    [asking] = [run for run in bank.runs() if run.state == "waiting"]
    assert asking.asked_us is not None
    assert asking.asked_us <= bank.now
    assert asking.due_us == asking.asked_us + 4 * HOUR_US
    bank.now += 5 * HOUR_US
    bank.work()
    assert bank.states()[0] == ("transaction:t1", "ended", "flag"), "its time is over"


def test_a_run_that_a_clock_ahead_by_hours_began_waits_no_hours_after_the_repair(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.now = now_microseconds()
    bank.add_flow(LARGE)
    with bank_at(bank, bank.now + 20 * HOUR_US):
        bank.post(1, 500.0)
    repair_dates(engine, "cli:op", "NTP was off")
    bank.now = now_microseconds()
    bank.work()
    assert bank.states() == [("transaction:t1", "ended", "flag")]


def test_runs_that_a_clock_ahead_left_waiting_are_counted_where_nothing_else_is_ahead(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two were called by that clock, and one of them was answered before the process died."""
    bank = FlowBank(engine)
    bank.now = now_microseconds()
    bank.add_flow(LARGE)
    assert read_clocks(engine).ahead == []
    person = Context(engine, Actor(bank.of, "member:9"), lambda: bank.now)
    large = {"transaction_amount": 5000.0, "transaction_currency": "EUR", "operation": "cash"}
    with bank_at(bank, bank.now + 20 * HOUR_US):
        later = bank.now
        runs = [call_flow(bank.context, "large", "customer", name, large) for name in "ab"]
        monkeypatch.setattr(answering, "carried_on", lambda *_: runs[0])
        answering.answer_run(person, Role.INVESTIGATOR, runs[0].number, "wrong", "It is not.")
    assert [(each.kind, each.entries, each.latest_us) for each in read_clocks(engine).ahead] == [
        ("runs of flows", 2, later)
    ]
    repair_dates(engine, "cli:op", "NTP was off")
    with Session(engine) as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc())).first()
        assert entry is not None
        assert (entry.organisation_id, entry.actor, entry.action) == (bank.of, "cli:op", "clock.repaired")
        assert json.loads(entry.details).items() >= {"reason": "NTP was off", "runs": 2}.items()
    bank.now = now_microseconds()
    bank.work()
    assert [(state, at) for _, state, at in bank.states()] == [("ended", "stop"), ("waiting", "ask")]
    assert read_clocks(engine).ahead == []


def test_a_run_that_is_tried_again_waits_as_long_as_it_was_to(engine: Engine) -> None:
    """The longest that any waits: a repair does not hurry it, nor is it counted."""
    assert back_off_us(MAX_ATTEMPTS - 1) == LONGEST_WAIT_TO_RETRY_US
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500.0)
    due_us = now_microseconds() + LONGEST_WAIT_TO_RETRY_US
    with Session(engine) as session, session.begin():
        session.execute(update(FlowRun).values(attempts=MAX_ATTEMPTS - 1, due_us=due_us))
    assert repair_dates(engine, "cli:op", "to be sure") == []
    assert [run.due_us for run in bank.runs()] == [due_us]


def test_a_run_that_a_worker_whose_clock_was_ahead_left_behind_is_free(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500.0)
    with Session(engine) as session, session.begin():
        session.execute(update(FlowRun).values(state="running", lease="gone", lease_until_us=FUTURE))
    assert bank.work() == 1


def test_a_repair_needs_a_reason_and_without_anything_ahead_changes_nothing(bank: Bank) -> None:
    with pytest.raises(ConfigError, match="a repair needs a reason"):
        repair_dates(bank.engine, "cli:op", " ")
    assert repair_dates(bank.engine, "cli:op", "to be sure") == []
    assert bank.run() is None


def test_a_present_that_is_still_to_come_is_refused(bank: Bank) -> None:
    refuse_future(bank.engine, now_microseconds(), "--as-of")
    with pytest.raises(ConfigError, match="--as-of is 2062-01-01, and by the database's clock it is 20"):
        refuse_future(bank.engine, FUTURE, "--as-of")


def shifted(monkeypatch: pytest.MonkeyPatch, by_us: int) -> None:
    real: Callable[[], int] = now_microseconds
    monkeypatch.setattr(clocks, "now_microseconds", lambda: real() + by_us)


@pytest.mark.parametrize(("by_us", "said"), [(HOUR_US, "3,600 s ahead of"), (-HOUR_US, "3,600 s behind")])
def test_a_machine_whose_clock_is_off_the_databases_stores_nothing(
    bank: Bank, kind: str, monkeypatch: pytest.MonkeyPatch, by_us: int, said: str
) -> None:
    if kind == "sqlite":
        pytest.skip("a file has no clock of its own")
    url = bank.engine.url.render_as_string(hide_password=False)
    for tolerance, refused in ((60, True), (7200, False)):
        with monkeypatch.context() as patched:
            shifted(patched, by_us)
            own = open_database(url, tolerance)
            try:
                if refused:
                    with pytest.raises(UntrustedClockError, match=said), writing(own):
                        pass
                    patched.undo()
                with writing(own):
                    assert Base.metadata.tables
            finally:
                own.dispose()


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["postgresql"])
def test_what_is_stored_and_its_entry_have_the_databases_time(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    database_now_us = now_microseconds()
    shifted(monkeypatch, 50 * SECOND_US)
    monkeypatch.setattr(context, "now_microseconds", clocks.now_microseconds)
    with databases.opened(bank.engine.url.render_as_string(hide_password=False)) as own:
        with writing(own):
            assert Base.metadata.tables  # the first transaction compares the clocks
        set_tag(Context(own, bank.context.actor), "customer", "a", "watch")
    with Session(bank.engine) as session:
        moments = [
            session.scalars(select(Tag.from_us)).one(),
            session.scalars(select(AuditEntry.at_us).order_by(AuditEntry.number.desc())).first(),
        ]
    assert [abs((at_us or 0) - database_now_us) < 25 * SECOND_US for at_us in moments] == [True, True]
