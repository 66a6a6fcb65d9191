"""Replays of flows that cause each other: what a flow itself brought about does not run it, as it did not then."""

import json
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.store.tables.flows import FlowActivation, FlowRow
from fivefold.usecases.flows.replays.jobs import ReplayAsked
from fivefold.usecases.ingest.facts import end_tag, set_tag
from tests.usecases import banks
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.replays.test_replays import made, report
from tests.usecases.flows.triggers.test_chains import MOVES, RISES, WATCH, flow, settle
from tests.usecases.groups.grouped import Circle

OF_TAGS: list[dict[str, Any]] = [{"on": "tag", "tag": "watch"}, {"on": "tag", "tag": "seen"}]


@pytest.fixture
def bank(engine: Engine) -> FlowBank:
    """Five customers at a low level; who has the tag `watch` is high."""
    bank = FlowBank(engine, "")
    bank.activate(banks.document({"country": banks.COUNTRY, "watch": WATCH}, cooldown="1 day"))
    for name in "abcde":
        bank.put(name, country="NO")
    bank.settle()
    return bank


def act(bank: FlowBank, document: str) -> None:
    """Let a version act from now on, and keep that, as an activation does."""
    version_id = bank.add_flow(document)
    with Session(bank.engine) as session, session.begin():
        flow_id = session.scalars(select(FlowRow.id).where(FlowRow.active_version_id == version_id)).one()
        session.add(
            FlowActivation(
                organisation_id=bank.of,
                flow_id=flow_id,
                version_id=version_id,
                kind="active",
                reason="Why not.",
                actor="member:1",
                at_us=bank.now,
            )
        )
    bank.wait(0.01)


def replayed(bank: FlowBank, document: str, from_us: int) -> dict[str, Any]:
    """Replay a version that does the same as the one that acts, and is another by its title."""
    another = {**json.loads(document), "title": "Another"}
    bank.add_flow(json.dumps(another), acting=False)
    return report(made(bank, another["flow"], ReplayAsked(from_us=from_us, until_us=bank.now)))


def agrees(bank: FlowBank, document: str, from_us: int) -> None:
    """The replay comes to the causes, ends and actions that there were, by both versions."""
    found, flow_name = replayed(bank, document, from_us), json.loads(document)["flow"]
    with Session(bank.engine) as session:
        flow_id = session.scalars(select(FlowRow.id).where(FlowRow.name == flow_name)).one()
    runs = [run for run in bank.runs() if run.flow_id == flow_id]
    taken = Counter(each.action for each in bank.actions() if each.flow_id == flow_id)
    kinds = Counter(run.about["kind"] for run in runs)
    assert Counter(dict(found["causes"])) == kinds
    assert found["ends"] == found["base_ends"] == [["ended", "done", len(runs)]]
    assert Counter(dict(found["actions"])) == Counter(dict(found["base_actions"])) == taken
    assert (found["notes"], found["unknown_origin"]) == ([], [])


def opening(document: str) -> str:
    """Let a flow open a case as well."""
    content = json.loads(document)
    content["actions"].append({"id": "open", "title": "Open", "case": "Look."})
    content["steps"][0]["end"].append("open")
    return json.dumps(content)


@pytest.mark.postgresql
def test_a_replay_of_the_acting_version_comes_to_the_runs_that_there_were(bank: FlowBank) -> None:
    first, second = flow("first", RISES), flow("second", OF_TAGS, tag="seen")
    for each in (first, second):
        act(bank, each)
    began = bank.now
    for name in "abc":
        bank.put(name, country="RU")
    settle(bank)
    bank.wait(1)
    assert Counter(run.flow_id for run in bank.runs()) == {1: 3, 2: 3}
    for each in (first, second):
        agrees(bank, each, began)


def test_a_level_that_no_other_flow_listens_to_is_known_by_the_version_that_acted(bank: FlowBank) -> None:
    first = flow("first", MOVES)
    act(bank, first)
    began = bank.now
    bank.put("a", country="RU")
    settle(bank)
    bank.wait(3)
    end_tag(bank.context, "customer", "a", "watch")
    set_tag(bank.context, "customer", "b", "watch")
    settle(bank)
    bank.wait(3)
    settle(bank)
    assert len(bank.runs()) >= 3, "a person did something as well"
    agrees(bank, first, began)


def test_a_tag_and_a_case_by_a_flow_that_the_flow_caused_are_its_own(bank: FlowBank) -> None:
    """The second flow runs by the case of the first, and gives the tag that the first listens to."""
    first = opening(flow("first", [{"on": "tag", "tag": "seen"}, {"on": "case"}, {"on": "tag", "tag": "go"}]))
    second = flow("second", [{"on": "case"}], tag="seen")
    for each in (first, second):
        act(bank, each)
    began = bank.now
    set_tag(bank.context, "customer", "a", "go")
    settle(bank)
    bank.wait(1)
    set_tag(bank.context, "customer", "b", "seen")
    settle(bank)
    bank.wait(1)
    assert Counter(run.flow_id for run in bank.runs()) == {1: 2, 2: 2}
    for each in (first, second):
        agrees(bank, each, began)


def test_a_group_that_the_flow_moves_people_into_is_its_own(bank: FlowBank) -> None:
    Circle(bank).publish({"tag": "watch", "is": "present"})
    settle(bank)
    first = flow("first", [*RISES, {"on": "group", "group": "watched"}])
    act(bank, first)
    began = bank.now
    bank.put("a", country="RU")
    set_tag(bank.context, "customer", "b", "watch")
    settle(bank)
    bank.wait(1)
    assert Counter(run.about["kind"] for run in bank.runs()) == {"level": 2, "group": 1}
    agrees(bank, first, began)


def test_a_level_of_which_nobody_knows_the_origin_is_replayed_and_counted_apart(bank: FlowBank) -> None:
    """The version that acted did not listen to levels; one that does is replayed."""
    act(bank, flow("first", [{"on": "tag", "tag": "go"}]))
    began = bank.now
    set_tag(bank.context, "customer", "a", "go")
    bank.put("b", country="RU")
    settle(bank)
    bank.wait(1)
    found = replayed(bank, flow("first", RISES), began)
    assert (found["causes"], found["unknown_origin"]) == ([["level", 2], ["tag", 1]], [["level", 1]])
    assert found["ends"] == [["ended", "done", 2]]
    (note,) = found["notes"]
    assert note.startswith("Of 1 level event it is not known whether the flow itself brought them about")
