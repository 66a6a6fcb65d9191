"""The tables for operators: workers, imports, proofs of the audit log, and runs of the retention policy."""

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.tables.accounts import HASH_CHARACTERS, NAME_CHARACTERS, Base

_ORGANISATION = "organisations.id"
_UNDER_WAY = text("finished_us IS NULL")


class WorkerRow(Base):
    """A worker, which assesses for all organisations.

    Attributes:
        seen_us: when it last reported that it runs.
        ended_us: when it ended on request; None while it runs, and if it was killed.
    """

    __tablename__ = "workers"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    started_us: Mapped[int] = mapped_column(BigInteger)
    seen_us: Mapped[int] = mapped_column(BigInteger)
    ended_us: Mapped[int | None] = mapped_column(BigInteger)


class ImportRow(Base):
    """An import of a file, with its results so far, stored together with its rows: an interrupted one continues there.

    Attributes:
        source: the identity of the file's content and the kind of import, by which an interrupted import continues.
        content: the kind of rows, such as transactions.
        file: its name, without the folder.
        updated_us: when the last part was done.
        finished_us: when it was read to its end.
        refused_path: the file of refused rows; None until there is one.
        refused_bytes: the bytes of that file that belong to these results; 0 without one.
    """

    __tablename__ = "imports"
    __table_args__ = (Index("ix_imports_organisation_id_id", "organisation_id", "id"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    source: Mapped[str] = mapped_column(String(64))
    content: Mapped[str] = mapped_column(String(20))
    entity_type: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    file: Mapped[str] = mapped_column(Text)
    started_us: Mapped[int] = mapped_column(BigInteger)
    updated_us: Mapped[int] = mapped_column(BigInteger)
    finished_us: Mapped[int | None] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)
    new: Mapped[int] = mapped_column(BigInteger)
    changed: Mapped[int] = mapped_column(BigInteger)
    same: Mapped[int] = mapped_column(BigInteger)
    refused: Mapped[int] = mapped_column(BigInteger)
    refused_path: Mapped[str | None] = mapped_column(Text)
    refused_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")


class AuditProof(Base):
    """When an organisation's audit log was last compared, and the result. It proves nothing by itself.

    Attributes:
        heads_us: when the heads for the comparison were exported; None without any.
        whole_us: when a comparison last found nothing.
    """

    __tablename__ = "audit_proofs"

    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION), primary_key=True)
    at_us: Mapped[int] = mapped_column(BigInteger)
    entries: Mapped[int] = mapped_column(BigInteger)
    findings: Mapped[int] = mapped_column(BigInteger)
    heads_us: Mapped[int | None] = mapped_column(BigInteger)
    whole_us: Mapped[int | None] = mapped_column(BigInteger)


class RetentionRun(Base):
    """One run over the old rows of one organisation and kind, and what it removed. See `store.erasure.retention`.

    Attributes:
        kind: the kind of the rows, as the policy names it.
        days: the days of the policy when the run began.
        before_us: rows older than this are removed, unless something refers to them.
        reached: its position, as JSON; None before the first part.
        oldest_us: the moment of the oldest removed row, as `newest_us` of the newest; None if it removed nothing.
        digest: the chained digest of the assessments that it emptied; None for other kinds.
        finished_us: when it had covered everything, or the policy was changed; None while it runs.
    """

    __tablename__ = "retention_runs"
    __table_args__ = (
        Index("ix_retention_runs_last", "organisation_id", "kind", "id"),
        # At most one run of a kind at a time.
        Index(
            "ix_retention_runs_open",
            "organisation_id",
            "kind",
            unique=True,
            sqlite_where=_UNDER_WAY,
            postgresql_where=_UNDER_WAY,
        ),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    kind: Mapped[str] = mapped_column(String(20))
    days: Mapped[int] = mapped_column(Integer)
    before_us: Mapped[int] = mapped_column(BigInteger)
    started_us: Mapped[int] = mapped_column(BigInteger)
    finished_us: Mapped[int | None] = mapped_column(BigInteger)
    reached: Mapped[str | None] = mapped_column(Text)
    removed: Mapped[int] = mapped_column(BigInteger)
    oldest_us: Mapped[int | None] = mapped_column(BigInteger)
    newest_us: Mapped[int | None] = mapped_column(BigInteger)
    digest: Mapped[str | None] = mapped_column(String(HASH_CHARACTERS))
