"""Tags that are to end by the clock: one row for each, until it ended. Nothing here begins or ends a transaction."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.orm import Session, aliased

from fivefold.store.ingest.entities import lock_entities
from fivefold.store.sql.arrays import among
from fivefold.store.sql.bulk import write_rows
from fivefold.store.tables.entities import Entity, Tag, TagEnd


def plan_ends(session: Session, ends: Sequence[tuple[int, int, int | None]], now_us: int) -> None:
    """Keep when tags are to end: the number of each, that of its entity, and the end; those of the past are left out.

    What was kept of one before has to be forgotten first.
    """
    ahead = [each for each in ends if each[2] is not None and each[2] > now_us]
    write_rows(session, "tag_ends", ("tag_id", "entity_id", "due_us"), ahead)


def forget_ends(session: Session, tag_ids: Sequence[int]) -> None:
    """Forget when tags are to end, which ended otherwise or have another end now."""
    if tag_ids:
        session.execute(delete(TagEnd).where(among(session, TagEnd.tag_id, list(tag_ids))))


def lasts_on() -> ColumnElement[bool]:
    """The condition that an entity has a tag beyond the end of a row of it, by another row."""
    other = aliased(Tag)
    later = or_(
        other.until_us.is_(None),
        other.until_us > Tag.until_us,
        and_(other.until_us == Tag.until_us, other.id > Tag.id),
    )
    of_same = (other.entity_id == Tag.entity_id, other.tag == Tag.tag, other.from_us <= Tag.until_us)
    return select(other.id).where(*of_same, later).exists()


class TagEnded(NamedTuple):
    """A tag that came to its end.

    Attributes:
        until_us: when.
        is_last: no other row of the same tag lasts on: the entity does not have it any more.
    """

    tag_id: int
    entity_id: int
    organisation_id: int
    type_id: int
    tag: str
    until_us: int
    is_last: bool


def take_ended(session: Session, now_us: int, most: int) -> tuple[list[TagEnded], int]:
    """Take the tags that came to their ends by the clock, the earliest first; those given are not given again.

    Their entities are locked, in the order in which those who end a tag lock them. Give too how many were due.
    """
    due = select(TagEnd.tag_id, TagEnd.entity_id).where(TagEnd.due_us <= now_us)
    rows = session.execute(due.order_by(TagEnd.due_us, TagEnd.tag_id).limit(most)).all()
    if not rows:
        return [], 0
    lock_entities(session, {row.entity_id for row in rows})
    return _take(session, among(session, TagEnd.tag_id, [row.tag_id for row in rows]), now_us), len(rows)


def take_ended_of(session: Session, entity_ids: Collection[int], now_us: int) -> list[TagEnded]:
    """Take those of some entities, which the caller holds, as `take_ended` takes those of all."""
    return _take(session, among(session, TagEnd.entity_id, sorted(entity_ids)), now_us)


def _take(session: Session, those: ColumnElement[bool], now_us: int) -> list[TagEnded]:
    """Take of some ends those that are due; one that the tag does not have any more, or not yet, is none.

    A process of a release that does not keep the ends of tags may have moved one meanwhile.
    """
    gone = delete(TagEnd).where(those, TagEnd.due_us <= now_us).returning(TagEnd.tag_id, TagEnd.due_us)
    taken = {row.tag_id: row.due_us for row in session.execute(gone)}
    if not taken:
        return []
    rows: Sequence[Any] = session.execute(
        select(Tag.id, Tag.entity_id, Tag.organisation_id, Entity.type_id, Tag.tag, Tag.until_us, ~lasts_on())
        .join(Entity, Entity.id == Tag.entity_id)
        .where(among(session, Tag.id, sorted(taken)), Tag.until_us.is_not(None))
        .order_by(Tag.until_us, Tag.id)
    ).all()
    plan_ends(session, [(row.id, row.entity_id, row.until_us) for row in rows], now_us)
    due = [row for row in rows if taken[row.id] <= row.until_us <= now_us]
    return [TagEnded._make((*row[:6], bool(row[6]))) for row in due]
