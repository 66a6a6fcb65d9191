"""Statistics of all organisations for metrics: levels, due entities, overrides, changes and validations.

Each statement scans a narrow table or an index once; `docs/validation-over-time.md` has the times. Nothing here begins
or ends a transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Table, case, func, select
from sqlalchemy.orm import Session

from fivefold.store.levels.assessment_queue import BULK, EVENT
from fivefold.store.levels.markings import waiting_counts
from fivefold.store.levels.overrides import is_live
from fivefold.store.tables.entities import Entity, EntityType, OrganisationSettings
from fivefold.store.tables.events import MaterialChange, ValidationRun
from fivefold.store.tables.levels import DueMark, OverrideRow, Standing

_ERASED = select(Entity.id).where(Entity.erased_us.is_not(None))
"""The erased entities: few rows, with their own index."""
_MARKS = cast("Table", DueMark.__table__)


@dataclass(frozen=True)
class LevelCount:
    """The number of entities of one organisation and type at one level; `level` is None for those without one."""

    organisation_id: int
    type_name: str
    level: int | None
    entities: int


def organisations_with_levels(session: Session) -> list[tuple[int, list[str]]]:
    """List the organisations that defined their levels: number, and the levels' names."""
    statement = select(OrganisationSettings.organisation_id, OrganisationSettings.levels)
    return [(number, levels) for number, levels in session.execute(statement.order_by(statement.selected_columns[0]))]


def level_counts(session: Session) -> list[LevelCount]:
    """Count the entities by level, without erased ones."""
    by = (Standing.organisation_id, Standing.type_id, Standing.level)
    present = Standing.entity_id.not_in(_ERASED)
    counts = select(*by, func.count().label("entities")).where(present).group_by(*by).subquery()
    statement = (
        select(counts.c.organisation_id, EntityType.name, counts.c.level, counts.c.entities)
        .join(EntityType, EntityType.id == counts.c.type_id)
        .order_by(counts.c.organisation_id, counts.c.type_id, counts.c.level)
    )
    return [LevelCount(*row) for row in session.execute(statement)]


def ahead_counts(session: Session, latest_us: int) -> list[tuple[int, int]]:
    """Count the entities whose last assessment is dated after a moment: organisation, and number."""
    of = Standing.organisation_id
    return _pairs(session, select(of, func.count()).where(Standing.assessed_us > latest_us).group_by(of))


def due_counts(session: Session, now_us: int) -> list[tuple[int, int, int]]:
    """Count the due entities, also those yet to be marked: organisation, number, and since when the first is due."""
    counts: dict[int, tuple[int, int]] = {}
    # One statement for each priority, grouped by a sum, makes SQLite use the index by due moment. Otherwise it would
    # read the whole index by organisation.
    of = _MARKS.c.organisation_id + 0
    for priority in (EVENT, BULK):
        is_due = (_MARKS.c.quarantined.is_(False), _MARKS.c.priority == priority, _MARKS.c.due_us <= now_us)
        statement = select(of, func.count(), func.min(_MARKS.c.due_us)).where(*is_due).group_by(of)
        for number, count, oldest_us in session.execute(statement):
            before, since_us = counts.get(number, (0, oldest_us))
            counts[number] = (before + count, min(since_us, oldest_us))
    for number, count, oldest_us in waiting_counts(session, now_us):
        before, since_us = counts.get(number, (0, oldest_us))
        counts[number] = (before + count, min(since_us, oldest_us))
    return [(number, count, oldest_us) for number, (count, oldest_us) in sorted(counts.items())]


def quarantined_counts(session: Session) -> list[tuple[int, int]]:
    """Count the quarantined entities: organisation, and number."""
    of = _MARKS.c.organisation_id
    return _pairs(session, select(of, func.count()).where(_MARKS.c.quarantined.is_(True)).group_by(of))


def override_counts(session: Session, now_us: int) -> list[tuple[int, int, int]]:
    """Count the overrides in force: organisation, number, and how many are below the rules' level."""
    of = OverrideRow.organisation_id
    downward = func.sum(case((OverrideRow.level < Standing.rules_level, 1), else_=0))
    statement = (
        select(of, func.count(), downward)
        .outerjoin(Standing, Standing.entity_id == OverrideRow.entity_id)
        .where(is_live(now_us), OverrideRow.entity_id.not_in(_ERASED))
        .group_by(of)
    )
    return [(number, live, int(below)) for number, live, below in session.execute(statement)]


def open_change_counts(session: Session) -> list[tuple[int, int]]:
    """Count the material changes that are not signed off: organisation, and number."""
    of = MaterialChange.organisation_id
    return _pairs(session, select(of, func.count()).where(MaterialChange.signed_us.is_(None)).group_by(of))


def _pairs(session: Session, statement: Any) -> list[tuple[int, int]]:
    return [(number, int(count)) for number, count in session.execute(statement)]


def latest_runs(session: Session) -> dict[int, tuple[int, int]]:
    """Map organisations to the validation with the latest end, by number and moment; among several, the last one."""
    statement = select(ValidationRun.organisation_id, ValidationRun.id, ValidationRun.made_us)
    rows = session.execute(statement.order_by(ValidationRun.until_us, ValidationRun.id))
    return {row.organisation_id: (row.id, row.made_us) for row in rows}


def runs(session: Session, numbers: Sequence[int]) -> Sequence[ValidationRun]:
    """Read validations by their numbers."""
    return session.scalars(select(ValidationRun).where(ValidationRun.id.in_(numbers))).all()
