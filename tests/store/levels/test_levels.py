"""Groups of entities that stand alike."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.levels.levels import LevelGroup, count_quarantined, level_groups
from fivefold.store.tables.levels import DueMark, Standing
from tests.store.stored import entity_of, type_of


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
                    override_id=override_id,
                )
            )
        session.flush()
        assert set(level_groups(session, kind.id)) == {
            LevelGroup(version_id=7, status="assessed", overridden=False, level=1, rules_level=1, entities=2),
            LevelGroup(version_id=7, status="assessed", overridden=True, level=2, rules_level=2, entities=1),
            LevelGroup(version_id=None, status="assessed", overridden=False, level=None, rules_level=None, entities=1),
        }
        assert level_groups(session, 99) == []


def test_quarantined_ones_are_counted(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = type_of(session)
        for number, quarantined in enumerate((True, False, True)):
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
                )
            )
        session.flush()
        assert (count_quarantined(session, kind.id), count_quarantined(session, 99)) == (2, 0)
