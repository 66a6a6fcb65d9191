"""Members and their roles."""

from typing import Literal

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import Number, RequestModel, Text
from fivefold.usecases.accounts import organisations
from fivefold.usecases.accounts.organisations import MemberLine

RoleOfMember = Literal["investigator", "approver", "publisher", "admin"]


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
