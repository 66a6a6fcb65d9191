"""What ran live and what a replay of the same version finds afterwards are one thing, whatever happened."""

import json
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Part
from fivefold.flows.analysis import analyse_flow
from fivefold.store.tables.entities import ValueScore
from fivefold.usecases.flows.replays.jobs import (
    ReplayAsked,
    list_replay_people,
    read_flow_replay,
    request_flow_replay,
    run_next_replay,
)
from fivefold.usecases.flows.runs.answering import answer_run
from fivefold.usecases.ingest.facts import end_tag, set_tag
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from tests.depth import examples
from tests.store import databases
from tests.usecases import banks
from tests.usecases.flows.flowing import HOUR_US, FlowBank
from tests.usecases.platforms import FIELDS, LEVELS, TRANSACTION_FIELDS, actor

WHY = "Because of the test."
CONDITIONS: list[dict[str, Any]] = [
    {"sum": "amount", "over": "30 days", "above": 100},
    {"count": "transactions", "over": "2 days", "at_least": 2},
    {"largest": "amount", "n": 1, "over": "10 days", "above": 50},
    {"level": "in_force", "at_least": "medium"},
    {"level": "in_force", "equals": "high"},
    {"value": "segment", "equals": "top"},
    {"value": "expected_value", "below": 5},
    {"tag": "watch", "is": "present"},
    {"field": "country", "in": ["IR", "KP"]},
    {"any": [{"field": "income", "above": 10}, {"tag": "watch", "is": "absent"}]},
    {"not": {"value": "score", "above": 3}},
]
TARGETS = ("flag", "bound", "ask", "nothing")
COUNTRIES = ("IR", "RU", "NO", None)
TRIGGERS = [
    {"on": "transaction"},
    {"on": "level"},
    {"on": "tag", "tag": "watch"},
    {"on": "tag", "tag": "watch", "change": "ended"},
    {"on": "field", "fields": ["country", "income"]},
]


def document(ways: list[tuple[dict[str, Any], str]], otherwise: str, on_unknown: str | None) -> str:
    """Write a flow that each kind of event begins: a choice, a person, and ends that act."""
    choice = {"route": [{"when": when, "to": to} for when, to in ways], "otherwise": otherwise}
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
                {"id": "choice", "title": "Choice", **choice, **({"on_unknown": on_unknown} if on_unknown else {})},
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
    st.tuples(st.just("value"), st.sampled_from(["low", "top"])),
    st.tuples(st.sampled_from(["tag", "no tag"]), st.just("watch")),
    st.tuples(st.just("answer"), st.sampled_from(["right", "wrong"])),
)
STORIES = st.lists(
    st.tuples(st.sampled_from([1, HOUR_US, 5 * HOUR_US, DAY_US, 40 * DAY_US]), st.sampled_from("ab"), HAPPENINGS),
    min_size=1,
    max_size=10,
)
"""How long after the one before, to whom, and what."""


class Lived:
    """A bank in which a story happens, and what follows is carried out before anything else happens."""

    def __init__(self, engine: Engine, flow: str) -> None:
        self.bank = FlowBank(engine)
        rules = {"country": banks.COUNTRY}
        self.bank.activate(banks.document(rules, max_recompute_interval="900 days"))
        self.settle()
        self.began_us = self.bank.now + 1
        self.bank.add_flow(flow)
        self.numbers = iter(range(1, 1000))

    def settle(self) -> None:
        """Carry out all that follows, at the moment at which it stands."""
        while self.bank.settle() + self.bank.work():
            pass

    def happen(self, what: str, name: str, said: Any) -> None:
        bank = self.bank
        if what == "pay":
            bank.pay(next(self.numbers), name, transaction_amount=said)
        elif what in {"country", "income"}:
            bank.put(name, **{what: said})
        elif what == "value":
            self.value(name, said)
        elif what == "tag":
            set_tag(bank.context, "customer", name, "watch")
        elif what == "no tag":
            with suppress(NotFoundError):  # it may not be there
                end_tag(bank.context, "customer", name, "watch")
        else:
            self.answer(name, said)

    def value(self, name: str, segment: str) -> None:
        """Say a value; that a segment is another one begins no run of this flow."""
        score = 4.5 if segment == "top" else 1.5
        said = {"score": score, "expected_value": score, "currency": "EUR", "model": "m", "model_version": 1}
        of = {"entity_id": self.bank.id_of(name), "as_of_us": self.bank.now, "segment": segment, "fingerprint": "f"}
        with Session(self.bank.engine) as session, session.begin():
            session.add(ValueScore(**of, **said))

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
    ways = st.lists(st.tuples(st.sampled_from(CONDITIONS), st.sampled_from(TARGETS)), min_size=1, max_size=3)
    targets = st.sampled_from(TARGETS)

    @settings(
        max_examples=examples(25 if kind == "sqlite" else 5),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(ways, targets, st.one_of(st.none(), targets), STORIES)
    def agree(drawn: list[Any], otherwise: str, on_unknown: str | None, story: list[Any]) -> None:
        flow = document(drawn, otherwise, on_unknown)
        assert not analyse_flow(flow).diagnostics
        with (
            tempfile.TemporaryDirectory() as folder,
            databases.opened(databases.new_url(kind, Path(folder)), 10**9) as engine,
        ):
            lived = Lived(engine, flow)
            for later_us, name, (what, said) in story:
                lived.bank.now += later_us
                lived.settle()  # a cooldown may have ended
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
    assert run_next_replay(bank.engine, bank.now)
    found = read_flow_replay(bank.context, line.id)
    assert (found.state, found.error) == ("done", None)
    assert found.report is not None
    runs = bank.runs()
    ends = Counter((STATES.get(run.state, run.state), run.stopped_at) for run in runs)
    assert found.report["ends"] == sorted([state, step, count] for (state, step), count in ends.items())
    people = list_replay_people(bank.context, line.id, part=Part(500))
    names = {bank.id_of(name): name for name in "ab"}
    acted = {(names[run.entity_id], run.cause, run.stopped_at, run.does) for run in runs if run.does}
    assert {(each.external_id, each.cause, each.stopped_at, each.actions) for each in people if each.actions} == acted
