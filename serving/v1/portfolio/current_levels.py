"""Lists of current levels over HTTP."""

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, Text
from fivefold.store.portfolio.current_levels import Order
from fivefold.usecases.portfolio import current_levels as current
from fivefold.usecases.portfolio.current_levels import CurrentLevel, LevelFilters


def _names(text: object) -> object:
    return tuple(filter(None, text.split(","))) if isinstance(text, str) else text


Names = Annotated[
    tuple[Text, ...],
    BeforeValidator(_names),
    WithJsonSchema({"type": "string", "description": "One or several, with commas between them"}),
]


class PageOfLevels(PageQuery):
    """Whose levels, and in which order; without a filter everybody's of the type.

    `order`: `risk` has the highest level and score first, `latest` the level reached last, `value` the highest
    expected value, without those who have none. `since`: the level was reached then or later.
    """

    type: Text
    order: Order = Order.RISK
    level: Names = ()
    segment: Names = ()
    status: Names = ()
    ruleset: Text | None = None
    since: MomentGiven | None = None


def list_current_levels(context: RequestContext, query: PageOfLevels) -> Page[CurrentLevel]:
    """List where the entities of a type stand, as it is stored: nobody is assessed for it."""
    filters = LevelFilters(
        levels=query.level,
        segments=query.segment,
        statuses=query.status,
        ruleset=query.ruleset,
        since_us=query.since,
    )
    return current.list_current_levels(context, query.type, filters, query.order, query.part)
