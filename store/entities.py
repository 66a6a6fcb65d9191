"""Entities and their types, found by name. Nothing here begins or ends a transaction."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.errors import NotThere
from store.due import Subject
from store.entity_tables import Entity, EntityType

MOST_IN_ONE = 1000
"""Values in one statement's list: SQLite takes 32,766."""


def type_named(session: Session, organisation_id: int, name: str) -> EntityType:
    """Find a type of entity; NotThere where the organisation has none of that name."""
    found = session.scalar(
        select(EntityType).where(EntityType.organisation_id == organisation_id, EntityType.name == name)
    )
    if found is None:
        raise NotThere(f"there is no entity type {name!r}")
    return found


def entity_named(session: Session, organisation_id: int, type_name: str, external_id: str) -> Entity:
    """Find an entity; NotThere where the organisation has none of that type and name."""
    found = session.scalar(
        select(Entity)
        .join(EntityType, EntityType.id == Entity.type_id)
        .where(
            EntityType.organisation_id == organisation_id,
            EntityType.name == type_name,
            Entity.external_id == external_id,
        )
    )
    if found is None:
        raise NotThere(f"there is no {type_name} {external_id!r}")
    return found


def entities_named(session: Session, type_id: int, external_ids: Iterable[str]) -> dict[str, Entity]:
    """Find entities of a type by their names; those that are not there are left out."""
    wanted = sorted(set(external_ids))
    found: dict[str, Entity] = {}
    for begin in range(0, len(wanted), MOST_IN_ONE):
        rows = session.scalars(
            select(Entity).where(Entity.type_id == type_id, Entity.external_id.in_(wanted[begin : begin + MOST_IN_ONE]))
        )
        found |= {entity.external_id: entity for entity in rows}
    return found


def subject_of(entity: Entity) -> Subject:
    """Give an entity as due marks name it."""
    return Subject(entity.id, entity.organisation_id, entity.type_id)


def with_owners(session: Session, entities: Sequence[Entity]) -> list[Subject]:
    """List entities and the owners of them, to mark both: what happens to an account happens to whoever owns it."""
    owners = {entity.owner_id for entity in entities if entity.owner_id is not None}
    wanted = sorted(owners - {entity.id for entity in entities})
    found = [subject_of(entity) for entity in entities]
    for begin in range(0, len(wanted), MOST_IN_ONE):
        rows = session.scalars(select(Entity).where(Entity.id.in_(wanted[begin : begin + MOST_IN_ONE])))
        found += [subject_of(entity) for entity in rows]
    return found
