"""The tables of the audit log; a migration creates them, and the triggers that refuse changes to written entries."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.tables.accounts import HASH_CHARACTERS, Base

ACTION_CHARACTERS = 100

_CLUSTERED = {"sqlite_with_rowid": False}
"""Without SQLite's hidden row number, through which a row could be replaced; a chain is contiguous on disk."""


class AuditEntry(Base):
    """One act of an actor: a call of a use case, chained to the entry before it. Never changed, never deleted.

    `docs/audit.md` describes the hashed bytes.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        CheckConstraint("number > 0", name="number"),
        Index("ix_audit_entries_by_at", "organisation_id", "at_us", "number"),
        Index("ix_audit_entries_by_actor", "organisation_id", "actor", "at_us", "number"),
        Index("ix_audit_entries_by_action", "organisation_id", "action", "at_us", "number"),
        Index("ix_audit_entries_by_subject", "organisation_id", "subject_kind", "subject_id", "at_us", "number"),
        _CLUSTERED,
    )

    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at_us: Mapped[int] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(ACTION_CHARACTERS))
    subject_kind: Mapped[str] = mapped_column(String(ACTION_CHARACTERS))
    subject_id: Mapped[str | None] = mapped_column(Text)
    details: Mapped[str] = mapped_column(Text)
    bulk_count: Mapped[int | None] = mapped_column(BigInteger)
    bulk_digest: Mapped[str | None] = mapped_column(String(HASH_CHARACTERS))
    before_hash: Mapped[str | None] = mapped_column(String(HASH_CHARACTERS))
    after_hash: Mapped[str | None] = mapped_column(String(HASH_CHARACTERS))
    previous_hash: Mapped[str] = mapped_column(String(HASH_CHARACTERS))
    hash: Mapped[str] = mapped_column(String(HASH_CHARACTERS))


class AuditValues(Base):
    """The changed values, apart from the entry so that they can be erased: the entry holds only salted hashes."""

    __tablename__ = "audit_values"
    __table_args__ = (
        ForeignKeyConstraint(["organisation_id", "number"], ["audit_entries.organisation_id", "audit_entries.number"]),
        _CLUSTERED,
    )

    organisation_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    salt: Mapped[str | None] = mapped_column(String(HASH_CHARACTERS))
    before: Mapped[str | None] = mapped_column(Text)
    after: Mapped[str | None] = mapped_column(Text)
    erased_us: Mapped[int | None] = mapped_column(BigInteger)


class AuditHead(Base):
    """The last entry of each organisation; transactions that append wait for the lock of its row."""

    __tablename__ = "audit_heads"
    __table_args__ = (_CLUSTERED,)

    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(HASH_CHARACTERS))
