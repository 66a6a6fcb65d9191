"""Overrides: which hold, how many are below what the rules say, and where their entities stand."""

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.levels.overrides import (
    count_below,
    count_with_level,
    live_overrides,
    override_numbered,
    overrides_with_levels,
)
from fivefold.store.tables.levels import OverrideRow, Standing
from tests.store.stored import entity_of, type_of


def standing(session: Session, entity: Any, rules_level: int | None, level: int | None = None) -> None:
    session.add(
        Standing(
            entity_id=entity.id,
            organisation_id=entity.organisation_id,
            type_id=entity.type_id,
            number=1,
            assessed_us=1,
            status="assessed",
            source="rules",
            level=level or rules_level,
            rules_level=rules_level,
            hard_floor=0,
            level_since_us=1,
        )
    )
    session.flush()


def override(session: Session, entity: Any, level: int, state: str = "approved", until_us: int | None = None) -> int:
    made = OverrideRow(
        organisation_id=entity.organisation_id,
        entity_id=entity.id,
        level=level,
        reason="why",
        until_us=until_us,
        state=state,
        requested_by="member:1",
        requested_us=1,
    )
    session.add(made)
    session.flush()
    return made.id


def test_an_override_holds_until_its_instant(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        one = entity_of(session, type_of(session), "one")
        without_end = override(session, one, 1)
        ending = override(session, one, 1, until_us=100)
        for state in ("requested", "refused", "revoked"):
            override(session, one, 1, state)
        found = [[row.id for row in live_overrides(session, one.id, now)] for now in (99, 100)]
        assert found == [[without_end, ending], [without_end]]


def test_what_is_below_the_rules_is_counted(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = type_of(session)
        people = [entity_of(session, kind, f"c{number}") for number in range(6)]
        for person, rules_level in zip(people, (3, 3, 3, 1, None, 2), strict=True):
            standing(session, person, rules_level)
        theirs = entity_of(session, type_of(session, "other"), "c0")
        standing(session, theirs, 3)
        override(session, theirs, 1)
        override(session, people[0], 1)
        override(session, people[1], 3)
        override(session, people[2], 2, until_us=100)
        override(session, people[3], 2)
        override(session, people[4], 1)
        override(session, people[5], 1, "requested")
        of = kind.organisation_id
        assert [count_below(session, of, now, without=0) for now in (99, 100)] == [2, 1]
        assert count_below(session, of, 100, without=people[0].id) == 0
        assert count_with_level(session, of) == 5


def test_who_was_erased_is_not_counted(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = type_of(session)
        here, gone = entity_of(session, kind, "here"), entity_of(session, kind, "gone")
        for person in (here, gone):
            standing(session, person, 3)
            override(session, person, 1)
        of = kind.organisation_id
        assert (count_below(session, of, 1, without=0), count_with_level(session, of)) == (2, 2)
        gone.erased_us = 1
        session.get_one(Standing, gone.id).erased = True
        session.flush()
        assert (count_below(session, of, 1, without=0), count_with_level(session, of)) == (1, 1)


def test_overrides_come_with_where_their_entities_stand(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = type_of(session)
        one, two = entity_of(session, kind, "one"), entity_of(session, kind, "two")
        standing(session, one, 3, level=1)
        first, second = override(session, one, 1), override(session, two, 2)
        found = overrides_with_levels(session, kind.organisation_id)
        assert [(each.override.id, each.entity.external_id, each.type_name) for each in found] == [
            (second, "two", "customer"),
            (first, "one", "customer"),
        ]
        assert found[0].standing is None
        assert found[1].standing is not None
        assert found[1].standing.rules_level == 3
        assert len(overrides_with_levels(session, kind.organisation_id, one.id)) == 1
        assert [each.override.id for each in overrides_with_levels(session, 1, number=second)] == [second]
        assert overrides_with_levels(session, 99) == []


def test_others_and_who_was_erased_have_none(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        one = entity_of(session, type_of(session), "one")
        number = override(session, one, 1)
        assert override_numbered(session, one.organisation_id, number).id == number
        for organisation_id, wanted in ((99, number), (one.organisation_id, 99)):
            with pytest.raises(NotFoundError, match=f"there is no override {wanted}"):
                override_numbered(session, organisation_id, wanted)
        one.erased_us = 1
        session.flush()
        with pytest.raises(NotFoundError):
            override_numbered(session, one.organisation_id, number)
