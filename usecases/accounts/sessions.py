"""Sessions of the console: a member signs in with a token of theirs, once, and a cookie stands for it afterwards.

A session ends when its member signs out, when nothing was asked for `IDLE_US`, after `LONGEST_US`, and with its token:
a revocation, or a member who leaves, holds at the next request.
"""

import secrets
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import HOUR_US, SECOND_US, now_microseconds
from fivefold.domain.errors import StoreError
from fivefold.store.accounts import tokens as accounts
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.accounts import ConsoleSession, Organisation, Token
from fivefold.store.tables.events import Member
from fivefold.usecases.accounts.credentials import Credential, credential_of, find_credential, hash_of
from fivefold.usecases.shared.actors import OF_MEMBERS
from fivefold.usecases.shared.context import Context, record

IDLE_US = HOUR_US // 2
LONGEST_US = 12 * HOUR_US
NOTED_EVERY_US = 60 * SECOND_US
"""The last use is written this often at most: most requests write nothing."""
SECRET_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class MemberSession:
    """A member who is signed in.

    Attributes:
        id: of the session.
        credential: of the token that they signed in with: the role is the token's.
        member: the member's name.
        organisation: its name.
    """

    id: int
    credential: Credential
    member: str
    organisation: str


def sign_in(engine: Engine, secret: str) -> tuple[str, MemberSession] | None:
    """Begin a session with the secret of a member's token; give the secret of the session, which is shown once.

    None where the secret is of no token that may be used, or of a program's. It is recorded in the audit log.
    StoreError where the database is out of reach.
    """
    if find_credential(engine, secret) is None:  # a caller without a token takes no lock of writers
        return None
    now = now_microseconds()
    own_secret = secrets.token_urlsafe(SECRET_BYTES)
    with writing(engine) as session:
        token = accounts.token_by_hash(session, hash_of(secret))
        credential = None if token is None else credential_of(session, token, now)
        if credential is None or credential.role not in OF_MEMBERS or credential.member_id is None:
            return None
        row = ConsoleSession(
            token_id=credential.token_id,
            member_id=credential.member_id,
            sha256=hash_of(own_secret),
            created_us=now,
            last_used_us=now,
        )
        session.add(row)
        session.flush()
        said = {"token": credential.token_id, "role": credential.role}
        record(session, credential.actor, "console.signed_in", ("console_session", row.id), details=said)
        return own_secret, _shown(session, row.id, credential)


def find_session(engine: Engine, secret: str) -> MemberSession | None:
    """Find the session of a cookie; None where there is none that holds. StoreError where the database is out of reach.

    A session from the future, which a clock that was ahead began, holds no longer than any other.
    """
    now = now_microseconds()
    with reading(engine) as session:
        present = session.scalar(select(ConsoleSession).where(ConsoleSession.sha256 == hash_of(secret)))
        if present is None or present.ended_us is not None:
            return None
        known = _known(session, present, now)
        is_noted = abs(now - present.last_used_us) < NOTED_EVERY_US
        number = present.id
    row = update(ConsoleSession).where(ConsoleSession.id == number)
    if known is None:
        with writing(engine) as session:
            session.execute(row.values(ended_us=now))
    elif not is_noted:
        with suppress(StoreError), writing(engine) as session:  # a locked database is no reason to show no page
            session.execute(row.values(last_used_us=now))
    return known


def sign_out(context: Context, session_id: int) -> None:
    """End a session of the member who acts; a second time changes and records nothing."""
    _end(context, ConsoleSession.id == session_id)


def sign_out_everywhere(context: Context, member_id: int) -> None:
    """End all sessions of the member who acts, on every machine."""
    _end(context, ConsoleSession.member_id == member_id)


def _end(context: Context, which: ColumnElement[bool]) -> None:
    with context.writing() as session:
        live = update(ConsoleSession).where(which, ConsoleSession.ended_us.is_(None))
        ended = live.values(ended_us=context.now()).returning(ConsoleSession.id)
        for number in sorted(session.scalars(ended)):
            context.record(session, "console.signed_out", ("console_session", number))


def _known(session: Session, row: ConsoleSession, now_us: int) -> MemberSession | None:
    """Give a session that holds; None for one that is too old, or whose token may not be used."""
    if abs(now_us - row.last_used_us) >= IDLE_US or abs(now_us - row.created_us) >= LONGEST_US:
        return None
    credential = credential_of(session, session.get_one(Token, row.token_id), now_us)
    return None if credential is None else _shown(session, row.id, credential)


def _shown(session: Session, number: int, credential: Credential) -> MemberSession:
    return MemberSession(
        id=number,
        credential=credential,
        member=session.get_one(Member, credential.member_id).name,
        organisation=session.get_one(Organisation, credential.organisation_id).name,
    )
