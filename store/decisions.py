"""Decisions, the levels and values that they use, and policies. Nothing here begins or ends a transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import Table, and_, bindparam, func, or_, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.domain.text import perhaps
from fivefold.store.ingest.entities import no_entity
from fivefold.store.levels.markings import is_unmarked
from fivefold.store.levels.overrides import live_override_id
from fivefold.store.sql.keyset import rows_of, scalars_of, where_given
from fivefold.store.sql.statements import INSERTS
from fivefold.store.tables.entities import Entity, EntityType, OrganisationSettings, ValueScore
from fivefold.store.tables.events import Decision, Policy
from fivefold.store.tables.levels import DueMark, Standing
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.store.tables.versions import ACTIVE

_ADD: Final = {
    dialect: insert(cast("Table", Decision.__table__))
    .on_conflict_do_nothing(index_elements=["organisation_id", "decision_key"])
    .returning(Decision.__table__.c.id)
    for dialect, insert in INSERTS.items()
}
_PARTIES: Final = (
    select(Entity, EntityType, OrganisationSettings, Policy)
    .join(EntityType, EntityType.id == Entity.type_id)
    .outerjoin(OrganisationSettings, OrganisationSettings.organisation_id == EntityType.organisation_id)
    .outerjoin(
        Policy,
        and_(
            Policy.organisation_id == EntityType.organisation_id,
            Policy.name == bindparam("policy"),
            Policy.state == ACTIVE,
        ),
    )
    .where(
        EntityType.organisation_id == bindparam("organisation_id"),
        EntityType.name == bindparam("type_name"),
        Entity.external_id == bindparam("external_id"),
    )
)
_LATEST_VALUE: Final = (
    select(func.max(ValueScore.as_of_us)).where(ValueScore.entity_id == bindparam("entity_id")).scalar_subquery()
)
_STANDPOINT: Final = (
    select(
        *(Standing, Family.name, RulesetVersion.number, RulesetVersion.content_hash, DueMark, ValueScore),
        is_unmarked(Entity.type_id, Entity.id, bindparam("now_us")),
        live_override_id(Entity.id, bindparam("now_us")),
    )
    .select_from(Entity)
    .outerjoin(Standing, Standing.entity_id == Entity.id)
    .outerjoin(RulesetVersion, RulesetVersion.id == Standing.version_id)
    .outerjoin(Family, Family.id == RulesetVersion.family_id)
    .outerjoin(DueMark, DueMark.entity_id == Entity.id)
    .outerjoin(
        ValueScore,
        and_(
            ValueScore.entity_id == Entity.id,
            ValueScore.as_of_us == _LATEST_VALUE,
            or_(ValueScore.score.is_not(None), ValueScore.failure.is_not(None)),
        ),
    )
    .where(Entity.id == bindparam("entity_id"))
)
_DECISIONS: Final = cast("Table", Decision.__table__)
_KEYED: Final = select(_DECISIONS.c.id).where(
    _DECISIONS.c.organisation_id == bindparam("organisation_id"), _DECISIONS.c.decision_key == bindparam("key")
)
"""Built once, as every decision runs them, and building one costs more than the database's answer."""


@dataclass(frozen=True)
class DecisionSubjects:
    """The entity of a decision, its type, the organisation's settings (only to load them early), and the policy."""

    entity: Entity
    kind: EntityType
    settings: OrganisationSettings | None
    policy: Policy | None


def subjects_of(
    session: Session, organisation_id: int, type_name: str, external_id: str, policy: str
) -> DecisionSubjects:
    """Find an entity and the active version of a policy, in one statement; NotFoundError if there is no such entity."""
    parameters = {
        "organisation_id": organisation_id,
        "type_name": type_name,
        "external_id": external_id,
        "policy": policy,
    }
    row = session.execute(_PARTIES, parameters).one_or_none()
    if row is None:
        raise no_entity(session, organisation_id, type_name, external_id)
    return DecisionSubjects(*row)


@dataclass(frozen=True)
class EntityState:
    """An entity's current level, the ruleset's version behind it, and the latest value score.

    Attributes:
        standing: None if it was never assessed.
        mark: its due mark.
        is_marked_later: a committed change has yet to mark it.
        override_id: the number of the override in force, whether or not the level was computed by it; else None.
        value: the latest value score; None if there is none, or it has neither a score nor a failure.
        is_behind: the level was to be computed for the decision, and could not be.
    """

    standing: Standing | None
    ruleset: str | None
    version: int | None
    content_hash: str | None
    mark: DueMark | None
    value: ValueScore | None
    is_marked_later: bool
    override_id: int | None = None
    is_behind: bool = False


def entity_state(session: Session, entity_id: int, now_us: int) -> EntityState:
    """Find an entity's current level and value score, in one statement."""
    row = session.execute(_STANDPOINT, {"entity_id": entity_id, "now_us": now_us}).one()
    return EntityState(*row)


def decision_keyed(session: Session, organisation_id: int, key: str) -> Decision | None:
    """Find the decision of a key; usually there is none, so only its number is selected first."""
    number = session.scalar(_KEYED, {"organisation_id": organisation_id, "key": key})
    return None if number is None else session.get_one(Decision, number)


def decision_numbered(session: Session, organisation_id: int, number: int) -> Decision:
    """Find a decision; NotFoundError if the organisation has none of that number."""
    row = session.get(Decision, number)
    if row is None or row.organisation_id != organisation_id:
        raise NotFoundError(f"there is no decision {number}")
    return row


def decisions_of(session: Session, entity_id: int, part: Part) -> Page[tuple[Decision, Policy]]:
    """List the decisions on an entity's transactions with their policies, the latest first."""
    statement = select(Decision, Policy).join(Policy, Policy.id == Decision.policy_id)
    statement = statement.where(Decision.entity_id == entity_id)
    return rows_of(session, statement, (Decision.id,), part, descending=True)


@dataclass(frozen=True, kw_only=True)
class DecisionFilter:
    """Which decisions of an organisation are listed; None sets no condition.

    Attributes:
        policy: its name, in whatever version.
        since_us: made at that moment or later.
        until_us: made before that moment.
    """

    organisation_id: int
    action: str | None = None
    entity_id: int | None = None
    policy: str | None = None
    actor: str | None = None
    since_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True)
class DecisionRow:
    """A decision with its policy and its entity."""

    decision: Decision
    policy: Policy
    entity_type: str
    external_id: str


def decisions_among(session: Session, decision_filter: DecisionFilter, part: Part) -> Page[DecisionRow]:
    """List the decisions that match a filter, the latest first; without those about erased entities."""
    statement = (
        select(Decision, Policy, EntityType.name, Entity.external_id)
        .join(Policy, Policy.id == Decision.policy_id)
        .join(Entity, Entity.id == Decision.entity_id)
        .join(EntityType, EntityType.id == Entity.type_id)
        .where(Decision.organisation_id == decision_filter.organisation_id, Entity.erased_us.is_(None))
    )
    statement = where_given(
        statement,
        (Decision.action, decision_filter.action),
        (Decision.entity_id, decision_filter.entity_id),
        (Policy.name, decision_filter.policy),
        (Decision.actor, decision_filter.actor),
        moment=Decision.at_us,
        since_us=decision_filter.since_us,
        until_us=decision_filter.until_us,
    )
    keys = (Decision.at_us, Decision.id)
    return rows_of(session, statement, keys, part, descending=True).map(lambda row: DecisionRow(*row))


def add_decision(session: Session, values: Mapping[str, Any]) -> int | None:
    """Add a decision, and return its number; None if a concurrent call added one under its key."""
    number: int | None = session.scalar(_ADD[session.get_bind().dialect.name], values)
    return number


def policy_versions(
    session: Session, organisation_id: int, name: str | None = None, part: Part = WHOLE
) -> Page[Policy]:
    """List the versions of one policy, or of all: by name, the newest first."""
    statement = select(Policy).where(Policy.organisation_id == organisation_id)
    if name is not None:
        statement = statement.where(Policy.name == name)
    return scalars_of(session, statement, (Policy.name, -Policy.number), part)


def policy_numbered(session: Session, organisation_id: int, name: str, number: int) -> Policy:
    """Find a version; NotFoundError if the organisation has none of that name and number."""
    of = (Policy.organisation_id == organisation_id, Policy.name == name, Policy.number == number)
    row = session.scalar(select(Policy).where(*of))
    if row is None:
        names = session.scalars(select(Policy.name).where(Policy.organisation_id == organisation_id).distinct())
        raise NotFoundError(f"there is no version {number} of a policy {name!r}{perhaps(name, names)}")
    return row


def active_policy(session: Session, organisation_id: int, name: str) -> Policy | None:
    """Find the version of a policy that is in force."""
    of = (Policy.organisation_id == organisation_id, Policy.name == name, Policy.state == ACTIVE)
    return session.scalar(select(Policy).where(*of))


def active_policies(session: Session, organisation_id: int) -> Sequence[Policy]:
    """Read the versions that are in force, by name."""
    of = (Policy.organisation_id == organisation_id, Policy.state == ACTIVE)
    return session.scalars(select(Policy).where(*of).order_by(Policy.name)).all()
