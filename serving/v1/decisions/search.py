"""Decisions by action, subject, actor and time."""

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, Text
from fivefold.usecases.decisions import search
from fivefold.usecases.decisions.search import DecisionFilters, DecisionFound


class PageOfDecisions(PageQuery):
    """Which decisions: from `since` until before `until`; without a filter all.

    `external_id` is of an entity of the `type`. `actor`: such as token:3, or the name of a member.
    """

    action: Text | None = None
    type: Text = "customer"
    external_id: Text | None = None
    policy: Text | None = None
    actor: Text | None = None
    since: MomentGiven | None = None
    until: MomentGiven | None = None


def search_decisions(context: RequestContext, query: PageOfDecisions) -> Page[DecisionFound]:
    """List the decisions of the organisation, the latest first, with the names of members."""
    filters = DecisionFilters(
        action=query.action,
        entity=None if query.external_id is None else (query.type, query.external_id),
        policy=query.policy,
        actor=query.actor,
        since_us=query.since,
        until_us=query.until,
    )
    return search.search_decisions(context, filters, query.part)
