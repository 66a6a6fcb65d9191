"""What flows cause among each other, through levels and groups: no flow runs by what came about by it alone."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from fivefold.domain.clock import HOUR_US
from fivefold.store.levels import leases
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.levels.markings import mark_everybody_once
from fivefold.store.sql.database import writing
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.facts import end_tag, set_tag
from fivefold.usecases.levels.worker import process_batch
from tests.usecases import banks, platforms
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.groups.grouped import Circle

RISES: list[dict[str, Any]] = [{"on": "level", "direction": "up"}]
MOVES: list[dict[str, Any]] = [{"on": "level"}]
WATCH = {"cases": [{"when": {"tag": "watch", "is": "present"}, "points": 70}]}

HOME = [{"when": {"equals": "NO"}, "points": 40}]


def flow(name: str, triggers: Sequence[dict[str, Any]], tag: str = "watch", lasts: str | None = None) -> str:
    action = {"id": "mark", "title": "Mark", "tag": tag, **({"lasts": lasts} if lasts else {})}
    return json.dumps(
        {
            "flow": name,
            "title": name,
            "entity_type": "customer",
            "levels": platforms.LEVELS,
            "triggers": list(triggers),
            "actions": [action],
            "steps": [{"id": "done", "title": "Done", "end": ["mark"]}],
            "on_failure": ["mark"],
        }
    )


@pytest.fixture
def bank(engine: Engine) -> FlowBank:
    """One customer, ada, at a low level; who has the tag `watch` is high."""
    bank = FlowBank(engine, "")
    bank.activate(banks.document({"country": banks.COUNTRY, "watch": WATCH}, cooldown="1 day"))
    bank.put("ada", country="NO")
    bank.settle()
    return bank


def settle(bank: FlowBank) -> None:
    """Let workers assess and run flows until nothing is left, a hundred times at most."""
    for _ in range(100):
        Circle(bank).settle()
        if not bank.work():
            return
    raise AssertionError("flows cause each other without end")


def came_about(bank: FlowBank) -> list[tuple[int, list[int]]]:
    """Each run's flow, and the flows by which it came about."""
    return [(run.flow_id, run.about.get("through", [])) for run in bank.runs()]


@pytest.mark.postgresql
def test_a_level_that_rises_by_what_a_flow_did_does_not_run_it_again_and_runs_others(bank: FlowBank) -> None:
    bank.add_flow(flow("first", RISES))
    bank.add_flow(flow("second", [{"on": "level", "to": ["high"]}], tag="seen"))
    bank.put("ada", country="RU")
    settle(bank)
    assert [run.about["to"] for run in bank.runs()] == ["medium", "high"]
    assert came_about(bank) == [(1, []), (2, [1])]


def test_what_somebody_else_did_as_well_runs_it_again(bank: FlowBank) -> None:
    bank.add_flow(flow("first", RISES))
    bank.put("ada", country="RU")
    bank.settle()
    bank.work()
    bank.put("ada", country="NO")
    settle(bank)
    assert came_about(bank) == [(1, []), (1, [])], "the country was stored before the level was looked at"


def test_what_time_does_runs_it_again(bank: FlowBank) -> None:
    bank.add_flow(flow("first", MOVES, lasts="10 days"))
    bank.put("ada", country="RU")
    settle(bank)
    assert came_about(bank) == [(1, [])]
    bank.wait(12)
    settle(bank)
    assert [run.about["direction"] for run in bank.runs()] == ["up", "down"], "the tag was over"
    assert came_about(bank) == [(1, []), (1, [])]


def test_a_chain_through_a_group_ends_too(bank: FlowBank) -> None:
    circle = Circle(bank)
    circle.publish({"tag": "marked", "is": "present"})
    circle.publish({"tag": "seen", "is": "present"}, "seen-ones")
    settle(bank)
    bank.add_flow(flow("first", [{"on": "tag", "tag": "go"}, {"on": "group", "group": "seen-ones"}], tag="marked"))
    bank.add_flow(flow("second", [{"on": "group", "group": "watched", "change": "entered"}], tag="seen"))
    set_tag(bank.context, "customer", "ada", "go")
    settle(bank)
    assert circle.members("seen-ones") == {"ada"}
    assert came_about(bank) == [(1, []), (2, [1])]
    end_tag(bank.context, "customer", "ada", "seen")
    settle(bank)
    assert came_about(bank)[2:] == [(1, [])], "a person took the tag away, so she left"


def test_two_flows_that_answer_each_other_end(bank: FlowBank) -> None:
    bank.add_flow(flow("first", MOVES, tag="watch"))
    bank.add_flow(flow("second", MOVES, tag="other"))
    bank.put("ada", country="RU")
    settle(bank)
    assert came_about(bank) == [(1, []), (2, [])]
    assert bank.count("flow_marks") == 0, "what was assessed is not noted any more"


def noted(bank: FlowBank) -> None:
    """A flow ran by a tag, and did something by which ada is due; it also runs when her level rises."""
    bank.add_flow(flow("first", [{"on": "tag", "tag": "go"}, *RISES], tag="seen"))
    set_tag(bank.context, "customer", "ada", "go")
    bank.settle()
    bank.work()
    assert bank.count("flow_marks") == 1


@pytest.mark.postgresql
def test_what_a_person_does_while_a_worker_is_at_it_runs_it(bank: FlowBank) -> None:
    """The worker took the mark that the flow left, and reads what was stored after that as well."""
    noted(bank)
    with writing(bank.engine) as session:
        batch = leases.claim(session, "ours", bank.now, bank.now + HOUR_US, 10, 3)
    assert batch is not None
    bank.put("ada", country="RU")
    process_batch(bank.engine, batch, clock=lambda: bank.now)
    settle(bank)
    assert came_about(bank) == [(1, []), (1, [])], "the country was a person's doing"


def test_a_change_that_has_not_marked_everybody_yet_runs_it(bank: FlowBank) -> None:
    """Rules that are in force already are read for whom a flow made due, before the change has marked that one."""
    noted(bank)
    bank.activate(banks.document({"home": {"input": {"field": "country"}, "cases": HOME}}))
    with writing(bank.engine) as session:
        kind = session.scalars(select(EntityType)).one()
        mark_everybody_once(session, kind, Reason.ACTIVATION, bank.now)
    bank.settle()
    settle(bank)
    assert came_about(bank) == [(1, []), (1, [])], "the rules were a person's doing"


def test_what_is_noted_goes_with_the_person(bank: FlowBank, tmp_path: Path) -> None:
    bank.add_flow(flow("first", RISES))
    bank.put("ada", country="RU")
    bank.settle()
    bank.work()
    assert bank.count("flow_marks") == 1
    bank.wait(2000)
    erase_entity(bank.context, "customer", "ada", tmp_path / "register")
    assert bank.count("flow_marks") == 0
