"""Tokens: created, shown once, listed with their usage, and revoked."""

import secrets
from dataclasses import dataclass

from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError
from fivefold.store.accounts import tokens as accounts
from fivefold.store.accounts.plans import MOST_DAYS, Plan, plan_named
from fivefold.store.accounts.tokens import member_named
from fivefold.store.audit.bound_rows import digests
from fivefold.store.sql.clocks import clock_of
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.accounts import Member, Token
from fivefold.usecases.accounts.credentials import hash_of, month_of, token_state
from fivefold.usecases.accounts.organisations import refuse_long_name
from fivefold.usecases.shared.actors import OF_MEMBERS, SYSTEM, Actor, Role
from fivefold.usecases.shared.api_fields import row_as
from fivefold.usecases.shared.context import Context, record

SECRET_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class TokenLine:
    """A token in a list: everything but its secret, which is not stored."""

    id: int
    organisation: str
    label: str
    member: str
    role: str
    plan: str
    state: str
    mcp_changes: bool
    created_us: int
    expires_us: int | None
    last_used_us: int | None
    calls: int
    users: int


def create_token(
    engine: Engine,
    plans: dict[str, Plan],
    *,
    plan: str,
    role: str = "app",
    organisation: str = accounts.DEFAULT_ORGANISATION,
    label: str = "",
    member: str = "",
    expires_days: int | None = None,
    mcp_changes: bool = False,
    actor: str = SYSTEM,
) -> tuple[int, str]:
    """Make a token; return its number and its secret, which is not stored and cannot be shown again.

    An app's belongs to a program, every other one to the *member* of that name, who must have its role. With
    *mcp_changes* it may call the tools of `/mcp` that change something, as far as its role allows. It is recorded in
    the organisation's audit log, with its rights and its end. ConfigError if it cannot be made.
    """
    limits = plan_named(plans, plan)
    require_owner(role, member)
    for what, name in (("organisation", organisation), ("label", label)):
        refuse_long_name(what, name)
    days = days_of(limits, member, expires_days)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    with writing(engine) as session:
        now = clock_of(engine).now_us()
        organisation_id = accounts.organisation_named(session, organisation, now).id
        token = Token(
            organisation_id=organisation_id,
            member_id=owner_named(session, organisation_id, member, role).id if member else None,
            sha256=hash_of(secret),
            label=label,
            role=role,
            plan=plan,
            mcp_changes=mcp_changes,
            created_us=now,
            expires_us=None if days is None else now + days * DAY_US,
        )
        session.add(token)
        session.flush()
        record(
            session,
            Actor(token.organisation_id, actor),
            "token.created",
            ("token", token.id),
            after={"organisation": organisation, "label": label, **audit_details(token)},
            details=audit_details(token),
            rows=digests(session, "tokens", [token.id]),
        )
        return token.id, secret


def days_of(limits: Plan, member: str, expires_days: int | None) -> int | None:
    """Return the days after which a token expires; None for never. ConfigError for an invalid number.

    A trial ends by itself; a person's access ends with their role, or when it is revoked.
    """
    days = (None if member else limits.expires_days) if expires_days is None else expires_days
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise ConfigError(f"expires_days is {days}; it must be from 1 to {MOST_DAYS}")
    return days


def require_owner(role: str, member: str) -> None:
    """Raise ConfigError if there is no such role, or its token needs a member, or may not have one."""
    if role not in list(Role):
        raise ConfigError(f"role is {role!r}; it must be one of {', '.join(Role)}")
    if role in OF_MEMBERS and not member:
        raise ConfigError(f"a token of the role {role} belongs to a member; name the member")
    if role not in OF_MEMBERS and member:
        raise ConfigError(f"a token of the role {role} belongs to a program, not to a member")


def owner_named(session: Session, organisation_id: int, name: str, role: str) -> Member:
    """Find the future owner of a token, who cannot change until the transaction ends.

    ConfigError if there is none, or they do not have the role.
    """
    member = member_named(session, organisation_id, name)
    if member is None or member.left_us is not None:
        raise ConfigError(f"there is no member {name!r}; `fivefold members list` shows them")
    if role not in member.roles:
        raise ConfigError(f"{name!r} does not have the role {role}; theirs: {', '.join(member.roles)}")
    return member


def revoke_token(engine: Engine, token_id: int, *, actor: str = SYSTEM) -> None:
    """End a token at once, and record that; ConfigError if there is none of that number.

    Revoking a revoked token changes nothing, and records nothing.
    """
    with writing(engine) as session:
        now = clock_of(engine).now_us()
        # One update decides whether it was live: of two concurrent revocations only one is recorded.
        revocation = update(Token).where(Token.id == token_id, Token.revoked_us.is_(None)).values(revoked_us=now)
        organisation_id = session.scalar(revocation.returning(Token.organisation_id))
        if organisation_id is None:
            if session.get(Token, token_id) is None:
                raise ConfigError(f"there is no token {token_id}; `fivefold tokens list` shows them")
            return
        record(
            session,
            Actor(organisation_id, actor),
            "token.revoked",
            ("token", token_id),
            before={"revoked_us": None},
            after={"revoked_us": now},
            rows=digests(session, "tokens", [token_id]),
        )


def list_tokens(engine: Engine, month: str | None = None) -> list[TokenLine]:
    """List all tokens with their usage in a month, by default the current one."""
    now = clock_of(engine).now_us()
    with reading(engine) as session:
        usage = accounts.usage_in(session, month or month_of(now))
        return [
            row_as(
                TokenLine,
                token,
                organisation=organisation,
                member=member,
                state=token_state(token, now),
                calls=usage[token.id].calls if token.id in usage else 0,
                users=usage[token.id].users if token.id in usage else 0,
            )
            for token, organisation, member in accounts.tokens(session)
        ]


def program_named(context: Context, actor: str) -> str | None:
    """Return the label of the token by which a program acts, such as token:12; None for others."""
    kind, _, number = actor.partition(":")
    if kind != "token" or not number.isdecimal():
        return None
    with context.reading() as session:
        return accounts.labels_of_tokens(session, context.organisation_id, [int(number)]).get(int(number)) or None


def audit_details(token: Token) -> dict[str, str | int | bool | None]:
    """Return the details of a token that the audit log keeps for good."""
    whose = {} if token.member_id is None else {"member": token.member_id}
    return {
        "role": token.role,
        "plan": token.plan,
        "mcp_changes": token.mcp_changes,
        "expires_us": token.expires_us,
        **whose,
    }
