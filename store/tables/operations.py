"""The tables that operators look at: workers, imports, and when the audit log was proven last."""

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.tables.accounts import NAME_CHARACTERS, Base

_ORGANISATION = "organisations.id"


class WorkerRow(Base):
    """A worker: it assesses for all organisations.

    Attributes:
        seen_us: when it last said that it runs.
        ended_us: when it ended as it was asked to; None while it runs, and where it was killed.
    """

    __tablename__ = "workers"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    started_us: Mapped[int] = mapped_column(BigInteger)
    seen_us: Mapped[int] = mapped_column(BigInteger)
    ended_us: Mapped[int | None] = mapped_column(BigInteger)


class ImportRow(Base):
    """An import of a file, and what became of its rows so far.

    Attributes:
        source: names the file as it was, with what it was imported as; one that was stopped goes on under it.
        content: what the rows are, such as transactions.
        file: its name, without the folder.
        updated_us: when a part was done last.
        finished_us: when it was read to its end.
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


class AuditProof(Base):
    """When an organisation's audit log was compared last, and with what result. It proves nothing by itself.

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
