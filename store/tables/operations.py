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
        ended_us: when it ended as requested; None while it runs, and if it was killed.
    """

    __tablename__ = "workers"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    started_us: Mapped[int] = mapped_column(BigInteger)
    seen_us: Mapped[int] = mapped_column(BigInteger)
    ended_us: Mapped[int | None] = mapped_column(BigInteger)


class ImportRow(Base):
    """An import of a file, and the results of its rows so far, stored with these: an interrupted one continues there.

    Attributes:
        source: names the file's content and the kind of import; an interrupted import continues under it.
        content: what the rows are, such as transactions.
        file: its name, without the folder.
        updated_us: when the last part was done.
        finished_us: when it was read to its end.
        refused_path: the file of refused rows; None until there is one.
        refused_bytes: the bytes of it that belong to these results; 0 without one.
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
    """When an organisation's audit log was last compared, and with what result. It proves nothing by itself.

    Attributes:
        heads_us: when the heads were exported that it was compared with; None without any.
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
        kind: of the rows, as the policy names it.
        days: of the policy, when it began.
        before_us: rows older than this are removed, unless something refers to them.
        reached: its position, as JSON; None before the first part.
        oldest_us: of the removed rows, as is `newest_us`; None if it removed nothing.
        digest: of the assessments that it emptied, one after the other; None for other kinds.
        finished_us: when it had covered everything, or the policy was changed; None while it runs.
    """

    __tablename__ = "retention_runs"
    __table_args__ = (
        Index("ix_retention_runs_last", "organisation_id", "kind", "id"),
        # At most one of a kind at a time.
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
