"""How the entities of a type are distributed, as they were last assessed. Nothing here begins or ends a transaction."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import DueMark, Standing


@dataclass(frozen=True)
class Group:
    """Entities that stand alike.

    Attributes:
        version_id: the ruleset that assessed them; None where none applied.
        overridden: an override holds.
    """

    version_id: int | None
    status: str
    overridden: bool
    level: int | None
    rules_level: int | None
    entities: int


def groups_of(session: Session, type_id: int) -> list[Group]:
    """Count the entities of a type by how they stand; those never assessed are in none, nor who was erased."""
    overridden = Standing.override_id.is_not(None)
    by = (Standing.version_id, Standing.status, overridden, Standing.level, Standing.rules_level)
    rows = session.execute(
        select(*by, func.count())
        .join(Entity, Entity.id == Standing.entity_id)
        .where(Standing.type_id == type_id, Entity.erased_us.is_(None))
        .group_by(*by)
    )
    return [
        Group(version, status, bool(set_by_hand), level, rules_level, entities)
        for version, status, set_by_hand, level, rules_level, entities in rows
    ]


def count_quarantined(session: Session, type_id: int) -> int:
    """Count the entities of a type that failed too often to be tried again by themselves."""
    wanted = select(func.count()).where(DueMark.type_id == type_id, DueMark.quarantined)
    return session.scalar(wanted) or 0
