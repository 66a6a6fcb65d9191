"""The timeline of an entity over HTTP."""

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.portfolio.current_levels import Names
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import Text
from fivefold.store.levels.timeline import Clock
from fivefold.usecases.portfolio import timeline
from fivefold.usecases.portfolio.timeline import TimelineEvent


class PageOfEvents(PageQuery):
    """Which events, by which clock.

    `kind`: kinds of events, or the groups facts, levels, scores, overrides, decisions and people. `clock`: `known`
    orders by when it was known here, `happened` by when it happened.
    """

    kind: Names = ()
    clock: Clock = Clock.KNOWN


def list_events(context: RequestContext, type_: Text, external_id: Text, query: PageOfEvents) -> Page[TimelineEvent]:
    """List what happened about an entity, the latest first; `kind=attributes` is the history of its attributes."""
    return timeline.list_events(context, type_, external_id, query.part, kinds=query.kind, clock=query.clock)
