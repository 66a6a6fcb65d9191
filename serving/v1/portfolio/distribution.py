"""How many entities stand where: now, by value and risk at once, and over time."""

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import DayGiven, RequestModel, Text
from fivefold.usecases.levels import distribution
from fivefold.usecases.levels.distribution import Distribution
from fivefold.usecases.portfolio import migration
from fivefold.usecases.portfolio.matrix import Matrix, value_and_risk
from fivefold.usecases.portfolio.migration import (
    MOST_PERIODS,
    USUAL_PERIODS,
    Every,
    LevelsOverTime,
    Migration,
    Mover,
    levels_over_time,
)


class WhichType(RequestModel):
    """Which type of entity."""

    type: Text


def read_matrix(context: RequestContext, query: WhichType) -> Matrix:
    """Count the customers of a type, and add up their expected values, at each level in each segment."""
    return value_and_risk(context, query.type)


def read_distribution(context: RequestContext, query: WhichType) -> Distribution:
    """Show the distribution of the present levels of a type, by version, overrides apart."""
    return distribution.distribution(context, query.type)


class OverTime(RequestModel):
    """The type of entity, and the ends of how many months, weeks (from Monday) or days, the present one included."""

    type: Text
    every: Every = Field(default=Every.MONTH)
    periods: int = Field(default=USUAL_PERIODS, ge=1, le=MOST_PERIODS)


class OfTime(RequestModel):
    """The type of entity, and the time: whole days in UTC, from `since` until before `until`.

    By default the last 30 days.
    """

    type: Text
    since: DayGiven | None = None
    until: DayGiven | None = None


class PageOfMovers(PageQuery):
    """Who moved, of a type and in a time as for the migration.

    `from_level`: before it, `to_level`: at its end; none is no level. Without `from_level` all who had a level before.
    """

    type: Text
    since: DayGiven | None = None
    until: DayGiven | None = None
    from_level: Text | None = None
    to_level: Text | None = None


def read_levels_over_time(context: RequestContext, query: OverTime) -> LevelsOverTime:
    """Count the customers of a type at each level at the ends of months, weeks or days, the latest last."""
    return levels_over_time(context, query.type, query.every, query.periods)


def read_migration(context: RequestContext, query: OfTime) -> Migration:
    """Count the customers of a type by their level before a time and at its end."""
    return migration.read_migration(context, query.type, query.since, query.until)


def list_migrated(context: RequestContext, query: PageOfMovers) -> Page[Mover]:
    """List the entities whose level changed over a period, with the reason, the latest change first."""
    return migration.list_movers(
        context,
        query.type,
        query.since,
        query.until,
        from_level=query.from_level,
        to_level=query.to_level,
        part=query.part,
    )
