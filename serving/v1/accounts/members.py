"""Members with their roles, and tokens, made by two administrators, each of whom is shown one half."""

from typing import Annotated, Literal

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import LARGEST, WHOLE, MomentGiven, Number, RequestModel, Text
from fivefold.store.accounts.plans import MOST_DAYS
from fivefold.usecases.accounts import organisations, token_requests
from fivefold.usecases.accounts.organisations import MemberLine
from fivefold.usecases.accounts.token_requests import (
    HalfOfSecret,
    PlanLine,
    TokenRequestLine,
    TokenShown,
    TokenSpecification,
)

RoleOfMember = Literal["investigator", "approver", "publisher", "admin", "commercial"]


class RolesGiven(RequestModel):
    """The roles that a member is to have, and no others."""

    roles: list[RoleOfMember] = Field(min_length=1)


class MemberGiven(RolesGiven):
    """A new member, or one who comes back."""

    name: Text = Field(min_length=1, max_length=200)


def list_members(context: RequestContext, query: PageQuery) -> Page[MemberLine]:
    """List the members, those who left too."""
    return organisations.list_members(context, query.part)


def add_member(context: RequestContext, body: MemberGiven) -> MemberLine:
    """Add a member, or take back one who left.

    Tokens are not made here: `fivefold tokens create --member NAME` makes them, on the machine.
    """
    return organisations.add_member(context, body.name, body.roles)


def set_roles(context: RequestContext, member: Number, body: RolesGiven) -> MemberLine:
    """Give a member these roles and no others; tokens of roles that they lose end at once."""
    return organisations.set_roles(context, member, body.roles)


def leave(context: RequestContext, member: Number) -> MemberLine:
    """Note that a member has left; all their tokens end at once."""
    return organisations.end_membership(context, member)


class TokenWanted(RequestModel):
    """What a token is to be: a member's, who has its role, or a program's where `member` is not given.

    With `mcp_changes` the tools of /mcp that change something are there for it, as far as its role goes.
    """

    role: Literal["app", "investigator", "approver", "publisher", "admin", "commercial"]
    plan: Text
    member: Annotated[int, Field(ge=1, le=LARGEST), WHOLE] | None = None
    label: Text = Field(default="", max_length=200)
    expires_days: Annotated[int, Field(ge=1, le=MOST_DAYS), WHOLE] | None = None
    mcp_changes: bool = False


class PageOfTokens(PageQuery):
    """Whose tokens: everybody's by default."""

    member: Number | None = None


class PageOfRequests(PageQuery):
    """Of which state: asked, made or refused; all by default."""

    state: Literal["asked", "made", "refused"] | None = None


class RequestSeen(RequestModel):
    """Which request was looked at: where it is left out, that is not checked.

    `expected_asked_at` is its `asked_at`, as after a restore another request may have its number.
    """

    expected_asked_at: MomentGiven | None = None


class TokenSeen(RequestModel):
    """Which token was looked at: where it is left out, that is not checked.

    `expected_created_at` is its `created_at`, as after a restore another token may have its number.
    """

    expected_created_at: MomentGiven | None = None


def list_plans(context: RequestContext, query: PageQuery) -> Page[PlanLine]:
    """List the plans that tokens may have, with their limits, by name."""
    return token_requests.list_plans(context.plans, query.part)


def list_tokens(context: RequestContext, query: PageOfTokens) -> Page[TokenShown]:
    """List the tokens without their secrets, the newest first, with what they used up in this month."""
    return token_requests.list_tokens(context, query.member, query.part)


def revoke_token(context: RequestContext, number: Number, query: TokenSeen) -> None:
    """End a token at once; a second time changes nothing."""
    token_requests.revoke_token(context, number, query.expected_created_at)


def list_token_requests(context: RequestContext, query: PageOfRequests) -> Page[TokenRequestLine]:
    """List the tokens that were asked for, the newest first."""
    return token_requests.list_requests(context, query.state, query.part)


def ask_for_token(context: RequestContext, body: TokenWanted) -> HalfOfSecret:
    """Ask for a token, and get the first half of its secret; another administrator approves it.

    The secret is `FIRST.SECOND`, with a dot between the halves; each half is shown only once, to one of the two.
    """
    wanted = TokenSpecification(
        role=body.role,
        plan=body.plan,
        member_id=body.member,
        label=body.label,
        expires_days=body.expires_days,
        mcp_changes=body.mcp_changes,
    )
    return token_requests.request_token(context, context.plans, wanted)


def approve_token(context: RequestContext, token_request: Number, query: RequestSeen) -> HalfOfSecret:
    """Make a token that another administrator asked for, and get the second half of its secret."""
    return token_requests.approve_token(context, context.plans, token_request, query.expected_asked_at)


def refuse_token(context: RequestContext, token_request: Number, query: RequestSeen) -> TokenRequestLine:
    """Refuse a token that was asked for, or take back one's own request."""
    return token_requests.refuse_token(context, token_request, query.expected_asked_at)
