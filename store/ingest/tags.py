"""Planned ends of tags, each a row that is kept long after that end.

Nothing here begins or ends a transaction.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from fivefold.domain.clock import DAY_US
from fivefold.store.changes.proposals import APPROVED
from fivefold.store.ingest.entities import lock_entities
from fivefold.store.sql.arrays import among
from fivefold.store.sql.statements import write_rows
from fivefold.store.tables.entities import Entity, Tag, TagEnd
from fivefold.store.tables.rulesets import Proposal

KEPT_US: Final = 30 * DAY_US
"""How long an announced end is kept: its entity is assessed sooner."""


def plan_ends(session: Session, ends: Sequence[tuple[int, int, int | None]], now_us: int) -> None:
    """Store planned ends of tags: the number of each tag, that of its entity, and the end; past ends are left out.

    An earlier planned end of the same tag has to be deleted first.
    """
    ahead = [each for each in ends if each[2] is not None and each[2] > now_us]
    write_rows(session, "tag_ends", ("tag_id", "entity_id", "due_us"), ahead)


def forget_ends(session: Session, tag_ids: Sequence[int]) -> None:
    """Delete the planned ends of tags that ended otherwise or have another end now."""
    if tag_ids:
        session.execute(delete(TagEnd).where(among(session, TagEnd.tag_id, list(tag_ids))))


def lasts_after(now_us: int) -> ColumnElement[bool]:
    """The condition that a row of a tag lasts after now, also if a fast clock dated its beginning later.

    A row that ends where it begins never held: an earlier release ended the tags of a fast clock in that way.
    """
    return Tag.until_us.is_(None) | ((Tag.until_us > now_us) & (Tag.until_us > Tag.from_us))


def lasts_on() -> ColumnElement[bool]:
    """The condition that another row of the same tag lasts beyond the end of a row."""
    other = aliased(Tag)
    later = or_(
        other.until_us.is_(None),
        other.until_us > Tag.until_us,
        and_(other.until_us == Tag.until_us, other.id > Tag.id),
    )
    of_same = (other.entity_id == Tag.entity_id, other.tag == Tag.tag, other.from_us <= Tag.until_us)
    return select(other.id).where(*of_same, later).exists()


def goes_on() -> ColumnElement[bool]:
    """The condition that a row continues an earlier row of the same tag, so that only the end moves."""
    other = aliased(Tag)
    before = or_(other.from_us < Tag.from_us, and_(other.from_us == Tag.from_us, other.id < Tag.id))
    of_same = (other.entity_id == Tag.entity_id, other.tag == Tag.tag, other.until_us >= Tag.from_us)
    return select(other.id).where(*of_same, before).exists()


class EndedTag(NamedTuple):
    """A tag that reached its end.

    Attributes:
        until_us: the end.
        set_by: who set the tag with that end, as the audit log names actors.
        proposed_by: who proposed that end, if `set_by` approved it; None otherwise.
        is_last: no other row continues the tag: the entity no longer has it.
    """

    tag_id: int
    entity_id: int
    organisation_id: int
    type_id: int
    tag: str
    until_us: int
    set_by: str
    proposed_by: str | None
    is_last: bool


def take_ended(session: Session, now_us: int, most: int) -> tuple[list[EndedTag], int]:
    """Announce the tags that reached their planned ends: return them, the earliest first, each only once.

    Their entities are locked, in the same order in which callers that end a tag lock them. Also returns how many ends
    were due.
    """
    session.execute(delete(TagEnd).where(TagEnd.announced, TagEnd.due_us < now_us - KEPT_US))
    due = select(TagEnd.tag_id, TagEnd.entity_id).where(~TagEnd.announced, TagEnd.due_us <= now_us)
    rows = session.execute(due.order_by(TagEnd.due_us, TagEnd.tag_id).limit(most)).all()
    if not rows:
        return [], 0
    lock_entities(session, {row.entity_id for row in rows})
    return _take(session, among(session, TagEnd.tag_id, [row.tag_id for row in rows]), now_us), len(rows)


def take_ended_of(session: Session, entity_ids: Collection[int], now_us: int) -> list[EndedTag]:
    """Announce the ended tags of some entities, which the caller has locked, as `take_ended` does for all."""
    return _take(session, among(session, TagEnd.entity_id, sorted(entity_ids)), now_us)


def _take(session: Session, those: ColumnElement[bool], now_us: int) -> list[EndedTag]:
    """Announce the due ones among some planned ends; a plan is void if its tag does not exist, or ends later.

    A process of an older release, which does not store planned ends, may have moved an end meanwhile.
    """
    due = (those, ~TagEnd.announced, TagEnd.due_us <= now_us)
    taking = update(TagEnd).where(*due).values(announced=True).returning(TagEnd.tag_id, TagEnd.due_us)
    planned = {row.tag_id: row.due_us for row in session.execute(taking)}
    if not planned:
        return []
    rows: Sequence[Any] = session.execute(
        select(
            Tag.id,
            Tag.entity_id,
            Tag.organisation_id,
            Entity.type_id,
            Tag.tag,
            Tag.until_us,
            Tag.set_by,
            _proposed_by(),
            ~lasts_on(),
        )
        .join(Entity, Entity.id == Tag.entity_id)
        .where(among(session, Tag.id, sorted(planned)), Tag.until_us.is_not(None))
        .order_by(Tag.until_us, Tag.id)
    ).all()
    ended_rows = [row for row in rows if planned[row.id] <= row.until_us <= now_us]
    forget_ends(session, sorted(planned.keys() - {row.id for row in ended_rows}))
    plan_ends(session, [(row.id, row.entity_id, row.until_us) for row in rows], now_us)
    return [EndedTag._make((*row[:-1], bool(row[-1]))) for row in ended_rows]


class ReachedEnd(NamedTuple):
    """A planned end of an entity's tag: its moment, who set it, and who proposed it, as in `EndedTag`."""

    entity_id: int
    until_us: int
    set_by: str
    proposed_by: str | None

    @property
    def people(self) -> tuple[str, ...]:
        """The people behind the end."""
        return (self.set_by,) if self.proposed_by is None else (self.set_by, self.proposed_by)


def planned_ends(session: Session, entity_ids: Collection[int], now_us: int) -> Sequence[ReachedEnd]:
    """List the planned ends that some entities' tags reached, announced or not.

    A tag that another row continues, and one that was ended otherwise, are left out; so are ends older than `KEPT_US`,
    and ends before such rows were kept.
    """
    columns = (Tag.entity_id, Tag.until_us, Tag.set_by, _proposed_by())
    statement = select(*columns).join(TagEnd, TagEnd.tag_id == Tag.id)
    of = (among(session, TagEnd.entity_id, sorted(entity_ids)), Tag.until_us <= now_us, ~lasts_on())
    return [ReachedEnd._make(row) for row in session.execute(statement.where(*of))]


def of_proposal(
    column: InstrumentedAttribute[str], at_us: InstrumentedAttribute[Any], by: InstrumentedAttribute[Any]
) -> ColumnElement[str | None]:
    """Return, in SQL, a column of the proposal whose approval changed a row of an entity, such as a tag or an override.

    *at_us* and *by* are the columns of that row with the moment and the author of the change.
    """
    approved = (Proposal.entity_id == at_us.class_.entity_id, Proposal.state == APPROVED)
    then = (Proposal.decided_us == at_us, Proposal.decided_by == by)
    return select(column).where(*approved, *then).limit(1).scalar_subquery()


def _proposed_by() -> ColumnElement[str | None]:
    """Return, in SQL, who proposed a tag's row that another person approved: the row begins at the approval."""
    return of_proposal(Proposal.proposed_by, Tag.from_us, Tag.set_by)
