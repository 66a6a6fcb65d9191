"""Overrides: levels set by people, beside those of the rules. Nothing here begins or ends a transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.sql.arrays import among
from fivefold.store.sql.keyset import rows_of, where_given
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import OverrideRow, PortfolioCount, Standing


def override_numbered(session: Session, organisation_id: int, number: int) -> OverrideRow:
    """Find an override, and lock its entity against erasure until the transaction ends.

    NotFoundError if the organisation has none of that number, or its entity was erased.
    """
    row = session.scalar(
        select(OverrideRow)
        .join(Entity, Entity.id == OverrideRow.entity_id)
        .where(OverrideRow.id == number, OverrideRow.organisation_id == organisation_id, Entity.erased_us.is_(None))
        .with_for_update(key_share=True, of=Entity)
    )
    if row is None:
        raise NotFoundError(f"there is no override {number}")
    return row


def is_live(now_us: Any) -> ColumnElement[bool]:
    """Select the overrides in force: approved and not ended."""
    later = or_(OverrideRow.until_us.is_(None), OverrideRow.until_us > now_us)
    return and_(OverrideRow.state == "approved", later)


def is_decided_by_person() -> ColumnElement[bool]:
    """Select the overrides that a person decided; the program refuses an undecided one at its own end."""
    return and_(OverrideRow.decided_us.is_not(None), OverrideRow.decided_by.is_distinct_from("system"))


def live_overrides(session: Session, entity_id: int, now_us: int) -> Sequence[OverrideRow]:
    """List the overrides of an entity that are in force."""
    return session.scalars(select(OverrideRow).where(OverrideRow.entity_id == entity_id, is_live(now_us))).all()


def ended_us(override: OverrideRow) -> int | None:
    """Return when an approved override ended or will end, by itself or by revocation; None for never."""
    return min((each for each in (override.until_us, override.revoked_us) if each is not None), default=None)


def held_overrides(session: Session, entity_id: int) -> Sequence[OverrideRow]:
    """List the overrides of an entity that were approved, including those that have ended."""
    of = (OverrideRow.entity_id == entity_id, OverrideRow.state.in_(("approved", "revoked")))
    return session.scalars(select(OverrideRow).where(*of)).all()


def was_overridden(entity_id: Any, at_us: Any, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return, in SQL, whether an override of an entity that meets the conditions was in force at a moment.

    The entity and the moment may be columns.
    """
    row = OverrideRow
    begun = (row.entity_id == entity_id, row.decided_us <= at_us, row.state.in_(("approved", "revoked")))
    goes_on = (or_(end.is_(None), end > at_us) for end in (row.until_us, row.revoked_us))
    return select(row.id).where(*begun, *goes_on, *conditions).correlate_except(row).exists()


def people_of_ended(session: Session, entity_ids: Collection[int], now_us: int) -> dict[int, tuple[str, ...]]:
    """Return, by entity, who requested and who approved the override of its current level, if it ended by itself."""
    row = OverrideRow
    statement = (
        select(Standing.entity_id, row.requested_by, row.decided_by)
        .join(row, row.id == Standing.override_id)
        .where(among(session, Standing.entity_id, sorted(entity_ids)), row.until_us <= now_us, row.revoked_us.is_(None))
    )
    return {entity: tuple(name for name in names if name) for entity, *names in session.execute(statement)}


def live_override_id(entity_id: Any, now_us: Any) -> ColumnElement[int | None]:
    """Return, in SQL, the number of an entity's override in force; else null. The arguments may be columns."""
    of = (OverrideRow.entity_id == entity_id, is_live(now_us))
    latest = select(OverrideRow.id).where(*of).order_by(OverrideRow.decided_us.desc(), OverrideRow.id.desc()).limit(1)
    return latest.correlate_except(OverrideRow).scalar_subquery()


def is_of_override(standing: Standing | None, live_id: int | None) -> bool:
    """Return whether a level was computed by the override that is live now, or without one if none is."""
    return standing is not None and standing.override_id == live_id


def requested_beside(session: Session, organisation_id: int, numbers: Sequence[int]) -> set[int]:
    """Return which of some overrides wait for a decision while another one of the same entity does too."""
    other = aliased(OverrideRow)
    statement = (
        select(OverrideRow.id)
        .join(other, (other.entity_id == OverrideRow.entity_id) & (other.id != OverrideRow.id))
        .where(OverrideRow.organisation_id == organisation_id, OverrideRow.id.in_(numbers))
        .where(OverrideRow.state == "requested", other.state == "requested")
    )
    return set(session.scalars(statement))


def undecided_override(session: Session, like: OverrideRow) -> OverrideRow | None:
    """Find the first undecided override that the same actor requested of an entity with the same content."""
    same = (
        OverrideRow.entity_id == like.entity_id,
        OverrideRow.state == "requested",
        OverrideRow.requested_by == like.requested_by,
        OverrideRow.level == like.level,
        OverrideRow.reason == like.reason,
        OverrideRow.until_us.is_not_distinct_from(like.until_us),
    )
    return session.scalar(select(OverrideRow).where(*same).order_by(OverrideRow.id).limit(1))


def undecided_past_end(session: Session, now_us: int, most: int, after: int) -> list[tuple[int, int]]:
    """List undecided overrides past their own end and numbered above *after*, each as its organisation and number.

    From all organisations, the oldest first; without those of erased entities, on which nobody can decide.
    """
    is_known = select(Entity.id).where(Entity.id == OverrideRow.entity_id, Entity.erased_us.is_(None)).exists()
    over = (OverrideRow.state == "requested", OverrideRow.until_us <= now_us, is_known, OverrideRow.id > after)
    statement = select(OverrideRow.organisation_id, OverrideRow.id).where(*over).order_by(OverrideRow.id).limit(most)
    return [(organisation_id, number) for organisation_id, number in session.execute(statement)]


def count_below(session: Session, organisation_id: int, now_us: int, without: int) -> int:
    """Count the overrides in force below the rules' level, without those of one entity and of erased ones."""
    statement = (
        select(func.count())
        .select_from(OverrideRow)
        .join(Standing, Standing.entity_id == OverrideRow.entity_id)
        .join(Entity, Entity.id == OverrideRow.entity_id)
        .where(
            Entity.erased_us.is_(None),
            OverrideRow.organisation_id == organisation_id,
            OverrideRow.entity_id != without,
            OverrideRow.level < Standing.rules_level,
            is_live(now_us),
        )
    )
    return session.scalar(statement) or 0


def count_with_level(session: Session, organisation_id: int) -> int:
    """Count the entities that have a level, without erased ones."""
    of = (PortfolioCount.organisation_id == organisation_id, PortfolioCount.erased.is_(False))
    return int(session.scalar(select(func.sum(PortfolioCount.entities)).where(*of, PortfolioCount.level > 0)) or 0)


@dataclass(frozen=True)
class OverrideWithLevel:
    """An override, its entity, and the entity's current level; None if it was never assessed."""

    override: OverrideRow
    entity: Entity
    type_name: str
    standing: Standing | None


@dataclass(frozen=True, kw_only=True)
class OverrideFilter:
    """Which overrides of an organisation are listed; None sets no condition.

    Attributes:
        state: requested, live, expired, refused or revoked, as of `now_us`.
        since_us: requested at that moment or later.
        until_us: requested before.
    """

    organisation_id: int
    now_us: int
    state: str | None = None
    entity_id: int | None = None
    requested_by: str | None = None
    since_us: int | None = None
    until_us: int | None = None


def overrides_among(session: Session, override_filter: OverrideFilter, part: Part) -> Page[OverrideWithLevel]:
    """List the overrides that match a filter, the latest request first; without those of erased entities."""
    statement = (
        select(OverrideRow, Entity, EntityType.name, Standing)
        .join(Entity, Entity.id == OverrideRow.entity_id)
        .join(EntityType, EntityType.id == Entity.type_id)
        .outerjoin(Standing, Standing.entity_id == Entity.id)
        .where(OverrideRow.organisation_id == override_filter.organisation_id, Entity.erased_us.is_(None))
    )
    if override_filter.state in {"live", "expired"}:
        statement = statement.where(OverrideRow.state == "approved")
        has_ended = OverrideRow.until_us <= override_filter.now_us
        statement = statement.where(
            has_ended if override_filter.state == "expired" else is_live(override_filter.now_us)
        )
    elif override_filter.state is not None:
        statement = statement.where(OverrideRow.state == override_filter.state)
    statement = where_given(
        statement,
        (OverrideRow.entity_id, override_filter.entity_id),
        (OverrideRow.requested_by, override_filter.requested_by),
        moment=OverrideRow.requested_us,
        since_us=override_filter.since_us,
        until_us=override_filter.until_us,
    )
    keys = (OverrideRow.requested_us, OverrideRow.id)
    return rows_of(session, statement, keys, part, descending=True).map(lambda row: OverrideWithLevel(*row))


def overrides_with_levels(
    session: Session,
    organisation_id: int,
    entity_id: int | None = None,
    number: int | None = None,
    part: Part = WHOLE,
) -> Page[OverrideWithLevel]:
    """List overrides, the newest first: of one entity or of all, or one by its number.

    The list of all leaves out those of erased entities.
    """
    statement = (
        select(OverrideRow, Entity, EntityType.name, Standing)
        .join(Entity, Entity.id == OverrideRow.entity_id)
        .join(EntityType, EntityType.id == Entity.type_id)
        .outerjoin(Standing, Standing.entity_id == Entity.id)
        .where(OverrideRow.organisation_id == organisation_id)
    )
    if entity_id is not None:
        statement = statement.where(OverrideRow.entity_id == entity_id)
    elif number is None:
        statement = statement.where(Entity.erased_us.is_(None))
    if number is not None:
        statement = statement.where(OverrideRow.id == number)
    return rows_of(session, statement, (OverrideRow.id,), part, descending=True).map(
        lambda row: OverrideWithLevel(*row)
    )
