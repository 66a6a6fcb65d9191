"""Rulesets: families, drafts, versions, what is active. Nothing here begins or ends a transaction."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.ruleset_tables import Family, RulesetVersion


def active_versions(session: Session, organisation_id: int, type_id: int) -> list[RulesetVersion]:
    """List the active versions of a type's families that are on, in the order in which they are tried."""
    wanted = (
        select(RulesetVersion)
        .join(Family, Family.active_version_id == RulesetVersion.id)
        .where(Family.organisation_id == organisation_id, Family.type_id == type_id, Family.enabled)
        .order_by(Family.position, Family.id)
    )
    return list(session.scalars(wanted))
