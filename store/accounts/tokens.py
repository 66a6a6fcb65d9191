"""Organisations, their members, tokens and usage. Nothing here begins or ends a transaction."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, cast

from sqlalchemy import ColumnElement, Table, and_, bindparam, select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.sql.fast_statements import PreparedStatements
from fivefold.store.sql.keyset import rows_of, scalars_of
from fivefold.store.sql.statements import INSERTS
from fivefold.store.tables.accounts import Member, Organisation, Token, TokenRequest, Usage

DEFAULT_ORGANISATION = "default"
"""The name of the organisation that is used if none is named."""
LONGEST_DAYS = 7
"""A request without a decision for this long cannot be approved any more: its half may have leaked."""


class Allowance(NamedTuple):
    """The limits of a token in a month, or what is left of them."""

    calls: int
    users: int

    def after(self, used: "UsageTotals") -> "Allowance":
        """Return the rest of the quota; 0 if more was used, as under an earlier, larger plan."""
        return Allowance(max(0, self.calls - used.calls), max(0, self.users - used.users))


class Charge(NamedTuple):
    """The cost of an answered request to a token.

    Attributes:
        month: calendar month (UTC), as 2026-11.
        users: customers scored.
        calls: answered requests: more than one if several are charged together.
        at_us: the time, in microseconds.
    """

    token_id: int
    month: str
    users: int
    allowance: Allowance
    at_us: int
    calls: int = 1


class UsageTotals(NamedTuple):
    """The usage of a token in a month."""

    calls: int
    users: int


# Built once: building and looking up such a statement takes longer than SQLite takes to run it.
_USAGE, _TOKENS = cast("Table", Usage.__table__).c, cast("Table", Token.__table__).c
_SPEND = (
    update(Usage.__table__)  # type: ignore[arg-type]  # a mapped class's table is one
    .where(
        _USAGE.token_id == bindparam("of_token"),
        _USAGE.month == bindparam("in_month"),
        _USAGE.calls + bindparam("more_calls") <= bindparam("most_calls"),
        _USAGE.users + bindparam("more_users") <= bindparam("most_users"),
    )
    .values(calls=_USAGE.calls + bindparam("more_calls"), users=_USAGE.users + bindparam("more_users"))
)
_USED = select(_USAGE.calls, _USAGE.users).where(
    _USAGE.token_id == bindparam("of_token"), _USAGE.month == bindparam("in_month")
)
"""Run after the update: with RETURNING, SQLite takes five times as long."""
_TOUCH = (
    update(Token.__table__)  # type: ignore[arg-type]  # as above
    .where(
        _TOKENS.id == bindparam("of_token"),
        _TOKENS.revoked_us.is_(None),
        _TOKENS.expires_us.is_(None) | (_TOKENS.expires_us > bindparam("now_us")),
    )
    .values(last_used_us=bindparam("now_us"))
)
_OPEN_MONTH = {
    dialect: upsert(Usage.__table__)
    .values(token_id=bindparam("of_token"), month=bindparam("in_month"), calls=0, users=0)
    .on_conflict_do_nothing()
    for dialect, upsert in INSERTS.items()
}
"""Adds the month's row, unless it exists."""


def organisation_of(session: Session, name: str) -> Organisation | None:
    """Find an organisation by its name."""
    return session.scalar(select(Organisation).where(Organisation.name == name))


def every_organisation(session: Session) -> Sequence[int]:
    """List the numbers of all organisations, in ascending order."""
    return session.scalars(select(Organisation.id).order_by(Organisation.id)).all()


def organisation_named(session: Session, name: str, now_us: int) -> Organisation:
    """Find an organisation, or add it."""
    organisation = organisation_of(session, name)
    if organisation is None:
        organisation = Organisation(name=name, created_us=now_us)
        session.add(organisation)
        session.flush()
    return organisation


def token_by_hash(session: Session, sha256: str) -> Token | None:
    """Find a token by the hash of its secret, in any state."""
    return session.scalar(select(Token).where(Token.sha256 == sha256))


def token_with_member(session: Session, sha256: str) -> tuple[Token, Member | None] | None:
    """Find a token by the hash of its secret, in any state, with the member that it belongs to."""
    statement = select(Token, Member).outerjoin(Member, Member.id == Token.member_id).where(Token.sha256 == sha256)
    row = session.execute(statement).one_or_none()
    return None if row is None else (row[0], row[1])


def tokens(session: Session) -> Sequence[tuple[Token, str, str]]:
    """List all tokens with the names of their organisations and members (empty for programs), oldest first."""
    rows = session.execute(
        select(Token, Organisation.name, Member.name)
        .join(Organisation, Organisation.id == Token.organisation_id)
        .outerjoin(Member, Member.id == Token.member_id)
        .order_by(Token.id)
    )
    return [(token, organisation, member or "") for token, organisation, member in rows]


def tokens_of(
    session: Session, organisation_id: int, month: str, member_id: int | None, part: Part
) -> Page[tuple[Token, str | None, Usage | None]]:
    """List an organisation's tokens, of one member or all, with the names of members and the usage of a month.

    The newest come first.
    """
    statement = (
        select(Token, Member.name, Usage)
        .outerjoin(Member, Member.id == Token.member_id)
        .outerjoin(Usage, and_(Usage.token_id == Token.id, Usage.month == month))
        .where(Token.organisation_id == organisation_id)
    )
    if member_id is not None:
        statement = statement.where(Token.member_id == member_id)
    return rows_of(session, statement, (Token.id,), part, descending=True)


def labels_of_tokens(session: Session, organisation_id: int, numbers: Sequence[int]) -> dict[int, str]:
    """Return the labels of tokens by their numbers."""
    which = (Token.organisation_id == organisation_id, Token.id.in_(numbers))
    return dict(session.execute(select(Token.id, Token.label).where(*which)).all())


def token_numbered(session: Session, organisation_id: int, number: int) -> Token:
    """Find a token of an organisation, and lock it until the transaction ends; NotFoundError if it has none."""
    query = select(Token).where(Token.id == number, Token.organisation_id == organisation_id).with_for_update()
    row = session.scalar(query)
    if row is None:
        raise NotFoundError(f"there is no token {number}")
    return row


def requests_of(
    session: Session, organisation_id: int, state: str | None, part: Part, *, oldest_first: bool = False
) -> Page[tuple[TokenRequest, str | None]]:
    """List the requests for tokens, of one state or of all, with the names of members.

    The newest come first unless *oldest_first*.
    """
    statement = (
        select(TokenRequest, Member.name)
        .outerjoin(Member, Member.id == TokenRequest.member_id)
        .where(TokenRequest.organisation_id == organisation_id)
    )
    if state is not None:
        statement = statement.where(TokenRequest.state == state)
    return rows_of(session, statement, (TokenRequest.id,), part, descending=not oldest_first)


def request_numbered(session: Session, organisation_id: int, number: int) -> TokenRequest:
    """Find a request for a token, and lock it until the transaction ends; NotFoundError if there is none."""
    query = select(TokenRequest).where(TokenRequest.id == number, TokenRequest.organisation_id == organisation_id)
    row = session.scalar(query.with_for_update())
    if row is None:
        raise NotFoundError(f"there is no request {number} for a token")
    return row


def usage_in(session: Session, month: str) -> dict[int, Usage]:
    """Return the usage of one month by token."""
    return {usage.token_id: usage for usage in session.scalars(select(Usage).where(Usage.month == month))}


def usage_of(session: Session, token_id: int, month: str) -> Usage | None:
    """Return the usage of a token in a month; None if it was not used."""
    return session.scalar(select(Usage).where(Usage.token_id == token_id, Usage.month == month))


def charge(
    statements: PreparedStatements, cost: Charge, note: Callable[[Charge, UsageTotals], None] = lambda *_: None
) -> bool:
    """Charge one call and its users, if that stays within the allowance; return whether it did.

    One conditional update decides, so concurrent callers and processes never exceed it. *note* receives the new usage,
    which holds once the transaction is committed.
    """
    usage = {
        "of_token": cost.token_id,
        "in_month": cost.month,
        "more_calls": cost.calls,
        "more_users": cost.users,
        "most_calls": cost.allowance.calls,
        "most_users": cost.allowance.users,
    }
    whose = {"of_token": cost.token_id, "in_month": cost.month}
    if not statements.run(_SPEND, usage):
        statements.run(_OPEN_MONTH[statements.engine.dialect.name], whose)
        if not statements.run(_SPEND, usage):
            return False
    used_now = statements.first(_USED, whose)
    if used_now is not None:
        note(cost, UsageTotals(*used_now))
    return True


def record_use(statements: PreparedStatements, token_id: int, now_us: int) -> bool:
    """Return whether a token may be used now, and store the time of its use."""
    return bool(statements.run(_TOUCH, {"of_token": token_id, "now_us": now_us}))


def locked_member(session: Session, organisation_id: int, member_id: int) -> Member:
    """Find a member, and lock it until the transaction ends.

    NotFoundError if the organisation has no member of that number.
    """
    row = _locked(session, organisation_id, Member.id == member_id)
    if row is None:
        raise NotFoundError(f"there is no member {member_id}")
    return row


def member_numbered(session: Session, organisation_id: int, member_id: int) -> Member:
    """Find a member; NotFoundError if the organisation has no member of that number."""
    which = (Member.organisation_id == organisation_id, Member.id == member_id)
    row = session.scalar(select(Member).where(*which))
    if row is None:
        raise NotFoundError(f"there is no member {member_id}")
    return row


def member_named(session: Session, organisation_id: int, name: str) -> Member | None:
    """Find a member by name, and lock it until the transaction ends."""
    return _locked(session, organisation_id, Member.name == name)


def find_member_named(session: Session, organisation_id: int, name: str) -> Member | None:
    """Find a member by name, without a lock."""
    return session.scalar(select(Member).where(Member.organisation_id == organisation_id, Member.name == name))


def names_of_members(session: Session, organisation_id: int, numbers: Sequence[int]) -> dict[int, str]:
    """Return the names of members by their numbers."""
    which = (Member.organisation_id == organisation_id, Member.id.in_(numbers))
    return dict(session.execute(select(Member.id, Member.name).where(*which)).all())


def member_of_account(session: Session, organisation_id: int, account: str) -> Member | None:
    """Find the member to whom an account at an identity provider is bound, and lock it until the transaction ends."""
    return _locked(session, organisation_id, Member.account == account)


def _locked(session: Session, organisation_id: int, which: ColumnElement[bool]) -> Member | None:
    return session.scalar(select(Member).where(Member.organisation_id == organisation_id, which).with_for_update())


def has_other_organisations(session: Session, organisation_id: int) -> bool:
    """Return whether another organisation has active members."""
    others = select(Member.id).where(Member.left_us.is_(None), Member.organisation_id != organisation_id)
    return session.scalar(others.limit(1)) is not None


def organisations_with_members(session: Session) -> list[str]:
    """List the names of the organisations that have active members."""
    numbers = select(Member.organisation_id).where(Member.left_us.is_(None))
    return list(
        session.scalars(select(Organisation.name).where(Organisation.id.in_(numbers)).order_by(Organisation.name))
    )


def members_of(session: Session, organisation_id: int, part: Part = WHOLE) -> Page[Member]:
    """List an organisation's members, the oldest first."""
    return scalars_of(session, select(Member).where(Member.organisation_id == organisation_id), (Member.id,), part)


def is_live(session: Session, token_id: int, now_us: int) -> bool:
    """Return whether a token is neither revoked, as by the end of its member's role, nor expired."""
    return session.scalar(select(Token.id).where(Token.id == token_id, _lives(now_us))) is not None


def has_live_token(session: Session, member_id: int, now_us: int) -> bool:
    """Return whether a member has a token that is neither revoked nor expired."""
    return session.scalar(select(Token.id).where(Token.member_id == member_id, _lives(now_us)).limit(1)) is not None


def _lives(now_us: int) -> ColumnElement[bool]:
    return Token.revoked_us.is_(None) & (Token.expires_us.is_(None) | (Token.expires_us > now_us))


def end_tokens(session: Session, member_id: int, roles: Iterable[str], now_us: int) -> list[int]:
    """Revoke a member's tokens of some roles; return the numbers of those that ended."""
    theirs = (Token.member_id == member_id) & Token.revoked_us.is_(None) & Token.role.in_(list(roles))
    return sorted(session.scalars(update(Token).where(theirs).values(revoked_us=now_us).returning(Token.id)))
