"""Schedules of flows: each entity runs once for each moment, whatever workers, clocks and versions do in between."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, HOUR_US, from_microseconds, to_microseconds
from fivefold.domain.errors import ConflictError, InvalidRulesetError, LockedError
from fivefold.store.tables.flows import FlowRow, FlowRun, FlowSchedule
from fivefold.usecases.flows.activate import (
    activate_flow,
    end_flow_shadow,
    roll_back_flow,
    shadow_flow,
    switch_flow_off,
)
from fivefold.usecases.flows.read import read_flow_line
from fivefold.usecases.flows.runs import schedules
from fivefold.usecases.flows.runs.schedules import CLOCKS_DIFFER_US, begin_scheduled
from fivefold.usecases.groups.versions import approve_group, propose_group, retire_group
from fivefold.usecases.ingest.facts import set_tag
from tests.store.filling import filled_once
from tests.usecases.decisions.deciding import Desk, opened
from tests.usecases.flows.documents import WHY, acting, as_, committed, flow_document
from tests.usecases.groups.grouped import document as group_document

DAILY: dict[str, Any] = {"on": "schedule", "every": "day", "at": "09:00", "zone": "Europe/Oslo"}
MONDAY = to_microseconds(datetime(2026, 11, 23, 5, tzinfo=UTC))
"""Six o'clock in Oslo."""


@filled_once
def with_customers(engine: Engine) -> Desk:
    desk = opened(engine)
    desk.bank.now = MONDAY
    for name in "abcde":
        desk.bank.put(name, country="NO")
    return desk


@pytest.fixture
def desk(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = with_customers(engine)
    monkeypatch.setattr(schedules, "database_now_us", lambda _session: desk.bank.now)
    return desk


def scheduled(*triggers: dict[str, Any], **parts: Any) -> str:
    return flow_document(triggers=list(triggers or (DAILY,)), **parts)


def begin(desk: Desk, at_us: int | None = None, most: int = 2) -> int:
    """Let a worker begin what is due, in parts; tell of how many entities."""
    done = 0
    while count := begin_scheduled(desk.bank.engine, desk.bank.now if at_us is None else at_us, most):
        done += count
    return done


def runs(desk: Desk, *, acts: bool = True) -> list[tuple[str, int]]:
    """The moments for which runs were begun, with how many there are of each."""
    with desk.bank.engine.connect() as connection:
        of = text("SELECT cause, count(*) FROM flow_runs WHERE acting = :acting GROUP BY cause ORDER BY cause")
        rows = connection.execute(of, {"acting": acts}).all()
    return [(cause.removeprefix("schedule:")[:16], count) for cause, count in rows]


def next_run(desk: Desk) -> str:
    moment = read_flow_line(as_(desk, desk.ana), "care").next_us
    return "" if moment is None else from_microseconds(moment).isoformat()[:16]


def everybody(desk: Desk) -> int:
    with desk.bank.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM entities")).scalar_one())


@pytest.mark.postgresql
def test_everybody_of_the_type_runs_once_for_each_moment(desk: Desk) -> None:
    acting(desk, scheduled())
    assert next_run(desk) == "2026-11-23T08:00"
    assert begin(desk) == 0
    desk.bank.now += 3 * HOUR_US - 1
    assert begin(desk) == 0
    desk.bank.now += 1
    assert begin(desk) == everybody(desk) > 4
    assert begin(desk) == 0
    assert runs(desk) == [("2026-11-23T08:00", everybody(desk))]
    assert next_run(desk) == "2026-11-24T08:00"
    desk.bank.now += DAY_US
    begin(desk)
    assert [moment for moment, _ in runs(desk)] == ["2026-11-23T08:00", "2026-11-24T08:00"]
    with Session(desk.bank.engine) as session:
        run = session.scalars(select(FlowRun).order_by(FlowRun.id)).first()
        assert run is not None
        assert run.about == {"kind": "schedule", "at": "2026-11-23T08:00:00+00:00", "zone": "Europe/Oslo"}
        assert (run.actor, run.acting, run.state) == ("system", True, "queued")


@pytest.mark.postgresql
def test_of_moments_without_a_worker_the_latest_runs_once(desk: Desk) -> None:
    acting(desk, scheduled())
    desk.bank.now += 5 * DAY_US
    assert begin(desk) == everybody(desk)
    assert runs(desk) == [("2026-11-27T08:00", everybody(desk))]
    assert next_run(desk) == "2026-11-28T08:00"


NOON: dict[str, Any] = {**DAILY, "at": "12:00"}


@pytest.mark.postgresql
@pytest.mark.parametrize("triggers", [(DAILY, NOON), (NOON, DAILY)])
@pytest.mark.parametrize("most", [2, 100])
def test_of_two_schedules_without_a_worker_the_latest_moment_runs_once(
    desk: Desk, triggers: tuple[dict[str, Any], ...], most: int
) -> None:
    """It ran for both: who was looked at by the first moment was looked at again by the second."""
    acting(desk, scheduled(*triggers))
    desk.bank.now += 2 * DAY_US + 7 * HOUR_US
    begin(desk, most=most)
    assert runs(desk) == [("2026-11-25T11:00", everybody(desk))]
    assert next_run(desk) == "2026-11-26T08:00"
    desk.bank.now += DAY_US - 3 * HOUR_US  # after the first, before the second
    begin(desk)
    desk.bank.now += 3 * HOUR_US
    begin(desk)
    assert [moment for moment, _ in runs(desk)] == ["2026-11-25T11:00", "2026-11-26T08:00", "2026-11-26T11:00"]


def test_at_the_instant_of_a_later_moment_an_earlier_one_without_a_worker_does_not_run(desk: Desk) -> None:
    acting(desk, scheduled(DAILY, {**DAILY, "at": "09:30"}))
    desk.bank.now += 3 * HOUR_US + HOUR_US // 2
    begin(desk, most=100)
    assert runs(desk) == [("2026-11-23T08:30", everybody(desk))]


def test_a_schedule_that_is_new_takes_no_moment_from_one_that_stays(desk: Desk) -> None:
    """The moment of the new one passed before its version was active: it is none of its."""
    acting(desk, scheduled())
    desk.bank.now += 7 * HOUR_US
    acting(desk, scheduled(DAILY, NOON))
    begin(desk)
    assert runs(desk) == [("2026-11-23T08:00", everybody(desk))]


def test_a_schedule_of_a_shadow_takes_no_moment_from_one_that_acts(desk: Desk) -> None:
    acting(desk, scheduled())
    committed(desk, scheduled(NOON, title="At noon"))
    shadow_flow(as_(desk, desk.ana), "care", 2, WHY)
    desk.bank.now += 7 * HOUR_US
    begin(desk)
    assert runs(desk) == [("2026-11-23T08:00", everybody(desk))]
    assert runs(desk, acts=False) == [("2026-11-23T11:00", everybody(desk))]


def test_a_schedule_that_others_have_locked_holds_up_none_behind_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting(desk, scheduled(DAILY, {**DAILY, "at": "09:30"}))
    desk.bank.now += 3 * HOUR_US
    lock = schedules.stored.lock_schedule

    def locked_at_first(session: Session, number: int) -> FlowSchedule | None:
        if number == 1:
            raise LockedError("another transaction held a lock")
        return lock(session, number)

    desk.bank.now += HOUR_US
    with monkeypatch.context() as locking:
        locking.setattr(schedules.stored, "lock_schedule", locked_at_first)
        with pytest.raises(LockedError):
            begin_scheduled(desk.bank.engine, desk.bank.now, 100)
    assert runs(desk) == [("2026-11-23T08:30", everybody(desk))]
    assert begin(desk) == 0, "the earlier moment is over: they ran for a later one"
    assert runs(desk) == [("2026-11-23T08:30", everybody(desk))]


@pytest.mark.postgresql
def test_a_worker_that_is_killed_leaves_the_rest_to_the_next_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    acting(desk, scheduled())
    desk.bank.now += 3 * HOUR_US
    assert begin_scheduled(desk.bank.engine, desk.bank.now, 2) == 2

    class KilledError(BaseException):
        pass

    begun = schedules.begin_runs

    def killed(*arguments: Any) -> None:
        begun(*arguments)
        raise KilledError

    with monkeypatch.context() as dying:
        dying.setattr(schedules, "begin_runs", killed)
        with pytest.raises(KilledError):
            begin_scheduled(desk.bank.engine, desk.bank.now, 2)
    assert runs(desk) == [("2026-11-23T08:00", 2)]
    desk.bank.now += DAY_US
    begin_scheduled(desk.bank.engine, desk.bank.now, 100)
    assert runs(desk) == [("2026-11-23T08:00", everybody(desk))], "what was begun is ended before the next moment"
    begin(desk)
    assert runs(desk)[1:] == [("2026-11-24T08:00", everybody(desk))]


def test_a_clock_that_was_ahead_once_runs_a_moment_early_and_holds_up_none_after_it(desk: Desk) -> None:
    acting(desk, scheduled())
    begin(desk, desk.bank.now + 400 * DAY_US)
    assert [moment for moment, _ in runs(desk)] == ["2027-12-27T08:00"]
    assert next_run(desk) == "2027-12-28T08:00"
    begin(desk)
    assert next_run(desk) == "2026-11-23T08:00"
    desk.bank.now += 3 * HOUR_US
    begin(desk)
    assert [moment for moment, _ in runs(desk)] == ["2026-11-23T08:00", "2027-12-27T08:00"]


def test_a_clock_that_was_ahead_while_it_began_a_part_holds_up_no_moment_after_it(desk: Desk) -> None:
    acting(desk, scheduled())
    assert begin_scheduled(desk.bank.engine, desk.bank.now + 400 * DAY_US, 2) == 2
    begin(desk)
    assert next_run(desk) == "2026-11-23T08:00"
    desk.bank.now += 3 * HOUR_US
    begin(desk)
    assert runs(desk) == [("2026-11-23T08:00", everybody(desk)), ("2027-12-27T08:00", 2)]


def test_a_worker_that_stood_still_for_days_after_it_read_its_clock_sets_no_schedule_back(desk: Desk) -> None:
    acting(desk, scheduled())
    read_before = desk.bank.now
    desk.bank.now += 3 * DAY_US
    begin(desk)
    assert next_run(desk) == "2026-11-26T08:00"
    assert begin(desk, read_before) == 0
    assert next_run(desk) == "2026-11-26T08:00"


def test_a_clock_that_is_a_little_behind_does_not_begin_a_moment_again(desk: Desk) -> None:
    acting(desk, scheduled())
    desk.bank.now += 3 * HOUR_US
    begin(desk)
    assert begin(desk, desk.bank.now - 2_000_000) == 0
    assert next_run(desk) == "2026-11-24T08:00"


def test_a_moment_that_a_clock_some_minutes_ahead_began_does_not_begin_again(desk: Desk) -> None:
    acting(desk, scheduled())
    minutes = CLOCKS_DIFFER_US - 1
    desk.bank.now += 3 * HOUR_US - minutes
    assert begin(desk, desk.bank.now + minutes, 100) == everybody(desk)
    assert begin(desk) == 0
    desk.bank.now += minutes
    assert begin(desk) == 0
    assert next_run(desk) == "2026-11-24T08:00"


def test_a_version_activated_between_two_moments_goes_on_with_the_same_schedule(desk: Desk) -> None:
    acting(desk, scheduled())
    desk.bank.now += 3 * HOUR_US
    assert begin_scheduled(desk.bank.engine, desk.bank.now, 2) == 2
    acting(desk, scheduled(title="More care"))
    begin(desk)
    assert runs(desk) == [("2026-11-23T08:00", everybody(desk))]
    with Session(desk.bank.engine) as session:
        assert sorted({run.version_id for run in session.scalars(select(FlowRun))}) == [1, 2]
    noon = {**DAILY, "at": ["12:00", "13:00"]}
    acting(desk, scheduled(noon))
    assert next_run(desk) == "2026-11-23T11:00"
    roll_back_flow(as_(desk, desk.ben), "care", 2, WHY)
    assert next_run(desk) == "2026-11-24T08:00"


def test_what_passes_while_a_flow_is_off_is_not_made_up_for(desk: Desk) -> None:
    acting(desk, scheduled())
    switch_flow_off(as_(desk, desk.ana), "care", WHY)
    assert next_run(desk) == ""
    desk.bank.now += DAY_US
    activate_flow(as_(desk, desk.ben), "care", 1, WHY)
    assert begin(desk) == 0
    assert next_run(desk) == "2026-11-24T08:00"


def test_a_shadow_has_a_schedule_of_its_own_and_acts_on_nothing(desk: Desk) -> None:
    committed(desk, scheduled())
    shadow_flow(as_(desk, desk.ana), "care", 1, WHY)
    assert next_run(desk) == "", "of the version that acts"
    desk.bank.now += 3 * HOUR_US
    begin(desk)
    assert (runs(desk), runs(desk, acts=False)) == ([], [("2026-11-23T08:00", everybody(desk))])
    end_flow_shadow(as_(desk, desk.ana), "care", WHY)
    desk.bank.now += DAY_US
    assert begin(desk) == 0
    with Session(desk.bank.engine) as session:
        assert session.scalars(select(FlowSchedule)).all() == []
        assert session.scalars(select(FlowRow.shadow_version_id)).all() == [None]


def test_a_named_group_is_who_is_a_member_then(desk: Desk) -> None:
    tagged = {"tag": "dear", "is": "present"}
    propose_group(as_(desk, desk.ana), group_document(tagged), WHY, WHY)
    approve_group(as_(desk, desk.ben), "watched", 1, WHY)
    acting(desk, scheduled({**DAILY, "group": "watched"}))
    with pytest.raises(ConflictError, match=r"runs for the group watched"):
        retire_group(as_(desk, desk.ana), "watched", 1, WHY)
    for name in "ad":
        set_tag(desk.bank.context, "customer", name, "dear")
    desk.bank.settle()
    desk.bank.now += 3 * HOUR_US
    assert begin(desk, most=1) == 2
    assert runs(desk) == [("2026-11-23T08:00", 2)]
    with Session(desk.bank.engine) as session:
        assert {run.about.get("group") for run in session.scalars(select(FlowRun))} == {"watched"}
    acting(desk, scheduled({**DAILY, "group": "watched"}, NOON))
    desk.bank.now += DAY_US + 4 * HOUR_US
    begin(desk)
    assert runs(desk)[1:] == [("2026-11-24T08:00", 2), ("2026-11-24T11:00", everybody(desk))], "both are late"


def test_two_schedules_of_one_moment_are_one_run_and_strange_ones_are_refused(desk: Desk) -> None:
    acting(desk, scheduled(DAILY, {**DAILY, "every": ["monday"]}))
    desk.bank.now += 3 * HOUR_US
    begin(desk)
    assert runs(desk) == [("2026-11-23T08:00", everybody(desk))]
    strange = {**DAILY, "every": ["monday", 31], "zone": "Europe/Olso"}
    with pytest.raises(InvalidRulesetError, match="perhaps Europe/Oslo was meant"):
        committed(desk, scheduled(strange, title="Else"))
