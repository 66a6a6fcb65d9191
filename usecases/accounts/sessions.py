"""Sessions of the console: a member signs in by a token or an identity provider; then a cookie stands for it.

A session ends when its member signs out, without a request for `IDLE_US`, after `LONGEST_US`, and with its token: a
revocation, or a member who leaves, takes effect at the next request.
"""

import secrets
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from sqlalchemy import ColumnElement, Engine, bindparam, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import HOUR_US, SECOND_US
from fivefold.domain.errors import ConfigError, ConflictError, IdentityError, StoreError, WhyNoIdentity
from fivefold.domain.schedules import zone_names
from fivefold.domain.settings import OpenIdSettings
from fivefold.store.accounts import tokens as accounts
from fivefold.store.accounts.tokens import locked_member, member_named, member_of_account
from fivefold.store.audit.bound_rows import digests
from fivefold.store.sql.clocks import clock_of
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.accounts import ConsoleSession, Member, Organisation, Token
from fivefold.usecases.accounts.credentials import Credential, credential_of, find_credential, hash_of
from fivefold.usecases.accounts.second_person import is_vouched_for
from fivefold.usecases.accounts.tokens import audit_details
from fivefold.usecases.shared.actors import OF_MEMBERS, SYSTEM, Actor, Role
from fivefold.usecases.shared.context import Context, record

if TYPE_CHECKING:
    from fivefold.usecases.accounts.openid import Identity

IDLE_US = HOUR_US // 2
LONGEST_US = 12 * HOUR_US
NOTED_EVERY_US = 60 * SECOND_US
"""The last use is written at most this often: most requests write nothing."""
SECRET_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class MemberSession:
    """A member who is signed in.

    Attributes:
        id: of the session.
        credential: of the token that they signed in with: the role is the token's.
        member: the member's name.
        organisation: its name.
        zone: in which they read times, of the IANA database.
        other_roles: to which they may switch: the member's others, if an identity provider signed them in.
    """

    id: int
    credential: Credential
    member: str
    organisation: str
    zone: str = "UTC"
    other_roles: tuple[str, ...] = ()


def sign_in(engine: Engine, secret: str) -> tuple[str, MemberSession] | None:
    """Begin a session with the secret of a member's token; return the secret of the session, which is shown once.

    None if the secret is of no usable token, or of a program's. It is recorded in the audit log. StoreError if the
    database is out of reach.
    """
    if find_credential(engine, secret) is None:  # so a caller without a token takes no lock of writers
        return None
    with writing(engine) as session:
        now = clock_of(engine).now_us()
        token = accounts.token_by_hash(session, hash_of(secret))
        credential = None if token is None else credential_of(session, token, now)
        if credential is None or credential.role not in OF_MEMBERS or credential.member_id is None:
            return None
        return _begin(session, credential, now)


def sign_in_by_identity(engine: Engine, settings: OpenIdSettings, identity: "Identity") -> tuple[str, MemberSession]:
    """Begin a session of the member whom an identity provider named, in the first of their roles; as `sign_in`.

    The session uses a token without a known secret, one for each member and role: revoking it ends the session.
    IdentityError if there is no such member or organisation, or one administrator alone made them.
    """
    with writing(engine) as session:
        now = clock_of(engine).now_us()
        of = accounts.organisation_of(session, settings.organisation)
        if of is None:
            raise IdentityError(
                f"This service has no organisation {settings.organisation}. Its operator corrects"
                " FIVEFOLD_OPENID_ORGANISATION, so that it names the one whose members sign in this way.",
                WhyNoIdentity.NO_ORGANISATION,
            )
        member = _member_of_identity(session, of.id, settings, identity, now)
        roles = [] if member is None or member.left_us is not None else _roles_of(member)
        if member is None or not roles:
            raise IdentityError(
                f"{identity.name} is not a member of {settings.organisation}."
                " An administrator adds members by that name.",
                WhyNoIdentity.NO_MEMBER,
            )
        token = _token_of_identity(session, member, roles[0], settings.plan, now)
        credential = credential_of(session, token, now)
        assert credential is not None, "it is live, and the member has the role"
        return _begin(session, credential, now, identity.subject)


def _member_of_identity(
    session: Session, organisation_id: int, settings: OpenIdSettings, identity: "Identity", now_us: int
) -> Member | None:
    """Find the member to whom an account at the provider is bound, or bind it to the one of that name.

    One person with two addresses is not two members, and an address that was given to another person does not make them
    the first one. An administrator alone adds members, and so does not make a second person for themselves: an account
    is bound to a member whom two administrators or the operator know.
    """
    account = f"{settings.issuer} {identity.subject}"
    named_member = member_named(session, organisation_id, identity.name)
    bound_member = member_of_account(session, organisation_id, account)
    if bound_member is not None and named_member is not None and bound_member.id != named_member.id:
        raise IdentityError(
            f"This account signs in as {bound_member.name}, and cannot sign in as {named_member.name} too.",
            WhyNoIdentity.OTHER_MEMBER,
        )
    if bound_member is not None or named_member is None or named_member.left_us is not None:
        return bound_member
    if named_member.account is not None:
        raise IdentityError(
            f"{named_member.name} signs in by another account of the identity provider. An administrator who ends the"
            " membership and adds it again lets this one sign in.",
            WhyNoIdentity.OTHER_ACCOUNT,
        )
    if not is_vouched_for(session, named_member, now_us):
        raise IdentityError(
            f"{named_member.name} cannot sign in by this account yet: two administrators make a token for you first,"
            " one asks for it and another one approves it. Then sign in again.",
            WhyNoIdentity.NOT_VOUCHED_FOR,
        )
    named_member.account = account
    record(
        session,
        Actor(organisation_id, SYSTEM),
        "member.account_bound",
        ("member", named_member.id),
        details={"subject": identity.subject},
        rows=digests(session, "members", [named_member.id]),
    )
    return named_member


def take_role(context: Context, session_id: int, role: str) -> None:
    """Continue in another role of the member whom an identity provider signed in.

    A session that a token began keeps the token's role: its maker gave only this role. ConflictError if the session is
    of that kind or has ended, as by the end of its token, or the member does not have the role.
    """
    now = context.now()
    with context.writing() as session:
        row = session.get_one(ConsoleSession, session_id, with_for_update=True)
        member = locked_member(session, context.organisation_id, row.member_id)
        before = session.get_one(Token, row.token_id, with_for_update=True)
        if row.ended_us is not None or credential_of(session, before, now) is None:
            raise ConflictError("this session ended meanwhile; sign in again")
        if row.subject is None or role not in _roles_of(member):
            raise ConflictError(f"this session cannot switch to {role}; sign in with a token of that role")
        row.token_id = _token_of_identity(session, member, role, before.plan, now).id
        details = {"token": row.token_id, "role": role}
        context.record(session, "console.role_taken", ("console_session", row.id), details=details)


def choose_zone(context: Context, member_id: int, zone: str) -> None:
    """Set the zone in which a member reads times; ConfigError if the IANA database has none of that name.

    It is a preference, and not recorded.
    """
    if zone not in zones():
        raise ConfigError(f"there is no time zone {zone!r}; it must be one such as Europe/Oslo")
    with context.writing() as session:
        mine = (Member.organisation_id == context.organisation_id) & (Member.id == member_id)
        session.execute(update(Member).where(mine).values(zone=zone))


@cache
def zones() -> tuple[str, ...]:
    """List the zones by place, UTC first; names without a place are obsolete."""
    return "UTC", *sorted(zone for zone in zone_names() if "/" in zone and not zone.startswith("Etc/"))


def _roles_of(member: Member) -> list[str]:
    """Return the roles in which a member may sign in, the least powerful first."""
    return [role for role in Role if role in OF_MEMBERS and role in member.roles]


def _token_of_identity(session: Session, member: Member, role: str, plan: str, now_us: int) -> Token:
    """Find the token of a member's sessions in a role, or make it; nobody ever has its secret."""
    ours = select(ConsoleSession.token_id).where(ConsoleSession.subject.is_not(None))
    columns = {"member_id": member.id, "role": role, "plan": plan, "revoked_us": None}
    present = session.scalar(select(Token).filter_by(**columns).where(Token.id.in_(ours)).limit(1))
    if present is not None:
        return present
    token = Token(
        organisation_id=member.organisation_id,
        sha256=hash_of(secrets.token_urlsafe(SECRET_BYTES)),
        label="sign-in by the identity provider",
        created_us=now_us,
        **columns,
    )
    session.add(token)
    session.flush()
    organisation = session.get_one(Organisation, member.organisation_id).name
    after = {"organisation": organisation, "label": token.label, **audit_details(token)}
    of = Actor(member.organisation_id, SYSTEM)
    rows = digests(session, "tokens", [token.id])
    record(session, of, "token.created", ("token", token.id), after=after, details=audit_details(token), rows=rows)
    return token


def _begin(
    session: Session, credential: Credential, now_us: int, subject: str | None = None
) -> tuple[str, MemberSession]:
    """Begin a session on a token; *subject* is the identity provider's name for the person, if it signed them in."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    row = ConsoleSession(
        token_id=credential.token_id,
        member_id=credential.member_id,
        sha256=hash_of(secret),
        created_us=now_us,
        last_used_us=now_us,
        subject=subject,
    )
    session.add(row)
    session.flush()
    session.execute(update(Token).where(Token.id == credential.token_id).values(last_used_us=now_us))
    by = {} if subject is None else {"subject": subject}
    details = {"token": credential.token_id, "role": credential.role, **by}
    record(session, credential.actor, "console.signed_in", ("console_session", row.id), details=details)
    return secret, _member_session(session, row, credential)


def find_session(engine: Engine, secret: str) -> MemberSession | None:
    """Find the session of a cookie; None if there is none in force. StoreError if the database is out of reach.

    A session from the future, which a fast clock began, holds no longer than any other.
    """
    clock = clock_of(engine)
    now = clock.now_us()
    with reading(engine) as session:
        row = session.execute(_WITH_PERSON, {"sha256": hash_of(secret)}).one_or_none()
        if row is None or row[0].ended_us is not None:
            return None
        present = row[0]
        member_session = _valid_session(session, present, now)
        is_noted = abs(now - present.last_used_us) < NOTED_EVERY_US
        number = present.id
    of_it = update(ConsoleSession).where(ConsoleSession.id == number, ConsoleSession.ended_us.is_(None))
    if member_session is None:
        with writing(engine) as session:  # it compares the clocks, so what was read before may be in force after all
            row = session.execute(_WITH_PERSON, {"sha256": hash_of(secret)}).one()
            if row[0].ended_us is not None:
                return None
            member_session = _valid_session(session, row[0], clock.now_us())
            if member_session is None:
                session.execute(of_it.values(ended_us=clock.now_us()))
    elif not is_noted:
        with suppress(StoreError), writing(engine) as session:  # a locked database must not keep the page from showing
            session.execute(of_it.values(last_used_us=now))
    return member_session


_WITH_PERSON: Final = (
    select(ConsoleSession, Token, Member, Organisation)
    .join(Token, Token.id == ConsoleSession.token_id)
    .join(Member, Member.id == ConsoleSession.member_id)
    .join(Organisation, Organisation.id == Token.organisation_id)
    .where(ConsoleSession.sha256 == bindparam("sha256"))
)
"""A session by the hash of its secret, with all rows that every page uses, so that later look-ups by key are cached."""


def sign_out(context: Context, session_id: int) -> None:
    """End a session of the acting member; a second time changes and records nothing."""
    _end(context, ConsoleSession.id == session_id)


def sign_out_everywhere(context: Context, member_id: int) -> None:
    """End all sessions of the acting member, on every machine."""
    _end(context, ConsoleSession.member_id == member_id)


def _end(context: Context, which: ColumnElement[bool]) -> None:
    with context.writing() as session:
        live = update(ConsoleSession).where(which, ConsoleSession.ended_us.is_(None))
        ending = live.values(ended_us=context.now()).returning(ConsoleSession.id)
        for number in sorted(session.scalars(ending)):
            context.record(session, "console.signed_out", ("console_session", number))


def _valid_session(session: Session, row: ConsoleSession, now_us: int) -> MemberSession | None:
    """Return a session in force; None for one that is too old, or whose token may not be used."""
    if abs(now_us - row.last_used_us) >= IDLE_US or abs(now_us - row.created_us) >= LONGEST_US:
        return None
    credential = credential_of(session, session.get_one(Token, row.token_id), now_us)
    return None if credential is None else _member_session(session, row, credential)


def _member_session(session: Session, row: ConsoleSession, credential: Credential) -> MemberSession:
    """Describe a session with its member, organisation and other roles."""
    member = session.get_one(Member, credential.member_id)
    others = [] if row.subject is None else [role for role in _roles_of(member) if role != credential.role]
    return MemberSession(
        id=row.id,
        credential=credential,
        member=member.name,
        organisation=session.get_one(Organisation, credential.organisation_id).name,
        zone=member.zone or "UTC",
        other_roles=tuple(others),
    )
