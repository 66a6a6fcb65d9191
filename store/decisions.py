"""Decisions, and what a decision sees of an entity beside its facts. Nothing here begins or ends a transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from domain.errors import NotThere
from store.entity_tables import ValueScore
from store.event_tables import Decision, Policy
from store.level_tables import DueMark, Standing
from store.ruleset_tables import Family, RulesetVersion

_INSERT: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@dataclass(frozen=True)
class Standpoint:
    """Where an entity stands, and by which version of a ruleset; `mark` is its due mark, `standing` None for never."""

    standing: Standing | None
    mark: DueMark | None
    ruleset: str | None
    version: int | None
    content_hash: str | None


def standpoint_of(session: Session, entity_id: int) -> Standpoint:
    """Find where an entity stands."""
    found = session.execute(
        select(Standing, Family.name, RulesetVersion.number, RulesetVersion.content_hash)
        .outerjoin(RulesetVersion, RulesetVersion.id == Standing.version_id)
        .outerjoin(Family, Family.id == RulesetVersion.family_id)
        .where(Standing.entity_id == entity_id)
    ).one_or_none()
    standing, name, number, content_hash = (None, None, None, None) if found is None else found
    return Standpoint(standing, session.get(DueMark, entity_id), name, number, content_hash)


def latest_value(session: Session, entity_id: int) -> ValueScore | None:
    """Find what the value model said last of an entity."""
    wanted = select(ValueScore).where(ValueScore.entity_id == entity_id)
    return session.scalar(wanted.order_by(ValueScore.as_of_us.desc()).limit(1))


def decision_keyed(session: Session, organisation_id: int, key: str) -> Decision | None:
    """Find the decision that was asked for under a key."""
    of = (Decision.organisation_id == organisation_id, Decision.decision_key == key)
    return session.scalar(select(Decision).where(*of))


def decision_numbered(session: Session, organisation_id: int, number: int) -> Decision:
    """Find a decision; NotThere where the organisation has none of that number."""
    found = session.get(Decision, number)
    if found is None or found.organisation_id != organisation_id:
        raise NotThere(f"there is no decision {number}")
    return found


def decisions_of(session: Session, entity_id: int, most: int, before: int | None) -> Sequence[tuple[Decision, Policy]]:
    """List the decisions on an entity's transactions with the policies that made them, the latest first."""
    wanted = select(Decision, Policy).join(Policy, Policy.id == Decision.policy_id)
    wanted = wanted.where(Decision.entity_id == entity_id)
    if before is not None:
        wanted = wanted.where(Decision.id < before)
    found = session.execute(wanted.order_by(Decision.id.desc()).limit(most))
    return [(decision, policy) for decision, policy in found]


def add_decision(session: Session, values: Mapping[str, Any]) -> int | None:
    """Add a decision, and give its number; None where somebody else added one under its key meanwhile."""
    insert = _INSERT[session.get_bind().dialect.name](Decision)
    keys = ["organisation_id", "decision_key"]
    added = insert.values(**values).on_conflict_do_nothing(index_elements=keys).returning(Decision.id)
    number: int | None = session.scalar(added)
    return number
