"""Flows that listen to named groups: an entity enters or leaves, and a run begins in the transaction that stores it."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.errors import ConflictError, InvalidRulesetError
from fivefold.usecases.flows.activate import activate_flow, switch_flow_off, what_stands_against_flow
from fivefold.usecases.groups.versions import approve_group, propose_group, retire_group
from fivefold.usecases.ingest.facts import set_tag
from tests.usecases import banks, platforms
from tests.usecases.decisions.deciding import Desk, opened
from tests.usecases.flows.documents import BY_COUNTRY, WHY, acting, as_, committed, flow_document
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.groups.grouped import HIGH, WORTH, Circle
from tests.usecases.groups.grouped import document as group_document

TAGGED = {"tag": "marked", "is": "present"}


def watching(engine: Engine) -> tuple[FlowBank, Circle]:
    """A bank of one customer, ada, whose level is low, with groups."""
    bank = FlowBank(engine, "")
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("ada", country="NO")
    bank.settle()
    return bank, Circle(bank)


def flow(name: str, triggers: list[dict[str, Any]], tag: str = "seen") -> str:
    return json.dumps(
        {
            "flow": name,
            "title": name,
            "entity_type": "customer",
            "levels": platforms.LEVELS,
            "triggers": triggers,
            "actions": [{"id": "mark", "title": "Mark", "tag": tag}],
            "steps": [{"id": "done", "title": "Done", "end": ["mark"]}],
            "on_failure": ["mark"],
        }
    )


def entered(group: str = "watched", change: str = "entered") -> list[dict[str, Any]]:
    return [{"on": "group", "group": group, "change": change}]


@pytest.mark.postgresql
def test_each_way_runs_the_flows_that_listen_to_it_and_once(engine: Engine) -> None:
    bank, circle = watching(engine)
    circle.publish(HIGH)
    circle.publish(HIGH, "others")
    bank.add_flow(flow("in", entered()))
    bank.add_flow(flow("out", entered(change="left")))
    bank.add_flow(flow("both", [{"on": "group", "group": "watched"}]))
    circle.settle()
    assert bank.runs() == []
    bank.put("ada", country="IR")
    circle.settle()
    assert [(run.flow_id, run.cause) for run in bank.runs()] == [(1, "group:watched.1"), (3, "group:watched.1")]
    about = {"kind": "group", "group": "watched", "change": "entered", "number": 1, "people": ["member:1"]}
    assert bank.runs()[0].about == about
    bank.mark("ada")
    circle.settle()
    assert len(bank.runs()) == 2, "who stays in enters nothing"
    bank.put("ada", country="NO")
    bank.wait(11)
    circle.settle()
    assert [(run.flow_id, run.cause) for run in bank.runs()][2:] == [(2, "group:watched.2"), (3, "group:watched.2")]
    assert bank.work() == 4
    assert {state for _, state, _ in bank.states()} == {"ended"}


def test_a_move_whose_transaction_is_undone_begins_no_run(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, circle = watching(engine)
    circle.publish(HIGH)
    circle.settle()
    bank.add_flow(flow("in", entered()))
    bank.put("ada", country="IR")
    module = "fivefold.usecases.levels.persist"
    with monkeypatch.context() as broken:
        broken.setattr(f"{module}.store_blocks", lambda *_: (_ for _ in ()).throw(RuntimeError("the power went")))
        done = bank.run()
        assert done is not None
        assert done.failed == 1
    assert (bank.runs(), circle.members()) == ([], set())
    bank.wait(1)
    circle.settle()
    assert ([run.cause for run in bank.runs()], circle.members()) == (["group:watched.1"], {"ada"})


def test_a_tag_of_a_person_lets_somebody_in_and_the_flow_runs(engine: Engine) -> None:
    bank, circle = watching(engine)
    circle.publish(TAGGED)
    circle.settle()
    bank.add_flow(flow("in", entered()))
    set_tag(bank.context, "customer", "ada", "marked")
    circle.settle()
    assert bank.work() == 1
    assert [action.content["tag"] for action in bank.actions()] == ["seen"]


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return opened(engine)


def published(desk: Desk, name: str = "watched", **parts: Any) -> None:
    propose_group(as_(desk, desk.ana), group_document(WORTH, name, **parts), WHY, WHY)
    approve_group(as_(desk, desk.ben), name, 1, WHY)


def test_a_group_that_is_not_there_is_named_with_the_one_that_was_meant(desk: Desk) -> None:
    published(desk, "watched")
    document = flow_document(steps=[BY_COUNTRY], triggers=entered("wached"))
    with pytest.raises(InvalidRulesetError, match=r"the group wached; .* perhaps watched was meant"):
        committed(desk, document)
    assert committed(desk, flow_document("other", triggers=entered())).number == 1


def test_a_group_that_a_flow_listens_to_is_not_taken_away_from_under_it(desk: Desk) -> None:
    published(desk)
    acting(desk, flow_document(triggers=entered()))
    with pytest.raises(ConflictError, match=r"version 1 of the flow care could not run any more: .*the group watched"):
        retire_group(as_(desk, desk.ana), "watched", 1, WHY)
    switch_flow_off(as_(desk, desk.ana), "care", WHY)
    retire_group(as_(desk, desk.ana), "watched", 1, WHY)
    committed(desk, flow_document("other"))
    assert "watched" in str(what_stands_against_flow(as_(desk, desk.ben), "care", 1))
    with pytest.raises(ConflictError, match=r"cannot run now: .*the group watched"):
        activate_flow(as_(desk, desk.ben), "care", 1, WHY)
    propose_group(as_(desk, desk.ana), group_document(WORTH, title="Again"), WHY, WHY)
    approve_group(as_(desk, desk.ben), "watched", 2, WHY)
    retire_group(as_(desk, desk.ana), "watched", 2, WHY)
    with desk.bank.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM flow_runs")).scalar_one() == 0


def test_commerce_listens_to_no_group_against_money_laundering(desk: Desk) -> None:
    published(desk)
    published(desk, "dear", purpose="commercial")
    parts: dict[str, Any] = {"purpose": "commercial", "purposes": {"fields": {"country": "both"}}, "levels": None}
    parts["levels"] = platforms.LEVELS
    with pytest.raises(InvalidRulesetError) as refused:
        committed(desk, flow_document(triggers=entered(), **parts))
    assert "trigger group → the group watched" in str(refused.value)
    assert "the group dear" not in str(refused.value)
