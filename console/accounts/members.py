"""Members and their roles, as administrators manage them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address, existing_number
from fivefold.domain.paging import Page, Part
from fivefold.usecases.accounts import organisations
from fivefold.usecases.accounts.organisations import MemberLine
from fivefold.usecases.accounts.token_requests import TokenShown, list_tokens
from fivefold.usecases.shared.actors import OF_MEMBERS, Role

MEMBERS: Final = "/console/administration"
ROLES: Final = tuple(role for role in Role if role in OF_MEMBERS)
TOKENS_OF_MEMBER: Final = Part(20)


@dataclass(frozen=True, kw_only=True)
class MembersPage:
    """The members, the oldest first; `roles` are those that a new one may have."""

    members: Page[MemberLine]
    roles: tuple[Role, ...]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class MemberPage:
    """One member: their roles, and their newest tokens, which end with them."""

    member: MemberLine
    roles: tuple[Role, ...]
    tokens: Page[TokenShown]


def show_members(visit: Visit) -> Rendered:
    """List the members, those who left too."""
    members = organisations.list_members(visit, visit.part("members"))
    page = MembersPage(members=members, roles=ROLES, next=visit.next_of("members", members))
    return Rendered(template="accounts/members.html", title=text("Members"), page=page)


def show_member(visit: Visit) -> Rendered:
    """Show one member."""
    member = organisations.read_member(visit, _number(visit))
    page = MemberPage(member=member, roles=ROLES, tokens=list_tokens(visit, member.id, TOKENS_OF_MEMBER))
    return Rendered(template="accounts/member.html", title=member.name, page=page)


def add_member(visit: Visit) -> Answer:
    """Add a member, or take back one who left; their page follows."""
    added = organisations.add_member(visit, visit.typed("name", text("Name")), _ticked(visit, ROLES))
    return Redirect(address("administration", "members", str(added.id)), "member-added")


def set_roles(visit: Visit) -> Answer:
    """Give a member the ticked roles and no others; refused where another person changed them meanwhile."""
    roles_shown = visit.form.get("seen", "").split()
    organisations.set_roles(visit, _number(visit), _ticked(visit, ROLES), roles_shown)
    return Redirect(visit.path, "roles-set")


def leave(visit: Visit) -> Answer:
    """Note that a member has left."""
    organisations.end_membership(visit, _number(visit))
    return Redirect(visit.path, "member-left")


def _number(visit: Visit) -> int:
    return existing_number(visit.parts["member"], text("member"))


def _ticked(visit: Visit, roles: Iterable[Role]) -> list[str]:
    return [role for role in roles if visit.form.get(f"role_{role}")]
