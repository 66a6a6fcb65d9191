"""Overrides: requested by one person, decided by another; and overrides by state, subject, actor and time."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import BigNumber, MomentGiven, Reason, ReasonIfAny, RequestModel, Text
from fivefold.usecases.changes import asks
from fivefold.usecases.changes.proposals import ProposalLine
from fivefold.usecases.levels import overrides
from fivefold.usecases.levels.overrides import OverrideCap, OverrideLine
from fivefold.usecases.levels.read import ASSESSMENT_NUMBER
from fivefold.usecases.portfolio import searches
from fivefold.usecases.portfolio.searches import OverrideFilters, OverrideFound
from fivefold.usecases.shared.api_fields import schema


class OverrideGiven(RequestModel):
    """The requested level, why, and until when it is to hold; without an end by default."""

    level: Text
    reason: Reason
    until: MomentGiven | None = None


class ApprovalGiven(RequestModel):
    """Why, which may be empty, and what was looked at: what is left out is not checked.

    `expected_assessment` is the assessment whose reasons were looked at, such as 12.3; 0 for none. 409 where the level,
    the level without the override or the floor is another one by now, or that assessment is kept no more.
    `expected_requested_at` is the override's `requested_at`, as after a restore another override may have its number.
    """

    reason: ReasonIfAny = ""
    expected_assessment: Annotated[str, Field(pattern=f"^(0|{ASSESSMENT_NUMBER})$")] | None = None
    expected_requested_at: MomentGiven | None = None


class WhyEnded(RequestModel):
    """Why, and which override was looked at: where it is left out, that is not checked.

    `expected_requested_at` is its `requested_at`, as after a restore another override may have its number.
    """

    reason: Reason
    expected_requested_at: MomentGiven | None = None


@schema("Revocation")
@dataclass(frozen=True, kw_only=True)
class Revocation(OverrideLine):
    """The override, and the proposal to end it; null where it is revoked already, as that raises the level."""

    proposal: ProposalLine | None


def list_overrides(context: RequestContext, query: PageQuery) -> Page[OverrideLine]:
    """List all overrides, the newest first."""
    return overrides.overrides_of(context, part=query.part)


def read_cap(context: RequestContext) -> OverrideCap:
    """Show how much of the portfolio is overridden below the levels of the rules."""
    return overrides.cap_of(context)


def list_overrides_of(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[OverrideLine]:
    """List the overrides of an entity, the newest first."""
    return overrides.overrides_of(context, type_, external_id, part=query.part)


def request_override(context: RequestContext, type_: Text, external_id: Text, body: OverrideGiven) -> OverrideLine:
    """Request a level; nothing changes until another person approves it."""
    return overrides.request_override(context, type_, external_id, body.level, body.reason, body.until)


def approve_override(context: RequestContext, override: BigNumber, body: ApprovalGiven) -> OverrideLine:
    """Approve a level that another person requested."""
    return overrides.approve_override(
        context,
        override,
        body.reason,
        expected_assessment=body.expected_assessment,
        expected_requested_us=body.expected_requested_at,
    )


def refuse_override(context: RequestContext, override: BigNumber, body: WhyEnded) -> OverrideLine:
    """Refuse a level that another person requested."""
    return overrides.refuse_override(context, override, body.reason, expected_requested_us=body.expected_requested_at)


def revoke_override(context: RequestContext, override: BigNumber, body: WhyEnded) -> Revocation:
    """End an override that holds, at once where that raises the level; where it may lower it, propose that."""
    outcome = asks.revoke_override(context, override, body.reason, body.expected_requested_at)
    line = overrides.read_override(context, override)
    return Revocation(**vars(line), proposal=outcome.proposal)


class PageOfOverrides(PageQuery):
    """Which overrides: asked for from `since` until before `until`; without a filter all.

    `external_id` is of an entity of the `type`. `requested_by`: such as member:3, or the name of a member.
    """

    state: Literal["requested", "live", "expired", "refused", "revoked"] | None = None
    type: Text = "customer"
    external_id: Text | None = None
    requested_by: Text | None = None
    since: MomentGiven | None = None
    until: MomentGiven | None = None


def search_overrides(context: RequestContext, query: PageOfOverrides) -> Page[OverrideFound]:
    """List overrides, those asked for last first, with the names of members."""
    filters = OverrideFilters(
        state=query.state,
        entity=None if query.external_id is None else (query.type, query.external_id),
        requested_by=query.requested_by,
        since_us=query.since,
        until_us=query.until,
    )
    return searches.search_overrides(context, filters, query.part)
