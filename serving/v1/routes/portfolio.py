"""Lists of entities: their levels, the levels that they reached, matches of a search, and failed assessments.

Counts by level: now, by value and risk together, and over time. Also what customers are worth, without how risky they
are, for people who may not know a level too.
"""

from typing import Annotated

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import PLAIN, DayGiven, MomentGiven, Names, RequestModel, ResponseModel, Text
from fivefold.store.portfolio.current_levels import Order
from fivefold.usecases.levels import distribution
from fivefold.usecases.levels import read as levels
from fivefold.usecases.levels.distribution import Distribution
from fivefold.usecases.portfolio import current_levels as current
from fivefold.usecases.portfolio import lists_by_time, migration, search, transitions, values
from fivefold.usecases.portfolio.current_levels import CurrentLevel, LevelFilters
from fivefold.usecases.portfolio.lists_by_time import FailureFilters, FailureFound
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
from fivefold.usecases.portfolio.search import EntitiesCounted, EntityFound, Search
from fivefold.usecases.portfolio.transitions import LevelReached, TransitionFilters
from fivefold.usecases.portfolio.values import CustomerValue, PortfolioValue
from fivefold.usecases.shared.api_fields import Moment


class PageOfLevels(PageQuery):
    """Whose levels, and in which order; without a filter everybody's of the type.

    `order`: `risk` has the highest level and score first, `latest` the level reached last, `value` the highest
    expected value, without those who have none. `since`: the level was reached then or later. `failing`: true for
    those whose level could not be computed the last time that was tried, false for the others. Who was never assessed
    has no level to list. `level`: names, and none for who has no level.
    """

    type: Text
    order: Order = Order.RISK
    level: Names = ()
    segment: Names = ()
    status: Names = ()
    failing: bool | None = None
    ruleset: Text | None = None
    since: MomentGiven | None = None


def list_current_levels(context: RequestContext, query: PageOfLevels) -> Page[CurrentLevel]:
    """List where the entities of a type stand, as it is stored: nobody is assessed for it."""
    filters = LevelFilters(
        levels=query.level,
        segments=query.segment,
        statuses=query.status,
        failing=query.failing,
        ruleset=query.ruleset,
        since_us=query.since,
    )
    return current.list_current_levels(context, query.type, filters, query.order, query.part)


class PageOfTransitions(PageQuery):
    """Which levels reached: from `since` until before `until`; without a filter all.

    `direction`: rise, fall, or first where there was no level before. `to`: the level that was reached.
    """

    type: Text | None = None
    direction: Names = ()
    to: Names = ()
    since: MomentGiven | None = None
    until: MomentGiven | None = None


def list_transitions(context: RequestContext, query: PageOfTransitions) -> Page[LevelReached]:
    """List the levels that entities reached: rises first, then falls, then first levels, of each the latest first."""
    filters = TransitionFilters(
        directions=query.direction,
        entity_type=query.type,
        levels=query.to,
        since_us=query.since,
        until_us=query.until,
    )
    return transitions.list_transitions(context, filters, query.part)


class SearchQuery(RequestModel):
    """Who is looked for: by beginnings of words, a tag, an owner or `failing`; of which level, segment or status.

    `failing`: true for those who could not be assessed the last time that was tried, also if they never were before;
    false for the others.
    """

    type: Text
    text: Text = Field(default="", max_length=200)
    tag: Text | None = None
    owner_type: Text | None = None
    owner: Text | None = None
    level: Names = ()
    segment: Names = ()
    status: Names = ()
    failing: bool | None = None

    @property
    def search(self) -> Search:
        """The search as use cases take it; an owner has the same type unless another is given."""
        return Search(
            text=self.text,
            tag=self.tag,
            owner=None if self.owner is None else (self.owner_type or self.type, self.owner),
            levels=self.level,
            segments=self.segment,
            statuses=self.status,
            failing=self.failing,
        )


class PageOfSearch(PageQuery, SearchQuery):
    """Who is looked for: by beginnings of words, a tag, an owner or `failing`; of which level, segment or status."""


def search_entities(context: RequestContext, query: PageOfSearch) -> Page[EntityFound]:
    """List who is found by the beginnings of words: by identifier first, then by name, then by other text."""
    return search.search_entities(context, query.type, query.search, query.part)


def count_entities(context: RequestContext, query: SearchQuery) -> EntitiesCounted:
    """Count who is found, up to 10,000."""
    return search.count_entities(context, query.type, query.search)


class Failure(ResponseModel):
    """An entity that could not be assessed in full, and why: its status, or the error, and whether it is quarantined.

    The status is failed, unclassified (no tier owns its total) or undetermined (the ruleset may not apply).
    """

    entity_type: str
    external_id: str
    problem: str


class PageOfFailures(PageQuery):
    """Which failures: of assessments from `since` until before `until`; without a filter all.

    `external_id` is of an entity of the `type`, which is customer by default.
    """

    type: Text | None = None
    external_id: Text | None = None
    since: MomentGiven | None = None
    until: MomentGiven | None = None


def list_failures(context: RequestContext, query: PageQuery) -> Page[Failure]:
    """List entities that could not be assessed in full, and why."""
    page = levels.list_failed(context, query.part)
    return page.map(lambda line: Failure(entity_type=line[0], external_id=line[1], problem=line[2]))


def search_failures(context: RequestContext, query: PageOfFailures) -> Page[FailureFound]:
    """List entities that could not be assessed in full by subject and time, and why."""
    filters = FailureFilters(
        entity_type=query.type, external_id=query.external_id, since_us=query.since, until_us=query.until
    )
    return lists_by_time.search_failures(context, filters, query.part)


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
    periods: Annotated[int, PLAIN] = Field(default=USUAL_PERIODS, ge=1, le=MOST_PERIODS)


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


class PageOfValues(PageQuery):
    """Whose values: of one segment or several, or of all."""

    type: Text
    segment: Names = ()


class PageOfValueSearch(PageQuery):
    """Who is looked for: by beginnings of words of identifiers, and by nothing else."""

    type: Text
    text: Text = Field(min_length=1, max_length=200)


class PartOfValue(ResponseModel):
    """What one indicator adds to the score, in points; below zero where it takes away."""

    name: str
    family: str
    value: float | str | None
    unit: str
    points: float
    sentence: str


class BreakdownOfValue(ResponseModel):
    """The score of the average prediction, and what each indicator adds to it; together they are the score."""

    base: float
    contributions: tuple[PartOfValue, ...]


class ValueOfEntity(ResponseModel):
    """What an entity is worth, from 1 to 5 and in money, since which day the value model says so, and why.

    `score`, `segment` and `expected_value`: null where there is no value any more. `breakdown`: null without a score,
    or where it cannot be explained. `unexplained`: the reason of either. `horizon_days`: null where that model does not
    serve now. `superseded_by`: the version that serves, where another one said so and it is yet to say its own.
    `model_version`: 0 where no model was loaded when the transactions had changed, so the score is null. Of a
    hundred customers `interval_level_percent` are to bring between `expected_value_low` and `expected_value_high`: null
    where the model keeps no interval.
    """

    type: str
    external_id: str
    score: float | None
    segment: str | None
    expected_value: float | None
    expected_value_low: float | None
    expected_value_high: float | None
    interval_level_percent: int | None
    currency: str
    as_of: Moment
    horizon_days: int | None
    model: str
    model_version: int
    superseded_by: int | None
    breakdown: BreakdownOfValue | None
    unexplained: str


def read_segments(context: RequestContext, query: WhichType) -> PortfolioValue:
    """Count the customers of a type, and add up their expected values, by segment."""
    return values.value_by_segment(context, query.type)


def list_values(context: RequestContext, query: PageOfValues) -> Page[CustomerValue]:
    """List the customers of a type by what they are expected to bring, the highest first."""
    return values.list_values(context, query.type, query.segment, query.part)


def search_values(context: RequestContext, query: PageOfValueSearch) -> Page[CustomerValue]:
    """List whose identifiers have words that begin so, with what they are worth."""
    return values.search_values(context, query.type, query.text, query.part)


def read_value(context: RequestContext, type_: Text, external_id: Text) -> ValueOfEntity | None:
    """Show what an entity is worth, and why; nothing where it never had a value, or what was personal was erased."""
    value = values.read_value_alone(context, type_, external_id, valuer=context.valuer)
    if value is None:
        return None
    named = {"type": type_, "external_id": external_id, "as_of": value.as_of_us}
    return ValueOfEntity.model_validate({**vars(value), **named})
