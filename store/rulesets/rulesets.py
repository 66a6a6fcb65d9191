"""Rulesets: families, drafts, versions, and which are active. Nothing here begins or ends a transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Final

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session, aliased

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Page, Part
from fivefold.domain.text import perhaps
from fivefold.store.sql.arrays import among
from fivefold.store.sql.keyset import rows_of, scalars_of
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.rulesets import Activation, Draft, Family, RulesetVersion

_ACTIVE: Final = (
    select(Family.type_id, RulesetVersion)
    .join(RulesetVersion, Family.active_version_id == RulesetVersion.id)
    .where(Family.organisation_id == bindparam("of"), Family.enabled)
    .order_by(Family.type_id, Family.position, Family.id)
)
"""The statement of active versions, built once, as each assessment runs it."""


def active_versions(session: Session, organisation_id: int, type_id: int) -> list[RulesetVersion]:
    """List the active versions of a type's families that are on, in the order in which they are tried."""
    return [version for of, version in all_active_versions(session, organisation_id) if of == type_id]


def all_active_versions(session: Session, organisation_id: int) -> list[tuple[int, RulesetVersion]]:
    """List the active versions of families that are on, with their types, in the order in which they are tried."""
    return [(type_id, version) for type_id, version in session.execute(_ACTIVE, {"of": organisation_id})]


def active_number(session: Session, family: Family) -> int | None:
    """Return the number of the version of a family that decides, or will once the family is on; None without one."""
    active = family.active_version_id
    return None if active is None else session.get_one(RulesetVersion, active).number


def active_version_named(session: Session, organisation_id: int, name: str) -> RulesetVersion | None:
    """Find the active version of a family that is on, by the name of its rulesets."""
    of = (Family.organisation_id == organisation_id, Family.name == name, Family.enabled)
    statement = select(RulesetVersion).join(Family, Family.active_version_id == RulesetVersion.id)
    return session.scalar(statement.where(*of))


def versions_by_id(session: Session, version_ids: Collection[int]) -> dict[int, RulesetVersion]:
    """Read versions at once, of any family."""
    of = among(session, RulesetVersion.id, sorted(version_ids))
    return {version.id: version for version in session.scalars(select(RulesetVersion).where(of))}


def families_of_versions(session: Session, version_ids: Sequence[int]) -> dict[int, int]:
    """Map versions to their families."""
    statement = select(RulesetVersion.id, RulesetVersion.family_id).where(RulesetVersion.id.in_(version_ids))
    return {row.id: row.family_id for row in session.execute(statement)} if version_ids else {}


def names_of_families(session: Session, family_ids: Collection[int]) -> dict[int, str]:
    """Return the names of families, by their numbers."""
    statement = select(Family.id, Family.name).where(Family.id.in_(family_ids))
    return {row.id: row.name for row in session.execute(statement)} if family_ids else {}


def rulesets_of_versions(session: Session, version_ids: Sequence[int]) -> dict[int, tuple[str, int]]:
    """Return the name of the ruleset and the number of each version."""
    statement = select(RulesetVersion.id, Family.name, RulesetVersion.number).join(
        Family, Family.id == RulesetVersion.family_id
    )
    rows = session.execute(statement.where(RulesetVersion.id.in_(version_ids)))
    return {row.id: (row.name, row.number) for row in rows}


def newest_numbers(session: Session, family_id: int, hashes: Collection[str]) -> dict[str, int]:
    """Return the number of a family's newest version with each content, by the hash of the content."""
    of = (RulesetVersion.family_id == family_id, among(session, RulesetVersion.content_hash, sorted(hashes)))
    statement = select(RulesetVersion.content_hash, func.max(RulesetVersion.number).label("newest")).where(*of)
    rows = session.execute(statement.group_by(RulesetVersion.content_hash))
    return {row.content_hash: row.newest for row in rows}


def canonicals_of(session: Session, organisation_id: int, hashes: Collection[str]) -> dict[str, str]:
    """Return the canonical forms of rulesets, of any version, by the hashes of their content."""
    if not hashes:
        return {}
    of = (RulesetVersion.organisation_id == organisation_id, RulesetVersion.content_hash.in_(sorted(hashes)))
    first = select(func.min(RulesetVersion.id)).where(*of).group_by(RulesetVersion.content_hash)
    statement = select(RulesetVersion.content_hash, RulesetVersion.canonical).where(RulesetVersion.id.in_(first))
    return {row.content_hash: row.canonical for row in session.execute(statement)}


def families_of(session: Session, organisation_id: int, type_id: int | None = None) -> Sequence[Family]:
    """List families, of one type or of all, in the order in which they are tried."""
    statement = select(Family).where(Family.organisation_id == organisation_id)
    if type_id is not None:
        statement = statement.where(Family.type_id == type_id)
    return session.scalars(statement.order_by(Family.type_id, Family.position, Family.id)).all()


def family_or_none(session: Session, organisation_id: int, name: str) -> Family | None:
    """Find a family by the name of its rulesets."""
    return session.scalar(select(Family).where(Family.organisation_id == organisation_id, Family.name == name))


def family_named(session: Session, organisation_id: int, name: str) -> Family:
    """Find a family by the name of its rulesets; NotFoundError if the organisation has none of that name."""
    row = family_or_none(session, organisation_id, name)
    if row is None:
        names = session.scalars(select(Family.name).where(Family.organisation_id == organisation_id))
        raise NotFoundError(f"there is no ruleset {name!r}{perhaps(name, names)}")
    return row


def draft_of(session: Session, family: Family) -> Draft:
    """Find the draft of a family; NotFoundError if it has none."""
    row = session.get(Draft, family.id)
    if row is None:
        raise NotFoundError(f"there is no draft of {family.name}")
    return row


def latest_versions(session: Session, family_id: int, part: Part, *, activated: bool = False) -> Page[RulesetVersion]:
    """List the versions of a family, or those that were ever activated; the newest first."""
    statement = select(RulesetVersion).where(RulesetVersion.family_id == family_id)
    if activated:
        of_family = Activation.family_id == family_id
        statement = statement.where(RulesetVersion.id.in_(select(Activation.version_id).where(of_family)))
    return scalars_of(session, statement, (RulesetVersion.number,), part, descending=True)


def newest_version(session: Session, family_id: int) -> RulesetVersion | None:
    """Find the newest committed version of a family; None before the first."""
    statement = select(RulesetVersion).where(RulesetVersion.family_id == family_id)
    return session.scalar(statement.order_by(RulesetVersion.number.desc()).limit(1))


def version_numbered(session: Session, family: Family, number: int) -> RulesetVersion:
    """Find a version of a family; NotFoundError if it has none of that number."""
    row = session.scalar(
        select(RulesetVersion).where(RulesetVersion.family_id == family.id, RulesetVersion.number == number)
    )
    if row is None:
        raise NotFoundError(f"there is no version {number} of {family.name}")
    return row


def next_position(session: Session, type_id: int) -> int:
    """Return the position after all families of a type."""
    last = session.scalar(select(func.max(Family.position)).where(Family.type_id == type_id))
    return 1 if last is None else last + 1


def last_revision(session: Session, family: Family) -> int:
    """Return the revision of the last draft that was committed or discarded; the next draft continues from there."""
    newest = newest_version(session, family.id)
    return max(family.revision, 0 if newest is None else int(newest.tests["revision"]))


@dataclass(frozen=True, kw_only=True)
class FamilyState:
    """A family with its active version, its newest version and its draft; None for each that does not exist."""

    family: Family
    entity_type: str
    active: RulesetVersion | None
    activation: Activation | None
    newest: int | None
    draft_revision: int | None
    draft_editors: Sequence[str] | None
    drafted_us: int | None


def family_states(session: Session, organisation_id: int, part: Part, type_id: int | None = None) -> Page[FamilyState]:
    """List families, of one type or of all, in the order in which they are tried, with their state; one statement."""
    versions, activations = aliased(RulesetVersion), aliased(Activation)
    newest = select(func.max(versions.number)).where(versions.family_id == Family.id)
    latest = select(func.max(activations.id)).where(
        activations.family_id == Family.id, activations.version_id == Family.active_version_id
    )
    statement = (
        select(
            Family,
            EntityType.name,
            RulesetVersion,
            Activation,
            newest.scalar_subquery(),
            Draft.revision,
            Draft.editors,
            Draft.edited_us,
        )
        .join(EntityType, EntityType.id == Family.type_id)
        .outerjoin(RulesetVersion, RulesetVersion.id == Family.active_version_id)
        .outerjoin(Activation, Activation.id == latest.scalar_subquery())
        .outerjoin(Draft, Draft.family_id == Family.id)
        .where(Family.organisation_id == organisation_id)
    )
    if type_id is not None:
        statement = statement.where(Family.type_id == type_id)
    keys = (Family.type_id, Family.position, Family.id)
    names = [field.name for field in fields(FamilyState)]
    return rows_of(session, statement, keys, part).map(lambda row: FamilyState(**dict(zip(names, row, strict=True))))
