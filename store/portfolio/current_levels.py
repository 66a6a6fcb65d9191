"""Current levels of a type, in the order in which people review them. Nothing here begins or ends a transaction.

For each level, at most a page of rows is read from its own place in an index: a page costs the same however many
entities there are, as long as most of them pass the filters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, Subquery, func, literal, select, tuple_, union_all
from sqlalchemy.orm import Session

from fivefold.domain.paging import Page, Part
from fivefold.store.levels.levels import is_failing
from fivefold.store.levels.markings import marked_from_us
from fivefold.store.portfolio.values import superseded_by
from fivefold.store.sql.keyset import require_key, rows_of
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import IS_FAILING, DueMark, Standing
from fivefold.store.tables.rulesets import Family, RulesetVersion


class Order(StrEnum):
    """The order of the list.

    RISK: the highest level, in it the highest score. LATEST: the level that was reached last. VALUE: the highest
    expected value; entities without one are left out.
    """

    RISK = "risk"
    LATEST = "latest"
    VALUE = "value"


@dataclass(frozen=True, kw_only=True)
class LevelFilter:
    """Which current levels are listed; empty or None sets no condition.

    Attributes:
        type_id: the type of the entities.
        levels: the numbers of levels, the highest first; None among them for no level.
        segments: the names of segments.
        statuses: the statuses of assessments.
        family_id: the family of the ruleset that decided.
        since_us: levels reached at that moment or later.
        failing: whether the last attempt to compute them failed.
    """

    organisation_id: int
    type_id: int
    levels: Sequence[int | None]
    segments: Sequence[str] = ()
    statuses: Sequence[str] = ()
    family_id: int | None = None
    since_us: int | None = None
    failing: bool | None = None


@dataclass(frozen=True, kw_only=True)
class CurrentLevelRow:
    """A current level, its entity, the ruleset and version that decided, and when it is due next.

    Attributes:
        superseded_by: the serving version of the value model if another one gave the value; None otherwise.
        failing: whether the last attempt to compute it failed.
    """

    standing: Standing
    external_id: str
    ruleset: str | None
    version: int | None
    due_us: int | None
    superseded_by: int | None
    failing: bool


_LEVEL = func.coalesce(Standing.level, 0)
_OWN = {Order.RISK: Standing.score, Order.LATEST: Standing.level_since_us, Order.VALUE: Standing.expected_value}
"""The column of each order after the level, as in its index."""


def current_levels_of(session: Session, level_filter: LevelFilter, order: Order, part: Part) -> Page[CurrentLevelRow]:
    """List current levels; an erased entity is left out.

    ConfigError if the part does not begin after a key of this list.
    """
    own = (_OWN[order], Standing.entity_id)
    keys: tuple[Any, ...] = (_LEVEL, *own) if order is Order.RISK else own
    if part.after is not None:
        require_key(keys, part.after)
    numbers = [select(each.c.entity_id) for each in _branches(level_filter, order, part)]
    if not numbers:
        return Page()
    first = union_all(*numbers).subquery()
    statement = (
        select(
            *(Standing, Entity.external_id, Family.name, RulesetVersion.number, superseded_by(Standing.entity_id)),
            *(IS_FAILING, DueMark.due_us, marked_from_us(Standing.type_id, Standing.entity_id)),
        )
        .join(first, first.c.entity_id == Standing.entity_id)
        .join(Entity, Entity.id == Standing.entity_id)
        .outerjoin(RulesetVersion, RulesetVersion.id == Standing.version_id)
        .outerjoin(Family, Family.id == RulesetVersion.family_id)
        .outerjoin(DueMark, DueMark.entity_id == Standing.entity_id)
    )
    return rows_of(session, statement, keys, part, descending=True).map(_row)


def _row(row: Any) -> CurrentLevelRow:
    standing, external_id, ruleset, version, superseded, failing, *moments = row
    due_us = min((each for each in moments if each is not None), default=None)
    return CurrentLevelRow(
        standing=standing,
        external_id=external_id,
        ruleset=ruleset,
        version=version,
        due_us=due_us,
        superseded_by=superseded,
        failing=failing,
    )


def _branches(level_filter: LevelFilter, order: Order, part: Part) -> Iterator[Subquery]:
    """Select the first rows of each level, and of each segment if an index has it, in the order of that index."""
    segments: Sequence[str | None] = level_filter.segments if order is Order.RISK and level_filter.segments else (None,)
    own = _OWN[order]
    for level in level_filter.levels:
        after = part.after
        if after is not None and order is Order.RISK:
            if (level or 0) > int(after[0]):
                continue
            after = after[1:] if (level or 0) == after[0] else None
        for segment in segments:
            statement = _passing(level_filter, with_segments=segment is None)
            statement = statement.where(Standing.level.is_(None) if level is None else Standing.level == level)
            if segment is not None:
                statement = statement.where(Standing.segment == segment)
            if order is Order.VALUE:
                statement = statement.where(Standing.expected_value.is_not(None))
            if after is not None:
                place = tuple_(literal(after[0], own.type), literal(after[1], Standing.entity_id.type))
                statement = statement.where(tuple_(own, Standing.entity_id) < place)
            if part.most is not None:
                statement = statement.order_by(own.desc(), Standing.entity_id.desc()).limit(part.most + 1)
            yield statement.subquery()


def _passing(level_filter: LevelFilter, *, with_segments: bool) -> Select[*tuple[Any, ...]]:
    """Select the entities that match a filter, apart from its levels."""
    statement: Select[*tuple[Any, ...]] = (
        select(Standing.entity_id)
        .join(Entity, Entity.id == Standing.entity_id)
        .where(Standing.type_id == level_filter.type_id, Entity.erased_us.is_(None))
    )
    if with_segments and level_filter.segments:
        statement = statement.where(Standing.segment.in_(level_filter.segments))
    if level_filter.statuses:
        statement = statement.where(Standing.status.in_(level_filter.statuses))
    if level_filter.family_id is not None:
        versions = select(RulesetVersion.id).where(RulesetVersion.family_id == level_filter.family_id)
        statement = statement.where(Standing.version_id.in_(versions))
    if level_filter.since_us is not None:
        statement = statement.where(Standing.level_since_us >= level_filter.since_us)
    if (failing := level_filter.failing) is not None:
        statement = statement.where(is_failing(level_filter.organisation_id, Standing.entity_id, failing=failing))
    return statement
