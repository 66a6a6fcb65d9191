"""The tables of organisations: tokens, members, sessions, usage, idempotency keys. Migrations create all tables."""

import json

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from fivefold.store.audit.history import SALT_CHARACTERS, new_salt
from fivefold.store.sql.json_text import JSONText

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraints have names of their own, so that a migration can name them on every database."""

HASH_CHARACTERS = 64
NAME_CHARACTERS = 200
PLAN_CHARACTERS = 100
COUNTED = {"sqlite_autoincrement": True}
"""Options of a table with rows that are deleted and numbers known outside: none is used twice, on SQLite either."""


class Base(DeclarativeBase):
    """The base of all tables."""

    metadata = MetaData(naming_convention=NAMING)


class Organisation(Base):
    """An organisation, which owns all other data."""

    __tablename__ = "organisations"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_CHARACTERS), unique=True)
    created_us: Mapped[int] = mapped_column(BigInteger)


class Token(Base):
    """A credential. Only its hash is stored, so a reader of the database cannot call the service.

    Attributes:
        mcp_changes: whether it may call tools of /mcp that change something.
    """

    __tablename__ = "tokens"
    __table_args__ = (
        CheckConstraint("role IN ('app', 'commercial', 'investigator', 'approver', 'publisher', 'admin')", name="role"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), index=True)
    sha256: Mapped[str] = mapped_column(String(HASH_CHARACTERS), unique=True)
    label: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    role: Mapped[str] = mapped_column(String(20))
    member_id: Mapped[int | None] = mapped_column(Integer)
    plan: Mapped[str] = mapped_column(String(PLAN_CHARACTERS))
    mcp_changes: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    created_us: Mapped[int] = mapped_column(BigInteger)
    expires_us: Mapped[int | None] = mapped_column(BigInteger)
    revoked_us: Mapped[int | None] = mapped_column(BigInteger)
    last_used_us: Mapped[int | None] = mapped_column(BigInteger)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class TokenRequest(Base):
    """A token that one administrator requests, and another approves. Each of them sees one half of its secret.

    Attributes:
        member_id: its future owner; None for a program's.
        half_sha256: the hash of the half that was shown to the requester.
        state: asked, made or refused.
        token_id: the token, once it is made.
    """

    __tablename__ = "token_requests"
    __table_args__ = (
        CheckConstraint("state IN ('asked', 'made', 'refused')", name="state"),
        Index("ix_token_requests_organisation_id_id", "organisation_id", "id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    member_id: Mapped[int | None] = mapped_column(Integer)
    role: Mapped[str] = mapped_column(String(20))
    plan: Mapped[str] = mapped_column(String(PLAN_CHARACTERS))
    label: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    expires_days: Mapped[int | None] = mapped_column(Integer)
    mcp_changes: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    half_sha256: Mapped[str] = mapped_column(String(HASH_CHARACTERS))
    state: Mapped[str] = mapped_column(String(10))
    asked_by: Mapped[str] = mapped_column(Text)
    asked_us: Mapped[int] = mapped_column(BigInteger)
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_us: Mapped[int | None] = mapped_column(BigInteger)
    token_id: Mapped[int | None] = mapped_column(ForeignKey("tokens.id"))
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class Member(Base):
    """A person of an organisation: the person who asks is never the person who approves.

    Attributes:
        zone: the time zone of their pages; None for UTC.
        account: their account at an identity provider, as issuer and subject; None until they first sign in with it.
    """

    __tablename__ = "members"
    __table_args__ = (
        UniqueConstraint("organisation_id", "name"),
        Index("ix_members_organisation_id_account", "organisation_id", "account", unique=True),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    name: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    roles: Mapped[list[str]] = mapped_column(JSONText(json.dumps))
    created_us: Mapped[int] = mapped_column(BigInteger)
    left_us: Mapped[int | None] = mapped_column(BigInteger)
    zone: Mapped[str | None] = mapped_column(String(NAME_CHARACTERS))
    account: Mapped[str | None] = mapped_column(Text)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class ConsoleSession(Base):
    """A member who is signed in to the console, by one of their tokens. Only a hash of the cookie is stored.

    Attributes:
        token_id: the session ends with this token, and has its role.
        sha256: the hash of the secret in the cookie.
        last_used_us: exact to a minute.
        ended_us: when the member signed out, or the session was found to be too old; None while it is valid.
        subject: the identity provider's own name for the member; None if they typed a token.
    """

    __tablename__ = "console_sessions"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    token_id: Mapped[int] = mapped_column(ForeignKey("tokens.id"))
    member_id: Mapped[int] = mapped_column(Integer, index=True)
    sha256: Mapped[str] = mapped_column(String(HASH_CHARACTERS), unique=True)
    created_us: Mapped[int] = mapped_column(BigInteger)
    last_used_us: Mapped[int] = mapped_column(BigInteger)
    ended_us: Mapped[int | None] = mapped_column(BigInteger)
    subject: Mapped[str | None] = mapped_column(Text)


class RateTableRow(Base):
    """A dated table of rates (JSON: currency, day, rate) into one base currency; it never changes.

    Attributes:
        number: from 1 in each organisation; the newest one is in force.
        source: its origin, for people.
    """

    __tablename__ = "rate_tables"

    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    base_currency: Mapped[str] = mapped_column(String(3))
    source: Mapped[str] = mapped_column(Text)
    content: Mapped[str] = mapped_column(Text)
    created_us: Mapped[int] = mapped_column(BigInteger)


class Usage(Base):
    """The usage of a token in one calendar month (UTC)."""

    __tablename__ = "usage"
    __table_args__ = (UniqueConstraint("token_id", "month"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    token_id: Mapped[int] = mapped_column(ForeignKey("tokens.id"))
    month: Mapped[str] = mapped_column(String(7))
    calls: Mapped[int] = mapped_column(BigInteger, default=0)
    users: Mapped[int] = mapped_column(BigInteger, default=0)


class DriftCount(Base):
    """The counts of one worker and week: customers in each bucket of each indicator, and nothing else of them.

    Attributes:
        worker: a name for these counts alone; a worker whose clock was ahead may have two for a week.
    """

    __tablename__ = "counted"

    worker: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str] = mapped_column(String(200), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    counts: Mapped[list[int]] = mapped_column(JSONText(json.dumps))


class IdempotencyKey(Base):
    """A request that is carried out once, however often it is sent.

    Attributes:
        digest: the digest of the request.
        attempt: the only attempt that may store changes.
        state: started, stored (with the request's changes, in one transaction) or answered.
        begun_us: when the attempt began.
        answer: None before the answer, and if it is not stored; `store.accounts.idempotency.FORGOTTEN` before an answer
            that will not be stored.
    """

    __tablename__ = "idempotency_keys"

    token_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64))
    attempt: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(8))
    begun_us: Mapped[int] = mapped_column(BigInteger, index=True)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    answer: Mapped[str | None] = mapped_column(Text)
