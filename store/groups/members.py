"""The members of groups, their entries and exits, and the sizes of groups. Begins and ends no transaction."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Final, NamedTuple

from sqlalchemy import and_, bindparam, case, func, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.paging import Page, Part
from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason
from fivefold.store.sql.arrays import among, among_parameter
from fivefold.store.sql.keyset import rows_of
from fivefold.store.sql.statements import INSERTS, write_rows
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.groups import GroupMember, GroupMove, GroupSize, GroupVersion, NamedGroup
from fivefold.store.tables.levels import DueMark, Marking


class Membership(NamedTuple):
    """The state of an entity in a group; the fields are those of `GroupMember`."""

    group_id: int
    entity_id: int
    is_member: bool
    is_unknown: bool
    since_us: int
    moves: int


class Move(NamedTuple):
    """An entity's entry into a group, or its exit; the fields are those of `GroupMove`."""

    group_id: int
    entity_id: int
    number: int
    version_id: int | None
    at_us: int
    entered: bool
    is_unknown: bool


_STANDING: Final = {
    dialect: select(*(getattr(GroupMember, name) for name in Membership._fields)).where(
        among_parameter(dialect, GroupMember.group_id, "groups"), among_parameter(dialect, GroupMember.entity_id, "ids")
    )
    for dialect in INSERTS
}


def memberships_of(
    session: Session, group_ids: Sequence[int], entity_ids: Sequence[int]
) -> dict[tuple[int, int], Membership]:
    """Read the states of entities in groups, by group and entity; entities without a row are left out."""
    statement = _STANDING[session.get_bind().dialect.name]
    rows = session.execute(statement, {"groups": list(group_ids), "ids": list(entity_ids)})
    return {(row.group_id, row.entity_id): Membership(*row) for row in rows}


def store_memberships(session: Session, rows: Iterable[Membership]) -> None:
    """Store the states of entities, replacing earlier ones."""
    values = [row._asdict() for row in rows]
    if values:
        new = INSERTS[session.get_bind().dialect.name](GroupMember)
        replacements = {name: new.excluded[name] for name in Membership._fields[2:]}
        upsert = new.on_conflict_do_update(index_elements=["group_id", "entity_id"], set_=replacements)
        session.connection().execute(upsert, values)


def store_moves(session: Session, rows: Iterable[Move]) -> None:
    """Store entries and exits."""
    write_rows(session, "group_moves", Move._fields, rows)


class MemberRow(NamedTuple):
    """A member of a group: the entity's number and name, since when, and whether the condition is unknown now."""

    entity_id: int
    external_id: str
    since_us: int
    is_unknown: bool


def members_of(session: Session, group_id: int, part: Part) -> Page[MemberRow]:
    """List the members of a group, in the order in which the entities were added."""
    statement = (
        select(Entity.id, Entity.external_id, GroupMember.since_us, GroupMember.is_unknown)
        .join(Entity, Entity.id == GroupMember.entity_id)
        .where(GroupMember.group_id == group_id, GroupMember.is_member)
    )
    return rows_of(session, statement, (GroupMember.entity_id,), part).map(lambda row: MemberRow(*row))


class MoveRow(NamedTuple):
    """A move: the entity, the moment, in or out, and the version; None if the group was retired."""

    external_id: str
    at_us: int
    entered: bool
    is_unknown: bool
    version: int | None


def moves_of(session: Session, group_id: int, part: Part, *, by_day: bool) -> Page[MoveRow]:
    """List the entities that entered or left a group, the latest first; *by_day*: within a day (UTC) by entity.

    *by_day* also cuts the moments to the day, so that neither the order nor the keys of pages reveal more.
    """
    at_us = GroupMove.at_us - GroupMove.at_us % DAY_US if by_day else GroupMove.at_us
    statement = (
        select(Entity.external_id, at_us, GroupMove.entered, GroupMove.is_unknown, GroupVersion.number)
        .join(Entity, Entity.id == GroupMove.entity_id)
        .outerjoin(GroupVersion, GroupVersion.id == GroupMove.version_id)
        .where(GroupMove.group_id == group_id)
    )
    keys = (at_us, GroupMove.entity_id, GroupMove.number)
    return rows_of(session, statement, keys, part, descending=True).map(lambda row: MoveRow(*row))


class KeptMove(NamedTuple):
    """A move of an entity into or out of a group, by the group's name; `number` as in `GroupMove`."""

    group: str
    entity_id: int
    number: int
    at_us: int
    entered: bool


def moves_kept(
    session: Session, type_id: int, names: Sequence[str], entity_ids: Sequence[int]
) -> dict[tuple[str, int], list[KeptMove]]:
    """Read the moves of entities in some groups of their type, by group and entity, in their order.

    If the retention policy removed moves of an entity, the first remaining one has a number above 1.
    """
    of = (among(session, GroupMove.entity_id, list(entity_ids)), among(session, NamedGroup.name, list(names)))
    statement = (
        select(NamedGroup.name, GroupMove.entity_id, GroupMove.number, GroupMove.at_us, GroupMove.entered)
        .join(NamedGroup, NamedGroup.id == GroupMove.group_id)
        .where(NamedGroup.type_id == type_id, *of)
        .order_by(GroupMove.group_id, GroupMove.entity_id, GroupMove.number)
    )
    moves: dict[tuple[str, int], list[KeptMove]] = {}
    for row in session.execute(statement):
        move = KeptMove(*row)
        moves.setdefault((move.group, move.entity_id), []).append(move)
    return moves


class GroupOfEntity(NamedTuple):
    """A group that an entity belongs to, since when, and whether that is unknown now."""

    name: str
    purpose: str
    since_us: int
    is_unknown: bool


def groups_of(session: Session, entity_id: int, *, with_aml: bool) -> list[GroupOfEntity]:
    """List the groups that an entity belongs to, by name; *with_aml*: include groups for `aml` alone."""
    statement = (
        select(NamedGroup.name, NamedGroup.purpose, GroupMember.since_us, GroupMember.is_unknown)
        .join(NamedGroup, NamedGroup.id == GroupMember.group_id)
        .where(GroupMember.entity_id == entity_id, GroupMember.is_member)
    )
    if not with_aml:
        statement = statement.where(NamedGroup.purpose != "aml")
    return [GroupOfEntity(*row) for row in session.execute(statement.order_by(NamedGroup.name))]


class Size(NamedTuple):
    """The number of members of a group, and of entities for which the condition is unknown, members or not."""

    members: int
    unknown: int


def sizes_now(session: Session, group_ids: Sequence[int]) -> dict[int, Size]:
    """Count the current members of each of some groups."""
    statement = (
        select(
            GroupMember.group_id,
            func.count(case((GroupMember.is_member, 1))),
            func.count(case((GroupMember.is_unknown, 1))),
        )
        .where(among(session, GroupMember.group_id, group_ids))
        .group_by(GroupMember.group_id)
    )
    sizes = {group_id: Size(members, unknown) for group_id, members, unknown in session.execute(statement)}
    return {group_id: sizes.get(group_id, Size(0, 0)) for group_id in group_ids}


def sizes_by_day(session: Session, group_id: int, since_day: int) -> list[GroupSize]:
    """Return the counted sizes from a day on, the first day first."""
    of = (GroupSize.group_id == group_id, GroupSize.day >= since_day)
    return list(session.scalars(select(GroupSize).where(*of).order_by(GroupSize.day)))


_UNCOUNTED: Final = (
    select(NamedGroup.id, NamedGroup.organisation_id, NamedGroup.type_id)
    .outerjoin(GroupSize, and_(GroupSize.group_id == NamedGroup.id, GroupSize.day == bindparam("day")))
    .where(
        GroupSize.group_id.is_(None),
        select(GroupVersion.id)
        .where(GroupVersion.group_id == NamedGroup.id, GroupVersion.approved_us.is_not(None))
        .correlate(NamedGroup)
        .exists(),
    )
    .order_by(NamedGroup.id)
)


def uncounted_groups(session: Session, day: int, most: int, now_us: int) -> Sequence[int]:
    """List groups that were ever in force, have settled, and whose size was not counted on a day."""
    groups = session.execute(_UNCOUNTED, {"day": day}).all()

    @cache  # checking a type reads all due entities of an organisation
    def is_settled(organisation_id: int, type_id: int) -> bool:
        return not is_being_looked_at(session, organisation_id, type_id, now_us)

    return list(islice((group_id for group_id, *of_type in groups if is_settled(*of_type)), most))


def store_sizes(session: Session, day: int, at_us: int, sizes: Mapping[int, Size]) -> None:
    """Store the sizes of a day; a size that another worker stored is kept."""
    rows = [
        {"group_id": group_id, "day": day, "at_us": at_us, **size._asdict()} for group_id, size in sorted(sizes.items())
    ]
    if rows:
        new = INSERTS[session.get_bind().dialect.name](GroupSize)
        session.connection().execute(new.on_conflict_do_nothing(index_elements=["group_id", "day"]), rows)


def is_being_looked_at(session: Session, organisation_id: int, type_id: int, now_us: int) -> bool:
    """Return whether entities of a type are still to be evaluated for a group that came into force or was retired."""
    reason = int(Reason.GROUP)
    marking = select(Marking.id).where(Marking.type_id == type_id, Marking.reasons.bitwise_and(reason) != 0)
    due = select(DueMark.entity_id).where(
        DueMark.quarantined.is_(False),
        DueMark.organisation_id == organisation_id,
        DueMark.priority.in_((EVENT, BULK)),
        DueMark.due_us <= now_us,
        DueMark.type_id == type_id,
        DueMark.reasons.bitwise_and(reason) != 0,
    )
    return any(session.scalar(each.limit(1)) is not None for each in (marking, due))
