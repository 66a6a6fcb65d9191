"""Tokens as an organisation's administrators manage them remotely: listed, revoked, and made by two of them.

One administrator requests a token and is shown one half of its secret; another one approves it and is shown the other.
Neither has the whole, so that nobody makes a second person, or a program, for themselves. At the machine one command
makes a token: `usecases.accounts.tokens`.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError
from fivefold.domain.paging import WHOLE, Page, Part, page_among
from fivefold.store.accounts import tokens as accounts
from fivefold.store.accounts.plans import Plan, plan_named
from fivefold.store.accounts.tokens import LONGEST_DAYS, locked_member
from fivefold.store.audit.bound_rows import digests, merge_digests
from fivefold.store.tables.accounts import Member, Token, TokenRequest, Usage
from fivefold.usecases.accounts.credentials import hash_of, hash_of_halves, month_of, token_state
from fivefold.usecases.accounts.organisations import refuse_long_name
from fivefold.usecases.accounts.second_person import is_member
from fivefold.usecases.accounts.tokens import SECRET_BYTES, audit_details, days_of, owner_named, require_owner
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import refuse_unseen_moment, require_known

ASKED, MADE, REFUSED = "asked", "made", "refused"
STATES = (ASKED, MADE, REFUSED)


@schema("Token")
@dataclass(frozen=True, kw_only=True)
class TokenShown:
    """A token without its secret, which is not stored; `calls` and `users` are its usage in this month (UTC).

    Attributes:
        member: the owner's name; None for a program's.
        state: live, revoked or expired.
        mcp_changes: whether it may call tools of /mcp that change something.
        last_used_us: exact to a day.
        calls: answered requests to score.
        users: customers scored.
    """

    id: int
    label: str
    member_id: int | None
    member: str | None
    role: str
    plan: str
    state: str
    mcp_changes: bool
    created_us: Annotated[Moment, shown_as("created_at")]
    expires_us: Annotated[Moment | None, shown_as("expires_at")]
    last_used_us: Annotated[Moment | None, shown_as("last_used_at")]
    calls: int
    users: int


@schema("TokenRequest")
@dataclass(frozen=True, kw_only=True)
class TokenRequestLine:
    """A requested token: for whom, by whom, and who decided.

    Attributes:
        state: asked, made or refused.
        mcp_changes: whether it may call tools of /mcp that change something.
        token_id: the number of the token, once it is made.
    """

    id: int
    label: str
    member_id: int | None
    member: str | None
    role: str
    plan: str
    expires_days: int | None
    mcp_changes: bool
    state: str
    asked_by: str
    asked_us: Annotated[Moment, shown_as("asked_at")]
    decided_by: str | None
    decided_us: Annotated[Moment | None, shown_as("decided_at")]
    token_id: int | None


@schema("HalfOfSecret")
@dataclass(frozen=True, kw_only=True)
class HalfOfSecret:
    """One half of the secret of a token, which is shown only once; the secret is `FIRST.SECOND`."""

    request: TokenRequestLine
    half: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class TokenSpecification:
    """The properties of a token to make.

    Attributes:
        member_id: its owner; None for a program's.
        expires_days: it expires this many days after it was made; None for the plan's number, or never for a person's.
        mcp_changes: whether it may call tools of /mcp that change something.
    """

    role: str
    plan: str
    member_id: int | None = None
    label: str = ""
    expires_days: int | None = None
    mcp_changes: bool = False


@schema("Plan")
@dataclass(frozen=True, kw_only=True)
class PlanLine:
    """The limits of a token; null for no limit, or no end.

    Attributes:
        requests_per_minute: of each worker process.
        changes_per_minute: by tools of /mcp, of each worker process.
        expires_days: a program's token expires this many days after it was made.
    """

    name: str
    rows_per_request: int
    calls_per_month: int
    users_per_month: int
    requests_per_minute: int | None
    changes_per_minute: int | None
    expires_days: int | None


def list_plans(plans: Mapping[str, Plan], part: Part = WHOLE) -> Page[PlanLine]:
    """List the plans that tokens may have, by name."""
    lines = [PlanLine(name=name, **plans[name].model_dump()) for name in sorted(plans)]
    return page_among(lines, lambda line: (line.name,), part)


def list_tokens(context: Context, member_id: int | None = None, part: Part = WHOLE) -> Page[TokenShown]:
    """List the organisation's tokens, perhaps of one member, the newest first, with their usage in this month."""
    now = context.now()
    with context.reading() as session:
        rows = accounts.tokens_of(session, context.organisation_id, month_of(now), member_id, part)
        return rows.map(lambda row: _token(*row, now))


def revoke_token(context: Context, number: int, expected_created_us: int | None = None) -> None:
    """End a token at once; a second time changes and records nothing.

    *expected_created_us*: when the token that the caller saw was made; None for no check.

    Raises:
        NotFoundError: there is no such token.
        ConflictError: it is another one than was expected.
    """
    now = context.now()
    with context.writing() as session:
        token = accounts.token_numbered(session, context.organisation_id, number)
        refuse_unseen_moment(f"token {number}", expected_created_us, token.created_us)
        if token.revoked_us is not None:
            return
        token.revoked_us = now
        session.flush()
        context.record(
            session,
            "token.revoked",
            ("token", number),
            before={"revoked_us": None},
            after={"revoked_us": now},
            rows=digests(session, "tokens", [number]),
        )


def list_requests(
    context: Context, state: str | None = None, part: Part = WHOLE, *, oldest_first: bool = False
) -> Page[TokenRequestLine]:
    """List the requests for tokens, of one of `STATES` or of all; ConfigError for another state.

    The newest come first unless *oldest_first*.
    """
    require_known("state", [state], STATES)
    with context.reading() as session:
        rows = accounts.requests_of(session, context.organisation_id, state, part, oldest_first=oldest_first)
        return rows.map(lambda row: _line(*row))


def request_token(context: Context, plans: Mapping[str, Plan], specification: TokenSpecification) -> HalfOfSecret:
    """Request a token, and return the first half of its secret, which is useless before another administrator approves.

    Raises:
        ConfigError: there is no such plan or role; the member does not have the role, or has left; or a value is
            invalid.
        NotFoundError: there is no such member.
        ConflictError: the requester is not a member, so the approver could be the same person.
    """
    now = context.now()
    _refuse_nobody(context)
    half = secrets.token_urlsafe(SECRET_BYTES)
    with context.writing() as session:
        member = _future_owner(session, context, plans, specification)
        row = TokenRequest(
            organisation_id=context.organisation_id,
            member_id=None if member is None else member.id,
            role=specification.role,
            plan=specification.plan,
            label=specification.label,
            expires_days=specification.expires_days,
            mcp_changes=specification.mcp_changes,
            half_sha256=hash_of(half),
            state=ASKED,
            asked_by=context.actor.name,
            asked_us=now,
        )
        session.add(row)
        session.flush()
        _record(session, context, "token.asked", row, {"label": specification.label})
        return HalfOfSecret(request=_line(row, None if member is None else member.name), half=half)


def approve_token(
    context: Context, plans: Mapping[str, Plan], number: int, expected_asked_us: int | None = None
) -> HalfOfSecret:
    """Make a token that another administrator requested, and return the second half of its secret.

    *expected_asked_us*: when the request that the caller saw was made; None for no check.

    Raises:
        NotFoundError: there is no such request.
        ConfigError: by now there is no such plan, or the member has left or lost the role.
        ConflictError: the actor requested it, or is not a member; it was decided; it is older than `LONGEST_DAYS`; or
            it is another request than the caller saw.
    """
    now = context.now()
    half = secrets.token_urlsafe(SECRET_BYTES)
    with context.writing() as session:
        row = _undecided(session, context, number, expected_asked_us)
        _refuse_nobody(context)
        if row.asked_by == context.actor.name:
            raise ConflictError(f"{context.actor.name} requested it, so another administrator approves it")
        if now - row.asked_us >= LONGEST_DAYS * DAY_US:
            raise ConflictError(f"request {number} is older than {LONGEST_DAYS} days; request the token again")
        specification = TokenSpecification(
            role=row.role,
            plan=row.plan,
            member_id=row.member_id,
            label=row.label,
            expires_days=row.expires_days,
            mcp_changes=row.mcp_changes,
        )
        member = _future_owner(session, context, plans, specification)
        name = "" if member is None else member.name
        days = days_of(plans[row.plan], name, row.expires_days)
        token = Token(
            organisation_id=context.organisation_id,
            member_id=row.member_id,
            sha256=hash_of_halves(row.half_sha256, half),
            label=row.label,
            role=row.role,
            plan=row.plan,
            mcp_changes=row.mcp_changes,
            created_us=now,
            expires_us=None if days is None else now + days * DAY_US,
        )
        session.add(token)
        session.flush()
        row.token_id = token.id
        _decide(row, MADE, context, now)
        session.flush()
        details = {**audit_details(token), "request": row.id, "asked_by": row.asked_by}
        after = {"label": row.label, **audit_details(token)}
        rows = merge_digests(digests(session, "tokens", [token.id]), digests(session, "token_requests", [row.id]))
        context.record(session, "token.created", ("token", token.id), after=after, details=details, rows=rows)
        return HalfOfSecret(request=_line(row, name or None), half=half)


def refuse_token(context: Context, number: int, expected_asked_us: int | None = None) -> TokenRequestLine:
    """Refuse a request, or withdraw one's own; *expected_asked_us* as of `approve_token`.

    NotFoundError if there is no such request; ConflictError if it was decided, or is not the one that the caller saw.
    """
    now = context.now()
    with context.writing() as session:
        row = _undecided(session, context, number, expected_asked_us)
        _decide(row, REFUSED, context, now)
        session.flush()
        _record(session, context, "token.refused", row)
        member = None if row.member_id is None else session.get_one(Member, row.member_id).name
        return _line(row, member)


def _future_owner(
    session: Session, context: Context, plans: Mapping[str, Plan], specification: TokenSpecification
) -> Member | None:
    """Return the future owner of a token; raises the errors of `request_token`."""
    limits = plan_named(plans, specification.plan)
    name = ""
    if specification.member_id is not None:
        name = locked_member(session, context.organisation_id, specification.member_id).name
    require_owner(specification.role, name)
    refuse_long_name("label", specification.label)
    days_of(limits, name, specification.expires_days)
    return owner_named(session, context.organisation_id, name, specification.role) if name else None


def _refuse_nobody(context: Context) -> None:
    if not is_member(context.actor.name):
        raise ConflictError(
            f"{context.actor.name} is not a member, and two administrators make a token; at the machine it is"
            " `fivefold tokens create`"
        )


def _undecided(session: Session, context: Context, number: int, expected_asked_us: int | None) -> TokenRequest:
    row = accounts.request_numbered(session, context.organisation_id, number)
    refuse_unseen_moment(f"request {number}", expected_asked_us, row.asked_us)
    if row.state != ASKED:
        raise ConflictError(f"request {number} was decided already: {row.state}")
    return row


def _decide(row: TokenRequest, state: str, context: Context, now_us: int) -> None:
    row.state, row.decided_by, row.decided_us = state, context.actor.name, now_us


def _record(
    session: Session, context: Context, action: str, row: TokenRequest, after: Mapping[str, str] | None = None
) -> None:
    details = {"role": row.role, "plan": row.plan, "member": row.member_id, "expires_days": row.expires_days}
    details |= {"mcp_changes": row.mcp_changes}
    rows = digests(session, "token_requests", [row.id])
    context.record(session, action, ("token_request", row.id), after=after, details=details, rows=rows)


def _token(token: Token, member: str | None, usage: Usage | None, now_us: int) -> TokenShown:
    """Describe a token with its usage."""
    return row_as(
        TokenShown,
        token,
        member=member,
        state=token_state(token, now_us),
        calls=0 if usage is None else usage.calls,
        users=0 if usage is None else usage.users,
    )


def _line(row: TokenRequest, member: str | None) -> TokenRequestLine:
    """Describe a request for a token."""
    return row_as(TokenRequestLine, row, member=member)
