"""The definitions of an organisation that decide now, in their canonical form, so that what they read can be found."""

from collections.abc import Sequence

from sqlalchemy import select, union_all
from sqlalchemy.orm import Session

from fivefold.store.decisions.decisions import ACTIVE
from fivefold.store.tables.events import Policy
from fivefold.store.tables.flows import FlowRow, FlowVersion
from fivefold.store.tables.groups import GroupVersion
from fivefold.store.tables.rulesets import Family, RulesetVersion


def active_definitions(session: Session, organisation_id: int) -> Sequence[str]:
    """List the active rulesets, policies, flows and groups of an organisation: JSON, in one statement."""
    rulesets = (
        select(RulesetVersion.canonical)
        .join(Family, Family.active_version_id == RulesetVersion.id)
        .where(Family.organisation_id == organisation_id, Family.enabled)
    )
    flows = (
        select(FlowVersion.canonical)
        .join(FlowRow, FlowRow.active_version_id == FlowVersion.id)
        .where(FlowRow.organisation_id == organisation_id)
    )
    policies = select(Policy.canonical).where(Policy.organisation_id == organisation_id, Policy.state == ACTIVE)
    groups = select(GroupVersion.canonical).where(
        GroupVersion.organisation_id == organisation_id, GroupVersion.state == ACTIVE
    )
    return session.scalars(union_all(rulesets, flows, policies, groups)).all()
