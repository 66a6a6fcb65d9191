"""The entities of a type, part by part, to be marked due after an activation. No transactions of its own."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import BULK, Reason, Subject
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import DueMark

AT_ONCE = 5_000
"""Entities that are read and marked together."""

_INSERT: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def entities_after(session: Session, type_id: int, after_id: int, most: int) -> list[Subject]:
    """List entities of a type in the order of their numbers, those after one; erased ones are left out."""
    statement = (
        select(Entity.id, Entity.organisation_id, Entity.type_id)
        .where(Entity.type_id == type_id, Entity.id > after_id, Entity.erased_us.is_(None))
        .order_by(Entity.id)
        .limit(most)
    )
    return [Subject(*row) for row in session.execute(statement)]


def mark_type(session: Session, type_id: int, reason: Reason, due_us: int) -> int:
    """Mark all entities of a type due, with the lower priority; return how many they are.

    One statement: however many there are, its locks are held only as long as the database needs.
    """
    values = {"due_us": due_us, "priority": BULK, "reasons": int(reason), **due.NEW}
    everyone = (
        select(Entity.id, Entity.organisation_id, Entity.type_id, *(literal(each) for each in values.values()))
        .where(Entity.type_id == type_id, Entity.erased_us.is_(None))
        .order_by(Entity.id)
    )
    insert = _INSERT[session.get_bind().dialect.name]
    new = insert(DueMark).from_select(["entity_id", "organisation_id", "type_id", *values], everyone)
    session.execute(due.upsert(new))
    return count_of_type(session, type_id)


def count_of_type(session: Session, type_id: int, until_id: int | None = None) -> int:
    """Count the entities of a type, perhaps only those up to a number; erased ones are left out."""
    statement = select(func.count()).where(Entity.type_id == type_id, Entity.erased_us.is_(None))
    return session.scalar(statement if until_id is None else statement.where(Entity.id <= until_id)) or 0
