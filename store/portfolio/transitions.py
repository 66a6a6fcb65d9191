"""Levels reached, of everybody: rises, falls and first levels. Nothing here begins or ends a transaction.

Rises and falls have an index of their own each, so that a page of them costs the same however many others there are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sqlalchemy import BigInteger, Integer, Select, Subquery, literal, select, tuple_, union_all
from sqlalchemy.orm import Session, aliased

from fivefold.domain.paging import Key, Page, Part
from fivefold.store.sql.keyset import require_key, rows_of
from fivefold.store.tables.entities import BIG, Entity, EntityType
from fivefold.store.tables.levels import IS_FALL, IS_FIRST, IS_RISE, Assessment, Transition
from fivefold.store.tables.rulesets import Activation


class Direction(IntEnum):
    """Where a level went; the larger is listed first."""

    FIRST = 0
    FALL = 1
    RISE = 2


@dataclass(frozen=True, kw_only=True)
class WantedTransitions:
    """Which levels reached are listed; empty or None is no condition.

    Attributes:
        directions: at least one.
        type_id: of the entities.
        levels: the numbers of the levels that were reached.
        since_us: they were reached then or later.
        until_us: they were reached before.
    """

    organisation_id: int
    directions: Sequence[Direction]
    type_id: int | None = None
    levels: Sequence[int] = ()
    since_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True)
class TransitionRow:
    """A level reached, of whom, the assessment that came to it, and the version of the assessment before."""

    transition: Transition
    direction: int
    entity_type: str
    external_id: str
    assessment: Assessment | None
    version_before: int | None


CONDITIONS = {Direction.RISE: IS_RISE, Direction.FALL: IS_FALL, Direction.FIRST: IS_FIRST}
_OWN = (Transition.at_us, Transition.entity_id, Transition.number)
_TYPES = (BigInteger(), BIG, Integer())


def transitions_among(session: Session, wanted: WantedTransitions, part: Part) -> Page[TransitionRow]:
    """List levels reached: rises first, then falls, then first levels; of each the latest first.

    Those of erased entities are left out. ConfigError if the part begins behind no key of this list.
    """
    if part.after is not None:
        require_key((literal(0, Integer), *_OWN), part.after)
    branches = [select(each) for each in _branches(wanted, part)]
    if not branches:
        return Page()
    first = union_all(*branches).subquery()
    before = aliased(Assessment)
    statement = (
        select(Transition, first.c.direction, EntityType.name, Entity.external_id, Assessment, before.version_id)
        .join(first, (first.c.entity_id == Transition.entity_id) & (first.c.number == Transition.number))
        .join(Entity, Entity.id == Transition.entity_id)
        .join(EntityType, EntityType.id == Entity.type_id)
        .outerjoin(
            Assessment,
            (Assessment.entity_id == Transition.entity_id) & (Assessment.number == Transition.number),
        )
        .outerjoin(before, (before.entity_id == Transition.entity_id) & (before.number == Transition.number - 1))
    )
    keys = (first.c.direction, *_OWN)
    return rows_of(session, statement, keys, part, descending=True).map(lambda row: TransitionRow(*row))


def _branches(wanted: WantedTransitions, part: Part) -> Iterator[Subquery]:
    for direction in sorted(set(wanted.directions), reverse=True):
        after: Key | None = part.after
        if after is not None:
            if direction > int(after[0]):
                continue
            after = after[1:] if direction == after[0] else None
        statement = _passing(wanted, direction)
        if after is not None:
            place = tuple_(*(literal(value, kind) for value, kind in zip(after, _TYPES, strict=True)))
            statement = statement.where(tuple_(*_OWN) < place)
        if part.most is not None:
            statement = statement.order_by(*(key.desc() for key in _OWN)).limit(part.most + 1)
        yield statement.subquery()


def _passing(wanted: WantedTransitions, direction: Direction) -> Select[*tuple[Any, ...]]:
    statement: Select[*tuple[Any, ...]] = (
        select(literal(int(direction), Integer).label("direction"), Transition.entity_id, Transition.number)
        .join(Entity, Entity.id == Transition.entity_id)
        .where(Transition.organisation_id == wanted.organisation_id, CONDITIONS[direction], Entity.erased_us.is_(None))
    )
    if wanted.type_id is not None:
        statement = statement.where(Entity.type_id == wanted.type_id)
    if wanted.levels:
        statement = statement.where(Transition.to_level.in_(wanted.levels))
    if wanted.since_us is not None:
        statement = statement.where(Transition.at_us >= wanted.since_us)
    return statement if wanted.until_us is None else statement.where(Transition.at_us < wanted.until_us)


def direction_of(transition: Transition) -> Direction:
    """Return where a level went.

    >>> direction_of(Transition(from_level=2, to_level=None)).name
    'FALL'
    """
    if transition.from_level is None:
        return Direction.FIRST
    return Direction.RISE if (transition.to_level or 0) > transition.from_level else Direction.FALL


def activations_of_versions(session: Session, version_ids: Sequence[int]) -> Sequence[Activation]:
    """List the activations by which versions came to decide, the oldest first."""
    statement = select(Activation).where(Activation.version_id.in_(version_ids))
    return session.scalars(statement.order_by(Activation.at_us, Activation.id)).all()
