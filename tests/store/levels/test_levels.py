"""Levels as they are kept, and counted in the database with every change."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.orm import Session

from fivefold.store.levels.levels import FailingCount, LevelGroup, count_failing, counted_cells, level_groups
from fivefold.store.tables.levels import DueMark, Standing
from tests.store import databases
from tests.store.portfolio.counting import recounted_cells
from tests.store.stored import entity_of, type_of
from tests.usecases.governed import add_entities, founded


def test_entities_are_counted_by_how_they_stand(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = type_of(session)
        people = [entity_of(session, kind, f"c{number}") for number in range(6)]
        people[4].erased_us = 1
        stands = ((7, 1, None), (7, 1, None), (7, 2, 5), (None, None, None), (7, 1, None))
        for person, (version_id, level, override_id) in zip(people, stands, strict=False):
            session.add(
                Standing(
                    entity_id=person.id,
                    organisation_id=kind.organisation_id,
                    type_id=kind.id,
                    number=1,
                    assessed_us=1,
                    version_id=version_id,
                    status="assessed",
                    source="rules",
                    level=level,
                    rules_level=level,
                    hard_floor=0,
                    level_since_us=1,
                    override_id=override_id,
                    erased=person.erased_us is not None,
                )
            )
        session.flush()
        assert set(level_groups(session, kind.organisation_id, kind.id)) == {
            LevelGroup(version_id=7, status="assessed", overridden=False, level=1, rules_level=1, entities=2),
            LevelGroup(version_id=7, status="assessed", overridden=True, level=2, rules_level=2, entities=1),
            LevelGroup(version_id=None, status="assessed", overridden=False, level=None, rules_level=None, entities=1),
        }
        assert level_groups(session, kind.organisation_id, 99) == []


def test_who_fails_is_counted_and_who_of_them_is_quarantined(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = type_of(session)
        for number, (error, quarantined) in enumerate(((None, False), ("it broke", False), ("it broke", True))):
            session.add(
                DueMark(
                    entity_id=entity_of(session, kind, f"c{number}").id,
                    organisation_id=kind.organisation_id,
                    type_id=kind.id,
                    revision=1,
                    priority=0,
                    reasons=0,
                    attempts=0,
                    quarantined=quarantined,
                    error=error,
                )
            )
        session.flush()
        of = kind.organisation_id
        assert count_failing(session, of, kind.id) == FailingCount(2, 1)
        assert count_failing(session, of, 99) == count_failing(session, of + 1, kind.id) == FailingCount(0, 0)


ENTITIES = 6
LEVELS = st.none() | st.integers(1, 4)
VALUES = st.one_of(
    st.just({"segment": None, "expected_value": None, "value_currency": None}),
    st.builds(
        lambda segment, value, currency: {"segment": segment, "expected_value": value, "value_currency": currency},
        st.sampled_from(["low", "top"]),
        st.floats(0, 1e6) | st.sampled_from([0.005, 0.015, 2.675]),
        st.sampled_from(["EUR", "USD"]),
    ),
)
Bank = tuple[Engine, int, list[int]]
WHO = st.sets(st.integers(0, ENTITIES - 1), min_size=1)
CHANGE = st.tuples(st.sampled_from(["store", "delete", "move", "touch"]), WHO, LEVELS, VALUES, st.booleans())


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def bank(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """A database with customers of whom nobody was assessed; its organisation, and their numbers."""
    folder: Path = tmp_path_factory.mktemp("counts")
    with databases.opened(databases.new_url(request.param, folder)) as engine:
        ana = founded(engine)[0]
        yield engine, ana.organisation_id, add_entities(engine, ana, [f"c{n}" for n in range(ENTITIES)])


def standing(organisation_id: int, entity: int, level: int | None, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "entity_id": entity, "organisation_id": organisation_id, "type_id": 1, "number": 1, "assessed_us": 1,
        "status": "assessed", "source": "rules", "level": level, "rules_level": level, "hard_floor": 0,
        "level_since_us": 1, **value,
    }  # fmt: skip


@given(st.lists(CHANGE, max_size=12))
def test_counters_equal_a_recount(bank: Bank, changes: list[Any]) -> None:
    engine, organisation_id, numbers = bank
    with Session(engine) as session, session.begin():
        session.execute(delete(Standing))
    for what, who, level, value, is_kept in changes:
        chosen = [numbers[place] for place in sorted(who)]
        among = Standing.entity_id.in_(chosen)
        for last in (False, True):  # what was undone is tried again
            with Session(engine) as session:
                if what == "store":
                    session.execute(delete(Standing).where(among))
                    session.execute(insert(Standing), [standing(organisation_id, one, level, value) for one in chosen])
                elif what == "delete":
                    session.execute(delete(Standing).where(among))
                elif what == "move":
                    session.execute(update(Standing).where(among).values(level=level, **value))
                else:
                    session.execute(update(Standing).where(among).values(assessed_us=2))
                if last and is_kept:
                    session.commit()
                else:
                    session.rollback()
        with Session(engine) as session:
            counted = counted_cells(session, organisation_id, 1)
            assert counted == recounted_cells(session, organisation_id, 1)
            assert sum(cell.entities for cell in counted) == len(session.scalars(select(Standing.entity_id)).all())
            assert counted_cells(session, organisation_id + 1, 1) == []


def test_writers_of_one_cell_do_not_wait_for_each_other(bank: Bank) -> None:
    engine, organisation_id, numbers = bank
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    nothing = {"segment": None, "expected_value": None, "value_currency": None}
    with Session(engine) as session, session.begin():
        session.execute(delete(Standing))
    with Session(engine) as one, Session(engine) as other:
        for session, number in ((one, numbers[0]), (other, numbers[1]), (one, numbers[2]), (other, numbers[3])):
            session.execute(insert(Standing), [standing(organisation_id, number, 2, nothing)])
        other.commit()
        one.commit()
    with Session(engine) as session:
        assert [(cell.level, cell.entities) for cell in counted_cells(session, organisation_id, 1)] == [(2, 4)]
