"""Search for entities, over HTTP."""

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.portfolio.current_levels import Names
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import RequestModel, Text
from fivefold.usecases.portfolio import search
from fivefold.usecases.portfolio.search import EntitiesCounted, EntityFound, Search


class SearchQuery(RequestModel):
    """Who is looked for: by beginnings of words, a tag, or an owner; and of which level, segment or status."""

    type: Text
    text: Text = Field(default="", max_length=200)
    tag: Text | None = None
    owner_type: Text | None = None
    owner: Text | None = None
    level: Names = ()
    segment: Names = ()
    status: Names = ()

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
        )


class PageOfSearch(PageQuery, SearchQuery):
    """Who is looked for: by beginnings of words, a tag, or an owner; and of which level, segment or status."""


def search_entities(context: RequestContext, query: PageOfSearch) -> Page[EntityFound]:
    """List who is found by the beginnings of words: by identifier first, then by name, then by other text."""
    return search.search_entities(context, query.type, query.search, query.part)


def count_entities(context: RequestContext, query: SearchQuery) -> EntitiesCounted:
    """Count who is found, up to 10,000."""
    return search.count_entities(context, query.type, query.search)
