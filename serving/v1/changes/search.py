"""Proposals by state, subject, actor and time."""

from typing import Literal

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, Text
from fivefold.usecases.changes import search
from fivefold.usecases.changes.search import ProposalFilters, ProposalFound


class ProposalsSought(PageQuery):
    """Which proposals: proposed from `since` until before `until`; without a filter all.

    `kind`: such as ruleset.switch. `external_id` is of an entity of the `type`. `proposed_by`: such as member:3, or the
    name of a member.
    """

    state: Literal["proposed", "approved", "refused", "withdrawn"] | None = None
    kind: Text | None = None
    type: Text = "customer"
    external_id: Text | None = None
    proposed_by: Text | None = None
    since: MomentGiven | None = None
    until: MomentGiven | None = None


def search_proposals(context: RequestContext, query: ProposalsSought) -> Page[ProposalFound]:
    """List proposals in short, the latest first, with names of members; for approvers those about one entity."""
    filters = ProposalFilters(
        state=query.state,
        kind=query.kind,
        entity=None if query.external_id is None else (query.type, query.external_id),
        proposed_by=query.proposed_by,
        since_us=query.since,
        until_us=query.until,
    )
    return search.search_proposals(context, filters, context.role, query.part)
