"""Levels reached, and moves between levels over time: counters by day, and each mover's levels at both ends.

Rises, falls and first levels of all entities are listed too. Each of the three has its own index, so that a page costs
the same however many others there are. Nothing here begins or ends a transaction.

A trigger of `transitions` (`store.migrations.initial.counts`) counts every level reached, by day and by the levels
before and after, so that the state of a portfolio on a day is computed from a few rows a day, as fast for ten million
entities as for ten. The levels at both ends of a period are read from its transitions, by the indexes of rises and
falls; entities that got a first level and kept it, usually most of them, are taken from the counters.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from sqlalchemy import BigInteger, Integer, Select, Subquery, func, literal, select, tuple_, union, union_all
from sqlalchemy.orm import Session, aliased

from fivefold.domain.clock import DAY_US
from fivefold.domain.paging import Key, Page, Part
from fivefold.store.rulesets.activations import deciding_changes
from fivefold.store.sql.arrays import among
from fivefold.store.sql.keyset import require_key, rows_of
from fivefold.store.tables.entities import BIG, Entity, EntityType
from fivefold.store.tables.levels import (
    IS_FALL,
    IS_FIRST,
    IS_RISE,
    Assessment,
    LevelMoveCount,
    PortfolioCount,
    Transition,
)
from fivefold.store.tables.rulesets import Activation, Family

LATEST_US: Final = 2**63 - 1
"""The latest possible moment."""


class Direction(IntEnum):
    """The direction of a level change; the larger is listed first."""

    FIRST = 0
    FALL = 1
    RISE = 2


@dataclass(frozen=True, kw_only=True)
class TransitionFilter:
    """Which reached levels are listed; empty or None sets no condition.

    Attributes:
        directions: at least one.
        type_id: the type of the entities.
        levels: the numbers of the levels that were reached.
        since_us: levels reached at that moment or later.
        until_us: levels reached before that moment.
    """

    organisation_id: int
    directions: Sequence[Direction]
    type_id: int | None = None
    levels: Sequence[int] = ()
    since_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True)
class TransitionRow:
    """A level reached, its entity and its assessment; and the version and the moment of the assessment before.

    Attributes:
        version_before: None if no ruleset decided that assessment.
        before_us: None if there was no assessment before.
    """

    transition: Transition
    direction: int
    type_id: int
    entity_type: str
    external_id: str
    assessment: Assessment | None
    version_before: int | None
    before_us: int | None


@dataclass(frozen=True)
class RulesetActivation:
    """A change of what decides: the type and the name of its ruleset, and the number of the version since.

    Attributes:
        number: None if the ruleset was switched off.
    """

    activation: Activation
    type_id: int
    name: str
    number: int | None


CONDITIONS = {Direction.RISE: IS_RISE, Direction.FALL: IS_FALL, Direction.FIRST: IS_FIRST}
TRANSITION_KEY = (Transition.at_us, Transition.entity_id, Transition.number)
TRANSITION_KEY_TYPES = (BigInteger(), BIG, Integer())
"""The types of the key: transitions are listed by moment, then by entity and number."""


def transitions_among(session: Session, transition_filter: TransitionFilter, part: Part) -> Page[TransitionRow]:
    """List levels reached: rises first, then falls, then first levels; the latest of each first.

    Levels of erased entities are left out. ConfigError if the part does not begin after a key of this list.
    """
    if part.after is not None:
        require_key((literal(0, Integer), *TRANSITION_KEY), part.after)
    branches = [select(each) for each in _branches(transition_filter, part)]
    if not branches:
        return Page()
    first = union_all(*branches).subquery()
    before = aliased(Assessment)
    statement = (
        select(Transition, first.c.direction, *columns_beside(before))
        .join(first, (first.c.entity_id == Transition.entity_id) & (first.c.number == Transition.number))
        .join(Entity, Entity.id == Transition.entity_id)
        .join(EntityType, EntityType.id == Entity.type_id)
        .outerjoin(
            Assessment,
            (Assessment.entity_id == Transition.entity_id) & (Assessment.number == Transition.number),
        )
        .outerjoin(before, (before.entity_id == Transition.entity_id) & (before.number == Transition.number - 1))
    )
    keys = (first.c.direction, *TRANSITION_KEY)
    return rows_of(session, statement, keys, part, descending=True).map(lambda row: TransitionRow(*row))


def columns_beside(before: type[Assessment]) -> tuple[Any, ...]:
    """Return the columns of a `TransitionRow` after the direction; *before* is the assessment before."""
    return EntityType.id, EntityType.name, Entity.external_id, Assessment, before.version_id, before.as_of_us


def _branches(transition_filter: TransitionFilter, part: Part) -> Iterator[Subquery]:
    """Select the first rows of each direction that the page may have, each from its own index."""
    for direction in sorted(set(transition_filter.directions), reverse=True):
        after: Key | None = part.after
        if after is not None:
            if direction > int(after[0]):
                continue
            after = after[1:] if direction == after[0] else None
        statement = _passing(transition_filter, direction)
        if after is not None:
            place = tuple_(*(literal(value, kind) for value, kind in zip(after, TRANSITION_KEY_TYPES, strict=True)))
            statement = statement.where(tuple_(*TRANSITION_KEY) < place)
        if part.most is not None:
            statement = statement.order_by(*(key.desc() for key in TRANSITION_KEY)).limit(part.most + 1)
        yield statement.subquery()


def _passing(transition_filter: TransitionFilter, direction: Direction) -> Select[*tuple[Any, ...]]:
    """Select the transitions of one direction that match a filter."""
    statement: Select[*tuple[Any, ...]] = (
        select(literal(int(direction), Integer).label("direction"), Transition.entity_id, Transition.number)
        .join(Entity, Entity.id == Transition.entity_id)
        .where(
            Transition.organisation_id == transition_filter.organisation_id,
            CONDITIONS[direction],
            Entity.erased_us.is_(None),
        )
    )
    if transition_filter.type_id is not None:
        statement = statement.where(Entity.type_id == transition_filter.type_id)
    if transition_filter.levels:
        statement = statement.where(Transition.to_level.in_(transition_filter.levels))
    if transition_filter.since_us is not None:
        statement = statement.where(Transition.at_us >= transition_filter.since_us)
    return (
        statement
        if transition_filter.until_us is None
        else statement.where(Transition.at_us < transition_filter.until_us)
    )


def direction_of(transition: Transition) -> Direction:
    """Return the direction of a level change.

    >>> direction_of(Transition(from_level=2, to_level=None)).name
    'FALL'
    """
    if transition.from_level is None:
        return Direction.FIRST
    return Direction.RISE if (transition.to_level or 0) > transition.from_level else Direction.FALL


def changes_of_types(session: Session, type_ids: Collection[int]) -> list[RulesetActivation]:
    """List the changes of what decides on entities of some types, the oldest first."""
    changes = deciding_changes(session, Family.type_id.in_(type_ids))
    changes.sort(key=lambda change: (change.activation.at_us, change.activation.id))
    return [RulesetActivation(row, family.type_id, family.name, number) for row, family, number in changes]


@dataclass(frozen=True, kw_only=True)
class Period:
    """A period, from *since_day* until before *until_day* in days since 1970, of one type.

    A clock that was ahead may have dated moves after *today*. They have happened already, so a period that contains
    today contains them too.
    """

    organisation_id: int
    type_id: int
    since_day: int
    until_day: int
    today: int

    @property
    def since_us(self) -> int:
        """Its first moment."""
        return self.since_day * DAY_US

    @property
    def until_us(self) -> int:
        """The moment after its last."""
        return LATEST_US if self.since_day <= self.today < self.until_day else self.until_day * DAY_US


@dataclass(frozen=True)
class DayMoves:
    """How many entities went from one level to another on a day; 0 stands for no level."""

    day: int
    from_level: int
    to_level: int
    entities: int


def moves_by_day(session: Session, organisation_id: int, type_id: int, since_day: int, today: int) -> list[DayMoves]:
    """Return the moves of each day since *since_day*, the latest first; moves dated after *today* are today's."""
    by = (LevelMoveCount.day, LevelMoveCount.from_level, LevelMoveCount.to_level)
    rows = session.execute(
        select(*by, func.sum(LevelMoveCount.entities))
        .where(
            LevelMoveCount.organisation_id == organisation_id,
            LevelMoveCount.type_id == type_id,
            LevelMoveCount.day >= since_day,
        )
        .group_by(*by)
        .order_by(LevelMoveCount.day.desc(), LevelMoveCount.from_level, LevelMoveCount.to_level)
    )
    return [DayMoves(min(day, today), before, after, int(entities)) for day, before, after, entities in rows]


def first_day(session: Session, organisation_id: int, type_id: int) -> int | None:
    """Return the day on which a level was first reached; None if there was never one."""
    return session.scalar(
        select(func.min(LevelMoveCount.day)).where(
            LevelMoveCount.organisation_id == organisation_id, LevelMoveCount.type_id == type_id
        )
    )


def entities_by_level(session: Session, organisation_id: int, type_id: int) -> dict[int, int]:
    """Count the entities at each current level, from 1; erased ones count at their last level, ones without do not."""
    rows = session.execute(
        select(PortfolioCount.level, func.sum(PortfolioCount.entities))
        .where(
            PortfolioCount.organisation_id == organisation_id,
            PortfolioCount.type_id == type_id,
            PortfolioCount.level > 0,
        )
        .group_by(PortfolioCount.level)
    )
    return {level: int(entities) for level, entities in rows}


@dataclass(frozen=True)
class MoverCounts:
    """The numbers of entities that rose or fell in a period; 0 stands for no level.

    Attributes:
        ends: by the levels before the period and at its end; both are the same for an entity that returned.
        first: by the levels that they reached from none.
    """

    ends: Mapping[tuple[int, int], int]
    first: Mapping[int, int]


def moved_between(session: Session, span: Period) -> MoverCounts:
    """Count the entities that rose or fell in a period. Erased entities are counted at their last level.

    The movers are read first: a database that joins them cannot estimate their number, and would read every level
    reached in that period instead.
    """
    movers = session.scalars(_movers(span)).all()
    rows = session.execute(
        select(Transition.entity_id, Transition.from_level, Transition.to_level)
        .join(Entity, Entity.id == Transition.entity_id)
        .where(among(session, Transition.entity_id, movers), *_within(span), Entity.type_id == span.type_id)
        .order_by(Transition.entity_id, Transition.number)
    )
    ends: dict[int, tuple[int, int]] = {}
    first: Counter[int] = Counter()
    for entity_id, before, after in rows:
        began, _ = ends.get(entity_id, (before or 0, 0))
        ends[entity_id] = (began, after or 0)
        if before is None and after is not None:
            first[after] += 1
    return MoverCounts(Counter(ends.values()), first)


@dataclass(frozen=True)
class MoverRow:
    """An entity whose level at the end of a period differs from that before it.

    Attributes:
        from_level: the level before the period; None for no level.
        left_us: when it left that level.
        moves: the number of levels reached in the period.
        last: the last of these.
    """

    from_level: int | None
    left_us: int
    moves: int
    last: TransitionRow


def movers_between(
    session: Session, span: Period, from_level: int | None, to_level: int | None, part: Part
) -> Page[MoverRow]:
    """List entities whose level at the end of a period differs from that before it; the last to leave its level first.

    Erased entities are left out. ConfigError if the part does not begin after a key of this list.

    Args:
        session: an open session.
        span: the period and the type.
        from_level: the level before the period; 0 for no level; None for any, but not for no level.
        to_level: the level at the end; 0 for no level; None for any, or no level.
        part: the part of the list.
    """
    if part.after is not None:
        require_key(TRANSITION_KEY, part.after)
    directions = [Direction.FIRST] if from_level == 0 else [Direction.RISE, Direction.FALL]
    branches = [select(_first_moves(span, each, from_level, to_level, part)) for each in directions]
    first = union_all(*branches).subquery()
    began, before, among = aliased(Transition), aliased(Assessment), aliased(Transition)
    of_time = (among.entity_id == first.c.entity_id, *_within(span, among))
    last = select(func.max(among.number)).where(*of_time).scalar_subquery()
    moves = select(func.count()).select_from(among).where(*of_time).scalar_subquery()
    statement = (
        select(began, moves, Transition, *columns_beside(before))
        .join(first, (first.c.entity_id == began.entity_id) & (first.c.number == began.number))
        .join(Transition, (Transition.entity_id == first.c.entity_id) & (Transition.number == last))
        .join(Entity, Entity.id == first.c.entity_id)
        .join(EntityType, EntityType.id == Entity.type_id)
        .outerjoin(
            Assessment,
            (Assessment.entity_id == Transition.entity_id) & (Assessment.number == Transition.number),
        )
        .outerjoin(before, (before.entity_id == Transition.entity_id) & (before.number == Transition.number - 1))
    )
    keys = (began.at_us, began.entity_id, began.number)
    return rows_of(session, statement, keys, part, descending=True).map(_mover)


def _mover(row: Any) -> MoverRow:
    began, moves, last, *rest = row
    return MoverRow(began.from_level, began.at_us, moves, TransitionRow(last, int(direction_of(last)), *rest))


def _first_moves(
    span: Period, direction: Direction, from_level: int | None, to_level: int | None, part: Part
) -> Subquery:
    """Select the first moves of matching entities in a period, in the order of the index of their direction."""
    earlier, later = aliased(Transition), aliased(Transition)
    end = func.coalesce(
        select(later.to_level)
        .where(later.entity_id == Entity.id, later.number >= Transition.number, later.at_us < span.until_us)
        .order_by(later.number.desc())
        .limit(1)
        .scalar_subquery(),
        0,
    )
    # Both subqueries refer to the entity, so that SQLite checks its type before them: a type may have few entities.
    # A scalar rather than NOT EXISTS, which PostgreSQL turns into a join of the whole period: a page reads a few rows.
    first = (
        select(func.min(earlier.number))
        .where(earlier.entity_id == Entity.id, *_within(span, earlier))
        .scalar_subquery()
    )
    statement: Select[*tuple[Any, ...]] = (
        select(Transition.entity_id, Transition.number)
        .join(Entity, Entity.id == Transition.entity_id)
        .where(
            Transition.organisation_id == span.organisation_id,
            CONDITIONS[direction],
            *_within(span),
            Entity.type_id == span.type_id,
            Entity.erased_us.is_(None),
            Transition.number == first,
            end != func.coalesce(Transition.from_level, 0),
        )
    )
    if from_level:
        statement = statement.where(Transition.from_level == from_level)
    if to_level is not None:
        statement = statement.where(end == to_level)
    if part.after is not None:
        place = tuple_(*(literal(value, kind) for value, kind in zip(part.after, TRANSITION_KEY_TYPES, strict=True)))
        statement = statement.where(tuple_(*TRANSITION_KEY) < place)
    if part.most is not None:
        statement = statement.order_by(*(key.desc() for key in TRANSITION_KEY)).limit(part.most + 1)
    return statement.subquery()


def _movers(span: Period) -> Any:
    """Select the entities that rose or fell in a period, of every type: each part is read from its own index."""
    return union(
        *(
            select(Transition.entity_id).where(*_within(span), Transition.organisation_id == span.organisation_id, each)
            for each in (IS_RISE, IS_FALL)
        )
    )


def _within(span: Period, transition: Any = Transition) -> tuple[Any, Any]:
    return transition.at_us >= span.since_us, transition.at_us < span.until_us
