"""Markings: a change that reaches everybody of a type makes them due part by part, so that no writer waits for all.

The first part is marked in the transaction of the change; how far the rest is stands in a row that workers work off,
each part in a transaction of its own, and that is gone once all are marked. Until then an entity behind it counts as
due. Nothing here begins or ends a transaction.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Exists, case, func, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import BULK, Reason
from fivefold.store.rulesets.activations import count_of_type, last_after, present_after
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import DueMark, Marking

PART: Final = 2_000
"""Entities that are marked in one transaction: who stores a fact about one of them waits for that long."""
_INSERT: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class WaitingCount(NamedTuple):
    """How many entities of an organisation are yet to be marked though the change holds, and since when it does."""

    organisation_id: int
    entities: int
    oldest_us: int


def mark_everybody(session: Session, kind: EntityType, reason: Reason, from_us: int, now_us: int) -> int:
    """Make everybody of a type due from a moment on: the first of them now, the others by workers; tell how many."""
    marking = Marking(
        organisation_id=kind.organisation_id,
        type_id=kind.id,
        reasons=int(reason),
        from_us=from_us,
        begun_us=now_us,
        reached_id=0,
    )
    session.add(marking)
    count = count_of_type(session, kind.id)  # before it, as others wait for those that are marked
    mark_part(session, marking, now_us)
    return count


def mark_part(session: Session, marking: Marking, now_us: int) -> int:
    """Mark the entities that come next, and end the marking where they are the last; tell how many they are."""
    session.flush()
    last_id, count = last_after(session, marking.type_id, marking.reached_id, PART)
    if count:
        _mark_to(session, marking, last_id, max(now_us, marking.from_us))
    if count < PART:
        session.delete(marking)
    else:
        marking.reached_id = last_id
    session.flush()
    return count


def _mark_to(session: Session, marking: Marking, last_id: int, due_us: int) -> None:
    """Mark in one statement, in the order of their numbers: one by one takes many times as long."""
    values = {"due_us": due_us, "priority": BULK, "reasons": marking.reasons, **due.NEW}
    of = (*present_after(marking.type_id, marking.reached_id), Entity.id <= last_id)
    rows = select(Entity.id, Entity.organisation_id, Entity.type_id, *(literal(each) for each in values.values()))
    rows = rows.where(*of).order_by(Entity.id)
    new = _INSERT[session.get_bind().dialect.name](DueMark)
    columns = ["entity_id", "organisation_id", "type_id", *values]
    session.execute(due.upsert(new.from_select(columns, rows)))


def open_markings(session: Session) -> Sequence[int]:
    """List the numbers of open markings, in all organisations, the oldest first."""
    return session.scalars(select(Marking.id).order_by(Marking.id)).all()


def lock_marking(session: Session, number: int) -> Marking | None:
    """Lock a marking until the transaction ends; None where it has ended, or another process has it."""
    return session.scalar(select(Marking).where(Marking.id == number).with_for_update(skip_locked=True))


def is_yet_to_be_marked(type_id: Any, entity_id: Any, now_us: Any) -> Exists:
    """Give the condition that a change that holds by now has not marked an entity yet: it is due all the same."""
    of = (Marking.type_id == type_id, Marking.reached_id < entity_id, Marking.from_us <= now_us)
    return select(Marking.id).where(*of).exists()


def marked_from_us(type_id: Any, entity_id: Any) -> ColumnElement[int]:
    """Give, in SQL, from when an entity is due by the first of the changes that have not marked it yet."""
    of = (Marking.type_id == type_id, Marking.reached_id < entity_id)
    later = case((Marking.from_us > Marking.begun_us, Marking.from_us), else_=Marking.begun_us)
    return select(func.min(later)).where(*of).scalar_subquery()


def due_state(session: Session, entity_id: int, now_us: int) -> tuple[DueMark | None, bool]:
    """Find an entity's due mark, and tell whether a change has yet to mark it."""
    statement = (
        select(DueMark, is_yet_to_be_marked(Entity.type_id, Entity.id, now_us))
        .select_from(Entity)
        .outerjoin(DueMark, DueMark.entity_id == Entity.id)
        .where(Entity.id == entity_id)
    )
    mark, is_marked_later = session.execute(statement).one()
    return mark, bool(is_marked_later)


def waiting_counts(session: Session, now_us: int, organisation_id: int | None = None) -> list[WaitingCount]:
    """Count whom changes that hold by now have yet to mark, and who is not due for anything else; by organisation.

    A quarantined entity is one of them: it waits for something new, which the change is.
    """
    of = () if organisation_id is None else (Marking.organisation_id == organisation_id,)
    least, begun = func.min(Marking.reached_id), func.min(Marking.begun_us)
    statement = select(Marking.organisation_id, Marking.type_id, least, begun).where(Marking.from_us <= now_us, *of)
    counts: dict[int, WaitingCount] = {}
    for number, type_id, reached_id, begun_us in session.execute(
        statement.group_by(Marking.organisation_id, Marking.type_id)
    ):
        others = (
            select(func.count())
            .outerjoin_from(Entity, DueMark, DueMark.entity_id == Entity.id)
            .where(Entity.type_id == type_id, Entity.id > reached_id, Entity.erased_us.is_(None))
            .where(
                or_(
                    DueMark.entity_id.is_(None),
                    DueMark.due_us.is_(None),
                    DueMark.due_us > now_us,
                    DueMark.quarantined,
                )
            )
        )
        entities = session.scalar(others) or 0
        if entities:
            before = counts.get(number, WaitingCount(number, 0, begun_us))
            counts[number] = WaitingCount(number, before.entities + entities, min(before.oldest_us, begun_us))
    return list(counts.values())
