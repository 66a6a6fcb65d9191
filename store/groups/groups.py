"""Named groups and their versions. Nothing here begins or ends a transaction."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import and_, bindparam, func, or_, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.domain.text import perhaps
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.groups import GroupMember, GroupVersion, NamedGroup
from fivefold.store.tables.versions import ACTIVE


class TypeGroup(NamedTuple):
    """A group whose membership is evaluated; without a version if it was retired and still has members.

    Attributes:
        name: the name of the group.
        number: the number of the version, beside `version_id` and `canonical`.
    """

    group_id: int
    name: str
    purpose: str
    version_id: int | None
    number: int | None
    canonical: str | None


_HAS_MEMBERS: Final = (
    select(GroupMember.group_id)
    .where(GroupMember.group_id == NamedGroup.id, or_(GroupMember.is_member, GroupMember.is_unknown))
    .correlate(NamedGroup)
    .exists()
)
_OF_TYPE: Final = (
    select(
        *(NamedGroup.id, NamedGroup.name, NamedGroup.purpose),
        *(GroupVersion.id, GroupVersion.number, GroupVersion.canonical),
    )
    .outerjoin(GroupVersion, and_(GroupVersion.group_id == NamedGroup.id, GroupVersion.state == ACTIVE))
    .where(NamedGroup.type_id == bindparam("type_id"), or_(GroupVersion.id.is_not(None), _HAS_MEMBERS))
    .order_by(NamedGroup.id)
)


def groups_looked_at(session: Session, type_id: int) -> list[TypeGroup]:
    """List the groups of a type that have an active version, and those that still have members without one."""
    return [TypeGroup(*row) for row in session.execute(_OF_TYPE, {"type_id": type_id})]


def canonicals_of_type(session: Session, type_id: int) -> Sequence[str]:
    """Return the active versions of the groups of a type, in their canonical form."""
    statement = select(GroupVersion.canonical).join(NamedGroup, NamedGroup.id == GroupVersion.group_id)
    of = (NamedGroup.type_id == type_id, GroupVersion.state == ACTIVE)
    return session.scalars(statement.where(*of).order_by(NamedGroup.id)).all()


def active_canonicals(session: Session, organisation_id: int) -> list[tuple[int, str]]:
    """Return the active versions of all groups of an organisation: the type, and the canonical form."""
    rows = session.execute(
        select(NamedGroup.type_id, GroupVersion.canonical)
        .join(NamedGroup, NamedGroup.id == GroupVersion.group_id)
        .where(GroupVersion.organisation_id == organisation_id, GroupVersion.state == ACTIVE)
        .order_by(NamedGroup.name)
    )
    return [(type_id, canonical) for type_id, canonical in rows]


class OrganisationGroup(NamedTuple):
    """A group of an organisation: the number of its type, its purpose, and its active version or None."""

    name: str
    type_id: int
    purpose: str
    canonical: str | None


def groups_of_organisation(session: Session, organisation_id: int) -> list[OrganisationGroup]:
    """List the groups of an organisation by name, including retired ones."""
    statement = (
        select(NamedGroup.name, NamedGroup.type_id, NamedGroup.purpose, GroupVersion.canonical)
        .outerjoin(GroupVersion, and_(GroupVersion.group_id == NamedGroup.id, GroupVersion.state == ACTIVE))
        .where(NamedGroup.organisation_id == organisation_id)
        .order_by(NamedGroup.name)
    )
    return [OrganisationGroup(*row) for row in session.execute(statement)]


def group_named(session: Session, organisation_id: int, name: str) -> NamedGroup:
    """Find a group; NotFoundError if the organisation has none of that name."""
    row = find_group(session, organisation_id, name)
    if row is None:
        raise NotFoundError(f"there is no group {name!r}")
    return row


def find_group(session: Session, organisation_id: int, name: str) -> NamedGroup | None:
    """Find a group; None if there is none."""
    return session.scalar(
        select(NamedGroup).where(NamedGroup.organisation_id == organisation_id, NamedGroup.name == name)
    )


def count_groups(session: Session, organisation_id: int) -> int:
    """Count the groups of an organisation, including retired ones."""
    statement = select(func.count()).select_from(NamedGroup).where(NamedGroup.organisation_id == organisation_id)
    return session.scalar(statement) or 0


class GroupVersionRow(NamedTuple):
    """A version, its group, and the name of its type."""

    version: GroupVersion
    group: NamedGroup
    entity_type: str


def versions_of(
    session: Session, organisation_id: int, name: str | None = None, part: Part = WHOLE, *, with_aml: bool = True
) -> Page[GroupVersionRow]:
    """List the versions of one group or all: by name, the newest first; *with_aml*: include groups for `aml` alone."""
    statement = _versions(organisation_id)
    if name is not None:
        statement = statement.where(NamedGroup.name == name)
    if not with_aml:
        statement = statement.where(NamedGroup.purpose != "aml")
    return rows_of(session, statement, (NamedGroup.name, -GroupVersion.number), part).map(
        lambda row: GroupVersionRow(*row)
    )


def version_numbered(session: Session, organisation_id: int, name: str, number: int) -> GroupVersionRow:
    """Find a version; NotFoundError if the organisation has none of that name and number."""
    statement = _versions(organisation_id).where(NamedGroup.name == name, GroupVersion.number == number)
    row = session.execute(statement).one_or_none()
    if row is None:
        names = session.scalars(select(NamedGroup.name).where(NamedGroup.organisation_id == organisation_id))
        raise NotFoundError(f"there is no version {number} of a group {name!r}{perhaps(name, names)}")
    return GroupVersionRow(*row)


def _versions(organisation_id: int) -> Any:
    return (
        select(GroupVersion, NamedGroup, EntityType.name)
        .join(NamedGroup, NamedGroup.id == GroupVersion.group_id)
        .join(EntityType, EntityType.id == NamedGroup.type_id)
        .where(GroupVersion.organisation_id == organisation_id)
    )


def in_force_since(session: Session, type_id: int, names: Sequence[str]) -> dict[str, int]:
    """Return when each of some groups of a type first came into force; groups that never did are left out."""
    statement = (
        select(NamedGroup.name, func.min(GroupVersion.approved_us))
        .join(GroupVersion, GroupVersion.group_id == NamedGroup.id)
        .where(NamedGroup.type_id == type_id, NamedGroup.name.in_(names), GroupVersion.approved_us.is_not(None))
        .group_by(NamedGroup.name)
    )
    return {name: approved_us for name, approved_us in session.execute(statement) if approved_us is not None}


def active_version(session: Session, group_id: int) -> GroupVersion | None:
    """Find the version of a group that is in force."""
    return session.scalar(select(GroupVersion).where(GroupVersion.group_id == group_id, GroupVersion.state == ACTIVE))
