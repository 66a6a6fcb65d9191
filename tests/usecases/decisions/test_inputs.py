"""What a decision is made from, and how it is kept: read back, it is the same to the bit."""

import json
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.language.policy import read_policy
from fivefold.store.decisions.decisions import parties_of, standpoint_of
from fivefold.usecases.decisions.inputs import NEVER, Material, gather
from fivefold.usecases.levels.replay_inputs import read_inputs
from tests.usecases import banks
from tests.usecases.deciding import Desk, cash, document, opened


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return opened(engine)


def gathered(desk: Desk, *conditions: Any, name: str = "ada") -> Material:
    rules = [{"when": condition, "action": "note"} for condition in conditions]
    with Session(desk.bank.engine) as session:
        parties = parties_of(session, desk.bank.of, "customer", name, "")
        point = standpoint_of(session, parties.entity.id)
        return gather(session, read_policy(document(rules)).canonical, parties, point, cash(), desk.bank.now)


def test_what_is_kept_is_read_back_to_the_bit(desk: Desk) -> None:
    desk.value("ada", 0.1 + 0.2)
    desk.bank.wait(1 / 3)
    found = gathered(
        desk,
        {"value": "score", "above": 0},
        {"level": "age_days", "above": 0},
        {"level": "in_force", "above": 0},
        {"transaction": "time", "above": "2026-01-01"},
        {"transaction": "operation", "equals": '"ø\\ \n'},
        {"tag": "x", "is": "present"},
        {"screening": "pep", "is": "present"},
    )
    text = json.dumps({**found.kept(), "at_us": desk.bank.now}, sort_keys=True)
    read, kept = read_inputs(text, desk.bank.now, str(desk.bank.id_of("ada")))
    names = sorted(name for name in found.inputs.columns if name not in {ENTITY, AS_OF})
    assert read.select(names).equals(found.inputs.select(names))
    assert read.select(names).schema == found.inputs.select(names).schema
    assert (kept["base"], kept["lists"]) == ("EUR", {})
    assert found.inputs['{"value":"score"}'][0] == 0.1 + 0.2
    assert found.value_as_of_us == desk.bank.now - 28_800_000_000


def test_of_whom_nothing_was_ever_assessed_nothing_is_known(desk: Desk) -> None:
    found = gathered(desk, {"level": "in_force", "above": 0}, {"value": "score", "above": 1}, name="cy")
    assert found.inputs.select(pl.exclude(ENTITY, AS_OF)).row(0) == (None, None)
    assert (found.said["level"]["status"], found.said["value"], found.value_as_of_us) == (NEVER, None, None)


def test_without_a_ruleset_there_is_no_level(desk: Desk) -> None:
    desk.bank.activate(banks.document({"country": banks.COUNTRY}), enabled=False)
    desk.bank.mark("bo")
    desk.bank.settle()
    found = gathered(desk, {"level": "in_force", "is": "absent"}, {"level": "status", "is": "present"}, name="bo")
    assert found.inputs['{"level":"in_force"}'][0] is None
    assert found.inputs['{"level":"status"}'][0] == "no ruleset"
    assert (found.said["level"]["level"], found.said["level"]["ruleset"]) == (None, None)


def test_the_latest_value_counts(desk: Desk) -> None:
    desk.value("ada", 2.0, days_ago=2)
    desk.value("ada", 3.0, days_ago=1, segment="medium")
    found = gathered(desk, {"value": "segment", "equals": "medium"}, {"value": "expected_value", "above": 1})
    assert found.inputs.select(pl.exclude(ENTITY, AS_OF)).row(0) == ("medium", 30.0)
    assert (found.said["value"]["segment"], found.said["value"]["score"]) == ("medium", "3.0")
