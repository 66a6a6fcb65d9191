"""Entities of two types and two organisations, to which a test gives what it asks about."""

from collections.abc import Iterator

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.store.tables.entities import Entity, EntityType
from tests.usecases import platforms


def organisations_of_two(engine: Engine) -> list[int]:
    """Two organisations, with one type of entity each."""
    return [platforms.organisation(engine, name) for name in ("bank", "other")]


def entities_of_two(session: Session, organisations: list[int], count: int, erased_each: int) -> Iterator[Entity]:
    """Entities c0, c1, ... by turns of the first type of each and of another type of the first; every
    *erased_each*th is erased.
    """
    kinds = list(session.scalars(select(EntityType).order_by(EntityType.id)))
    fields = {"fields": {}, "transaction_fields": {}, "case_fields": {}, "created_us": 1}
    kinds.append(EntityType(organisation_id=organisations[0], name="company", **fields))
    session.add(kinds[2])
    session.flush()
    for number in range(count):
        kind = kinds[number % 3]
        of = {"organisation_id": kind.organisation_id, "type_id": kind.id}
        erased = 5 if number % erased_each == 9 else None
        entity = Entity(**of, external_id=f"c{number}", created_us=1, erased_us=erased)
        session.add(entity)
        session.flush()
        yield entity
