"""Levels as they stand and as they were. Nothing here begins or ends a transaction."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.paging import Page, Part
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.levels import Assessment, DueMark, OverrideRow, Standing, Transition
from fivefold.store.tables.rulesets import Family, RulesetVersion


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


def assessments_of(session: Session, entity_id: int, part: Part) -> Page[tuple[Assessment, Transition | None]]:
    """List the assessments of an entity with the transitions that they made, the latest first."""
    reached = (Transition.entity_id == Assessment.entity_id) & (Transition.number == Assessment.number)
    wanted = select(Assessment, Transition).outerjoin(Transition, reached).where(Assessment.entity_id == entity_id)
    return rows_of(session, wanted, (Assessment.number,), part, descending=True)


def assessment_of(session: Session, organisation_id: int, entity_id: int, number: int) -> Assessment | None:
    """Find one assessment of an organisation."""
    found = session.get(Assessment, (entity_id, number))
    return found if found is not None and found.organisation_id == organisation_id else None
