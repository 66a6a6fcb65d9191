"""The timeline of an entity, and its transactions by day, over HTTP."""

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.portfolio.current_levels import Names
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, RequestModel, Text
from fivefold.store.levels.timeline import Clock
from fivefold.usecases.portfolio import timeline
from fivefold.usecases.portfolio.timeline import TimelineEvent
from fivefold.usecases.portfolio.transaction_days import TransactionDay, list_days


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


class RangeOfDays(RequestModel):
    """From the day of `since` until before that of `until`; by default the last 90 days."""

    since: MomentGiven | None = None
    until: MomentGiven | None = None


def list_transaction_days(
    context: RequestContext, type_: Text, external_id: Text, query: RangeOfDays
) -> list[TransactionDay]:
    """List sums of an entity's transactions by day, those of what it owned then included, with the balance."""
    return list_days(context, type_, external_id, query.since, query.until)
