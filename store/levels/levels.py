"""Current and earlier levels, and how many entities have each. Nothing here begins or ends a transaction.

Triggers of `standings` (`store.migrations.initial.counts`) count every change in its own transaction. On PostgreSQL
each connection adds to rows of its own, `part`, so that no writer waits for another; reads return their sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from fivefold.domain.paging import Page, Part
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.sql.arrays import among, rows_among
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.levels import (
    IS_FAILED,
    IS_FAILING,
    Assessment,
    AssessmentInputs,
    DueMark,
    OverrideRow,
    PortfolioCount,
    Standing,
    Transition,
)
from fivefold.store.tables.operations import RetentionRun
from fivefold.store.tables.rulesets import Family, RulesetVersion


def current_level(session: Session, entity_id: int) -> Standing | None:
    """Find the current level of an entity; None if it was never assessed."""
    return session.get(Standing, entity_id)


def assessed_us(session: Session, entity_ids: Sequence[int]) -> dict[int, int]:
    """Return when each of some entities was assessed last; those never assessed are left out."""
    statement = select(Standing.entity_id, Standing.assessed_us).where(among(session, Standing.entity_id, entity_ids))
    return {row.entity_id: row.assessed_us for row in session.execute(statement)}


def is_refreshing(mark: DueMark | None, now_us: int, *, is_marked_later: bool = False) -> bool:
    """Return whether an entity is about to be assessed: it is due, or leased, or a change has yet to mark it.

    An entity due only because it was viewed is not, before its planned moment: nothing happened to it.
    """
    if mark is None or is_marked_later:
        return is_marked_later
    if mark.reasons == Reason.VIEW and (mark.planned_us is None or mark.planned_us > now_us):
        return False
    waits = not mark.quarantined and mark.due_us is not None and mark.due_us <= now_us
    return waits or (mark.lease_until_us is not None and mark.lease_until_us > now_us)


def override_in_force(session: Session, override_id: int) -> OverrideRow:
    """Return the override that a current level names."""
    return session.get_one(OverrideRow, override_id)


def level_since(session: Session, entity_id: int) -> int | None:
    """Return when the present level was reached; None if there was never one.

    A repair after a fast clock corrects that moment in the standing, and leaves the transition as it was.
    """
    latest = select(Transition.at_us).where(Transition.entity_id == entity_id)
    latest = latest.order_by(Transition.number.desc()).limit(1)
    standing = select(Standing.level_since_us).where(Standing.entity_id == entity_id)
    reached_us: int | None
    since_us: int | None
    reached_us, since_us = session.execute(select(latest.scalar_subquery(), standing.scalar_subquery())).one()
    return reached_us if reached_us is None or since_us is None or since_us < 0 else min(reached_us, since_us)


def ruleset_named(session: Session, version_id: int | None) -> tuple[str, int] | None:
    """Return the ruleset's name and the number of a version; None if there is no such version."""
    if version_id is None:
        return None
    row = session.execute(
        select(Family.name, RulesetVersion.number)
        .join(RulesetVersion, RulesetVersion.family_id == Family.id)
        .where(RulesetVersion.id == version_id)
    ).first()
    return None if row is None else (row.name, row.number)


def assessments_of(
    session: Session, entity_id: int, part: Part
) -> Page[tuple[Assessment, Transition | None, str | None]]:
    """List the assessments of an entity with their transitions and inputs, the latest first."""
    same_assessment = (Transition.entity_id == Assessment.entity_id) & (Transition.number == Assessment.number)
    columns = select(Assessment, Transition, AssessmentInputs.content)
    with_inputs = columns.outerjoin(Transition, same_assessment).outerjoin(AssessmentInputs, _SAME)
    return rows_of(
        session, with_inputs.where(Assessment.entity_id == entity_id), (Assessment.number,), part, descending=True
    )


_SAME = (AssessmentInputs.entity_id == Assessment.entity_id) & (AssessmentInputs.number == Assessment.number)


def assessment_of(session: Session, organisation_id: int, entity_id: int, number: int) -> Assessment | None:
    """Find one assessment of an organisation."""
    row = session.get(Assessment, (entity_id, number))
    return row if row is not None and row.organisation_id == organisation_id else None


def assessments_named(
    session: Session, organisation_id: int, names: Sequence[tuple[int, int]]
) -> list[tuple[Assessment, str | None]]:
    """Find assessments by entity number and their own number, each with its inputs."""
    statement = select(Assessment, AssessmentInputs.content).outerjoin(AssessmentInputs, _SAME)
    of = statement.where(Assessment.organisation_id == organisation_id)
    key = (Assessment.entity_id, Assessment.number)
    return [
        (row, content)
        for begin in range(0, len(names), _NAMES_AT_A_TIME)
        for row, content in session.execute(of.where(rows_among(session, key, names[begin : begin + _NAMES_AT_A_TIME])))
    ]


def emptied_assessments(session: Session, names: Sequence[tuple[int, int]]) -> list[tuple[int, int, RetentionRun]]:
    """Find which of some assessments the retention policy emptied: entity, number, and the run that did so."""
    key = (AssessmentInputs.entity_id, AssessmentInputs.number)
    statement = select(AssessmentInputs.entity_id, AssessmentInputs.number, RetentionRun).join(
        RetentionRun, RetentionRun.id == AssessmentInputs.removed_by
    )
    return [
        (entity_id, number, run)
        for begin in range(0, len(names), _NAMES_AT_A_TIME)
        for entity_id, number, run in session.execute(
            statement.where(rows_among(session, key, names[begin : begin + _NAMES_AT_A_TIME]))
        )
    ]


_NAMES_AT_A_TIME = 1_000
"""This many stay within any database's limit of parameters."""


def first_assessment_from(session: Session, entity_id: int, as_of_us: int, after: int) -> int | None:
    """Return the number of an entity's first assessment at a moment or later, among those numbered above *after*."""
    of = (Assessment.entity_id == entity_id, Assessment.number > after, Assessment.as_of_us >= as_of_us)
    return session.scalar(select(func.min(Assessment.number)).where(*of))


@dataclass(frozen=True, kw_only=True)
class LevelGroup:
    """Entities with the same current state.

    Attributes:
        version_id: the ruleset that assessed them; None if none applied.
        overridden: an override is in force.
    """

    version_id: int | None
    status: str
    overridden: bool
    level: int | None
    rules_level: int | None
    entities: int


def level_groups(session: Session, organisation_id: int, type_id: int) -> list[LevelGroup]:
    """Count the entities of a type by current state, without those never assessed and those erased."""
    overridden = Standing.override_id.is_not(None)
    by = (Standing.version_id, Standing.status, overridden, Standing.level, Standing.rules_level)
    # The sum makes SQLite use an index of the organisation, which lists standings nearly in the order of the table. An
    # index by type lists them by their values: each row would be read from another place of the table.
    of = (Standing.organisation_id == organisation_id, Standing.type_id + 0 == type_id, Standing.erased.is_(False))
    rows = session.execute(select(*by, func.count()).where(*of).group_by(*by))
    return [
        LevelGroup(
            version_id=version,
            status=status,
            overridden=bool(set_by_hand),
            level=level,
            rules_level=rules_level,
            entities=entities,
        )
        for version, status, set_by_hand, level, rules_level, entities in rows
    ]


class FailingCount(NamedTuple):
    """How many entities of a type could not be assessed at the last attempt.

    Attributes:
        entities: all of them, also those never assessed.
        quarantined: those of them that failed too often to be tried again.
    """

    entities: int
    quarantined: int


def count_failing(session: Session, organisation_id: int, type_id: int) -> FailingCount:
    """Count in one statement the entities of a type that fail; a quarantined one has an error as well."""
    statement = select(func.count(), func.count().filter(DueMark.quarantined)).where(
        DueMark.organisation_id == organisation_id, IS_FAILING, DueMark.type_id == type_id
    )
    return FailingCount(*session.execute(statement).one())


def is_failing(organisation_id: int, entity_id: Any, *, failing: bool) -> ColumnElement[bool]:
    """Return, in SQL, whether the entity of a column fails; or, without *failing*, whether it does not."""
    if failing:  # from the index of failing entities, which are few
        of = select(DueMark.entity_id).where(DueMark.organisation_id == organisation_id, IS_FAILING)
        return cast("ColumnElement[bool]", entity_id.in_(of))
    return ~exists().where(DueMark.entity_id == entity_id, IS_FAILING)


class NotInFullCount(NamedTuple):
    """How many entities of a type had one incomplete status at their last assessment, with a level or without."""

    status: str
    has_level: bool
    entities: int


def count_not_in_full(session: Session, organisation_id: int, type_id: int) -> list[NotInFullCount]:
    """Count the entities of a type that could not be assessed in full the last time, by status."""
    has_level = Standing.level.is_not(None)
    by_status = (
        select(Standing.status, has_level, func.count())
        .where(Standing.organisation_id == organisation_id, IS_FAILED)
        .where(Standing.type_id == type_id, Standing.erased.is_(False))
        .group_by(Standing.status, has_level)
        .order_by(Standing.status)
    )
    return [
        NotInFullCount(status, bool(at_level), entities) for status, at_level, entities in session.execute(by_status)
    ]


@dataclass(frozen=True)
class CountedCell:
    """The entities of a type at one level and in one segment, whose value is in one currency.

    Attributes:
        level: from 1, the lowest; 0 for none.
        segment: empty if the value model found no value.
        currency: of the expected values; empty without any.
        cents: the sum of the expected values, each rounded to hundredths.
    """

    level: int
    segment: str
    currency: str
    entities: int
    cents: int


def counted_cells(session: Session, organisation_id: int, type_id: int) -> list[CountedCell]:
    """Return the cells of a type that hold entities, in the order of levels, segments and currencies.

    Erased entities are left out, as in `store.levels.levels.level_groups`.
    """
    by = (PortfolioCount.level, PortfolioCount.segment, PortfolioCount.currency)
    entities, cents = func.sum(PortfolioCount.entities), func.sum(PortfolioCount.cents)
    statement = (
        select(*by, entities, cents)
        .where(
            PortfolioCount.organisation_id == organisation_id,
            PortfolioCount.type_id == type_id,
            PortfolioCount.erased.is_(False),
        )
        .group_by(*by)
        .having(entities != 0)
        .order_by(*by)
    )
    rows = session.execute(statement).all()
    return [
        CountedCell(level, segment, currency, int(number), int(total))
        for level, segment, currency, number, total in rows
    ]
