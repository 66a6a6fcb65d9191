"""What ran live and what a replay of the same version finds afterwards are one thing, whatever happened."""

import json
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Part
from fivefold.domain.schedules import next_moment
from fivefold.flows.analysis import analyse_flow
from fivefold.flows.outside.outcomes import OutsideOutcome, failed_outcome
from fivefold.flows.triggers import ScheduleTrigger
from fivefold.store.sql.database import writing
from fivefold.store.tables.flows import FlowRow
from fivefold.usecases.flows.replays.jobs import (
    REPLAYS,
    ReplayAsked,
    list_replay_people,
    read_flow_replay,
    request_flow_replay,
)
from fivefold.usecases.flows.runs import asking
from fivefold.usecases.flows.runs.answering import answer_run
from fivefold.usecases.flows.runs.schedules import begin_scheduled, keep_schedules
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, end_tag, put_record, set_tag
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job
from tests.depth import examples
from tests.store import databases
from tests.usecases import banks
from tests.usecases.flows.flowing import HOUR_US, FlowBank
from tests.usecases.flows.live.valued import give_value
from tests.usecases.groups.grouped import Circle
from tests.usecases.platforms import FIELDS, LEVELS, TRANSACTION_FIELDS, actor

WHY = "Because of the test."
Data = dict[str, Any]

CONDITIONS: list[Data] = [
    {"sum": "amount", "over": "30 days", "above": 100},
    {"count": "transactions", "over": "2 days", "at_least": 2},
    {"largest": "amount", "n": 1, "over": "10 days", "above": 50},
    {"level": "in_force", "at_least": "medium"},
    {"level": "in_force", "equals": "high"},
    {"value": "segment", "equals": "top"},
    {"value": "expected_value", "below": 30},
    {"tag": "watch", "is": "present"},
    {"field": "country", "in": ["IR", "KP"]},
    {"any": [{"field": "income", "above": 10}, {"tag": "watch", "is": "absent"}]},
    {"not": {"value": "score", "above": 3}},
    {"count": "alerts", "over": "30 days", "at_least": 1},
    {"screening": "pep", "is": "present"},
]
CALCULATIONS: list[Data] = [
    {"divide": [{"sum": "amount", "over": "90 days"}, 90], "unit": "money"},
    {"divide": [{"sum": "amount"}, {"count": "transactions", "over": "2 days"}], "unit": "money"},
    {"multiply": [{"field": "income"}, 2], "unit": "ratio"},
]
"""The second one divides by 0 where nobody paid lately, so it is unknown."""
TARGETS = ("flag", "bound", "ask", "nothing")
COUNTRIES = ("IR", "RU", "NO", None)
MONTHLY = {"on": "schedule", "every": 1, "at": "09:00", "zone": "UTC", "group": "watched"}
TRIGGERS: list[Data] = [
    {"on": "transaction"},
    {"on": "level"},
    {"on": "segment"},
    {"on": "tag", "tag": "watch"},
    {"on": "tag", "tag": "watch", "change": "ended"},
    {"on": "alert"},
    {"on": "case"},
    {"on": "screening", "screening": "pep"},
    {"on": "field", "fields": ["country", "income"]},
    {"on": "group", "group": "watched"},
    MONTHLY,
]
WATCHED = {"any": [{"field": "country", "equals": "IR"}, {"tag": "watch", "is": "present"}]}


@st.composite
def steps(draw: st.DrawFn) -> list[Data]:
    """Draw what comes before a person is asked: perhaps a calculation, a source and a table, and a choice."""
    conditions, targets = st.sampled_from(CONDITIONS), st.sampled_from(TARGETS)
    found, given = list[Data](), list[Data]()

    def unknown(to: st.SearchStrategy[Any]) -> Data:
        """Say what follows where it is not known, or nothing: then the run fails."""
        where = draw(st.none() | to)
        return {} if where is None else {"on_unknown": where}

    if draw(st.booleans()):
        found.append({"id": "much", "title": "Much", "calculate": {"much": draw(st.sampled_from(CALCULATIONS))}})
        given.append({"calculation": "much", "above": 20})
    if draw(st.booleans()):
        data = {"source": "register", "send": {"income": {"field": "income"}}, "gives": {"live": "flag"}}
        found.append({"id": "register", "title": "Register", "data": data, **unknown(targets)})
        given.append({"step": "register", "output": "live", "equals": True})
    if draw(st.booleans()):
        rows = draw(st.lists(st.sampled_from([*CONDITIONS, *given]), min_size=1, max_size=2))
        table = {
            "gives": {"size": "text"},
            "rows": [{"when": when, "give": {"size": f"size-{number}"}} for number, when in enumerate(rows)],
            "otherwise": {"size": "other"},
            **unknown(st.just({"size": "unknown"})),
        }
        found.append({"id": "band", "title": "Band", "table": table})
        sizes = ("size-0", "other", *(["unknown"] if "on_unknown" in table else []))
        given.extend({"step": "band", "output": "size", "equals": size} for size in sizes)
    each = st.sampled_from(given) | conditions if given else conditions
    ways = draw(st.lists(st.tuples(each, targets), min_size=1, max_size=3))
    route = [{"when": when, "to": to} for when, to in ways]
    choice = {"id": "choice", "title": "Choice", "route": route, "otherwise": draw(targets), **unknown(targets)}
    return [*found, choice]


def document(before: list[Data]) -> str:
    """Write a flow that each kind of event begins: what is drawn, a person, and ends that act."""
    person = {
        "question": "Is this right?",
        "role": "investigator",
        "within": "4 hours",
        "answers": {"right": "nothing", "wrong": "flag"},
        "otherwise": "bound",
    }
    return json.dumps(
        {
            "flow": "drawn",
            "title": "Drawn",
            "entity_type": "customer",
            "fields": FIELDS,
            "transaction_fields": TRANSACTION_FIELDS,
            "levels": LEVELS,
            "triggers": TRIGGERS,
            "actions": [
                {"id": "flagged", "title": "Flag", "status": "flagged"},
                {"id": "daily", "title": "Bound", "limit": "daily", "amount": 12.5, "between": [0, 500]},
            ],
            "on_failure": ["flagged"],
            "steps": [
                *before,
                {"id": "ask", "title": "Ask", "person": person},
                {"id": "flag", "title": "Flagged", "end": ["flagged"]},
                {"id": "bound", "title": "Bounded", "end": ["daily"]},
                {"id": "nothing", "title": "Nothing", "end": []},
            ],
        }
    )


HAPPENINGS = st.one_of(
    st.tuples(st.just("pay"), st.sampled_from([5.0, 60.0, 2000.0])),
    st.tuples(st.just("country"), st.sampled_from(COUNTRIES)),
    st.tuples(st.just("income"), st.sampled_from([5, 50, None])),
    st.tuples(st.sampled_from(["tag", "no tag"]), st.just("watch")),
    st.tuples(st.just("answer"), st.sampled_from(["right", "wrong"])),
    st.tuples(st.sampled_from(["open", "close"]), st.sampled_from(["alert", "case"])),
    st.tuples(st.just("screen"), st.booleans()),
    st.tuples(st.just("register"), st.sampled_from([True, False, None])),
)
STORIES = st.lists(
    st.tuples(st.sampled_from([1, HOUR_US, 5 * HOUR_US, DAY_US, 40 * DAY_US]), st.sampled_from("ab"), HAPPENINGS),
    min_size=1,
    max_size=10,
)
"""How long after the one before, to whom, and what."""


class Lived:
    """A bank in which a story happens, and what follows is carried out before anything else happens."""

    def __init__(self, engine: Engine, flow: str, patched: pytest.MonkeyPatch) -> None:
        self.bank = FlowBank(engine)
        give_value(self.bank, patched)
        patched.setattr(asking, "ask_of_all", self.said)
        rules = {"country": banks.COUNTRY}
        self.bank.activate(banks.document(rules, max_recompute_interval="900 days"))
        self.circle = Circle(self.bank)
        self.circle.publish(WATCHED)
        self.circle.settle()
        self.settle()
        self.began_us = self.bank.now + 1
        self.bank.add_flow(flow)
        with writing(engine) as session:
            keep_schedules(session, session.scalars(select(FlowRow)).one(), self.bank.now)
        self.numbers = iter(range(1, 1000))
        self.open: dict[tuple[str, str], RecordGiven] = {}
        self.live: bool | None = True

    def said(self, questions: Any, clock: Any) -> list[OutsideOutcome]:
        """Say what the register says now; nothing where it cannot be reached."""
        at_us = clock()
        if self.live is None:
            return [failed_outcome("no answer within 5 s", "register", at_us) for _ in questions]
        return [OutsideOutcome(values={"live": self.live}, source="register", at_us=at_us) for _ in questions]

    def settle(self) -> None:
        """Carry out all that follows, at the moment at which it stands."""
        while self.bank.settle() + self.bank.work():
            pass

    def wait(self, later_us: int) -> None:
        """Let time pass; a worker is there whenever the schedule comes."""
        until_us = self.bank.now + later_us
        while (moment := next_moment(ScheduleTrigger.model_validate(MONTHLY).schedule, self.bank.now)) <= until_us:
            self.bank.now = moment
            self.settle()
            while begin_scheduled(self.bank.engine, moment):
                pass
            self.settle()
        self.bank.now = until_us
        self.settle()  # a cooldown may have ended

    def happen(self, what: str, name: str, said: Any) -> None:
        bank = self.bank
        if what == "pay":
            bank.pay(next(self.numbers), name, transaction_amount=said)
        elif what in {"country", "income"}:
            bank.put(name, **{what: said})
        elif what == "tag":
            set_tag(bank.context, "customer", name, "watch")
        elif what == "no tag":
            with suppress(NotFoundError):  # it may not be there
                end_tag(bank.context, "customer", name, "watch")
        elif what in {"open", "close"}:
            self.record(name, said, opens=what == "open")
        elif what == "screen":
            add_screening(bank.context, "customer", name, "pep", has_match=said)
        elif what == "register":
            self.live = said
        else:
            self.answer(name, said)

    def record(self, name: str, kind: str, *, opens: bool) -> None:
        """Open an alert or a case, or close the one that is open."""
        bank = self.bank
        if opens:
            given = RecordGiven(external_id=str(next(self.numbers)), opened_us=bank.now)
            self.open[name, kind] = given
        elif (name, kind) in self.open:
            given = replace(self.open.pop((name, kind)), closed_us=bank.now)
        else:
            return
        put_record(bank.context, "customer", name, kind, given)

    def answer(self, name: str, said: str) -> None:
        number = self.bank.id_of(name)
        run = next((run for run in self.bank.runs() if run.entity_id == number and run.state == "waiting"), None)
        if run is not None:
            person = Context(self.bank.engine, actor(self.bank.of, "member:2"), lambda: self.bank.now)
            answer_run(person, Role.INVESTIGATOR, run.id, said, WHY)


STATES = {"waiting": "waits"}


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", databases.KINDS)
def test_a_replay_finds_what_ran(kind: str) -> None:
    @settings(
        max_examples=examples(50 if kind == "sqlite" else 5),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(steps(), STORIES)
    def agree(drawn: list[Data], story: list[Any]) -> None:
        flow = document(drawn)
        assert not analyse_flow(flow).diagnostics
        with (
            tempfile.TemporaryDirectory() as folder,
            databases.opened(databases.new_url(kind, Path(folder)), 10**9) as engine,
            pytest.MonkeyPatch.context() as patched,
        ):
            lived = Lived(engine, flow, patched)
            for later_us, name, (what, said) in story:
                lived.wait(later_us)
                lived.bank.now += 1
                lived.happen(what, name, said)
                lived.settle()
            compare(lived)

    agree()


def compare(lived: Lived) -> None:
    """Replay the time of the story by the version that acted, and put both beside each other."""
    bank = lived.bank
    bank.now += 1
    asked = ReplayAsked(from_us=lived.began_us, until_us=bank.now, version=1, alone=True)
    line, _ = request_flow_replay(bank.context, "drawn", asked)
    assert run_next_job(bank.engine, REPLAYS, bank.now)
    found = read_flow_replay(bank.context, line.id)
    assert (found.state, found.error) == ("done", None)
    assert found.report is not None
    runs = bank.runs()
    kinds = Counter(run.about["kind"] for run in runs)
    ends = Counter((STATES.get(run.state, run.state), run.stopped_at) for run in runs)
    assert found.report["causes"] == sorted([kind, count] for kind, count in kinds.items())
    assert found.report["ends"] == sorted([state, step, count] for (state, step), count in ends.items())
    people = list_replay_people(bank.context, line.id, part=Part(500))
    names = {bank.id_of(name): name for name in "ab"}
    acted = {(names[run.entity_id], run.cause, run.stopped_at, run.does) for run in runs if run.does}
    assert {(each.external_id, each.cause, each.stopped_at, each.actions) for each in people if each.actions} == acted
