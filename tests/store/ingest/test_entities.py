"""Entities found by name and by number, each in its own organisation, with who owns them."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.ingest import entities
from fivefold.store.tables.entities import Entity, EntityType
from tests.store.filling import filled_once
from tests.usecases import platforms


@pytest.fixture
@filled_once
def bank(engine: Engine) -> int:
    return platforms.organisation(engine)


def add(session: Session, of: int, names: Sequence[str]) -> list[Entity]:
    kind = session.query(EntityType).filter_by(organisation_id=of).one()
    made = [Entity(organisation_id=of, type_id=kind.id, external_id=name, created_us=1) for name in names]
    session.add_all(made)
    session.flush()
    return made


@pytest.mark.parametrize("how", [{}, {"locked": True}, {"stays": True}])
def test_a_type_is_found_in_its_organisation_alone(engine: Engine, bank: int, how: dict[str, bool]) -> None:
    other = platforms.organisation(engine, "other")
    with Session(engine) as session:
        assert entities.type_named(session, bank, "customer", **how).organisation_id == bank
        assert entities.type_named(session, other, "customer", **how).organisation_id == other
        with pytest.raises(NotFoundError, match="no entity type 'company'"):
            entities.type_named(session, bank, "company", **how)


@pytest.mark.parametrize("stays", [False, True])
def test_an_entity_is_found_in_its_organisation_alone(engine: Engine, bank: int, stays: bool) -> None:
    other = platforms.organisation(engine, "other")
    with Session(engine) as session:
        (mine,) = add(session, bank, ["a"])
        (theirs,) = add(session, other, ["b"])
        assert entities.entity_named(session, bank, "customer", "a", stays=stays) is mine
        assert entities.entity_named(session, other, "customer", "b", stays=stays) is theirs
        for type_name, name, said in (
            ("customer", "b", "there is no customer 'b'"),
            ("customer", "c", "there is no customer 'c'"),
            ("company", "a", "there is no entity type 'company'"),
        ):
            with pytest.raises(NotFoundError, match=said):
                entities.entity_named(session, bank, type_name, name, stays=stays)


def test_many_are_found_and_those_that_are_not_there_are_left_out(engine: Engine, bank: int) -> None:
    names = [f"n{number}" for number in range(2 * entities.MOST_IN_ONE + 3)]
    with Session(engine) as session:
        made = add(session, bank, names)
        kind = made[0].type_id
        asked = [*names, "nobody", names[0]]
        found = entities.entities_named(session, kind, asked)
        assert found == {entity.external_id: entity for entity in made}
        numbers = entities.entity_numbers(session, kind, asked)
        assert dict(numbers.select("external_id", "entity_id").iter_rows()) == {
            entity.external_id: entity.id for entity in made
        }
        subjects = entities.subjects(session, numbers["entity_id"])
        assert subjects == [entities.subject_of(entity) for entity in sorted(made, key=lambda one: one.id)]
        assert not len(entities.entity_numbers(session, kind + 1, names))


def test_who_was_erased_is_left_to_be_read_and_is_not_there_for_anything_new(engine: Engine, bank: int) -> None:
    with Session(engine) as session:
        gone, here = add(session, bank, ["erased-1", "here"])
        gone.erased_us = 1
        session.flush()
        kind, names = gone.type_id, ["erased-1", "here"]
        assert entities.entity_named(session, bank, "customer", "erased-1") is gone
        with pytest.raises(NotFoundError, match="there is no customer 'erased-1'"):
            entities.entity_named(session, bank, "customer", "erased-1", stays=True)
        assert entities.entities_named(session, kind, names) == {"here": here}
        assert entities.entity_numbers(session, kind, names)["entity_id"].to_list() == [here.id]
        assert entities.subjects(session, [gone.id, here.id]) == [entities.subject_of(here)]
