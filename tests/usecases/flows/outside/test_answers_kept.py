"""What sources and agents answer is kept with the run that asked, and the run is made again from there."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import AgentSettings
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.flows.outside import OutsideAccess
from fivefold.usecases.flows.runs import asking
from fivefold.usecases.flows.runs.execute import run_flows
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.flows.runs.reading import view_run
from tests.usecases.flows.conftest import Register
from tests.usecases.flows.documents import ASKS_SOURCE
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.outside.servers import serving
from tests.usecases.flows.outside.test_asked_agents import completion


def test_a_step_that_asks_the_outside_is_stored_before_the_next_begins(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(ASKS_SOURCE)
    bank.post(1, 500)
    assert run_flows(engine, clock=lambda: bank.now) == 1
    (run,) = bank.runs()
    assert (run.state, run.stopped_at, run.inputs is None) == ("queued", "register", False)
    assert bank.work() == 1
    assert bank.states() == [("transaction:t1", "ended", "unknown")]
    assert bank.count("flow_steps WHERE kind = 'data'") == 1
    assert replay_record(bank.context, "f:1").same


def test_what_a_source_answers_is_stored_with_the_run_and_made_again_from_there(
    engine: Engine, register: Register
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(ASKS_SOURCE)
    server = register(method="GET")
    bank.post(1, 500)
    bank.work()
    assert [got.path for got in server.got] == ["/?amount=500"]
    assert bank.states() == [("transaction:t1", "ended", "known")]
    assert replay_record(bank.context, "f:1").same
    assert [got.path for got in server.got] == ["/?amount=500"]
    run = view_run(bank.context, 1)
    assert run.why is not None
    costs = {each["step"]: each.get("cost") for each in run.why["steps"]}
    assert {step: cost for step, cost in costs.items() if cost is not None} == {"register": costs["register"]}
    assert costs["register"]["tries"] == 1
    assert costs["register"]["milliseconds"] >= 0
    assert "milliseconds" not in replay_record(bank.context, "f:1").stored, (
        "a time does not belong to what is made again"
    )


OPINES = """
flow: opines
title: Opines
entity_type: customer
levels: [low, medium, high]
triggers: [{on: transaction}]
actions: [{id: look, title: Look, review: 2 days}]
steps:
  - id: explained
    title: Is it explained?
    agent: {question: "Is it explained?", facts: {paid: {transaction: amount}}, answers: [plausible, implausible]}
    on_unknown: unknown
  - id: which
    title: Which
    route: [{when: {step: explained, output: answer, equals: implausible}, to: doubted}]
    otherwise: known
  - {id: known, title: Known, end: []}
  - {id: doubted, title: Doubted, end: [look]}
  - {id: unknown, title: Unknown, end: [look]}
on_failure: [look]
"""


NOT_SAID = {"answer": "implausible", "reasons": [{"text": "So it is.", "evidence": ["income"]}]}


SAID = {"answer": "implausible", "reasons": [{"text": "It is much.", "evidence": ["paid"]}]}


@pytest.mark.parametrize(("content", "end"), [(SAID, "doubted"), (NOT_SAID, "unknown"), ("It is fine.", "unknown")])
def test_what_an_agent_answers_is_kept_for_the_run_and_its_shadow_until_the_customer_is_erased(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, end: str
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(OPINES)
    bank.add_flow(OPINES.replace("title: Known", "title: Known better"), shadow=True)
    with serving(lambda _: completion(content)) as server:
        agent = AgentSettings(f"http://127.0.0.1:{server.port}/v1", "small", "key-of-the-agent")
        monkeypatch.setattr(asking, "_outside", lambda name: OutsideAccess(organisation=name, sources={}, agent=agent))
        bank.post(1, 500)
        bank.work()
    (got,) = server.got
    assert json.loads(got.told["messages"][1]["content"])["facts"] == [{"id": "paid", "value": 500}]
    assert bank.states() == [("transaction:t1", "ended", end)] * 2
    assert [(each.run_id, each.action) for each in bank.actions()] == [(1, "look")]
    replayed = [replay_record(bank.context, f"f:{run.id}") for run in bank.runs()]
    assert [each.same for each in replayed] == [True, True]
    assert "key-of-the-agent" not in "".join(each.stored for each in replayed)
    run = view_run(bank.context, 1)
    assert run.why is not None
    step, (kept,) = run.why["steps"][0], run.answered
    assert (step["cost"]["tries"], step["cost"]["tokens"], kept.kind) == (1, 21, "agent")
    if end == "doubted":
        assert (kept.outcome["failed"], step["reasons"]) == (None, SAID["reasons"])
        assert "It is much. (paid)" in step["sentence"]
    else:
        assert (kept.outcome["values"], kept.outcome["reasons"]) == ({}, [])
        assert kept.outcome["failed"] in step["outcome"]
        assert "So it is." not in replayed[0].stored, "nothing is used of what does not fit"
    assert bank.count("flow_steps WHERE kind = 'agent'") == 2
    bank.now += 6 * 366 * DAY_US
    erase_entity(bank.context, "customer", "a", tmp_path / "register")
    assert (bank.runs(), bank.count("flow_steps")) == ([], 0)


def test_settings_that_are_wrong_hold_no_run_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_: str) -> OutsideAccess:
        raise ConfigError("no such file")

    monkeypatch.setattr(asking, "_outside", wrong)
    bank = FlowBank(engine)
    bank.add_flow(ASKS_SOURCE)
    bank.post(1, 500)
    bank.work()
    assert bank.states() == [("transaction:t1", "ended", "unknown")]
