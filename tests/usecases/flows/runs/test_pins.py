"""A run names the versions of all that it rests on, and is made again to the byte once each of these has changed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fivefold.store.tables.entities import ValueScore
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.flows.runs.answering import answer_run
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.store.audits import forged
from tests.usecases import banks
from tests.usecases.at_once import put_list_version
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.levels.test_peers import put_peers

INNER = """
flow: inner
title: Inner
entity_type: customer
levels: [low, medium, high]
fields: {country: country}
steps:
  - id: home
    title: Home
    route: [{when: {field: country, equals: "NO"}, to: near}]
    otherwise: far
    on_unknown: far
  - {id: near, title: Near, end: []}
  - {id: far, title: Far, end: []}
"""
OUTER = """
flow: outer
title: Rests on much
entity_type: customer
levels: [low, medium, high]
fields: {country: country, income: number}
reference: our-peers
triggers: [{on: transaction}]
actions: [{id: look, title: Look, review: 2 days}]
steps:
  - id: listed
    title: Listed
    route: [{when: {field: country, in_list: watched}, to: end}]
    otherwise: valued
    on_unknown: end
  - id: valued
    title: Valued
    route: [{when: {value: score, at_least: 4}, to: risky}]
    otherwise: end
    on_unknown: end
  - id: risky
    title: Risky
    route: [{when: {level: in_force, at_least: high}, to: end}]
    otherwise: beside
    on_unknown: end
  - id: beside
    title: Beside others
    route: [{when: {peer_percentile: {of: {field: income}, among: everyone}, at_least: 99}, to: end}]
    otherwise: today
    on_unknown: end
  - {id: today, title: Today, rules: {ruleset: retail}, on_unknown: end}
  - {id: within, title: Within, flow: inner, on_unknown: end}
  - id: ask
    title: A person looks
    person:
      question: Is it right?
      role: investigator
      within: 4 hours
      answers: {right: nothing, wrong: end}
      otherwise: end
  - {id: nothing, title: Nothing, end: []}
  - {id: end, title: End, end: [look]}
on_failure: [look]
"""


def bank_of(engine: Engine) -> FlowBank:
    bank = FlowBank(engine, "a")
    bank.activate(banks.document({"country": banks.COUNTRY}))
    put_list_version(bank.context, "watched", 0, ["IR"], "Watched", "our own")
    put_peers(bank, range(100))
    bank.put("a", country="NO", income=50)
    value(bank, 4.5, 7)
    bank.add_flow(INNER)
    bank.add_flow(OUTER)
    bank.settle()
    bank.post(1, 50)
    bank.work()
    return bank


def value(bank: FlowBank, score: float, version: int) -> None:
    said = {"score": score, "segment": "top", "expected_value": 120.0, "currency": "EUR"}
    of = {"model": "value", "model_version": version, "fingerprint": "f" * 64}
    with Session(bank.engine) as session, session.begin():
        session.add(ValueScore(entity_id=bank.id_of("a"), as_of_us=bank.now, **said, **of))


def record(bank: FlowBank) -> Any:
    return json.loads(bank.runs()[0].answer or "{}")


@pytest.mark.postgresql
def test_a_run_names_the_versions_of_all_that_it_rests_on(engine: Engine) -> None:
    bank = bank_of(engine)
    said = record(bank)
    assert (said["status"], said["at"]) == ("waits", "ask"), said["line"]
    assert (said["flow"]["name"], said["flow"]["version"], len(said["flow"]["content_hash"])) == ("outer", 1, 64)
    asked = {kind: {name: each["version"] for name, each in of.items()} for kind, of in said["flow"]["asked"].items()}
    assert asked == {"rulesets": {"retail": 1}, "flows": {"inner": 1}}
    assert sorted(said["lists"]) == ["our-peers", "watched"]
    level, model = said["rests_on"]["level"], said["rests_on"]["value"]
    standing = bank.standing("a")
    assert level == {"assessment": f"{standing.entity_id}.{standing.number}", "ruleset": "retail", "version": 1}
    assert (model["model"], model["version"]) == ("value", 7)
    assert model["as_of"].startswith("2026-")
    assert (said["engine"], said["base"]) == ("1", "EUR")


def test_a_flow_that_reads_no_level_and_no_value_says_nothing_of_them(engine: Engine) -> None:
    """A record of a flow for commerce names no assessment."""
    bank = FlowBank(engine, "a")
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("a", country="NO")
    bank.add_flow(INNER.replace("steps:", "triggers: [{on: transaction}]\nsteps:", 1))
    bank.settle()
    bank.post(1, 50)
    bank.work()
    assert record(bank)["rests_on"] == {}


def new_list(bank: FlowBank) -> None:
    put_list_version(bank.context, "watched", bank.now - 1, ["NO"], "Watched", "our own")


def new_ruleset(bank: FlowBank) -> None:
    bank.activate(banks.document({"country": {**banks.COUNTRY, "rationale": "Another one."}}))


def new_inner_flow(bank: FlowBank) -> None:
    bank.add_flow(INNER.replace("to: near", "to: far"))


def new_outer_flow(bank: FlowBank) -> None:
    bank.add_flow(OUTER.replace("at_least: 4}", "at_least: 5}"))


def new_peers(bank: FlowBank) -> None:
    put_peers(bank, range(1_000))


def new_facts(bank: FlowBank) -> None:
    bank.put("a", country="IR", income=1)
    set_tag(bank.context, "customer", "a", "watch")
    bank.settle()


def new_value(bank: FlowBank) -> None:
    value(bank, 1.0, 8)


def new_fields(bank: FlowBank) -> None:
    define_type(bank.context, "customer", {"colour": "text"}, purposes={"fields": {"country": "aml"}})


def no_flow(bank: FlowBank) -> None:
    with forged(bank.engine) as connection:
        connection.execute(text("UPDATE flows SET active_version_id = NULL WHERE name = 'inner'"))


CHANGES: tuple[Callable[[FlowBank], None], ...] = (
    *(new_list, new_ruleset, new_inner_flow, new_outer_flow, new_peers, new_facts, new_value, new_fields, no_flow),
)


def test_it_is_made_again_after_each_of_these_has_changed_and_goes_on_from_what_it_knew(engine: Engine) -> None:
    """One bank, one change after another: the run that waits is the same, and so is its end once it is answered."""
    bank = bank_of(engine)
    before = record(bank)
    for change in CHANGES:
        bank.now += 1_000_000
        change(bank)
        replayed = replay_record(bank.context, "f:1")
        assert replayed.same, change.__name__
    person = Context(engine, Actor(bank.of, "member:2")).at(bank.now)
    answer_run(person, Role.INVESTIGATOR, 1, "right", "All is in order.")
    after = record(bank)
    assert (after["status"], after["at"]) == ("ended", "nothing")
    assert {name: after[name] for name in ("flow", "lists", "rests_on", "base")} == {
        name: before[name] for name in ("flow", "lists", "rests_on", "base")
    }
    assert replay_record(bank.context, "f:1").same


@pytest.mark.postgresql
def test_a_run_of_before_that_says_nothing_of_it_is_made_again_as_it_was(engine: Engine) -> None:
    bank = bank_of(engine)
    run = bank.runs()[0]
    inputs, answer = json.loads(run.inputs or ""), json.loads(run.answer or "")
    del inputs["rests_on"], answer["rests_on"]
    with forged(engine) as connection:
        texts = {
            "inputs": json.dumps(inputs, sort_keys=True),
            "answer": json.dumps(answer, sort_keys=True, ensure_ascii=False, separators=(",", ":")),
        }
        connection.execute(text("UPDATE flow_runs SET inputs = :inputs, answer = :answer WHERE id = 1"), texts)
    assert replay_record(bank.context, "f:1").same
