"""The reach of a proposed change, as far as it can be counted; backtests show the rest."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.decisions.decisions import policy_numbered
from fivefold.store.levels.overrides import count_below, count_with_level
from fivefold.store.rulesets.activations import count_of_type
from fivefold.store.rulesets.rulesets import all_active_versions
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.events import Decision
from fivefold.store.tables.rulesets import Family
from fivefold.usecases.accounts.settings import settings_of
from fivefold.usecases.changes.contents import Content, OverrideRevoked, PolicyRetirement, SettingsChanged
from fivefold.usecases.levels.overrides import levels_without
from fivefold.usecases.rulesets.deciding import DecidingChange
from fivefold.usecases.shared.context import Context

LOOKED_BACK_DAYS = 90


def reach_of(
    session: Session, context: Context, content: Content, rehearsed: dict[int, DecidingChange], now_us: int
) -> dict[str, Any]:
    """Count the entities that a change would reach: plain data, by what is counted."""
    if isinstance(content, PolicyRetirement):
        return _of_policy(session, context, content, now_us)
    if isinstance(content, SettingsChanged):
        return _of_settings(session, context, content, now_us)
    if isinstance(content, OverrideRevoked):
        return dict(vars(levels_without(session, context.actor, content.override)))
    names = {type_id: session.get_one(EntityType, type_id).name for type_id in rehearsed}
    return {"entities": {names[type_id]: count_of_type(session, type_id) for type_id in rehearsed}}


def _of_policy(session: Session, context: Context, content: PolicyRetirement, now_us: int) -> dict[str, Any]:
    """Count the version's recent decisions: they would have been without a decision."""
    row = policy_numbered(session, context.organisation_id, content.policy, content.number)
    types_query = (
        select(Decision.action, func.count())
        .where(Decision.policy_id == row.id, Decision.at_us > now_us - LOOKED_BACK_DAYS * DAY_US)
        .group_by(Decision.action)
        .order_by(Decision.action)
    )
    counts = dict(session.execute(types_query).all())
    return {"days": LOOKED_BACK_DAYS, "decisions": counts}


def _of_settings(session: Session, context: Context, content: SettingsChanged, now_us: int) -> dict[str, Any]:
    """Compare the present settings with the new ones, and count the entities that new limits concern."""
    present = settings_of(session, context.organisation_id)
    settings_values: dict[str, Any] = {
        name: {"from": getattr(present, name), "to": value}
        for name, value in vars(content).items()
        if value is not None
    }
    if content.override_cap_percent is not None:
        settings_values["override_cap_percent"] |= {
            "overridden_below": count_below(session, context.organisation_id, now_us, without=0),
            "with_level": count_with_level(session, context.organisation_id),
        }
    if content.retention_days is not None:
        days = {"older_before": present.retention_days, "older_after": content.retention_days}
        settings_values["retention_days"] |= {
            name: _added_before(session, context, now_us - count * DAY_US) for name, count in days.items()
        }
    if content.minimum_coverage_percent is not None:
        below = _covered_below(session, context, content.minimum_coverage_percent)
        settings_values["minimum_coverage_percent"]["active_below"] = below
    return settings_values


def _added_before(session: Session, context: Context, at_us: int) -> int:
    of = (Entity.organisation_id == context.organisation_id, Entity.erased_us.is_(None), Entity.created_us <= at_us)
    return session.scalar(select(func.count()).where(*of)) or 0


def _covered_below(session: Session, context: Context, percent: int) -> list[str]:
    """Name active versions whose examples reach less: they still decide, but could not be committed again."""
    types = []
    for _, version in all_active_versions(session, context.organisation_id):
        if min(float(version.tests.get(name, 0)) for name in ("rules_percent", "cases_percent")) < percent:
            types.append(f"{session.get_one(Family, version.family_id).name} {version.number}")
    return types
