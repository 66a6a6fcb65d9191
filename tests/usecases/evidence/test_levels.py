"""Evidence of levels: the numbers at the ends of months and the transitions are what the rows of transitions say."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import to_microseconds
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import Standing, Transition
from fivefold.usecases.evidence.facts import levels_part
from fivefold.usecases.shared.inputs import read_quarter
from tests.usecases.governed import LEVELS, add_entities, founded, organisation

pytestmark = pytest.mark.postgresql

LOW, MEDIUM, HIGH = 1, 2, 3


def at(month: int, day: int, year: int = 2026) -> int:
    return to_microseconds(datetime(year, month, day, 12, tzinfo=UTC))


HISTORIES: list[list[tuple[int, int | None, str]]] = [
    [(at(9, 30), LOW, "rules"), (at(10, 1), MEDIUM, "rules"), (at(11, 30), HIGH, "override")],
    [(at(10, 31), HIGH, "rules"), (at(12, 31), None, "rules"), (at(1, 1, 2027), LOW, "rules")],
    [(at(11, 1), LOW, "rules"), (at(12, 1), MEDIUM, "override")],
]


@pytest.fixture
def of(engine: Engine) -> int:
    people = founded(engine)
    ids = add_entities(engine, people[0], ["a", "b", "c"])
    with Session(engine) as session, session.begin():
        for entity_id, history in zip(ids, HISTORIES, strict=True):
            entity, before = session.get_one(Entity, entity_id), None
            for number, (moment, after, source) in enumerate(history, 1):
                moved = {"from_level": before, "to_level": after, "source": source, "at_us": moment}
                session.add(
                    Transition(entity_id=entity_id, number=number, organisation_id=entity.organisation_id, **moved)
                )
                before = after
            session.add(
                Standing(
                    entity_id=entity_id, organisation_id=entity.organisation_id, type_id=entity.type_id, number=9,
                    assessed_us=1, level_since_us=1, status="assessed", source="rules",
                    level=before, rules_level=before, hard_floor=0,
                )
            )  # fmt: skip
    return people[0].organisation_id


def archived(engine: Engine, of: int, now_us: int) -> Any:
    with Session(engine) as session:
        (file,) = levels_part(session, of, read_quarter("2026Q4"), now_us).files
    return json.loads(b"".join(file.content()))


def test_levels_stand_at_the_ends_of_months_and_transitions_have_their_cause(engine: Engine, of: int) -> None:
    (customers,) = archived(engine, of, at(2, 1, 2027))
    assert customers["entity_type"] == "customer"
    assert [
        (each["before"][:10], each["entities"], [each["levels"][name] for name in LEVELS])
        for each in customers["moments"]
    ] == [
        ("2026-10-01", 1, [1, 0, 0]),
        ("2026-11-01", 2, [0, 1, 1]),
        ("2026-12-01", 3, [1, 0, 2]),
        ("2027-01-01", 2, [0, 1, 1]),
    ]
    assert [(each["from"], each["to"], each["cause"], each["entities"]) for each in customers["transitions"]] == [
        (None, "low", "rules", 1),
        (None, "high", "rules", 1),
        ("low", "medium", "override", 1),
        ("low", "medium", "rules", 1),
        ("medium", "high", "override", 1),
        ("high", None, "rules", 1),
    ]


def test_a_quarter_that_runs_ends_with_the_present_month(engine: Engine, of: int) -> None:
    (customers,) = archived(engine, of, at(11, 15))
    assert [each["before"][:10] for each in customers["moments"]] == ["2026-10-01", "2026-11-01", "2026-12-01"]


def test_an_organisation_without_levels_has_none(engine: Engine) -> None:
    assert archived(engine, organisation(engine), at(2, 1, 2027)) == []
