"""Changes of what decides: proposed by one person, approved by another; and proposals by subject, actor and time."""

from typing import Annotated, Final, Literal

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, Number, Reason, RequestModel, ResponseModel, Seen, Text
from fivefold.usecases.changes import proposals, search
from fivefold.usecases.changes.proposals import ProposalLine
from fivefold.usecases.changes.search import ProposalFilters, ProposalFound

MOST_BACKTESTS: Final = 100
"""Most backtests of a proposal that can be named, one for each type of entity."""


class Proposed(ResponseModel):
    """The proposal that was made of what was asked for; null where nothing decides yet, or it is so already."""

    proposal: ProposalLine | None


class PageOfProposals(PageQuery):
    """Which proposals: of one state or of all."""

    state: Literal["proposed", "approved", "refused", "withdrawn"] | None = None


class WhyDecided(RequestModel):
    """Why, and which proposal was looked at: where it is left out, that is not checked.

    `expected_proposed_at` is its `proposed_at`, as after a restore another change may have its number.
    """

    reason: Reason
    expected_proposed_at: MomentGiven | None = None


class ProposalApproved(WhyDecided):
    """Why, and what was looked at: what is left out is not checked.

    `expected_backtests` are the numbers of its newest backtest on each type that is done, `expected_versions` is how
    many versions the list had that it adds one to, and `expected_proposed_at` its `proposed_at`, as after a restore
    another change may have its number. The levels that a change about one entity leads to are always compared with
    those of its `reach`: where they are others by now, it is refused, and asked for again.
    """

    expected_backtests: Annotated[list[Seen], Field(max_length=MOST_BACKTESTS)] | None = None
    expected_versions: Seen | None = None


def list_proposals(context: RequestContext, query: PageOfProposals) -> Page[ProposalLine]:
    """List proposals, the newest first; for approvers those about one entity, for investigators their own of these."""
    return proposals.list_proposals(context, query.state, context.role, query.part)


def read_proposal(context: RequestContext, proposal: Number) -> ProposalLine:
    """Show a proposal, and how far its backtests are."""
    return proposals.read_proposal(context, proposal, context.role)


def approve_proposal(context: RequestContext, proposal: Number, body: ProposalApproved) -> ProposalLine:
    """Do what another person proposed. It needs backtests of what decides now, on every type that it reaches."""
    return proposals.approve_proposal(
        context,
        proposal,
        body.reason,
        context.role,
        expected_backtests=body.expected_backtests,
        expected_versions=body.expected_versions,
        expected_proposed_us=body.expected_proposed_at,
    )


def refuse_proposal(context: RequestContext, proposal: Number, body: WhyDecided) -> ProposalLine:
    """Refuse a proposal, or withdraw one's own."""
    return proposals.refuse_proposal(
        context, proposal, body.reason, context.role, expected_proposed_us=body.expected_proposed_at
    )


def request_proposal_backtests(context: RequestContext, proposal: Number) -> ProposalLine:
    """Ask for the backtests of a proposal anew, such as after what decides has changed."""
    return proposals.request_proposal_backtests(context, proposal)


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
    """List proposals in short, the latest first, with names of members; of these those that `/v1/proposals` lists."""
    filters = ProposalFilters(
        state=query.state,
        kind=query.kind,
        entity=None if query.external_id is None else (query.type, query.external_id),
        proposed_by=query.proposed_by,
        since_us=query.since,
        until_us=query.until,
    )
    return search.search_proposals(context, filters, context.role, query.part)
