"""Levels reached, over HTTP."""

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.portfolio.current_levels import Names
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, Text
from fivefold.usecases.portfolio import transitions
from fivefold.usecases.portfolio.transitions import LevelReached, TransitionFilters


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
