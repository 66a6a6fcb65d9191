"""Lists of entities: where they stand, which levels they reached, who is found by words, who could not be assessed."""

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, Names, RequestModel, ResponseModel, Text
from fivefold.store.portfolio.current_levels import Order
from fivefold.usecases.levels import read as levels
from fivefold.usecases.portfolio import current_levels as current
from fivefold.usecases.portfolio import search, searches, transitions
from fivefold.usecases.portfolio.current_levels import CurrentLevel, LevelFilters
from fivefold.usecases.portfolio.search import EntitiesCounted, EntityFound, Search
from fivefold.usecases.portfolio.searches import FailureFilters, FailureFound
from fivefold.usecases.portfolio.transitions import LevelReached, TransitionFilters


class PageOfLevels(PageQuery):
    """Whose levels, and in which order; without a filter everybody's of the type.

    `order`: `risk` has the highest level and score first, `latest` the level reached last, `value` the highest
    expected value, without those who have none. `since`: the level was reached then or later. `failing`: true for
    those whose level could not be computed the last time that was tried, false for the others. Who was never assessed
    has no level to list.
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
        """The same for use cases; an owner is of the same type unless another is given."""
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
    return searches.search_failures(context, filters, query.part)
