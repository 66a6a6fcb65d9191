"""Members, their roles, and tokens, as administrators manage them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fivefold.console.repeats import once
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address, existing_number
from fivefold.domain.clock import DAY_US
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.accounts.tokens import LONGEST_DAYS
from fivefold.usecases.accounts import organisations, token_requests
from fivefold.usecases.accounts.credentials import month_of
from fivefold.usecases.accounts.organisations import MemberLine, list_members
from fivefold.usecases.accounts.token_requests import (
    ASKED,
    HalfOfSecret,
    PlanLine,
    TokenRequestLine,
    TokenShown,
    TokenSpecification,
    list_tokens,
)
from fivefold.usecases.shared.actors import OF_MEMBERS, Role

MEMBERS: Final = "/console/administration"
ROLES: Final = tuple(role for role in Role if role in OF_MEMBERS)
TOKENS_OF_MEMBER: Final = Part(20)


@dataclass(frozen=True, kw_only=True)
class MembersPage:
    """The members, the oldest first; `roles`: those that a new member may have."""

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
    """List the members, including those who have left."""
    members = organisations.list_members(visit, visit.part("members"))
    page = MembersPage(members=members, roles=ROLES, next=visit.next_of("members", members))
    return Rendered(template="accounts/members.html", title=text("Members"), page=page)


def show_member(visit: Visit) -> Rendered:
    """Show one member."""
    member = organisations.read_member(visit, _number(visit))
    page = MemberPage(member=member, roles=ROLES, tokens=list_tokens(visit, member.id, TOKENS_OF_MEMBER))
    return Rendered(template="accounts/member.html", title=member.name, page=page)


def add_member(visit: Visit) -> Answer:
    """Add a member, or again one who has left; their page follows."""
    added = organisations.add_member(visit, visit.typed("name", text("Name")), _ticked(visit))
    return Redirect(address("administration", "members", str(added.id)), "member-added")


def set_roles(visit: Visit) -> Answer:
    """Give a member only the ticked roles; refused if another person changed the roles meanwhile."""
    roles_shown = visit.form.get("seen", "").split()
    organisations.set_roles(visit, _number(visit), _ticked(visit), roles_shown)
    return Redirect(visit.path, "roles-set")


def leave(visit: Visit) -> Answer:
    """Note that a member has left."""
    organisations.end_membership(visit, _number(visit))
    return Redirect(visit.path, "member-left")


def _number(visit: Visit) -> int:
    return existing_number(visit.parts["member"], text("member"))


def _ticked(visit: Visit) -> list[str]:
    return [role for role in ROLES if visit.form.get(f"role_{role}")]


WAITING: Final = 20
TOKENS: Final = "/console/administration/tokens"


@dataclass(frozen=True, kw_only=True)
class TokensPage:
    """The tokens, the newest first, and the waiting requests, the oldest first.

    Attributes:
        hindrances: why a waiting request can no longer be approved, by its number.
        members: those who may receive one.
        plans: the names of the plans.
        roles: of a person's token.
    """

    waiting: Page[TokenRequestLine]
    next_waiting: str | None
    hindrances: Mapping[int, str]
    tokens: Page[TokenShown]
    members: tuple[MemberLine, ...]
    plans: tuple[str, ...]
    roles: tuple[Role, ...]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class HalfPage:
    """One half of a secret, shown only in the answer to the form: no address leads to it.

    Attributes:
        is_second: the token is created; this is the half after the dot.
    """

    half: HalfOfSecret
    is_second: bool


@dataclass(frozen=True, kw_only=True)
class TokenUsage:
    """The usage of a token, and the limits of its plan; None if there is no longer such a plan."""

    token: TokenShown
    plan: PlanLine | None


@dataclass(frozen=True, kw_only=True)
class UsagePage:
    """The plans, and the usage of each token in a month (UTC)."""

    month: str
    plans: tuple[PlanLine, ...]
    lines: tuple[TokenUsage, ...]
    next: str | None


def show_tokens(visit: Visit) -> Rendered:
    """List the tokens, and the requests that wait for another administrator."""
    tokens = token_requests.list_tokens(visit, part=visit.part("tokens"))
    waiting = token_requests.list_requests(visit, ASKED, visit.part("waiting", WAITING, beside=True), oldest_first=True)
    members = tuple(member for member in list_members(visit, WHOLE) if member.left_us is None)
    roles = {member.id: member.roles for member in members}
    page = TokensPage(
        waiting=waiting,
        next_waiting=visit.next_of("waiting", waiting, beside=True),
        hindrances={line.id: why for line in waiting if (why := _hindrance(line, roles, visit.now()))},
        tokens=tokens,
        members=members,
        plans=tuple(visit.plans),
        roles=ROLES,
        next=visit.next_of("tokens", tokens),
    )
    return Rendered(template="accounts/tokens.html", title=text("Tokens"), page=page)


def _hindrance(line: TokenRequestLine, roles: Mapping[int, tuple[str, ...]], now_us: int) -> str:
    """Say why a request can no longer be approved; empty if it can. *roles*: of the present members."""
    if now_us - line.asked_us >= LONGEST_DAYS * DAY_US:
        return text(
            "It is older than {days} days, so it cannot be approved: request the token again.", days=LONGEST_DAYS
        )
    if line.member_id is not None and line.role not in roles.get(line.member_id, ()):
        return text("The member no longer has this role, so it cannot be approved.")
    return ""


def show_usage(visit: Visit) -> Rendered:
    """Show the plans, and the usage of each token this month."""
    tokens = token_requests.list_tokens(visit, part=visit.part("usage"))
    limits = {plan.name: plan for plan in token_requests.list_plans(visit.plans)}
    page = UsagePage(
        month=month_of(visit.now()),
        plans=tuple(limits.values()),
        lines=tuple(TokenUsage(token=token, plan=limits.get(token.plan)) for token in tokens),
        next=visit.next_of("usage", tokens),
    )
    return Rendered(template="accounts/usage.html", title=text("Plans and usage"), page=page)


def ask(visit: Visit) -> Answer:
    """Request a token, and show the first half of its secret; the same form sent twice requests one."""
    member, days = (visit.form.get(name, "").strip() for name in ("member", "expires_days"))
    wanted = TokenSpecification(
        role=visit.typed("role", text("Role")),
        plan=visit.typed("plan", text("Plan")),
        member_id=visit.number("member", text("Member")) if member else None,
        label=visit.form.get("label", "").strip(),
        expires_days=visit.number("expires_days", text("Days until it ends")) if days else None,
        mcp_changes=visit.form.get("mcp_changes") == "1",
    )
    return once(visit, lambda: _shown(token_requests.request_token(visit, visit.plans, wanted), is_second=False))


def approve(visit: Visit) -> Answer:
    """Approve a token that another administrator requested, and show the second half of its secret."""
    number = visit.number("request", text("Request"))
    half = token_requests.approve_token(visit, visit.plans, number, visit.shown_moment("asked"))
    return _shown(half, is_second=True)


def refuse(visit: Visit) -> Answer:
    """Refuse a request, or withdraw one's own."""
    token_requests.refuse_token(visit, visit.number("request", text("Request")), visit.shown_moment("asked"))
    return Redirect(visit.path, "token-refused")


def revoke(visit: Visit) -> Answer:
    """End a token at once."""
    token_requests.revoke_token(visit, visit.number("token", text("Token")), visit.shown_moment("created"))
    return Redirect(visit.path, "token-revoked")


def _shown(half: HalfOfSecret, *, is_second: bool) -> Rendered:
    page = HalfPage(half=half, is_second=is_second)
    return Rendered(template="accounts/half.html", title=text("One half of a token"), page=page)
