"""Levels as they stand and as they were. Nothing here begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from store.entity_tables import Entity, EntityType
from store.level_tables import Assessment, DueMark, OverrideRow, Standing, Transition
from store.ruleset_tables import Family, RulesetVersion


def standing_of(session: Session, entity_id: int) -> Standing | None:
    """Find where an entity stands; None where it was never assessed."""
    return session.get(Standing, entity_id)


def mark_of(session: Session, entity_id: int) -> DueMark | None:
    """Find an entity's due mark."""
    return session.get(DueMark, entity_id)


def refreshing(mark: DueMark | None, now_us: int) -> bool:
    """Tell whether an entity is about to be computed: it waits for that, or somebody is at it."""
    if mark is None:
        return False
    waits = not mark.quarantined and mark.due_us is not None and mark.due_us <= now_us
    return waits or (mark.lease_until_us is not None and mark.lease_until_us > now_us)


def override_numbered(session: Session, override_id: int) -> OverrideRow:
    """Give an override that a standing names."""
    return session.get_one(OverrideRow, override_id)


def level_since(session: Session, entity_id: int) -> int | None:
    """Tell when the level that holds was reached; None where there was never any."""
    latest = select(Transition.at_us).where(Transition.entity_id == entity_id)
    return session.scalar(latest.order_by(Transition.number.desc()).limit(1))


def ruleset_named(session: Session, version_id: int | None) -> tuple[str, int] | None:
    """Give the name and the number of a version; None where none decided."""
    found = session.execute(
        select(Family.name, RulesetVersion.number)
        .join(RulesetVersion, RulesetVersion.family_id == Family.id)
        .where(RulesetVersion.id == version_id)
    ).first()
    return None if found is None else (found.name, found.number)


def assessments_of(
    session: Session, entity_id: int, most: int, before: int | None
) -> list[tuple[Assessment, Transition | None]]:
    """List the assessments of an entity with the transitions that they made, the latest first."""
    reached = (Transition.entity_id == Assessment.entity_id) & (Transition.number == Assessment.number)
    wanted = select(Assessment, Transition).outerjoin(Transition, reached).where(Assessment.entity_id == entity_id)
    if before is not None:
        wanted = wanted.where(Assessment.number < before)
    found = session.execute(wanted.order_by(Assessment.number.desc()).limit(most))
    return [(made, reached) for made, reached in found]


def assessment_of(session: Session, organisation_id: int, entity_id: int, number: int) -> Assessment | None:
    """Find one assessment of an organisation."""
    found = session.get(Assessment, (entity_id, number))
    return found if found is not None and found.organisation_id == organisation_id else None


def standings_with(
    session: Session, organisation_id: int, statuses: Sequence[str], most: int
) -> list[tuple[str, str, Standing]]:
    """List who stands with one of some statuses: type, external id, standing; in the order of their numbers.

    An erased entity is left out.
    """
    return _standings(session, most, Standing.organisation_id == organisation_id, Standing.status.in_(statuses))


def standings_after(
    session: Session, organisation_id: int, latest_us: int, most: int
) -> list[tuple[str, str, Standing]]:
    """List whose last assessment is dated after a moment, as `standings_with` does."""
    return _standings(session, most, Standing.organisation_id == organisation_id, Standing.assessed_us > latest_us)


def _standings(session: Session, most: int, *conditions: ColumnElement[bool]) -> list[tuple[str, str, Standing]]:
    wanted = (
        select(EntityType.name, Entity.external_id, Standing)
        .join(Entity, Entity.id == Standing.entity_id)
        .join(EntityType, EntityType.id == Entity.type_id)
        .where(Entity.erased_us.is_(None), *conditions)
    )
    found = session.execute(wanted.order_by(Standing.entity_id).limit(most))
    return [(kind, name, standing) for kind, name, standing in found]
