"""Credentials: a token is checked at every call, and charged with its usage."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, lru_cache
from itertools import groupby
from math import ceil

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds, start_of_day
from fivefold.store.accounts import tokens as accounts
from fivefold.store.accounts.tokens import Allowance, Charge, UsageTotals
from fivefold.store.sql.clocks import clock_of
from fivefold.store.sql.database import reading, writing
from fivefold.store.sql.fast_statements import PreparedStatements
from fivefold.store.tables.accounts import Member, Token
from fivefold.usecases.shared.actors import Actor


@dataclass(frozen=True)
class Credential:
    """The data of a usable token that the service needs.

    Attributes:
        expires_us: when it ends, microseconds; None for never.
        member_id: its owner; None for a program's token, and for an admin's from before members existed.
        mcp_changes: whether it may call tools of /mcp that change something; it does not affect `/v1`.
    """

    token_id: int
    role: str
    plan: str
    expires_us: int | None
    organisation_id: int
    member_id: int | None = None
    mcp_changes: bool = False

    @cached_property
    def actor(self) -> Actor:
        """Who acts with it: the member, whichever of their tokens they use, or else the token itself.

        >>> Credential(12, "publisher", "trial", None, 1, 3).actor
        Actor(organisation_id=1, name='member:3')
        """
        if self.member_id is None:
            return Actor(self.organisation_id, f"token:{self.token_id}")
        return Actor(self.organisation_id, f"member:{self.member_id}", self.token_id)


def month_of(now_us: int) -> str:
    """Name the calendar month (UTC) of a moment.

    >>> month_of(0)
    '1970-01'
    """
    return _month_of_day(now_us // DAY_US)


@lru_cache(maxsize=8)
def _month_of_day(day: int) -> str:
    return f"{from_microseconds(day * DAY_US):%Y-%m}"


def find_credential(engine: Engine, secret: str) -> Credential | None:
    """Find the token behind a secret; None if there is none, or it is revoked or has expired.

    A member's token has ended if the member left, or lost its role. StoreError if the database is out of reach.
    """
    with reading(engine) as session:
        row = accounts.token_with_member(session, hash_of(secret))  # one statement: the member is in the session
        return None if row is None else credential_of(session, row[0], clock_of(engine).now_us())


def credential_of(session: Session, token: Token, now_us: int) -> Credential | None:
    """Return the data of a token that the service needs; None if it may not be used, as in `find_credential`."""
    if token_state(token, now_us) != "live":
        return None
    if token.member_id is not None:
        member = session.get_one(Member, token.member_id)
        if member.left_us is not None or token.role not in member.roles:
            return None
    may = (token.role, token.plan, token.expires_us, token.organisation_id, token.member_id, token.mcp_changes)
    return Credential(token.id, *may)


def note_use(engine: Engine, token_id: int, now_us: int) -> None:
    """Record that a token was used, at most once a day: lists only show the day. Scoring records it with its charge.

    A later day, recorded by a fast clock, also differs from today. StoreError if the database is out of reach.
    """
    day_us = start_of_day(now_us)
    another_day = Token.last_used_us.is_(None) | ~Token.last_used_us.between(day_us, day_us + DAY_US - 1)
    with reading(engine) as session:
        if session.scalar(select(Token.id).where(Token.id == token_id, another_day)) is None:
            return
    with writing(engine) as session:
        session.execute(update(Token).where(Token.id == token_id, another_day).values(last_used_us=now_us))


def charge_all(
    statements: PreparedStatements,
    costs: list[Charge],
    is_wanted: Callable[[int], bool] = lambda _: True,
    note: Callable[[Charge, UsageTotals], None] = lambda *_: None,
) -> list[bool | None]:
    """Charge several requests in one commit; for each: charged, refused by its plan, or (None) token ended since.

    *is_wanted* is called once the database is ready to write: a charge whose request has ended is left out. *note*
    receives the usage of each token after the charge.
    """
    results: list[bool | None] = [None] * len(costs)
    with statements.transaction():
        # In the order of tokens: two processes that locked the same ones in different orders would deadlock.
        numbers = sorted(
            filter(is_wanted, range(len(costs))), key=lambda number: (costs[number].token_id, costs[number].month)
        )
        for (token_id, _), group in groupby(numbers, key=lambda number: (costs[number].token_id, costs[number].month)):
            members = list(group)
            if accounts.record_use(statements, token_id, max(costs[number].at_us for number in members)):
                charged = _charge_group(statements, [costs[number] for number in members], note)
                for number, result in zip(members, charged, strict=True):
                    results[number] = result
    return results


def left_of_allowance(engine: Engine, cost: Charge) -> Allowance:
    """Return what is left for a charge now; nothing is charged. StoreError if the database is out of reach."""
    with reading(engine) as session:
        usage = accounts.usage_of(session, cost.token_id, cost.month)
    return cost.allowance if usage is None else cost.allowance.after(UsageTotals(usage.calls, usage.users))


def _charge_group(
    statements: PreparedStatements, costs: list[Charge], note: Callable[[Charge, UsageTotals], None]
) -> list[bool]:
    """Charge one token's requests as one if all fit, which is nearly always so; otherwise one by one."""
    if len(costs) > 1 and len({cost.allowance for cost in costs}) == 1:
        calls, users = sum(cost.calls for cost in costs), sum(cost.users for cost in costs)
        if accounts.charge(statements, costs[0]._replace(calls=calls, users=users), note):
            return [True] * len(costs)
    return [accounts.charge(statements, cost, note) for cost in costs]


def seconds_to_next_month(now_us: int) -> int:
    """Return the seconds until the calendar month (UTC) ends and allowances are renewed.

    >>> seconds_to_next_month(2_592_000_000_000)  # 1970-01-31
    86400
    """
    now = from_microseconds(now_us)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=32)).replace(day=1)
    return ceil((following - now).total_seconds())


BETWEEN_HALVES = "."
"""Separates the halves of a secret that two people were shown; no other secret contains it."""


def hash_of(secret: str) -> str:
    """Hash a secret of 256 random bits: no salt or slow hash is needed against guessing.

    The first of two halves is hashed by itself, so that the whole can be hashed when the second is made, by a program
    that stores only the hash of the first.
    """
    first, between, second = secret.partition(BETWEEN_HALVES)
    return hash_of_halves(_sha256(first), second) if between else _sha256(secret)


def hash_of_halves(first_sha256: str, second: str) -> str:
    """Hash a secret of two halves, of which only the hash of the first is known.

    >>> hash_of_halves(hash_of("a"), "b") == hash_of("a.b")
    True
    """
    return _sha256(f"{first_sha256}{BETWEEN_HALVES}{second}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def token_state(token: Token, now_us: int) -> str:
    """Return whether a token is live, revoked or expired."""
    if token.revoked_us is not None:
        return "revoked"
    return "expired" if token.expires_us is not None and token.expires_us <= now_us else "live"
