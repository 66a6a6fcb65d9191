"""Changes of what decides: proposed by one person, approved by another."""

from typing import Any, Literal

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import Moment, Number, RequestModel, ResponseModel, Text
from fivefold.usecases.changes import proposals
from fivefold.usecases.changes.proposals import ProposalBacktest


class Proposal(ResponseModel):
    """A change of what decides: what would change, which entities it would reach, who proposed it and who decided.

    `state` is proposed, approved, refused or withdrawn. `result` says what was changed, once it is approved.
    """

    id: int
    kind: str
    subject: str
    content: dict[str, Any]
    reach: dict[str, Any]
    reason: str
    proposed_by: str
    proposed_at: Moment = Field(validation_alias="proposed_us")
    state: str
    decided_by: str | None
    decided_at: Moment | None = Field(validation_alias="decided_us")
    decision_reason: str | None
    result: dict[str, Any] | None
    backtests: list[ProposalBacktest]


class Proposed(ResponseModel):
    """The proposal that was made of what was asked for; null where nothing decides yet, or it is so already."""

    proposal: Proposal | None


class PageOfProposals(PageQuery):
    """Which proposals: of one state or of all."""

    state: Literal["proposed", "approved", "refused", "withdrawn"] | None = None


class WhyDecided(RequestModel):
    """Why."""

    reason: Text


def list_proposals(context: RequestContext, query: PageOfProposals) -> Page[Proposal]:
    """List proposals, the newest first; for approvers those about one entity."""
    return proposals.list_proposals(context, query.state, context.role, query.part).map(Proposal.of)


def read_proposal(context: RequestContext, proposal: Number) -> Proposal:
    """Show a proposal, and how far its backtests are."""
    return Proposal.of(proposals.read_proposal(context, proposal, context.role))


def approve_proposal(context: RequestContext, proposal: Number, body: WhyDecided) -> Proposal:
    """Do what another person proposed. It needs backtests of what decides now, on every type that it reaches."""
    proposal_line = proposals.approve_proposal(context, proposal, body.reason, context.role)
    return Proposal.of(proposal_line)


def refuse_proposal(context: RequestContext, proposal: Number, body: WhyDecided) -> Proposal:
    """Refuse a proposal, or withdraw one's own."""
    return Proposal.of(proposals.refuse_proposal(context, proposal, body.reason, context.role))


def request_proposal_backtests(context: RequestContext, proposal: Number) -> Proposal:
    """Ask for the backtests of a proposal anew, such as after what decides has changed."""
    return Proposal.of(proposals.request_proposal_backtests(context, proposal))
