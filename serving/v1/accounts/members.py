"""Members and their roles."""

from typing import Literal

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageAsked
from fivefold.serving.v1.route import Asked
from fivefold.serving.v1.schemas import Given, Moment, Number, Shown, Text
from fivefold.usecases.accounts import organisations

RoleOfMember = Literal["investigator", "approver", "publisher", "admin"]


class RolesGiven(Given):
    """The roles that a member is to have, and no others."""

    roles: list[RoleOfMember] = Field(min_length=1)


class MemberGiven(RolesGiven):
    """A new member, or one who comes back."""

    name: Text = Field(min_length=1, max_length=200)


class Member(Shown):
    """A member; one who left has no tokens any more."""

    id: int
    name: str
    roles: list[str]
    created_at: Moment = Field(validation_alias="created_us")
    left_at: Moment | None = Field(validation_alias="left_us")


def list_members(asked: Asked, query: PageAsked) -> Page[Member]:
    """List the members, those who left too."""
    return organisations.list_members(asked.engine, asked.actor, query.part).map(Member.of)


def add_member(asked: Asked, body: MemberGiven) -> Member:
    """Add a member, or take back one who left.

    Tokens are not made here: `fivefold tokens create --member NAME` makes them, on the machine.
    """
    return Member.of(organisations.add_member(asked.engine, asked.actor, body.name, body.roles))


def set_roles(asked: Asked, member: Number, body: RolesGiven) -> Member:
    """Give a member these roles and no others; tokens of roles that they lose end at once."""
    return Member.of(organisations.set_roles(asked.engine, asked.actor, member, body.roles))


def leave(asked: Asked, member: Number) -> Member:
    """Note that a member has left; all their tokens end at once."""
    return Member.of(organisations.end_membership(asked.engine, asked.actor, member))
