"""Entities that could not be assessed in full, by subject and time."""

from dataclasses import dataclass
from typing import Annotated

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.ingest.entities import entity_named, type_named
from fivefold.store.levels.failures import FailureFilter, assessment_failures
from fivefold.store.sql.clocks import latest_us
from fivefold.usecases.levels.read import failure_problem
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class FailureFilters:
    """Which failures are listed; None is no condition.

    Attributes:
        entity_type: its name.
        external_id: of an entity of that type; without a type, of a customer.
        since_us: the assessment failed, or a quarantined entity was due, at that moment or later.
        until_us: before.
    """

    entity_type: str | None = None
    external_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None


EVERY = FailureFilters()


@dataclass(frozen=True, kw_only=True)
class FailureFound:
    """An entity that could not be assessed in full, and why.

    `at`: when it was assessed; for a quarantined entity, when it was due; null if that is not known.
    """

    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    problem: str
    quarantined: bool
    at_us: Annotated[Moment | None, shown_as("at")]


def search_failures(context: Context, filters: FailureFilters = EVERY, part: Part = WHOLE) -> Page[FailureFound]:
    """List entities that could not be assessed in full, in the order in which they were added; one may be listed twice.

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
        return failures.map(
            lambda failure: FailureFound(
                entity_type=failure.entity_type,
                external_id=failure.external_id,
                problem=failure_problem(failure),
                quarantined=failure.attempts is not None,
                at_us=failure.at_us,
            )
        )
