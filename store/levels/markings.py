"""Markings: a change that reaches everybody of a type makes them due part by part, so that no writer waits for all.

A marking with a version of the value model, `store.levels.champions`, reaches the entities that another version valued.

The first part is marked in the transaction of the change. A row records the position of the rest; workers advance it,
each part in a transaction of its own, and delete the row at the end. Until then an entity after the position counts as
due. Nothing here begins or ends a transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Exists, Select, and_, case, func, literal, or_, select
from sqlalchemy.orm import Session

from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason
from fivefold.store.portfolio.values import is_valued_otherwise
from fivefold.store.rulesets.activations import count_of_type, last_after, present_after
from fivefold.store.sql.clocks import latest_us
from fivefold.store.sql.statements import INSERTS
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import DueMark, Marking

PART: Final = 2_000
"""Entities that are marked in one transaction: a writer of a fact about one of them waits for that long."""
PAUSE_SECONDS: Final = 0.02
"""The pause after each part: on SQLite, waiting writers ask for the only writer's lock just now and then."""
JOINED_US: Final = 10_000_000
"""How long a marking that has not begun also serves later facts."""


class WaitingCount(NamedTuple):
    """How many entities of an organisation a change in force has yet to mark, and since when it is in force."""

    organisation_id: int
    entities: int
    oldest_us: int


def mark_everybody(session: Session, kind: EntityType, reason: Reason, from_us: int, now_us: int) -> int:
    """Make everybody of a type due from a moment on, the first of them now, the others by workers; return how many."""
    marking = Marking(
        organisation_id=kind.organisation_id,
        type_id=kind.id,
        reasons=int(reason),
        from_us=from_us,
        begun_us=now_us,
        reached_id=0,
    )
    session.add(marking)
    count = count_of_type(session, kind.id)  # before the marking, as others wait for marked entities
    mark_part(session, marking, now_us)
    return count


def mark_everybody_once(session: Session, kind: EntityType, reason: Reason, now_us: int) -> None:
    """Make everybody of a type due now, all by workers; if a marking is about to begin anyway, nothing is added.

    For facts that arrive by the hundred and each concern everybody. A marking that has not begun marks everybody after
    everything that was committed before it begins: it is locked so that it does not begin before the caller commits.
    New facts use it only for `JOINED_US`: otherwise an unbroken series of facts would keep it from ever beginning.
    """
    statement = (
        select(Marking.id)
        .where(*_not_begun(kind.id, int(reason)), Marking.from_us <= now_us, Marking.begun_us >= now_us - JOINED_US)
        .with_for_update(read=True, skip_locked=True)
        .limit(1)
    )
    if session.scalar(statement) is None:
        session.add(
            Marking(
                organisation_id=kind.organisation_id,
                type_id=kind.id,
                reasons=int(reason),
                from_us=now_us,
                begun_us=now_us,
                reached_id=0,
            )
        )
        session.flush()


def _not_begun(type_id: int, reasons: int) -> tuple[ColumnElement[bool], ...]:
    return (Marking.type_id == type_id, Marking.reasons == reasons, Marking.reached_id == 0, Marking.model.is_(None))


def may_begin(session: Session, marking: Marking) -> bool:
    """Return whether a locked marking may continue: it began, or no earlier one like it is under way.

    So only one of a type and a reason is under way; the others wait for it, and are then merged.
    """
    earlier = select(Marking.id).where(
        Marking.type_id == marking.type_id,
        Marking.reasons == marking.reasons,
        Marking.model.is_(None),
        Marking.reached_id > 0,
    )
    return marking.reached_id > 0 or session.scalar(earlier.limit(1)) is None


def join_waiting(session: Session, marking: Marking, now_us: int) -> None:
    """Let a locked marking that begins replace those like it that have not begun and are in force by now.

    The changes behind them were committed before it begins. A marking that a caller has locked is left: its change was
    not.
    """
    others = select(Marking).where(
        *_not_begun(marking.type_id, marking.reasons), Marking.id != marking.id, Marking.from_us <= now_us
    )
    for other in session.scalars(others.with_for_update(skip_locked=True)):
        session.delete(other)
    session.flush()


def mark_part(session: Session, marking: Marking, now_us: int) -> int:
    """Visit the next entities, mark those that the change reaches, end the marking after the last; return how many."""
    session.flush()
    last_id, count = last_after(session, marking.type_id, marking.reached_id, PART)
    if count:
        _mark_to(session, marking, last_id, _due_us(session, marking, now_us))
    if count < PART:
        session.delete(marking)
    else:
        marking.reached_id = last_id
    session.flush()
    return count


def _due_us(session: Session, marking: Marking, now_us: int) -> int:
    """Return from when the next entities are due: not before the change holds, unless a fast clock dated it."""
    is_given = marking.from_us > marking.begun_us
    if is_given or marking.from_us <= latest_us(session, now_us, marking.from_us):
        return max(now_us, marking.from_us)
    return now_us


def _mark_to(session: Session, marking: Marking, last_id: int, due_us: int) -> None:
    """Mark in one statement, in the order of their numbers: one by one takes many times as long."""
    values = {"due_us": due_us, "priority": BULK, "reasons": marking.reasons, **due.NEW}
    of = [*present_after(marking.type_id, marking.reached_id), Entity.id <= last_id]
    if marking.model is not None:
        of.append(is_valued_otherwise(Entity.id, *_version_of(marking)))
    rows = select(Entity.id, Entity.organisation_id, Entity.type_id, *(literal(each) for each in values.values()))
    rows = rows.where(*of).order_by(Entity.id)
    new = INSERTS[session.get_bind().dialect.name](DueMark)
    columns = ["entity_id", "organisation_id", "type_id", *values]
    session.execute(due.upsert(new.from_select(columns, rows)))


def open_markings(session: Session) -> Sequence[int]:
    """List the numbers of open markings, in all organisations, the oldest first.

    Those of a version of the value model are left out: only workers that loaded it advance them.
    """
    return session.scalars(select(Marking.id).where(Marking.model.is_(None)).order_by(Marking.id)).all()


def lock_marking(session: Session, number: int) -> Marking | None:
    """Lock a marking until the transaction ends; None if it has ended, or another process has it."""
    return session.scalar(select(Marking).where(Marking.id == number).with_for_update(skip_locked=True))


def is_unmarked(type_id: Any, entity_id: Any, now_us: Any) -> Exists:
    """Return the condition that a change in force has not marked an entity yet, so it is due all the same."""
    of = (*_not_reached(type_id, entity_id), Marking.from_us <= now_us)
    return select(Marking.id).where(*of).correlate_except(Marking).exists()


def _not_reached(type_id: Any, entity_id: Any) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a marking has yet to reach an entity."""
    of_champion = is_valued_otherwise(entity_id, *_version_of(Marking))
    return Marking.type_id == type_id, Marking.reached_id < entity_id, or_(Marking.model.is_(None), of_champion)


def _version_of(marking: Any) -> tuple[Any, Any, Any]:
    """Return the name, the number and the hash of a marking's version, or their columns."""
    return marking.model, marking.model_version, marking.model_hash


def marked_from_us(type_id: Any, entity_id: Any) -> ColumnElement[int]:
    """Return, in SQL, from when an entity is due by the first of the changes that have not marked it yet."""
    later = case((Marking.from_us > Marking.begun_us, Marking.from_us), else_=Marking.begun_us)
    return select(func.min(later)).where(*_not_reached(type_id, entity_id)).correlate_except(Marking).scalar_subquery()


def due_state(session: Session, entity_id: int, now_us: int) -> tuple[DueMark | None, bool]:
    """Find an entity's due mark, and whether a change has yet to mark it."""
    statement = (
        select(DueMark, is_unmarked(Entity.type_id, Entity.id, now_us))
        .select_from(Entity)
        .outerjoin(DueMark, DueMark.entity_id == Entity.id)
        .where(Entity.id == entity_id)
    )
    mark, is_marked_later = session.execute(statement).one()
    return mark, bool(is_marked_later)


def waiting_counts(session: Session, now_us: int, organisation_id: int | None = None) -> list[WaitingCount]:
    """Count the entities that changes in force have yet to mark, if nothing else makes them due; by organisation.

    This includes a quarantined entity: it waits for something new, and the change is new.
    """
    of = () if organisation_id is None else (Marking.organisation_id == organisation_id,)
    markings = session.scalars(select(Marking).where(Marking.from_us <= now_us, *of).order_by(Marking.id)).all()
    counts: dict[int, WaitingCount] = {}
    for type_id in dict.fromkeys(marking.type_id for marking in markings):
        of_type = [marking for marking in markings if marking.type_id == type_id]
        number, begun_us = of_type[0].organisation_id, min(marking.begun_us for marking in of_type)
        entities = session.scalar(_not_due_yet(type_id, of_type, now_us)) or 0
        if entities:
            before = counts.get(number, WaitingCount(number, 0, begun_us))
            counts[number] = WaitingCount(number, before.entities + entities, min(before.oldest_us, begun_us))
    return list(counts.values())


def _not_due_yet(type_id: int, of_type: Sequence[Marking], now_us: int) -> Select[int]:
    """Count the entities of a type that one of some markings has yet to reach, and that nothing else makes due."""
    not_reached = []
    for marking in of_type:
        behind = Entity.id > marking.reached_id
        of_champion = is_valued_otherwise(Entity.id, *_version_of(marking))
        not_reached.append(behind if marking.model is None else and_(behind, of_champion))
    not_due = or_(DueMark.entity_id.is_(None), DueMark.due_us.is_(None), DueMark.due_us > now_us, DueMark.quarantined)
    return (
        select(func.count())
        .outerjoin_from(Entity, DueMark, DueMark.entity_id == Entity.id)
        .where(Entity.type_id == type_id, Entity.erased_us.is_(None), or_(*not_reached), not_due)
    )


@dataclass(frozen=True)
class QueueDepth:
    """The work that an organisation's workers have ahead.

    Attributes:
        due: how many entities are to be assessed.
        oldest_us: since when the first of them is due.
        quarantined: how many failed too often to be tried again.
    """

    due: int
    oldest_us: int | None
    quarantined: int


def queue_depth(session: Session, organisation_id: int, now_us: int) -> QueueDepth:
    """Count the due entities of an organisation, including those that a change has yet to mark."""
    of = DueMark.organisation_id == organisation_id
    is_due = (DueMark.quarantined.is_(False), DueMark.priority.in_((EVENT, BULK)), DueMark.due_us <= now_us)
    entities, oldest_us = session.execute(select(func.count(), func.min(DueMark.due_us)).where(of, *is_due)).one()
    quarantined = session.scalar(select(func.count()).where(of, DueMark.quarantined)) or 0
    for count in waiting_counts(session, now_us, organisation_id):
        entities += count.entities
        oldest_us = count.oldest_us if oldest_us is None else min(oldest_us, count.oldest_us)
    return QueueDepth(entities, oldest_us, quarantined)
