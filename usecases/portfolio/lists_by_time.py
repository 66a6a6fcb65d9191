"""Lists over all entities by time: overrides that were requested, and assessments that failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.ingest.entities import entity_named, type_named
from fivefold.store.levels.failures import FailureFilter, assessment_failures
from fivefold.store.levels.overrides import OverrideFilter, OverrideWithLevel, overrides_among
from fivefold.store.sql.clocks import latest_us
from fivefold.usecases.audit.search import actor_named, names_of_actors
from fivefold.usecases.levels.overrides import OverrideLine, line_of
from fivefold.usecases.levels.read import failure_problem
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import require_known

STATES = ("requested", "live", "expired", "refused", "revoked")


@dataclass(frozen=True, kw_only=True)
class OverrideFilters:
    """Which overrides are listed; None sets no condition.

    Attributes:
        state: one of `STATES`.
        entity: the type and identifier of their entity.
        requested_by: the actor as in the log, such as member:3; or the name of a member.
        since_us: the earliest moment of the request.
        until_us: the moment before which it was requested.
    """

    state: str | None = None
    entity: tuple[str, str] | None = None
    requested_by: str | None = None
    since_us: int | None = None
    until_us: int | None = None


EVERY_OVERRIDE = OverrideFilters()


@schema("OverrideFound")
@dataclass(frozen=True, kw_only=True)
class OverrideFound(OverrideLine):
    """An override as in other lists, with the names of the members who took part."""

    requested_by_name: str | None
    decided_by_name: str | None
    revoked_by_name: str | None


def search_overrides(context: Context, filters: OverrideFilters, part: Part = WHOLE) -> Page[OverrideFound]:
    """List overrides, the latest request first.

    ConfigError if there is no such state; NotFoundError if a named entity does not exist.
    """
    require_known("state", [filters.state], STATES)
    now = context.now()
    with context.reading() as session:
        of = context.organisation_id
        override_filter = OverrideFilter(
            organisation_id=of,
            state=filters.state,
            now_us=now,
            entity_id=None if filters.entity is None else entity_named(session, of, *filters.entity).id,
            requested_by=None if filters.requested_by is None else actor_named(session, of, filters.requested_by),
            since_us=filters.since_us,
            until_us=filters.until_us,
        )
        page = overrides_among(session, override_filter, part)
        levels = levels_of(session, of)
        names = names_of_actors(session, of, {who for row in page for who in _people(row)})
        return page.map(lambda row: _with_names(row, levels, now, names))


def _people(row: OverrideWithLevel) -> tuple[str | None, str | None, str | None]:
    return row.override.requested_by, row.override.decided_by, row.override.revoked_by


def _with_names(
    row: OverrideWithLevel, levels: Sequence[str], now_us: int, names: Mapping[str | None, str]
) -> OverrideFound:
    requested, decided, revoked = (names.get(who) for who in _people(row))
    line = vars(line_of(row, levels, now_us))
    return OverrideFound(**line, requested_by_name=requested, decided_by_name=decided, revoked_by_name=revoked)


@dataclass(frozen=True, kw_only=True)
class FailureFilters:
    """Which failures are listed; None sets no condition.

    Attributes:
        entity_type: the name of the type.
        external_id: the identifier of an entity of that type; without a type, of a customer.
        since_us: the earliest moment of the failed assessment; for an entity with an error, of when it was or is due.
        until_us: the moment before which that was or is.
    """

    entity_type: str | None = None
    external_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None


EVERY_FAILURE = FailureFilters()


@dataclass(frozen=True, kw_only=True)
class FailureFound:
    """An entity that could not be assessed in full, and why.

    `at`: when it was assessed; for one whose assessment ended by an error, when it was or is due; null if that is not
    known.
    """

    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    problem: str
    quarantined: bool
    at_us: Annotated[Moment | None, shown_as("at")]


def search_failures(
    context: Context, filters: FailureFilters = EVERY_FAILURE, part: Part = WHOLE
) -> Page[FailureFound]:
    """List entities that could not be assessed in full, in the order of their creation; one may be listed twice.

    NotFoundError if there is no such type or entity.
    """
    kind, name = filters.entity_type, filters.external_id
    with context.reading() as session:
        of = context.organisation_id
        failure_filter = FailureFilter(
            type_id=None if kind is None else type_named(session, of, kind).id,
            entity_id=None if name is None else entity_named(session, of, kind or "customer", name).id,
            since_us=filters.since_us,
            until_us=filters.until_us,
        )
        failures = assessment_failures(session, of, latest_us(session, context.now()), part, failure_filter)
        return failures.map(lambda failure: row_as(FailureFound, failure, problem=failure_problem(failure)))
