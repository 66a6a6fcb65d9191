"""Everyone of a type, part by part: who is marked due when what decides has changed. No transactions of its own."""

from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store import due
from store.due import BULK, Reason, Subject
from store.entity_tables import Entity

AT_ONCE = 5_000
"""Entities that are read and marked together."""


def entities_after(session: Session, type_id: int, after_id: int, most: int) -> list[Subject]:
    """List entities of a type in the order of their numbers, those after one; whoever was erased is left out."""
    wanted = (
        select(Entity.id, Entity.organisation_id, Entity.type_id)
        .where(Entity.type_id == type_id, Entity.id > after_id, Entity.erased_us.is_(None))
        .order_by(Entity.id)
        .limit(most)
    )
    return [Subject(*row) for row in session.execute(wanted)]


def parts_of_type(session: Session, type_id: int) -> Iterator[list[Subject]]:
    """Give everyone of a type, part by part, in the order of their numbers."""
    part = entities_after(session, type_id, 0, AT_ONCE)
    while part:
        yield part
        part = entities_after(session, type_id, part[-1].entity_id, AT_ONCE)


def mark_type(session: Session, type_id: int, reason: Reason, due_us: int) -> int:
    """Mark everyone of a type due, behind what just happened to others; tell how many they are."""
    marked = 0
    for part in parts_of_type(session, type_id):
        due.mark(session, part, reason, due_us, BULK)
        marked += len(part)
    return marked


def count_of_type(session: Session, type_id: int, until_id: int | None = None) -> int:
    """Count the entities of a type, perhaps only those up to a number; whoever was erased is left out."""
    wanted = select(func.count()).where(Entity.type_id == type_id, Entity.erased_us.is_(None))
    return session.scalar(wanted if until_id is None else wanted.where(Entity.id <= until_id)) or 0
