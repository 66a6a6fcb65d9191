"""Tokens: made once, shown once, checked at every call, revoked at once; and what they used up."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from itertools import groupby
from math import ceil

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds, now_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.store.accounts import tokens as accounts
from fivefold.store.accounts.members import member_named, roles_of
from fivefold.store.accounts.plans import MOST_DAYS, Plan, plan_named
from fivefold.store.accounts.tokens import Charge, Used
from fivefold.store.sql.database import reading, writing
from fivefold.store.sql.fast_statements import PreparedStatements
from fivefold.store.tables.accounts import Token
from fivefold.store.tables.events import Member
from fivefold.usecases.accounts.organisations import DEFAULT_ORGANISATION, refuse_long_name
from fivefold.usecases.shared.actors import OF_MEMBERS, SYSTEM, Actor, Role
from fivefold.usecases.shared.context import record

SECRET_BYTES = 32


@dataclass(frozen=True)
class Credential:
    """What the service needs to know about a token that may be used.

    Attributes:
        expires_us: when it ends, microseconds; None for never.
        member_id: its owner; None for a program's token, and for an admin's that is older than members.
    """

    token_id: int
    role: str
    plan: str
    expires_us: int | None
    organisation_id: int
    member_id: int | None = None

    @property
    def actor(self) -> Actor:
        """Who acts with it: the member, whichever of their tokens they use, or else the token itself.

        >>> Credential(12, "publisher", "trial", None, 1, 3).actor
        Actor(organisation_id=1, name='member:3')
        """
        name = f"token:{self.token_id}" if self.member_id is None else f"member:{self.member_id}"
        return Actor(self.organisation_id, name)


@dataclass(frozen=True)
class TokenLine:
    """A token as it is listed: everything but its secret, which is not stored."""

    id: int
    organisation: str
    label: str
    member: str
    role: str
    plan: str
    state: str
    created_us: int
    expires_us: int | None
    last_used_us: int | None
    calls: int
    users: int


def month_of(now_us: int) -> str:
    """Name the calendar month (UTC) of a moment.

    >>> month_of(0)
    '1970-01'
    """
    return _month_of_day(now_us // DAY_US)


@lru_cache(maxsize=8)
def _month_of_day(day: int) -> str:
    return f"{from_microseconds(day * DAY_US):%Y-%m}"


def create_token(
    engine: Engine,
    plans: dict[str, Plan],
    *,
    plan: str,
    role: str = "app",
    organisation: str = DEFAULT_ORGANISATION,
    label: str = "",
    member: str = "",
    expires_days: int | None = None,
    actor: str = SYSTEM,
) -> tuple[int, str]:
    """Make a token; give its number and its secret, which is kept nowhere and cannot be shown again.

    An app's belongs to a program, every other one to the *member* of that name, who must have its role. It is recorded
    in the organisation's audit log, by what it may do and for how long. ConfigError where it cannot be made.
    """
    limits = plan_named(plans, plan)
    _require_owner(role, member)
    for what, name in (("organisation", organisation), ("label", label)):
        refuse_long_name(what, name)
    # A trial ends by itself; a person's access ends with their role, or when it is revoked.
    days = (None if member else limits.expires_days) if expires_days is None else expires_days
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise ConfigError(f"expires_days is {days}; it must be from 1 to {MOST_DAYS}")
    now = now_microseconds()
    secret = secrets.token_urlsafe(SECRET_BYTES)
    with writing(engine) as session:
        organisation_id = accounts.organisation_named(session, organisation, now).id
        token = Token(
            organisation_id=organisation_id,
            member_id=_owner(session, organisation_id, member, role).id if member else None,
            sha256=hash_of(secret),
            label=label,
            role=role,
            plan=plan,
            created_us=now,
            expires_us=None if days is None else now + timedelta(days=days) // timedelta(microseconds=1),
        )
        session.add(token)
        session.flush()
        record(
            session,
            Actor(token.organisation_id, actor),
            "token.created",
            ("token", token.id),
            after={"organisation": organisation, "label": label, **_said_of(token)},
            details=_said_of(token),
        )
        return token.id, secret


def _require_owner(role: str, member: str) -> None:
    if role not in list(Role):
        raise ConfigError(f"role is {role!r}; it must be one of {', '.join(Role)}")
    if role in OF_MEMBERS and not member:
        raise ConfigError(f"a token of the role {role} belongs to a member; say to whom")
    if role not in OF_MEMBERS and member:
        raise ConfigError(f"a token of the role {role} belongs to a program, and to no member")


def _owner(session: Session, organisation_id: int, name: str, role: str) -> Member:
    """Find the member that a token is to belong to, who stays as they are until the transaction ends."""
    member = member_named(session, organisation_id, name)
    if member is None or member.left_us is not None:
        raise ConfigError(f"there is no member {name!r}; `fivefold members list` shows them")
    if role not in roles_of(member):
        raise ConfigError(f"{name!r} does not have the role {role}; theirs: {', '.join(roles_of(member))}")
    return member


def find_credential(engine: Engine, secret: str) -> Credential | None:
    """Find the token behind a secret; None where there is none, or it is revoked or has ended.

    A member's has ended where the member has left, or does not have its role any more. StoreError where the database is
    out of reach.
    """
    with reading(engine) as session:
        row = accounts.token_by_hash(session, hash_of(secret))
        if row is None or _state(row, now_microseconds()) != "live":
            return None
        if row.member_id is not None:
            member = session.get_one(Member, row.member_id)
            if member.left_us is not None or row.role not in roles_of(member):
                return None
        return Credential(row.id, row.role, row.plan, row.expires_us, row.organisation_id, row.member_id)


def note_use(engine: Engine, token_id: int, now_us: int) -> None:
    """Note that a token was used, at most once a day: lists show the day alone. Scoring notes it with its charge.

    StoreError where the database is out of reach.
    """
    day_before = Token.last_used_us.is_(None) | (Token.last_used_us < now_us - now_us % DAY_US)
    with reading(engine) as session:
        if session.scalar(select(Token.id).where(Token.id == token_id, day_before)) is None:
            return
    with writing(engine) as session:
        session.execute(update(Token).where(Token.id == token_id, day_before).values(last_used_us=now_us))


def revoke_token(engine: Engine, token_id: int, *, actor: str = SYSTEM) -> None:
    """End a token at once, and record that; ConfigError where there is none of that number.

    To revoke one that is revoked already changes nothing, and records nothing.
    """
    now = now_microseconds()
    with writing(engine) as session:
        # One update tells whether it was live: two who revoke it together are not both recorded.
        ended = update(Token).where(Token.id == token_id, Token.revoked_us.is_(None)).values(revoked_us=now)
        organisation_id = session.scalar(ended.returning(Token.organisation_id))
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
        )


def list_tokens(engine: Engine, month: str) -> list[TokenLine]:
    """List all tokens with what they used up in a month."""
    now = now_microseconds()
    with reading(engine) as session:
        used = accounts.usage_in(session, month)
        return [
            TokenLine(
                token.id,
                organisation,
                token.label,
                member,
                token.role,
                token.plan,
                _state(token, now),
                token.created_us,
                token.expires_us,
                token.last_used_us,
                used[token.id].calls if token.id in used else 0,
                used[token.id].users if token.id in used else 0,
            )
            for token, organisation, member in accounts.tokens(session)
        ]


def charge_all(
    statements: PreparedStatements,
    costs: list[Charge],
    is_wanted: Callable[[int], bool] = lambda _: True,
    note: Callable[[Charge, Used], None] = lambda *_: None,
) -> list[bool | None]:
    """Charge several requests in one commit; for each: charged, refused by its plan, or (None) token ended since.

    *is_wanted* is called once the database is ready to write: a charge whose request has ended is left out. *note*
    is given what each token has used up then.
    """
    results: list[bool | None] = [None] * len(costs)
    with statements.transaction():
        # In the order of tokens: two processes that locked the same ones in different orders would wait for each other.
        numbers = sorted(
            filter(is_wanted, range(len(costs))), key=lambda number: (costs[number].token_id, costs[number].month)
        )
        for (token_id, _), group in groupby(numbers, key=lambda number: (costs[number].token_id, costs[number].month)):
            members = list(group)
            if accounts.live(statements, token_id, max(costs[number].at_us for number in members)):
                charged = _charge_group(statements, [costs[number] for number in members], note)
                for number, result in zip(members, charged, strict=True):
                    results[number] = result
    return results


def within_allowance(engine: Engine, cost: Charge) -> bool:
    """Tell whether a charge would be taken now; nothing is charged. StoreError where the database is out of reach."""
    with reading(engine) as session:
        used = accounts.usage_of(session, cost.token_id, cost.month)
    calls, users = (0, 0) if used is None else (used.calls, used.users)
    return calls + cost.calls <= cost.allowance.calls and users + cost.users <= cost.allowance.users


def _charge_group(
    statements: PreparedStatements, costs: list[Charge], note: Callable[[Charge, Used], None]
) -> list[bool]:
    """Charge one token's requests as one where all fit, which is nearly always; else one by one."""
    if len(costs) > 1 and len({cost.allowance for cost in costs}) == 1:
        calls, users = sum(cost.calls for cost in costs), sum(cost.users for cost in costs)
        if accounts.charge(statements, replace(costs[0], calls=calls, users=users), note):
            return [True] * len(costs)
    return [accounts.charge(statements, cost, note) for cost in costs]


def seconds_to_next_month(now_us: int) -> int:
    """Tell in how many seconds the calendar month (UTC) ends: when a used-up allowance is whole again.

    >>> seconds_to_next_month(2_592_000_000_000)  # 1970-01-31
    86400
    """
    now = from_microseconds(now_us)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=32)).replace(day=1)
    return ceil((following - now).total_seconds())


def hash_of(secret: str) -> str:
    """Hash a secret of 256 random bits: no salt or slow hash is needed against guessing."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _said_of(token: Token) -> dict[str, str | int | None]:
    whose = {} if token.member_id is None else {"member": token.member_id}
    return {"role": token.role, "plan": token.plan, "expires_us": token.expires_us, **whose}


def _state(token: Token, now_us: int) -> str:
    if token.revoked_us is not None:
        return "revoked"
    return "expired" if token.expires_us is not None and token.expires_us <= now_us else "live"
