"""Overrides: requested by one person, decided by another."""

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.changes.proposals import Proposal
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import BigNumber, Moment, MomentGiven, RequestModel, ResponseModel, Text
from fivefold.usecases.changes import asks
from fivefold.usecases.levels import overrides
from fivefold.usecases.levels.overrides import OverrideCap


class OverrideGiven(RequestModel):
    """The requested level, why, and until when it is to hold; without an end by default."""

    level: Text
    reason: Text
    until: MomentGiven | None = None


class DecisionGiven(RequestModel):
    """Why; may be empty."""

    reason: Text = ""


class ReasonGiven(RequestModel):
    """Why."""

    reason: Text


class Override(ResponseModel):
    """An override, with what the rules say beneath it; `below_floor`: a live floor is higher, and holds instead."""

    id: int
    entity_type: str
    external_id: str
    level: str
    rules_level: str | None
    present_level: str | None
    below_floor: bool
    reason: str
    until: Moment | None = Field(validation_alias="until_us")
    state: str
    requested_by: str
    requested_at: Moment = Field(validation_alias="requested_us")
    decided_by: str | None
    decided_at: Moment | None = Field(validation_alias="decided_us")
    decision_reason: str | None
    revoked_by: str | None
    revoked_at: Moment | None = Field(validation_alias="revoked_us")
    revocation_reason: str | None


class Revocation(Override):
    """The override, and the proposal to end it; null where it is revoked already, as that raises the level."""

    proposal: Proposal | None


def list_overrides(context: RequestContext, query: PageQuery) -> Page[Override]:
    """List all overrides, the newest first."""
    return overrides.overrides_of(context, part=query.part).map(Override.of)


def read_cap(context: RequestContext) -> OverrideCap:
    """Show how much of the portfolio is overridden below the levels of the rules."""
    return overrides.cap_of(context)


def list_overrides_of(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[Override]:
    """List the overrides of an entity, the newest first."""
    page = overrides.overrides_of(context, type_, external_id, part=query.part)
    return page.map(Override.of)


def request_override(context: RequestContext, type_: Text, external_id: Text, body: OverrideGiven) -> Override:
    """Request a level; nothing changes until another person approves it."""
    requested = overrides.request_override(context, type_, external_id, body.level, body.reason, body.until)
    return Override.of(requested)


def approve_override(context: RequestContext, override: BigNumber, body: DecisionGiven) -> Override:
    """Approve a level that another person requested."""
    return Override.of(overrides.approve_override(context, override, body.reason))


def refuse_override(context: RequestContext, override: BigNumber, body: ReasonGiven) -> Override:
    """Refuse a level that another person requested."""
    return Override.of(overrides.refuse_override(context, override, body.reason))


def revoke_override(context: RequestContext, override: BigNumber, body: ReasonGiven) -> Revocation:
    """End an override that holds, at once where that raises the level; where it may lower it, propose that."""
    outcome = asks.revoke_override(context, override, body.reason)
    line = overrides.read_override(context, override)
    proposal = None if outcome.proposal is None else Proposal.of(outcome.proposal)
    return Revocation.model_validate({**vars(line), "proposal": proposal})
