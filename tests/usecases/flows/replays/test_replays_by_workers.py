"""Replays as workers make them: leased, part by part, gone on with by another one, cancelled and quarantined."""

import json
import weakref
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.store.tables.flows import FlowReplay, FlowReplayPerson
from fivefold.usecases.flows.replays import run as replaying
from fivefold.usecases.flows.replays import tally
from fivefold.usecases.flows.replays.jobs import (
    REPLAYS,
    ReplayAsked,
    cancel_flow_replay,
    list_replay_people,
    read_flow_replay,
    request_flow_replay,
)
from fivefold.usecases.rulesets import run_backtest
from fivefold.usecases.shared import jobs
from fivefold.usecases.shared.jobs import LEASE_US, MOST_ATTEMPTS, run_next_job
from tests.usecases.flows.flowing import LARGE, FlowBank
from tests.usecases.flows.replays.test_replays import PERIOD, STRICTER, made, people


@pytest.mark.postgresql
def test_a_worker_that_ends_is_followed_by_one_that_goes_on_and_comes_to_the_same(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_backtest, "MOST_ENTITIES", 2)
    bank = FlowBank(engine, "abcdefg")
    bank.add_flow(LARGE)
    bank.add_flow(STRICTER, acting=False)
    for number, user in enumerate("abcdefg"):
        bank.post(number, 50, user)
    whole = made(bank, "large", PERIOD)
    line, _ = request_flow_replay(bank.context, "large", PERIOD)
    parts: list[int] = []
    kept = replaying._part_writer

    class KilledError(BaseException):
        pass

    def killed(*arguments: Any) -> Any:
        parts.append(1)
        if len(parts) == 3:
            raise KilledError
        return kept(*arguments)

    monkeypatch.setattr(replaying, "_part_writer", killed)
    with pytest.raises(KilledError):
        run_next_job(engine, REPLAYS, bank.now)
    assert read_flow_replay(bank.context, line.id).done == 4
    assert not run_next_job(engine, REPLAYS, bank.now + 1), "its lease still runs"
    assert run_next_job(engine, REPLAYS, bank.now + 2 * LEASE_US)
    again = read_flow_replay(bank.context, line.id)
    assert (again.state, again.attempts, again.report_hash) == ("done", 2, whole.report_hash)
    assert people(bank, again) == people(bank, whole)
    assert len(people(bank, again)) == 7


def busy(engine: Engine) -> FlowBank:
    """Seven customers with a payment each, on a day of their own; a has three more, and d and g share another day."""
    bank = FlowBank(engine, "abcdefg")
    bank.add_flow(LARGE)
    bank.add_flow(STRICTER, acting=False)
    for number, user in enumerate("abcdefgaaadg"):
        bank.post(number, 50, user, transaction_date=f"2026-10-{min(number, 10) + 1:02}T12:00:00")
    return bank


@pytest.mark.parametrize(
    ("bound", "most", "reached"),
    [("MOST_CAUSES", 3, [1, 3, 5, 7]), ("MOST_MOMENTS", 4, [1, 4, 7]), ("MOST_MOMENTS", 1, [1, 2, 3, 4, 5, 6, 7])],
)
def test_what_was_found_is_stored_after_so_many_causes_and_moments(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, bound: str, most: int, reached: list[int]
) -> None:
    """A customer with more of them is a part alone; what comes out is the same."""
    bank = busy(engine)
    whole = made(bank, "large", PERIOD)
    monkeypatch.setattr(replaying, bound, most)
    kept, stored = replaying._part_writer, []

    def counted(number: int, about: Any, found: tally.ReplayTally, affected: Any) -> Any:
        stored.append(found.entities)
        return kept(number, about, found, affected)

    monkeypatch.setattr(replaying, "_part_writer", counted)
    again = made(bank, "large", PERIOD)
    assert stored == reached
    assert (again.report_hash, people(bank, again)) == (whole.report_hash, people(bank, whole))
    assert len(people(bank, again)) == 12


def test_few_frames_are_kept_however_many_moments_there_are(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = busy(engine)
    whole = made(bank, "large", PERIOD)
    monkeypatch.setattr(replaying, "_OFTEN", 2)
    ends, frames, most = tally.ends_of, list[weakref.ref[Any]](), 0

    def remembered(*arguments: Any) -> Any:
        nonlocal most
        most = max(most, sum(each() is not None for each in frames))
        found = ends(*arguments)
        frames.append(weakref.ref(found))
        return found

    monkeypatch.setattr(replaying, "ends_of", remembered)
    again = made(bank, "large", PERIOD)
    assert len(frames) == 22
    assert most <= 4, "two of each version"
    assert (again.report_hash, people(bank, again)) == (whole.report_hash, people(bank, whole))


@pytest.mark.postgresql
def test_the_lease_is_held_however_long_moments_take(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = busy(engine)
    passed_us, ends = 0, replaying._Replay._ends
    monkeypatch.setattr(jobs, "monotonic_ns", lambda: passed_us * 1000)

    def slow(*arguments: Any) -> Any:
        nonlocal passed_us
        with Session(engine) as session:
            until_us = session.scalars(select(FlowReplay.lease_until_us).where(FlowReplay.state == "running")).one()
        assert until_us is not None
        assert until_us > bank.now + passed_us
        passed_us += LEASE_US * 2 // 3
        return ends(*arguments)

    monkeypatch.setattr(replaying._Replay, "_ends", slow)
    made(bank, "large", PERIOD)
    assert passed_us > 10 * LEASE_US


@pytest.mark.postgresql
def test_where_what_it_asks_changed_meanwhile_it_begins_anew(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    line, _ = request_flow_replay(bank.context, "large", PERIOD)
    bank.post(1, 500)
    with Session(engine) as session, session.begin():
        job = session.get_one(FlowReplay, line.id)
        job.reached = json.dumps({"about": {"engine": "0"}, "tally": {}})
        row = {"before_state": "", "before_at": "", "before_actions": "", "state": "", "stopped_at": "", "actions": ""}
        session.add(
            FlowReplayPerson(replay_id=line.id, entity_id=bank.id_of("b"), number=0, cause="old", at_us=1, **row)
        )
    assert run_next_job(engine, REPLAYS, bank.now)
    assert [each.cause for each in list_replay_people(bank.context, line.id)] == ["transaction:t1"]


@pytest.mark.postgresql
def test_one_is_cancelled_and_one_that_ends_workers_is_quarantined(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    line, _ = request_flow_replay(bank.context, "large", PERIOD)
    assert request_flow_replay(bank.context, "large", PERIOD) == (line, False)
    bank.add_flow(STRICTER, acting=False)
    days = {"from_us": PERIOD.from_us, "until_us": PERIOD.until_us}
    for other in ({"from_us": 1, "until_us": 2}, {}, {"base_version": 2, **days}):
        with pytest.raises(ConflictError, match=f"replay {line.id} of this version"):
            request_flow_replay(bank.context, "large", ReplayAsked(version=1, **other))
    with pytest.raises(NotFoundError):
        list_replay_people(bank.context, line.id)
    with pytest.raises(ConfigError):
        cancel_flow_replay(bank.context, line.id, " ")
    cancelled = cancel_flow_replay(bank.context, line.id, "another version is to come")
    assert cancelled.state == "cancelled"
    assert "another version" in (cancelled.error or "")
    assert not run_next_job(engine, REPLAYS, bank.now)
    with pytest.raises(ConflictError):
        cancel_flow_replay(bank.context, line.id, "again")
    second, is_new = request_flow_replay(bank.context, "large", PERIOD)
    assert is_new
    with Session(engine) as session, session.begin():
        session.get_one(FlowReplay, second.id).attempts = MOST_ATTEMPTS
    assert run_next_job(engine, REPLAYS, bank.now)
    assert read_flow_replay(bank.context, second.id).state == "quarantined"


@pytest.mark.postgresql
def test_a_worker_stops_where_a_replay_is_cancelled_while_it_runs(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)
    line, _ = request_flow_replay(bank.context, "large", PERIOD)
    kept = replaying._part_writer

    def cancelled(*arguments: Any) -> Any:
        cancel_flow_replay(bank.context, line.id, "too slow today")
        return kept(*arguments)

    monkeypatch.setattr(replaying, "_part_writer", cancelled)
    assert run_next_job(engine, REPLAYS, bank.now)
    assert read_flow_replay(bank.context, line.id).state == "cancelled"
    with Session(engine) as session:
        assert not session.scalars(select(FlowReplayPerson)).all()
