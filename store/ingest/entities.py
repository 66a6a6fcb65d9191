"""Entities and their types, by name. Nothing here begins or ends a transaction."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import polars as pl
from sqlalchemy import Table, and_, bindparam, func, select, update
from sqlalchemy.orm import Session, aliased

from fivefold.domain.errors import NotFoundError
from fivefold.domain.text import perhaps
from fivefold.store.levels.assessment_queue import Subject
from fivefold.store.levels.bulk_reads import read_rows
from fivefold.store.sql.arrays import among, among_parameter
from fivefold.store.sql.database import read_once
from fivefold.store.sql.statements import UNSEEN
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.entities import Attributes, Entity, EntityType

MOST_IN_ONE = 1000
"""Values in one statement's list: SQLite takes 32,766."""
_NAMED: Final = (
    select(Entity)
    .join(EntityType, EntityType.id == Entity.type_id)
    .where(
        EntityType.organisation_id == bindparam("organisation_id"),
        EntityType.name == bindparam("type_name"),
        Entity.external_id == bindparam("external_id"),
    )
)
"""An entity by its names; built once, as the page of one customer uses it in every list."""
_LIVE: Final = _NAMED.where(Entity.erased_us.is_(None))
_STAYS, _ALONE = (_LIVE.with_for_update(key_share=True, read=read, of=Entity) for read in (True, False))
"""The same statement, locked against erasure, and against other writers as well."""
_ENTITIES, _TYPES = (cast("Table", table.__table__) for table in (Entity, EntityType))
_NUMBER_STAYS: Final = (
    select(_ENTITIES.c.id)
    .join(_TYPES, _TYPES.c.id == _ENTITIES.c.type_id)
    .where(
        _TYPES.c.organisation_id == bindparam("organisation_id"),
        _TYPES.c.name == bindparam("type_name"),
        _ENTITIES.c.external_id == bindparam("external_id"),
        _ENTITIES.c.erased_us.is_(None),
    )
    .with_for_update(key_share=True, read=True, of=_ENTITIES)
)
"""It selects only the number: building an object from the row takes longer than finding it."""


_FIRST_TYPE: Final = (
    "the organisation has none yet: an admin declares one by `PUT /v1/entity-types/NAME`, "
    "or that of a ruleset by `fivefold import setup RULESET`"
)


def type_named(
    session: Session, organisation_id: int, name: str, *, locked: bool = False, stays: bool = False
) -> EntityType:
    """Find a type of entity; NotFoundError if the organisation has none of that name.

    *locked* locks it until the transaction ends, also against transactions that add entities of it; *stays* only
    against erasure.
    """
    statement = select(EntityType).where(EntityType.organisation_id == organisation_id, EntityType.name == name)
    if locked or stays:
        statement = statement.with_for_update(key_share=True, read=stays)
    row = session.scalar(statement)
    if row is None:
        names = [kind.name for kind in types_of_organisation(session, organisation_id)]
        raise NotFoundError(missing_type(name, names) + ("" if names else f"; {_FIRST_TYPE}"))
    return row


def missing_type(name: str, names: Sequence[str]) -> str:
    """Return the message that an organisation has no type of a name, with the one of its *names* that may be meant."""
    return f"there is no entity type {name!r}{perhaps(name, names)}"


def types_of_organisation(session: Session, organisation_id: int) -> Sequence[EntityType]:
    """List the types of entity of an organisation, by name."""
    statement = select(EntityType).where(EntityType.organisation_id == organisation_id)
    return session.scalars(statement.order_by(EntityType.name)).all()


def entity_named(
    session: Session,
    organisation_id: int,
    type_name: str,
    external_id: str,
    *,
    stays: bool = False,
    alone: bool = False,
) -> Entity:
    """Find an entity; NotFoundError if the organisation has none of that type and name.

    *alone* locks it until the transaction ends, against erasure and other callers with *alone*. *stays*, for a
    transaction that adds a fact, locks it only against erasure. With either an erased entity is not found; without them
    it is found by its present name, so that its remaining data can be read.
    """
    names = {"organisation_id": organisation_id, "type_name": type_name, "external_id": external_id}
    if stays or alone:
        row = session.scalar(_ALONE if alone else _STAYS, names)
    else:
        row = read_once(session, ("entity", *names.values()), lambda: session.scalar(_NAMED, names))
    if row is None:
        raise no_entity(session, organisation_id, type_name, external_id)
    return row


def no_entity(session: Session, organisation_id: int, type_name: str, external_id: str) -> NotFoundError:
    """Return the error for a missing entity; raise the error for its type if the organisation lacks that."""
    type_named(session, organisation_id, type_name)
    return NotFoundError(f"there is no {type_name} {external_id!r}")


def organisations_with(session: Session, type_name: str, external_id: str | None) -> list[str]:
    """List the names of the organisations that have a type of entity; with a name, an entity of that type and name."""
    numbers = select(EntityType.organisation_id).where(EntityType.name == type_name)
    if external_id is not None:
        numbers = numbers.join(Entity, Entity.type_id == EntityType.id).where(Entity.external_id == external_id)
    return list(
        session.scalars(select(Organisation.name).where(Organisation.id.in_(numbers)).order_by(Organisation.name))
    )


def number_of_entity(session: Session, organisation_id: int, type_name: str, external_id: str) -> int:
    """Find the number of an entity that `entity_named` finds with *stays*, and lock it in the same way."""
    names = {"organisation_id": organisation_id, "type_name": type_name, "external_id": external_id}
    number: int | None = session.scalar(_NUMBER_STAYS, names)
    if number is None:
        raise no_entity(session, organisation_id, type_name, external_id)
    return number


def names_of_entities(session: Session, organisation_id: int, entity_ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Return type and present name of entities of an organisation, by their numbers; others are left out."""
    # The sum makes SQLite look up each number: with the index by organisation it would read every entity.
    of = Entity.organisation_id + 0 == organisation_id
    statement = (
        select(Entity.id, EntityType.name, Entity.external_id)
        .join(EntityType, EntityType.id == Entity.type_id)
        .where(of, among(session, Entity.id, sorted(entity_ids)))
    )
    return {number: (type_name, name) for number, type_name, name in session.execute(statement)}


_LOCK, _LOCK_STAYS = (
    select(_ENTITIES.c.id)
    .where(among_parameter("postgresql", _ENTITIES.c.id, "ids"))
    .order_by(_ENTITIES.c.id)
    .with_for_update(key_share=True, read=read)
    for read in (False, True)
)


def lock_entities(session: Session, entity_ids: Iterable[int], *, stays: bool = False) -> None:
    """Lock entities until the transaction ends, in the order of their numbers; *stays*: only against erasure.

    An erasure locks entities before their other rows, so a transaction that locks both must begin with this.
    """
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer
        session.execute(_LOCK_STAYS if stays else _LOCK, {"ids": sorted(entity_ids)})


def record_activity(session: Session, entity_ids: Iterable[int], now_us: int) -> None:
    """Store the current time as the last activity of entities, however old the new fact: the customer is not inactive.

    In the order of their numbers, so that concurrent calls do not deadlock.
    """
    ids = sorted(entity_ids)
    lock_entities(session, ids)
    statement = update(Entity).where(among(session, Entity.id, ids)).values(noted_us=now_us)
    session.execute(statement, execution_options=UNSEEN)


def entities_named(session: Session, type_id: int, external_ids: Iterable[str]) -> dict[str, Entity]:
    """Find entities of a type by their names; missing and erased ones are left out."""
    names = sorted(set(external_ids))
    present = (Entity.type_id == type_id, Entity.erased_us.is_(None))
    entities: dict[str, Entity] = {}
    for begin in range(0, len(names), MOST_IN_ONE):
        part = names[begin : begin + MOST_IN_ONE]
        rows = session.scalars(select(Entity).where(*present, Entity.external_id.in_(part)))
        entities |= {entity.external_id: entity for entity in rows}
    return entities


def subject_of(entity: Entity) -> Subject:
    """Return an entity in the form of due marks."""
    return Subject(entity.id, entity.organisation_id, entity.type_id)


def subjects(session: Session, entity_ids: Iterable[int]) -> list[Subject]:
    """Return entities by their numbers, in the form of due marks; erased ones are left out, and never become due."""
    ids = sorted(entity_ids)
    columns = select(Entity.id, Entity.organisation_id, Entity.type_id).where(Entity.erased_us.is_(None))
    parts = (ids[begin : begin + MOST_IN_ONE] for begin in range(0, len(ids), MOST_IN_ONE))
    statement = columns.order_by(Entity.id)
    return [Subject(*row) for part in parts for row in session.execute(statement.where(Entity.id.in_(part)))]


def entity_numbers(session: Session, type_id: int, external_ids: Iterable[str]) -> pl.DataFrame:
    """Find entities of a type by their names: `external_id`, `entity_id`; missing and erased ones are left out."""
    present = f"type_id = {type_id:d} AND erased_us IS NULL"
    return read_rows(
        session,
        f"SELECT external_id, id FROM entities WHERE {present} AND external_id IN :ids",  # noqa: S608 (our own words)
        sorted(set(external_ids)),
        {"external_id": pl.String, "entity_id": pl.Int64},
    )


_VERSION: Final = aliased(Attributes)
_LATEST: Final = select(func.max(_VERSION.number)).where(_VERSION.entity_id == Entity.id).scalar_subquery()
_KNOWN_AS: Final = {
    dialect: select(Entity.id, Entity.external_id, EntityType.fields, Attributes.content)
    .join(EntityType, EntityType.id == Entity.type_id)
    .outerjoin(Attributes, and_(Attributes.entity_id == Entity.id, Attributes.number == _LATEST))
    .where(among_parameter(dialect, Entity.id, "ids"), Entity.erased_us.is_(None))
    for dialect in ("sqlite", "postgresql")
}


def names_and_attributes(
    session: Session, entity_ids: Sequence[int]
) -> dict[int, tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Return the names, the types' fields and the latest attributes of some entities; erased ones are left out."""
    rows = session.execute(_KNOWN_AS[session.get_bind().dialect.name], {"ids": entity_ids})
    return {number: (name, fields, json.loads(content or "{}")) for number, name, fields, content in rows}
