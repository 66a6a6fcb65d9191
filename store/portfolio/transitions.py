"""Levels reached, of all entities: rises, falls and first levels. Nothing here begins or ends a transaction.

Rises and falls have an index each, so that a page of them costs the same however many others there are.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sqlalchemy import BigInteger, Integer, Select, Subquery, literal, select, tuple_, union_all
from sqlalchemy.orm import Session, aliased

from fivefold.domain.paging import Key, Page, Part
from fivefold.store.rulesets.activations import deciding_changes
from fivefold.store.sql.keyset import require_key, rows_of
from fivefold.store.tables.entities import BIG, Entity, EntityType
from fivefold.store.tables.levels import IS_FALL, IS_FIRST, IS_RISE, Assessment, Transition
from fivefold.store.tables.rulesets import Activation, Family


class Direction(IntEnum):
    """The direction of a level change; the larger is listed first."""

    FIRST = 0
    FALL = 1
    RISE = 2


@dataclass(frozen=True, kw_only=True)
class TransitionFilter:
    """Which reached levels are listed; empty or None is no condition.

    Attributes:
        directions: at least one.
        type_id: of the entities.
        levels: the numbers of the levels that were reached.
        since_us: reached at that moment or later.
        until_us: reached before.
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
        version_before: None where no ruleset decided in it.
        before_us: None for the first assessment.
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
        number: None where the ruleset was switched off.
    """

    activation: Activation
    type_id: int
    name: str
    number: int | None


CONDITIONS = {Direction.RISE: IS_RISE, Direction.FALL: IS_FALL, Direction.FIRST: IS_FIRST}
TRANSITION_KEY = (Transition.at_us, Transition.entity_id, Transition.number)
TRANSITION_KEY_TYPES = (BigInteger(), BIG, Integer())
"""Transitions are listed by their moments; of those of one moment, by the entity and its number."""


def transitions_among(session: Session, transition_filter: TransitionFilter, part: Part) -> Page[TransitionRow]:
    """List levels reached: rises first, then falls, then first levels; of each the latest first.

    Those of erased entities are left out. ConfigError if the part does not begin after a key of this list.
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
    """Return what a `TransitionRow` has beside the transition and its direction, with the assessment *before*."""
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
