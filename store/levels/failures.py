"""Who could not be assessed in full. Nothing here begins or ends a transaction."""

from typing import Any, Final, NamedTuple

from sqlalchemy import Integer, Select, literal, null, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import NO_PLACE, Page, Part, cut
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import IS_FAILED, DueMark, Standing


class Failure(NamedTuple):
    """An entity and what is wrong with its assessment: one of the last three, which are None otherwise.

    Attributes:
        status: of the assessment, where that is no level in full.
        assessed_us: of the assessment, where that is in the future.
        attempts: how often it failed before it was quarantined, with `error`.
    """

    entity_id: int
    entity_type: str
    external_id: str
    status: str | None
    assessed_us: int | None
    attempts: int | None
    error: str | None
    kind: int


_KINDS: Final = 3


def failures_of(session: Session, organisation_id: int, latest_us: int, part: Part) -> Page[Failure]:
    """List failures in the order of the entities' numbers; an entity may have several, each of another kind.

    An erased entity is left out. An assessment later than *latest_us* is in the future. ConfigError where the part
    begins behind what is no key of this list.
    """
    after = part.after
    if after is not None and not (len(after) == 2 and all(type(value) is int for value in after)):
        raise ConfigError(NO_PLACE)
    found: list[Failure] = []
    for kind in range(_KINDS):
        # Of the entity that the page before ended with, the kinds that follow are still to come.
        behind = None if after is None else (int(after[0]) - (kind > int(after[1])),)
        most = None if part.most is None else part.most + 1
        wanted, number = _of_kind(kind, organisation_id, latest_us)
        found += [Failure(*row) for row in rows_of(session, wanted, (number,), Part(most, behind))]
    found.sort(key=lambda failure: (failure.entity_id, failure.kind))
    return cut(found, lambda failure: (failure.entity_id, failure.kind), part.most)


def _of_kind(kind: int, organisation_id: int, latest_us: int) -> tuple[Select[*tuple[Any, ...]], Any]:
    """Select the failures of one kind: by status, in the future, quarantined; with the column of their order."""
    table: Any = DueMark if kind == 2 else Standing
    shown = (
        (Standing.status, null(), null(), null()),
        (null(), Standing.assessed_us, null(), null()),
        (null(), null(), DueMark.attempts, DueMark.error),
    )[kind]
    condition = (IS_FAILED, Standing.assessed_us > latest_us, DueMark.quarantined)[kind]
    columns = (Entity.id, EntityType.name, Entity.external_id, *shown, literal(kind, Integer))
    wanted: Select[*tuple[Any, ...]] = (
        select(*columns)
        .select_from(table)
        .join(Entity, Entity.id == table.entity_id)
        .join(EntityType, EntityType.id == Entity.type_id)
        .where(table.organisation_id == organisation_id, condition, Entity.erased_us.is_(None))
    )
    return wanted, table.entity_id
