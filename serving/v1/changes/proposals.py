"""Changes of what decides: proposed by one person, approved by another."""

from typing import Any, Literal

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageAsked
from fivefold.serving.v1.route import Asked
from fivefold.serving.v1.schemas import Given, Moment, Number, Shown, Text
from fivefold.usecases.changes import proposals


class ProposalBacktest(Shown):
    """The newest backtest of a proposal on one type of entity."""

    id: int
    entity_type: str
    state: str
    done: int
    total: int
    error: str | None


class Proposal(Shown):
    """A change of what decides: what would change, whom it would reach, who proposed it and who decided.

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


class Proposed(Shown):
    """The proposal that was made of what was asked for; null where nothing decides yet, or it is so already."""

    proposal: Proposal | None


class PageOfProposals(PageAsked):
    """Which proposals: of one state or of all."""

    state: Literal["proposed", "approved", "refused", "withdrawn"] | None = None


class WhyDecided(Given):
    """Why."""

    reason: Text


def list_proposals(asked: Asked, query: PageOfProposals) -> Page[Proposal]:
    """List proposals, the newest first; for approvers those about one entity."""
    return proposals.list_proposals(asked.engine, asked.actor, query.state, asked.role, query.part).map(Proposal.of)


def read_proposal(asked: Asked, proposal: Number) -> Proposal:
    """Show a proposal, and how far its backtests are."""
    return Proposal.of(proposals.read_proposal(asked.engine, asked.actor, proposal, asked.role))


def approve_proposal(asked: Asked, proposal: Number, body: WhyDecided) -> Proposal:
    """Do what another person proposed. It needs backtests of what decides now, on every type that it reaches."""
    made = proposals.approve_proposal(asked.engine, asked.actor, proposal, body.reason, asked.role)
    return Proposal.of(made)


def refuse_proposal(asked: Asked, proposal: Number, body: WhyDecided) -> Proposal:
    """Refuse a proposal, or withdraw one's own."""
    return Proposal.of(proposals.refuse_proposal(asked.engine, asked.actor, proposal, body.reason, asked.role))


def request_proposal_backtests(asked: Asked, proposal: Number) -> Proposal:
    """Ask for the backtests of a proposal anew, such as after what decides has changed."""
    return Proposal.of(proposals.request_proposal_backtests(asked.engine, asked.actor, proposal))
