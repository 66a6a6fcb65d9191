"""Entities that could not be assessed in full. Nothing here begins or ends a transaction."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Integer, Select, false, literal, null, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import NO_PLACE, Page, Part, first_page
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import IS_FAILED, IS_FAILING, DueMark, Standing


class AssessmentFailure(NamedTuple):
    """An entity and one problem with its assessment: `status`, `assessed_us`, or `error` with `quarantined`.

    Attributes:
        status: of the assessment, if it is not a full level.
        assessed_us: of the assessment, if it lies in the future.
        attempts: how often it failed in a row, with `error`.
        quarantined: it failed too often to be tried again.
        at_us: when it was assessed; for one with an error, when it was or is due.
    """

    entity_id: int
    entity_type: str
    external_id: str
    status: str | None
    assessed_us: int | None
    attempts: int | None
    error: str | None
    quarantined: bool
    kind: int
    at_us: int | None


@dataclass(frozen=True, kw_only=True)
class FailureFilter:
    """Which failures are listed; None sets no condition.

    Attributes:
        type_id: of the entities.
        entity_id: only this one.
        since_us: the assessment failed, or an entity with an error was or is due, at that moment or later.
        until_us: before.
    """

    type_id: int | None = None
    entity_id: int | None = None
    since_us: int | None = None
    until_us: int | None = None


EVERY = FailureFilter()
_KINDS: Final = 3
_WITH_ERROR: Final = 2


def assessment_failures(
    session: Session, organisation_id: int, latest_us: int, part: Part, failure_filter: FailureFilter = EVERY
) -> Page[AssessmentFailure]:
    """List failures in the order of the entities' numbers; an entity may have several of different kinds.

    An erased entity is left out. An assessment later than *latest_us* is in the future. ConfigError if the part begins
    after a value that is not a key of this list.
    """
    after = part.after
    if after is not None and not (len(after) == 2 and all(type(value) is int for value in after)):
        raise ConfigError(NO_PLACE)
    failures: list[AssessmentFailure] = []
    for kind in range(_KINDS):
        # The last entity of the previous page may have failures of the kinds that follow.
        behind = None if after is None else (int(after[0]) - (kind > int(after[1])),)
        most = None if part.most is None else part.most + 1
        statement, number = _of_kind(kind, organisation_id, latest_us)
        statement = _narrowed(
            statement, DueMark.due_us if kind == _WITH_ERROR else Standing.assessed_us, failure_filter
        )
        failures += [AssessmentFailure(*row) for row in rows_of(session, statement, (number,), Part(most, behind))]
    failures.sort(key=lambda failure: (failure.entity_id, failure.kind))
    return first_page(failures, lambda failure: (failure.entity_id, failure.kind), part.most)


def _of_kind(kind: int, organisation_id: int, latest_us: int) -> tuple[Select[*tuple[Any, ...]], Any]:
    """Select the failures of one kind: by status, in the future, by an error; with the column of their order."""
    table: Any = DueMark if kind == _WITH_ERROR else Standing
    details = (
        (Standing.status, null(), null(), null(), false()),
        (null(), Standing.assessed_us, null(), null(), false()),
        (null(), null(), DueMark.attempts, DueMark.error, DueMark.quarantined),
    )[kind]
    condition = (IS_FAILED, Standing.assessed_us > latest_us, IS_FAILING)[kind]
    moment = DueMark.due_us if kind == _WITH_ERROR else Standing.assessed_us
    columns = (Entity.id, EntityType.name, Entity.external_id, *details, literal(kind, Integer), moment)
    statement: Select[*tuple[Any, ...]] = (
        select(*columns)
        .select_from(table)
        .join(Entity, Entity.id == table.entity_id)
        .join(EntityType, EntityType.id == Entity.type_id)
        .where(table.organisation_id == organisation_id, condition, Entity.erased_us.is_(None))
    )
    return statement, table.entity_id


def _narrowed(
    statement: Select[*tuple[Any, ...]], moment: Any, failure_filter: FailureFilter
) -> Select[*tuple[Any, ...]]:
    """Add the conditions of a filter."""
    if failure_filter.type_id is not None:
        statement = statement.where(Entity.type_id == failure_filter.type_id)
    if failure_filter.entity_id is not None:
        statement = statement.where(Entity.id == failure_filter.entity_id)
    if failure_filter.since_us is not None:
        statement = statement.where(moment >= failure_filter.since_us)
    return statement if failure_filter.until_us is None else statement.where(moment < failure_filter.until_us)
