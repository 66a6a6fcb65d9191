"""Replays of flows that named groups and schedules begin: whoever would have run then is found, and nobody else."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, HOUR_US, day_text, iso_text, to_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.store.tables.flows import FlowRow
from fivefold.store.tables.groups import GroupVersion
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.flows.replays import run as replaying
from fivefold.usecases.flows.replays.jobs import ReplayAsked, request_flow_replay
from fivefold.usecases.flows.runs.schedules import begin_scheduled, keep_schedules
from fivefold.usecases.ingest.facts import end_tag, set_tag
from fivefold.usecases.rulesets import run_backtest
from tests.usecases import banks, platforms
from tests.usecases.erasure.removals import keep, remove
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.replays.test_replays import made, people, report
from tests.usecases.groups.grouped import Circle

TAGGED = {"tag": "marked", "is": "present"}
ENTERED = {"on": "group", "group": "watched", "change": "entered"}
LEFT = {"on": "group", "group": "watched", "change": "left"}
DAILY: dict[str, Any] = {"on": "schedule", "every": "day", "at": "09:00", "zone": "Europe/Oslo"}
OF_MEMBERS = {**DAILY, "group": "watched"}
MONDAY = to_microseconds(datetime(2026, 11, 23, 5, tzinfo=UTC))
"""Six o'clock in Oslo."""


def flow(*triggers: dict[str, Any], title: str = "Drawn", **condition: Any) -> str:
    """A flow that flags where a condition holds, which is a level that is high unless another one is given."""
    when = condition or {"level": "in_force", "equals": "high"}
    return json.dumps(
        {
            "flow": "drawn",
            "title": title,
            "entity_type": "customer",
            "fields": platforms.FIELDS,
            "levels": platforms.LEVELS,
            "triggers": triggers,
            "actions": [{"id": "flagged", "title": "Flag", "status": "flagged"}],
            "steps": [
                {
                    "id": "choice",
                    "title": "Choice",
                    "route": [{"when": when, "to": "flag"}],
                    "otherwise": "nothing",
                    "on_unknown": "nothing",
                },
                {"id": "nothing", "title": "Nothing", "end": []},
                {"id": "flag", "title": "Flagged", "end": ["flagged"]},
            ],
            "on_failure": ["flagged"],
        }
    )


class Watched(FlowBank):
    """A bank on a Monday morning, with customers whose levels are low, and a group of those who have a tag."""

    def __init__(self, engine: Engine, customers: str = "abc") -> None:
        super().__init__(engine, "")
        self.now = MONDAY
        self.circle = Circle(self)
        self.activate(banks.document({"country": banks.COUNTRY}))
        for name in customers:
            self.put(name, country="NO")
        self.circle.publish(TAGGED)
        self.circle.settle()
        self.began_us = self.now

    def enter(self, *names: str) -> None:
        for name in names:
            set_tag(self.context, "customer", name, "marked")
        self.circle.settle()

    def leave(self, *names: str) -> None:
        for name in names:
            end_tag(self.context, "customer", name, "marked")
        self.circle.settle()

    def so_far(self, from_us: int | None = None) -> ReplayAsked:
        """Everything since the beginning, or a moment, until now, by the last version alone."""
        return ReplayAsked(from_us=self.began_us if from_us is None else from_us, until_us=self.now, alone=True)

    def keep_schedules(self) -> None:
        """Let the schedules of what acts begin now."""
        with Session(self.engine) as session, session.begin():
            keep_schedules(session, session.scalars(select(FlowRow)).one(), self.now)


@pytest.mark.postgresql
def test_who_entered_and_who_left_is_replayed_on_the_facts_of_then(engine: Engine) -> None:
    bank = Watched(engine)
    bank.enter("a", "b")
    bank.wait(1)
    bank.put("b", country="IR")  # from now on high, after b entered
    bank.circle.settle()
    bank.wait(1)
    bank.leave("b")
    bank.wait(1)
    bank.enter("b", "c")
    bank.now += 1
    bank.put("c", country="IR")  # after c entered
    bank.circle.settle()
    bank.wait(1)
    bank.add_flow(flow(ENTERED), acting=False)
    line = made(bank, "drawn", bank.so_far())
    found = report(line)
    assert (found["causes"], found["not_replayed"], found["entities"]) == ([["group", 4]], [], 3)
    assert found["ends"] == [["ended", "flag", 1], ["ended", "nothing", 3]]
    assert people(bank, line) == [("b", "group:watched.3", "", "", "flag", "flagged")]
    bank.add_flow(flow(LEFT, title="Who leaves"), acting=False)
    left = made(bank, "drawn", bank.so_far())
    assert report(left)["causes"] == [["group", 1]]
    assert people(bank, left) == [("b", "group:watched.2", "", "", "flag", "flagged")]
    both = made(bank, "drawn", ReplayAsked(from_us=bank.began_us, until_us=bank.now, version=2, base_version=1))
    assert report(both)["moves"] == [
        ["", "", "ended", "flag", 1],
        ["ended", "flag", "", "", 1],
        ["ended", "nothing", "", "", 3],
    ]
    assert found["notes"] == report(left)["notes"] == report(both)["notes"] == []


def test_moves_of_other_groups_and_of_other_times_are_none(engine: Engine) -> None:
    bank = Watched(engine)
    bank.circle.publish(TAGGED, "others")
    bank.circle.settle()
    bank.enter("a")
    first = bank.now
    bank.wait(1)
    bank.enter("b")
    second = bank.now
    bank.wait(1)
    bank.enter("c")
    bank.wait(1)
    bank.add_flow(flow(ENTERED, field="country", equals="NO"))
    line = made(bank, "drawn", ReplayAsked(from_us=first + 1, until_us=second + 1))
    assert people(bank, line) == [("b", "group:watched.1", "", "", "flag", "flagged")]


def test_what_ran_live_by_a_move_is_what_the_replay_finds(engine: Engine) -> None:
    bank = Watched(engine)
    bank.add_flow(flow({"on": "group", "group": "watched"}))
    for name, country in (("a", "IR"), ("b", "NO"), ("a", "NO"), ("b", "IR")):
        bank.put(name, country=country)
        bank.circle.settle()
        (bank.leave if name in bank.circle.members() else bank.enter)(name)
        bank.work()
        bank.wait(11)
    line = made(bank, "drawn", bank.so_far())
    lived = sorted((run.cause, run.stopped_at) for run in bank.runs())
    assert len(lived) == 4
    names = {bank.id_of(name): name for name in "ab"}
    flagged = {(names[run.entity_id], run.cause) for run in bank.runs() if run.does}
    assert {(name, cause) for name, cause, *_ in people(bank, line)} == flagged != set()
    assert report(line)["causes"] == [["group", 4]]


def test_a_schedule_for_a_group_is_replayed_for_who_was_a_member_then(engine: Engine) -> None:
    bank = Watched(engine)
    for name in "abc":
        bank.put(name, country="IR")
    bank.enter("a", "b")
    bank.wait(1)
    then = bank.now
    bank.wait(1)
    bank.leave("b")
    bank.enter("c")
    bank.wait(1)
    bank.add_flow(flow(OF_MEMBERS), acting=False)
    now = made(bank, "drawn")
    assert [name for name, *_ in people(bank, now)] == ["a", "c"]
    assert (report(now)["entities"], report(now)["members_of"]) == (3, ["watched"])
    assert report(now)["ends"] == [["ended", "flag", 2]]
    assert [name for name, *_ in people(bank, made(bank, "drawn", ReplayAsked(as_of_us=then)))] == ["a", "b"]
    bank.add_flow(flow(OF_MEMBERS, {"on": "transaction"}, title="Payments too"), acting=False)
    wider = made(bank, "drawn", ReplayAsked(version=2, base_version=1))
    assert report(wider)["moves"] == [["", "", "ended", "flag", 1], ["ended", "flag", "ended", "flag", 2]]
    assert (report(wider)["members_of"], report(wider)["base_members_of"]) == ([], ["watched"])


def test_whoever_is_a_member_of_one_of_several_groups_is_replayed(engine: Engine) -> None:
    bank = Watched(engine)
    bank.circle.publish({"field": "country", "equals": "IR"}, "abroad")
    bank.circle.settle()
    bank.put("b", country="IR")
    bank.enter("a")
    nothing = {"field": "income", "above": 0}
    bank.add_flow(flow(OF_MEMBERS, {**DAILY, "at": "17:00", "group": "abroad"}, **{"not": nothing}))
    assert report(made(bank, "drawn"))["ends"] == [["ended", "nothing", 2]]


def test_the_moments_of_schedules_are_replayed_for_their_members(engine: Engine) -> None:
    bank = Watched(engine)
    bank.add_flow(flow(OF_MEMBERS, {**DAILY, "every": ["tuesday"], "at": "12:00"}))
    bank.keep_schedules()
    for name, moves in (("a", bank.enter), ("b", bank.enter), ("a", bank.leave), ("c", bank.enter)):
        bank.put(name, country="IR")
        moves(name)
        for _ in range(24):
            bank.now += HOUR_US
            while begin_scheduled(engine, bank.now):
                pass
            bank.work()
    line = made(bank, "drawn", bank.so_far())
    found = report(line)
    lived = sorted((names_of(bank)[run.entity_id], run.cause, run.stopped_at) for run in bank.runs())
    assert found["causes"] == [["schedule", len(lived)]]
    nine, noon = (f"schedule:{iso_text(MONDAY + hours * HOUR_US)}" for hours in (3, 30))
    assert ("a", nine, "flag") in lived
    assert ("c", noon, "nothing") in lived, "everybody runs on Tuesday"
    assert ("c", nine, "nothing") not in lived
    flagged = {(name, cause) for name, cause, at in lived if at == "flag"}
    assert {(name, cause) for name, cause, *_ in people(bank, line)} == flagged
    assert (found["not_replayed"], found["notes"], found["members_of"]) == ([], [], [])


def names_of(bank: FlowBank) -> dict[int, str]:
    return {bank.id_of(name): name for name in "abc"}


def test_where_moves_of_then_are_removed_the_result_says_of_how_many_and_runs_none_of_these(engine: Engine) -> None:
    bank = Watched(engine)
    bank.enter("a", "b")
    bank.wait(400)
    entered = bank.now
    bank.leave("a")
    bank.wait(800)
    then = bank.now
    bank.enter("a")
    bank.wait(1600)
    keep(bank, flows_days=1826)  # before 974 days after the beginning
    assert remove(bank) == {"flows": 2}, "of b the only move is the newest"
    bank.add_flow(flow({**OF_MEMBERS, "every": 1}, field="country", equals="NO"))
    early = made(bank, "drawn", ReplayAsked(as_of_us=entered))
    assert [name for name, *_ in people(bank, early)] == ["b"]
    assert report(early)["unknown_members"] == [["watched", 1]]
    (note,) = report(early)["notes"]
    assert note.startswith("Of 1 customer it is not known")
    assert "members of watched" in note
    late = made(bank, "drawn", ReplayAsked(as_of_us=then - 1))
    assert ([name for name, *_ in people(bank, late)], report(late)["notes"]) == (["b"], []), "a was surely none"
    over = made(bank, "drawn", bank.so_far(then - 300 * DAY_US))
    assert report(over)["unknown_members"] == [["watched", 1]]
    bank.add_flow(flow(ENTERED, field="country", equals="NO"))
    moved = made(bank, "drawn", bank.so_far())
    assert report(moved)["unknown_members"] == [["watched", 1]]
    assert [cause for _, cause, *_ in people(bank, moved)] == ["group:watched.3", "group:watched.1"]
    assert report(made(bank, "drawn", bank.so_far(then - 200 * DAY_US)))["unknown_members"] == []


def test_a_group_that_was_not_in_force_then_had_no_members_and_the_result_says_so(engine: Engine) -> None:
    bank = Watched(engine)
    bank.enter("a")
    with Session(engine) as session:
        approved_us = session.scalars(select(GroupVersion.approved_us)).one()
    assert approved_us is not None
    bank.add_flow(flow(OF_MEMBERS))
    before = made(bank, "drawn", ReplayAsked(as_of_us=approved_us - DAY_US))
    assert report(before)["ends"] == []
    (note,) = report(before)["notes"]
    assert note == f"The group watched came into force on {day_text(approved_us)}; before that it had no members."
    over = made(bank, "drawn", ReplayAsked(from_us=approved_us - DAY_US, until_us=bank.now))
    assert report(over)["notes"] == [note]
    bank.add_flow(flow({**ENTERED, "group": "nowhere"}), acting=False)
    bank.wait(1)
    never = made(bank, "drawn", bank.so_far())
    assert report(never)["notes"] == ["The group nowhere was never in force, so it had no members."]


def test_a_schedule_with_very_many_moments_is_refused_with_their_bound(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = Watched(engine)
    bank.wait(10)
    bank.add_flow(flow({**DAILY, "at": [f"{hour:02}:00" for hour in range(24)]}))
    monkeypatch.setattr("fivefold.usecases.flows.replays.jobs.MOST_SCHEDULED", 100)
    with pytest.raises(ConfigError, match=r"more than 100 moments .* shorter period"):
        request_flow_replay(bank.context, "drawn", bank.so_far())
    line, _ = request_flow_replay(bank.context, "drawn", bank.so_far(bank.now - 4 * DAY_US))
    assert line.state == "queued"


def test_schedules_are_replayed_in_small_parts_and_come_to_the_same(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = Watched(engine, "abcdefg")
    bank.enter("a", "c", "g")
    for name in "ceg":
        bank.put(name, country="IR")
    bank.circle.settle()
    bank.wait(5)
    bank.add_flow(flow(OF_MEMBERS))
    whole = made(bank, "drawn", bank.so_far())
    assert report(whole)["causes"] == [["schedule", 15]]
    monkeypatch.setattr(replaying, "MOST_CAUSES", 12)
    monkeypatch.setattr(run_backtest, "MOST_ENTITIES", 4)
    asked = list[int]()
    causes = replaying.causes_in

    def counted(session: Any, of: Any, entity_ids: Any) -> Any:
        asked.append(len(entity_ids))
        return causes(session, of, entity_ids)

    monkeypatch.setattr(replaying, "causes_in", counted)
    again = made(bank, "drawn", bank.so_far())
    assert max(asked) == 2, "five moments of two customers are no more than twelve causes"
    assert (again.report_hash, people(bank, again)) == (whole.report_hash, people(bank, whole))


@pytest.mark.postgresql
def test_who_is_erased_takes_moves_along(engine: Engine, tmp_path: Any) -> None:
    bank = Watched(engine)
    bank.enter("a", "b")
    bank.now += 6 * 366 * DAY_US
    bank.circle.settle()
    erase_entity(bank.context, "customer", "a", tmp_path / "register")
    bank.add_flow(flow(ENTERED, OF_MEMBERS, field="country", equals="NO"))
    line = made(bank, "drawn", ReplayAsked(from_us=bank.began_us, until_us=bank.began_us + DAY_US))
    assert {name for name, *_ in people(bank, line)} == {"b"}
    assert report(line)["causes"] == [["group", 1], ["schedule", 1]]
