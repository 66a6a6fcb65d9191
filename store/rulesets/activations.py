"""Activations of rulesets, each with its backfill: all entities of the type gradually become due. No transactions.

One backfill runs for each type: a newer one covers all entities, so it ends an older one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.levels.assessment_queue import Subject
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.rulesets import Activation, Family, RulesetVersion

PER_SECOND = 200
"""The default number of entities that become due in a second."""
AT_ONCE = 5_000
"""The number of entities that are read and marked together."""


@dataclass(frozen=True, kw_only=True)
class ActivationChange:
    """A change of the active ruleset, and how fast the entities are assessed again.

    Attributes:
        kind: activation, rollback or off.
        version_id: the version that decides from now on; None if the family has none.
        previous_version_id: the version that decided before.
        per_second: entities that become due in a second.
    """

    kind: str
    version_id: int | None
    previous_version_id: int | None
    reason: str
    actor: str
    per_second: int
    now_us: int
    backtest_id: int | None = None


def begin(session: Session, family: Family, change: ActivationChange) -> Activation:
    """Store a change and begin its backfill, which ends any other of the type.

    For a family that is off no entity becomes due, unless the change switched it off.
    """
    matters = family.enabled or change.kind == "off"
    if matters:
        # A writer of a fact locks this row while it marks entities along links, as links are traversed at that time.
        session.execute(select(EntityType.id).where(EntityType.id == family.type_id).with_for_update())
        of_type = select(Family.id).where(Family.type_id == family.type_id)
        end_others = update(Activation).where(Activation.family_id.in_(of_type), Activation.finished_us.is_(None))
        session.execute(end_others.values(finished_us=change.now_us))
    activation = Activation(
        organisation_id=family.organisation_id,
        family_id=family.id,
        version_id=change.version_id,
        previous_version_id=change.previous_version_id,
        backtest_id=change.backtest_id,
        kind=change.kind,
        reason=change.reason,
        actor=change.actor,
        at_us=change.now_us,
        per_second=change.per_second,
        reached_id=0,
        reached_us=change.now_us,
        finished_us=None if matters else change.now_us,
    )
    session.add(activation)
    session.flush()
    return activation


@dataclass(frozen=True)
class Backfill:
    """An activation whose backfill has not reached all entities yet."""

    activation_id: int
    organisation_id: int
    type_id: int
    per_second: int
    reached_id: int
    reached_us: int


def open_backfills(session: Session) -> list[Backfill]:
    """List the open backfills, in all organisations."""
    statement = (
        select(
            Activation.id,
            Activation.organisation_id,
            Family.type_id,
            Activation.per_second,
            Activation.reached_id,
            Activation.reached_us,
        )
        .join(Family, Family.id == Activation.family_id)
        .where(Activation.finished_us.is_(None))
        .order_by(Activation.id)
    )
    return [Backfill(*row) for row in session.execute(statement)]


def begin_again(session: Session, activation_ids: Sequence[int], now_us: int) -> None:
    """Restart open backfills from the first entity, as of now."""
    of = (Activation.id.in_(activation_ids), Activation.finished_us.is_(None))
    session.execute(update(Activation).where(*of).values(reached_id=0, reached_us=now_us))


def lock_backfill(session: Session, backfill: Backfill) -> Activation | None:
    """Lock a backfill until the transaction ends; None if another process holds it, or has advanced it."""
    return session.scalar(
        select(Activation)
        .where(
            Activation.id == backfill.activation_id,
            Activation.finished_us.is_(None),
            Activation.reached_us == backfill.reached_us,
        )
        .with_for_update(skip_locked=True)
    )


def was_active(session: Session, version: RulesetVersion) -> bool:
    """Return whether a version was ever active."""
    return session.scalar(select(Activation.id).where(Activation.version_id == version.id).limit(1)) is not None


class ChangeInForce(NamedTuple):
    """A change of the version of a ruleset that decides; `number` is the version's, None if it was switched off."""

    activation: Activation
    family: Family
    number: int | None


def deciding_changes(session: Session, *of: ColumnElement[bool]) -> list[ChangeInForce]:
    """List the changes of what decides, of rulesets whose families meet conditions, in the order of numbers.

    A version that was activated while its ruleset was off decides once the ruleset is switched on: the list has the row
    of the switch, not of the activation. Each switch of a ruleset with an active version has a row, so the current
    state and the later rows show whether the ruleset was on.
    """
    statement = (
        select(Activation, Family, RulesetVersion.number)
        .join(Family, Family.id == Activation.family_id)
        .outerjoin(RulesetVersion, RulesetVersion.id == Activation.version_id)
        .where(*of)
        .order_by(Activation.id.desc())
    )
    changes, is_on = list[ChangeInForce](), dict[int, bool]()
    for change in (ChangeInForce(*row) for row in session.execute(statement)):
        row, family = change.activation, change.family
        was_on = is_on.setdefault(family.id, family.enabled)
        switches_on = row.version_id is not None and row.previous_version_id is None and row.backtest_id is None
        is_switch = row.kind == "off" or switches_on
        if is_switch:
            is_on[family.id] = row.kind == "off"
        if is_switch or was_on:
            changes.append(change)
    return changes[::-1]


def contents_that_decided(session: Session, type_id: int) -> Sequence[str]:
    """Return the canonical forms of all versions that were ever active for a type, each once."""
    versions = select(Activation.version_id).join(Family, Family.id == Activation.family_id)
    statement = select(RulesetVersion.canonical).where(
        RulesetVersion.id.in_(versions.where(Family.type_id == type_id, Activation.version_id.is_not(None)))
    )
    return session.scalars(statement).all()


def latest_activations(session: Session, version_ids: Sequence[int]) -> dict[int, Activation]:
    """Return the latest activation of each version that ever decided; switches and orders of families count as well."""
    latest = (
        select(func.max(Activation.id)).where(Activation.version_id.in_(version_ids)).group_by(Activation.version_id)
    )
    rows = session.scalars(select(Activation).where(Activation.id.in_(latest))) if version_ids else ()
    return {row.version_id: row for row in rows if row.version_id is not None}


def activations_of(session: Session, family_id: int, part: Part = WHOLE) -> Page[Activation]:
    """List the activations, roll-backs and switches of a family, the newest first."""
    statement = select(Activation).where(Activation.family_id == family_id)
    return scalars_of(session, statement, (Activation.id,), part, descending=True)


def entities_after(session: Session, type_id: int, after_id: int, most: int) -> list[Subject]:
    """List entities of a type in the order of their numbers, after a given one; erased ones are left out."""
    columns = (Entity.id, Entity.organisation_id, Entity.type_id)
    statement = select(*columns).where(*present_after(type_id, after_id)).order_by(Entity.id).limit(most)
    return [Subject(*row) for row in session.execute(statement)]


def last_after(session: Session, type_id: int, after_id: int, most: int) -> tuple[int, int]:
    """Return the last number that `entities_after` would list, 0 without one, and how many it would list."""
    numbers = select(Entity.id).where(*present_after(type_id, after_id)).order_by(Entity.id).limit(most).subquery()
    last, count = session.execute(select(func.coalesce(func.max(numbers.c.id), 0), func.count())).one()
    return last, count


def present_after(type_id: int, after_id: int) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of entities of a type after a number, without erased ones.

    They include the organisation, which is the first column of the index with these numbers in order. Without it each
    page would read and sort all entities of the type.
    """
    of = select(EntityType.organisation_id).where(EntityType.id == type_id).scalar_subquery()
    return (Entity.organisation_id == of, Entity.type_id == type_id, Entity.id > after_id, Entity.erased_us.is_(None))


def count_of_type(session: Session, type_id: int, until_id: int | None = None) -> int:
    """Count the entities of a type, up to a number if one is given; erased ones are left out."""
    statement = select(func.count()).where(Entity.type_id == type_id, Entity.erased_us.is_(None))
    return session.scalar(statement if until_id is None else statement.where(Entity.id <= until_id)) or 0
