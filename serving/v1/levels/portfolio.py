"""A whole portfolio: the distribution of levels, and entities that could not be assessed."""

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import RequestModel, ResponseModel, Text
from fivefold.usecases.levels import distribution
from fivefold.usecases.levels import read as levels
from fivefold.usecases.levels.distribution import Distribution


class WhichType(RequestModel):
    """Which type of entity."""

    type: Text


class Failure(ResponseModel):
    """An entity that could not be assessed in full, and why: its status, or quarantined with its error.

    The status is failed, unclassified (no tier owns its total) or undetermined (the ruleset may not apply).
    """

    entity_type: str
    external_id: str
    problem: str


def read_distribution(context: RequestContext, query: WhichType) -> Distribution:
    """Show the distribution of the present levels of a type, by version, overrides apart."""
    return distribution.distribution(context, query.type)


def list_failures(context: RequestContext, query: PageQuery) -> Page[Failure]:
    """List entities that could not be assessed in full, and why."""
    page = levels.list_failed(context, query.part)
    return page.map(lambda line: Failure(entity_type=line[0], external_id=line[1], problem=line[2]))
