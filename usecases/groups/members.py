"""The members of a group, its moves, and its sizes: now, and on each day.

Members move when a level is computed. A reader who may not know of groups for `aml` may not know of levels either, and
so sees only the day (UTC) of each moment: its beginning.
"""

from dataclasses import dataclass
from typing import Annotated

from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, day_text, start_of_day
from fivefold.domain.paging import Page, Part
from fivefold.store.groups import members as stored
from fivefold.store.groups.groups import versions_of
from fivefold.store.ingest.entities import entity_named
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.versions import ACTIVE, PROPOSED
from fivefold.usecases.groups.versions import GroupLine, group_line, visible_group
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context

LOOKED_BACK_DAYS = 400
"""How many days of sizes are shown."""
MOST_COUNTED = 50
"""The most groups whose sizes are counted in one transaction."""


@schema("MemberOfGroup")
@dataclass(frozen=True)
class GroupMemberLine:
    """A member of a group: since when; `unknown`, where the facts do not decide now whether it still is one."""

    external_id: str
    since_us: Annotated[Moment, shown_as("since")]
    is_unknown: Annotated[bool, shown_as("unknown")]


@schema("MoveOfGroup")
@dataclass(frozen=True)
class GroupMove:
    """An entity entered the group or left it, by which version; null where the group was retired.

    `unknown`: the facts did not decide, and the group says what becomes of an entity then.
    """

    external_id: str
    at_us: Annotated[Moment, shown_as("at")]
    entered: bool
    is_unknown: Annotated[bool, shown_as("unknown")]
    version: int | None


@schema("SizeOfGroup")
@dataclass(frozen=True)
class DaySize:
    """How many members a group had when a worker counted them on a day (UTC), and of how many it was unknown.

    A day on which no worker ran, or on which the group did not settle, is left out.
    """

    day: str
    members: int
    unknown: int


@schema("GroupNow")
@dataclass(frozen=True, kw_only=True)
class GroupNow:
    """A group as it is: the version in force, the one that is proposed, and how many members there are.

    `settled` is false while entities are still to be looked at after an approval or a retirement.
    """

    name: str
    title: str
    entity_type: str
    purpose: str
    active: int | None
    proposed: int | None
    members: int
    unknown: int
    settled: bool


@schema("GroupOfEntity")
@dataclass(frozen=True)
class EntityGroup:
    """A group that an entity is a member of: since when; `unknown`, where the facts do not decide now."""

    name: str
    purpose: str
    since_us: Annotated[Moment, shown_as("since")]
    is_unknown: Annotated[bool, shown_as("unknown")]


def list_members(context: Context, name: str, part: Part, *, with_aml: bool) -> Page[GroupMemberLine]:
    """List the members of a group, in the order in which the entities were added to the platform.

    NotFoundError if there is no such group, or it is for `aml` and *with_aml* is false.
    """
    with context.reading() as session:
        group = visible_group(session, context, name, with_aml=with_aml)
        rows = stored.members_of(session, group.id, part)
        return rows.map(lambda row: GroupMemberLine(row.external_id, _shown(row.since_us, with_aml), row.is_unknown))


def list_moves(context: Context, name: str, part: Part, *, with_aml: bool) -> Page[GroupMove]:
    """List the entities that entered or left a group, the latest first; errors as of `list_members`.

    If only days are shown, the moves of one day are in the order of entities, as another order would reveal the hour.
    """
    with context.reading() as session:
        group = visible_group(session, context, name, with_aml=with_aml)
        return stored.moves_of(session, group.id, part, by_day=not with_aml).map(lambda row: GroupMove(*row))


def sizes_of(context: Context, name: str, *, with_aml: bool) -> tuple[DaySize, ...]:
    """Return the sizes of a group in the last `LOOKED_BACK_DAYS`, the first day first; errors as of `list_members`."""
    with context.reading() as session:
        group = visible_group(session, context, name, with_aml=with_aml)
        rows = stored.sizes_by_day(session, group.id, context.now() // DAY_US - LOOKED_BACK_DAYS)
        return tuple(DaySize(day_text(row.day * DAY_US), row.members, row.unknown) for row in rows)


def groups_now(context: Context, *, with_aml: bool) -> tuple[GroupNow, ...]:
    """Return all groups by name, with their present sizes; groups for `aml` only if *with_aml*."""
    now = context.now()
    with context.reading() as session:
        lines_by_group: dict[int, list[GroupLine]] = {}
        types: dict[int, int] = {}
        for row in versions_of(session, context.organisation_id, with_aml=with_aml):
            lines_by_group.setdefault(row.group.id, []).append(group_line(row))
            types[row.group.id] = row.group.type_id
        sizes = stored.sizes_now(session, sorted(lines_by_group))
        open_types = {
            type_id
            for type_id in set(types.values())
            if stored.is_being_looked_at(session, context.organisation_id, type_id, now)
        }
        return tuple(
            _group_now(lines, sizes[group_id], settled=types[group_id] not in open_types)
            for group_id, lines in lines_by_group.items()
        )


def _group_now(lines: list[GroupLine], size: stored.Size, *, settled: bool) -> GroupNow:
    """Return a group by its active version, or else the newest; *lines* are its versions, the newest first."""
    active = next((line for line in lines if line.state == ACTIVE), None)
    shown = active or lines[0]
    newer = (line for line in lines if active is None or line.number > active.number)
    return GroupNow(
        name=shown.name,
        title=shown.title,
        entity_type=shown.entity_type,
        purpose=shown.purpose,
        active=None if active is None else active.number,
        proposed=next((line.number for line in newer if line.state == PROPOSED), None),
        members=size.members,
        unknown=size.unknown,
        settled=settled,
    )


def groups_of_entity(
    context: Context, entity_type: str, external_id: str, *, with_aml: bool
) -> tuple[EntityGroup, ...]:
    """List the groups that an entity is a member of, by name; NotFoundError if there is no such entity."""
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, entity_type, external_id)
        rows = stored.groups_of(session, entity.id, with_aml=with_aml)
        return tuple(EntityGroup(**{**row._asdict(), "since_us": _shown(row.since_us, with_aml)}) for row in rows)


def _shown(at_us: int, with_aml: bool) -> int:
    """Return a moment, cut to its day for readers who may not know of levels."""
    return at_us if with_aml else start_of_day(at_us)


def count_sizes(engine: Engine, now_us: int) -> int:
    """Count the members of up to `MOST_COUNTED` groups not counted today (UTC); return how many groups were counted.

    A group is counted once it has settled: before that, not every entity was assessed for its version. Call it until it
    returns 0. Several workers may call it: the first count of a day stays.
    """
    day = now_us // DAY_US
    with reading(engine) as session:
        ids = stored.uncounted_groups(session, day, MOST_COUNTED, now_us)
        sizes = stored.sizes_now(session, ids)
    if ids:
        with writing(engine) as session:
            stored.store_sizes(session, day, now_us, sizes)
    return len(ids)
