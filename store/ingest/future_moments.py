"""Moments that the program took from a fast clock: superseded by a later call, or found by a repair.

A row that arrived before a call is not later than it. So a call whose clock is right dates back the rows that it
supersedes, and of rows at one moment the last to arrive holds: the latest information loses to no clock, and no repair
moves a row past a later one.

A repair must tell these moments from later ones that people gave, which stay. The program takes the end of a tag that
was ended or set again, the end of an ownership that another one followed, the beginning of a link that came back, and
the end of a tag that a flow set for some days. The audit entry of a call that ended rows has the moment; a link that
began when it was recorded was given no beginning. Nothing here begins or ends a transaction.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from fivefold.store.audit.bound_rows import Digests, digests, merge_digests
from fivefold.store.ingest.tags import forget_ends, plan_ends
from fivefold.store.sql.arrays import among
from fivefold.store.sql.clocks import clock_of
from fivefold.store.tables.audit import AuditEntry, AuditValues
from fivefold.store.tables.entities import Correction, Entity, Link, Ownership, Screening, Tag
from fivefold.store.tables.flows import FLOW_ACTOR

ENDED_US: Final = "ended_us"
"""The key, in the details of an audit entry, of the moment at which the call ended tags or ownerships by its clock."""
_ENDING: Final = ("tag.set", "tag.ended", "entities.put")


class FutureMoment(NamedTuple):
    """A moment that is dated ahead.

    Attributes:
        entity_id: the entity of its row.
        other_id: the entity at the other end of a link.
        column: the column of the moment.
        lasts_us: how long after now a repair sets it.
    """

    organisation_id: int
    kind: str
    table: type[Tag | Ownership | Link]
    row_id: int
    entity_id: int
    other_id: int | None
    column: Literal["from_us", "until_us"]
    at_us: int
    lasts_us: int = 0


def future_moments(session: Session, latest_us: int, organisation_id: int | None = None) -> list[FutureMoment]:
    """List the moments after *latest_us* that the program took from its clock, of one organisation or all."""
    tags, owners = _ends(session, latest_us, organisation_id)
    own = () if organisation_id is None else (Entity.organisation_id == organisation_id,)
    moments: list[FutureMoment] = []
    by_flow = and_(Tag.set_by.startswith(FLOW_ACTOR), Tag.from_us > latest_us)
    tag_rows: Any = (
        select(Tag.organisation_id, Tag.id, Tag.entity_id, Tag.from_us, Tag.until_us, by_flow)
        .join(Entity, Entity.id == Tag.entity_id)
        .where(Tag.until_us > latest_us, or_(by_flow, among(session, Tag.id, sorted(tags))), *own)
    )
    for of, row_id, entity_id, begins, until, lasts in session.execute(tag_rows):
        if lasts or tags.get(row_id) == until:
            later = 0 if tags.get(row_id) == until else until - begins
            moments.append(FutureMoment(of, "ends of tags", Tag, row_id, entity_id, None, "until_us", until, later))
    owner_rows = (
        select(Entity.organisation_id, Ownership.id, Ownership.entity_id, Ownership.until_us)
        .join(Entity, Entity.id == Ownership.entity_id)
        .where(Ownership.until_us > latest_us, among(session, Ownership.id, sorted(owners)))
    )
    moments += [
        FutureMoment(of, "ends of ownerships", Ownership, row_id, entity_id, None, "until_us", until)
        for of, row_id, entity_id, until in session.execute(owner_rows)
        if owners[row_id] == until
    ]
    link_rows: Any = (
        select(Link.organisation_id, Link.id, Link.entity_id, Link.other_id, Link.from_us)
        .join(Entity, Entity.id == Link.entity_id)
        .where(Link.from_us > latest_us, Link.from_us == Link.recorded_us, *own)
    )
    moments += [
        FutureMoment(of, "links", Link, row_id, entity_id, other_id, "from_us", begins)
        for of, row_id, entity_id, other_id, begins in session.execute(link_rows)
    ]
    return moments


def screened_before(session: Session, arriving: Iterable[tuple[int, str, int, bool]], now_us: int) -> list[int]:
    """Date back stored screenings whose moment is after now, as others are about to follow; return their numbers.

    Only a moment that the program took from its clock is dated back, to now. A clean one is dated to the moment of an
    arriving match instead, if that is now too, within the tolerance of clocks: so the match holds. An older match lies
    before it anyway. A match is dated to now and never earlier: it holds until a clean one comes after it.

    Args:
        session: in the transaction that adds the others.
        arriving: the others: entity, word, moment, and whether it had a match.
        now_us: the current time.
    """
    latest: dict[tuple[int, str], int] = {}  # moment that a clean one may have: now, or that of the latest match
    for entity, word, at, has_match in sorted(arriving, key=lambda each: (each[3], each[2])):
        latest[entity, word] = at if has_match else now_us
    from_clock = (Screening.at_us > now_us, Screening.at_us == Screening.recorded_us)
    of = among(session, Screening.entity_id, sorted({entity for entity, _ in latest}))
    rows = session.scalars(select(Screening).where(of, *from_clock).order_by(Screening.id).with_for_update()).all()
    earlier = [row for row in rows if (row.entity_id, row.screening) in latest]
    since_us = now_us - clock_of(session.get_bind().engine).tolerance_us
    for row in earlier:
        match_us = latest[row.entity_id, row.screening]
        row.at_us = now_us if row.found or match_us < since_us else match_us
        row.recorded_us = now_us
    session.flush()
    return [row.id for row in earlier]


def corrected_before(session: Session, organisation_id: int, numbers: Sequence[str], now_us: int) -> None:
    """Let corrections that a fast clock dated after now count from now, as others of their transactions follow.

    `known_us` is sealed, and stays; a correction counts from `recorded_us` if that is earlier.
    """
    of = (Correction.organisation_id == organisation_id, among(session, Correction.transaction_id, numbers))
    from_clock = (Correction.recorded_us > now_us, Correction.recorded_us == Correction.known_us)
    session.execute(update(Correction).where(*of, *from_clock).values(recorded_us=now_us))


def owned_before(session: Session, entity_ids: Collection[int], now_us: int) -> dict[int, int]:
    """Return, by row, the ends after now that the program took from its clock, of ownerships of some entities."""
    of = (among(session, Ownership.entity_id, sorted(entity_ids)), Ownership.until_us > now_us)
    rows = session.execute(
        select(Ownership.id, Ownership.until_us, Entity.organisation_id)
        .join(Entity, Entity.id == Ownership.entity_id)
        .where(*of)
    ).all()
    ends = _ends(session, now_us, rows[0].organisation_id)[1] if rows else {}
    return {row.id: row.until_us for row in rows if ends.get(row.id) == row.until_us}


def _ends(session: Session, latest_us: int, organisation_id: int | None) -> tuple[dict[int, int], dict[int, int]]:
    """Return when calls with a fast clock ended tags and ownerships, by the numbers of all rows that they wrote."""
    same = and_(AuditValues.organisation_id == AuditEntry.organisation_id, AuditValues.number == AuditEntry.number)
    statement = (
        select(AuditEntry.details, AuditValues.after)
        .join(AuditValues, same)
        .where(AuditEntry.at_us > latest_us, AuditEntry.action.in_(_ENDING), AuditEntry.details.contains(ENDED_US))
        .order_by(AuditEntry.organisation_id, AuditEntry.number)
    )
    if organisation_id is not None:
        statement = statement.where(AuditEntry.organisation_id == organisation_id)
    ended: dict[str, dict[int, int]] = {"tags": {}, "ownerships": {}}
    for details, after in session.execute(statement):
        rows = json.loads(after or "{}").get("rows", {})
        for table, moments in ended.items():
            moments |= {int(name.rpartition(".")[2]): json.loads(details)[ENDED_US] for name in rows.get(table, ())}
    return ended["tags"], ended["ownerships"]


def redate_moments(session: Session, moments: Sequence[FutureMoment], now_us: int) -> Digests:
    """Set moments to now, or to their `lasts_us` after it; return the digests of their rows."""
    row_digests = []
    for table in (Tag, Ownership, Link):
        of_table = [each for each in moments if each.table is table]
        values: list[Any] = [{"id": each.row_id, each.column: now_us + each.lasts_us} for each in of_table]
        if values:
            session.execute(update(table), values)
            row_digests.append(digests(session, table.__tablename__, [each.row_id for each in of_table]))
    lasting = [each for each in moments if each.lasts_us]
    forget_ends(session, [each.row_id for each in lasting])
    plan_ends(session, [(each.row_id, each.entity_id, now_us + each.lasts_us) for each in lasting], now_us)
    return merge_digests(*row_digests)
