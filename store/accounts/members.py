"""Members of organisations, and their tokens. Nothing here begins or ends a transaction."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.accounts import Member, Organisation, Token


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


def has_live_token(session: Session, member_id: int, now_us: int) -> bool:
    """Return whether a member has a token that neither was revoked nor has expired."""
    is_live = Token.revoked_us.is_(None) & (Token.expires_us.is_(None) | (Token.expires_us > now_us))
    return session.scalar(select(Token.id).where(Token.member_id == member_id, is_live).limit(1)) is not None


def end_tokens(session: Session, member_id: int, roles: Iterable[str], now_us: int) -> list[int]:
    """Revoke a member's tokens of some roles; return the numbers of those that ended."""
    theirs = (Token.member_id == member_id) & Token.revoked_us.is_(None) & Token.role.in_(list(roles))
    return sorted(session.scalars(update(Token).where(theirs).values(revoked_us=now_us).returning(Token.id)))
