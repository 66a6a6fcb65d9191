"""Flows that ask rulesets, the value and other flows: the active versions, kept with each run, and not taken away."""

import json

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.store.tables.entities import ValueScore
from fivefold.usecases.flows.activate import activate_flow, switch_flow_off
from fivefold.usecases.flows.read import read_flow_version
from fivefold.usecases.flows.runs.outcomes import replay_record
from tests.usecases import banks
from tests.usecases.decisions.deciding import Desk
from tests.usecases.flows.documents import WHY, Data, acting, as_, committed, flow_document
from tests.usecases.flows.flowing import FlowBank

LEVELS = "levels: [low, medium, high]"
BELOW = f"""
flow: below
title: Below
entity_type: customer
{LEVELS}
fields: {{country: country}}
steps:
  - id: home
    title: Home
    route: [{{when: {{field: country, equals: "NO"}}, to: near}}]
    otherwise: far
    on_unknown: far
  - {{id: near, title: Near, end: []}}
  - {{id: far, title: Far, end: []}}
"""
ABOVE = f"""
flow: above
title: Above
entity_type: customer
{LEVELS}
triggers: [{{on: transaction}}]
actions: [{{id: look, title: Look, review: 2 days}}, {{id: note, title: Note, tag: noted}}]
steps:
  - {{id: today, title: Today, rules: {{ruleset: retail}}, on_unknown: look-at}}
  - {{id: worth, title: Worth, value: {{}}, on_unknown: look-at}}
  - {{id: place, title: Place, flow: below}}
  - id: choice
    title: Choice
    route:
      - {{when: {{step: today, output: level, at_least: high}}, to: look-at}}
      - {{when: {{step: place, output: ends, equals: far}}, to: look-at}}
    otherwise: fine
  - {{id: look-at, title: Looked at, end: [look]}}
  - {{id: fine, title: Fine, end: [note]}}
on_failure: [look]
"""


def asked(engine: Engine) -> FlowBank:
    bank = FlowBank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    for name, country in (("a", "NO"), ("b", "IR")):
        bank.put(name, country=country)
        score = {"score": 4.5, "segment": "top", "expected_value": 120.0, "currency": "EUR"}
        with Session(engine) as session, session.begin():
            session.add(
                ValueScore(
                    entity_id=bank.id_of(name),
                    as_of_us=bank.now,
                    **score,
                    model="value",
                    model_version=7,
                    fingerprint="f" * 64,
                )
            )
    bank.add_flow(BELOW)
    bank.add_flow(ABOVE)
    return bank


@pytest.mark.postgresql
def test_a_run_asks_what_is_active_and_is_made_again_when_that_has_changed(engine: Engine) -> None:
    bank = asked(engine)
    bank.post(1, 50)
    bank.post(2, 50, "b")
    bank.work()
    assert [step for _, _, step in bank.states()] == ["fine", "look-at"]
    assert [action.action for action in bank.actions()] == ["note", "look"]
    answer = json.loads(bank.runs()[0].answer or "")
    assert {
        kind: {name: each["version"] for name, each in of.items()} for kind, of in answer["flow"]["asked"].items()
    } == {
        "rulesets": {"retail": 1},
        "flows": {"below": 1},
    }
    told = {step["step"]: step for step in answer["steps"]}
    assert (told["today"]["gives"]["level"], told["place"]["gives"]["ends"]) == ("low", "near")
    assert "by value version 7" in told["worth"]["seen"]
    bank.activate(banks.document({"country": banks.INCOME | {"input": {"field": "income"}}}))
    bank.add_flow(BELOW.replace("to: near", "to: far"))
    assert [replay_record(bank.context, f"f:{number}").same for number in (1, 2)] == [True, True]
    bank.post(3, 50)
    bank.work()
    assert bank.states()[-1] == ("transaction:t3", "ended", "look-at")


def test_without_a_value_the_run_goes_where_the_step_says(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.add_flow(BELOW)
    bank.add_flow(ABOVE)
    bank.post(1, 50)
    bank.work()
    assert bank.states() == [("transaction:t1", "ended", "look-at")]
    assert replay_record(bank.context, "f:1").same


TODAY: Data = {"id": "today", "title": "Today", "rationale": "R.", "rules": {"ruleset": "retail"}}
PLACE: Data = {"id": "place", "title": "Place", "rationale": "R.", "flow": "care"}
BY_LEVEL: Data = {
    "id": "by-level",
    "title": "By level",
    "rationale": "R.",
    "route": [
        {"when": {"step": "today", "output": "level", "at_least": "medium"}, "to": "done"},
        {"when": {"step": "place", "output": "ends", "equals": "done"}, "to": "done"},
    ],
    "otherwise": "nothing",
}


def outer() -> str:
    return flow_document("outer", [TODAY, PLACE, BY_LEVEL])


def test_what_is_asked_is_pinned_and_cannot_be_taken_away(desk: Desk) -> None:
    acting(desk, flow_document())
    acting(desk, outer())
    pinned = read_flow_version(as_(desk, desk.ana), "outer", 1).pinned
    assert {kind: sorted(of) for kind, of in pinned.items()} == {"rulesets": ["retail"], "flows": ["care"]}
    with pytest.raises(ConflictError, match="version 1 of the flow outer could not run any more"):
        switch_flow_off(as_(desk, desk.ana), "care", WHY)
    person = {"question": "?", "within": "1 day", "answers": {"yes": "done", "no": "nothing"}, "otherwise": "done"}
    waits = {"id": "ask", "title": "Ask", "rationale": "R.", "person": person}
    examples = [{"name": "asked", "given": {}, "ends": "ask"}]
    made = committed(desk, flow_document(steps=[waits], title="Waits", examples=examples))
    with pytest.raises(ConflictError, match="care waits at ask"):
        activate_flow(as_(desk, desk.ben), "care", made.number, WHY)


def test_a_flow_that_leads_back_to_itself_never_acts(desk: Desk) -> None:
    acting(desk, flow_document())
    acting(desk, outer())
    back = [{**PLACE, "flow": "outer"}, {**BY_LEVEL, "route": BY_LEVEL["route"][1:]}]
    with pytest.raises(Exception, match="leads back: care → outer → care"):
        committed(desk, flow_document(steps=back, title="Back"))
