"""Entities of a type by level, as last assessed. Nothing here begins or ends a transaction."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import DueMark, Standing


@dataclass(frozen=True, kw_only=True)
class LevelGroup:
    """Entities with the same current state.

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


def level_groups(session: Session, type_id: int) -> list[LevelGroup]:
    """Count the entities of a type by current state, without those never assessed and those erased."""
    overridden = Standing.override_id.is_not(None)
    by = (Standing.version_id, Standing.status, overridden, Standing.level, Standing.rules_level)
    rows = session.execute(
        select(*by, func.count())
        .join(Entity, Entity.id == Standing.entity_id)
        .where(Standing.type_id == type_id, Entity.erased_us.is_(None))
        .group_by(*by)
    )
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


def count_quarantined(session: Session, type_id: int) -> int:
    """Count the quarantined entities of a type: they failed too often to be tried again."""
    statement = select(func.count()).where(DueMark.type_id == type_id, DueMark.quarantined)
    return session.scalar(statement) or 0
