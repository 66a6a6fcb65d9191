"""The tables of outgoing events - outbox, endpoints, deliveries - and of decisions and material changes."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    text,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.audit.history import SALT_CHARACTERS, new_salt
from fivefold.store.sql.json_text import JSONText, stored_report
from fivefold.store.tables.accounts import COUNTED, HASH_CHARACTERS, NAME_CHARACTERS, Base
from fivefold.store.tables.entities import BIG
from fivefold.store.tables.versions import ProposedColumns

_ORGANISATION = "organisations.id"
_WAITING, _DEAD, _ARRIVED = (text(f"state = '{state}'") for state in ("waiting", "dead", "delivered"))
_OPEN = text("state IN ('queued', 'running')")


class OutboxEvent(Base):
    """An event, stored in the transaction of its cause. `id` is its sequence number, and `body` is JSON."""

    __tablename__ = "outbox"
    __table_args__ = (Unique("event_id"), Index("ix_outbox_organisation_id_id", "organisation_id", "id"), COUNTED)

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(Integer)
    event_id: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(50))
    entity_id: Mapped[int] = mapped_column(BIG)
    at_us: Mapped[int] = mapped_column(BigInteger)
    body: Mapped[str | None] = mapped_column(Text)


class Endpoint(Base):
    """An address at which an organisation receives events. `secrets` are encrypted JSON, the newest first.

    Attributes:
        planned_id: events up to here have their deliveries.
    """

    __tablename__ = "endpoints"
    __table_args__ = COUNTED

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION), index=True)
    url: Mapped[str] = mapped_column(Text)
    kinds: Mapped[list[str]] = mapped_column(JSONText())
    secrets: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(Boolean)
    private_allowed: Mapped[bool] = mapped_column(Boolean)
    planned_id: Mapped[int] = mapped_column(BIG)
    created_us: Mapped[int] = mapped_column(BigInteger)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class Delivery(Base):
    """One event on its way to one endpoint."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name="state"),
        # Each index covers one state only: a search for waiting deliveries does not scan those that arrived long ago.
        Index("ix_deliveries_next", "endpoint_id", "next_us", sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index(
            "ix_deliveries_pair",
            "endpoint_id",
            "entity_id",
            "event_number",
            sqlite_where=_WAITING,
            postgresql_where=_WAITING,
        ),
        Index("ix_deliveries_dead", "endpoint_id", "event_number", sqlite_where=_DEAD, postgresql_where=_DEAD),
        Index("ix_deliveries_arrived", "endpoint_id", "delivered_us", sqlite_where=_ARRIVED, postgresql_where=_ARRIVED),
    )

    endpoint_id: Mapped[int] = mapped_column(ForeignKey("endpoints.id"), primary_key=True)
    event_number: Mapped[int] = mapped_column(BIG, primary_key=True)
    entity_id: Mapped[int] = mapped_column(BIG)
    state: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int] = mapped_column(Integer)
    next_us: Mapped[int] = mapped_column(BigInteger)
    lease: Mapped[str | None] = mapped_column(String(40))
    lease_until_us: Mapped[int | None] = mapped_column(BigInteger)
    delivered_us: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)


class Policy(ProposedColumns, Base):
    """A version of a policy: proposed, active or retired; at most one of a name is active."""

    __tablename__ = "policies"
    __table_args__ = (Unique("organisation_id", "name", "number"),)

    name: Mapped[str] = mapped_column(String(NAME_CHARACTERS))


class Decision(Base):
    """A decision on a transaction: the facts on both sides, every version involved, and the result.

    Attributes:
        decision_key: the policy's name and the caller's key; a repeated request is not decided again.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        Unique("organisation_id", "decision_key"),
        Index("ix_decisions_entity_id_id", "entity_id", "id"),
        Index("ix_decisions_by_at", "organisation_id", "at_us", "id"),
        Index("ix_decisions_by_actor", "organisation_id", "actor", "at_us", "id"),
        Index("ix_decisions_by_action", "organisation_id", "action", "at_us", "id"),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION), index=True)
    policy_id: Mapped[int] = mapped_column(ForeignKey("policies.id"))
    entity_id: Mapped[int] = mapped_column(BIG)
    assessment_number: Mapped[int | None] = mapped_column(Integer)
    value_as_of_us: Mapped[int | None] = mapped_column(BigInteger)
    at_us: Mapped[int] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(100))
    decision_key: Mapped[str | None] = mapped_column(Text)
    inputs: Mapped[str | None] = mapped_column(Text)
    answer: Mapped[str | None] = mapped_column(Text)


class MaterialChange(Base):
    """A change of product, channel, country or regulation: rulesets must be validated again, and signed off."""

    __tablename__ = "material_changes"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    description: Mapped[str] = mapped_column(Text)
    registered_by: Mapped[str] = mapped_column(Text)
    registered_us: Mapped[int] = mapped_column(BigInteger)
    validation_id: Mapped[int | None] = mapped_column(Integer)
    signed_by: Mapped[str | None] = mapped_column(Text)
    signed_us: Mapped[int | None] = mapped_column(BigInteger)
    conclusion: Mapped[str | None] = mapped_column(Text)


class ValidationRun(Base):
    """A validation of the levels of a period, with its report; the last three are None until it is signed off."""

    __tablename__ = "validations"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION), index=True)
    trigger: Mapped[str] = mapped_column(Text)
    from_us: Mapped[int] = mapped_column(BigInteger)
    until_us: Mapped[int] = mapped_column(BigInteger)
    made_us: Mapped[int] = mapped_column(BigInteger)
    report: Mapped[dict[str, Any]] = mapped_column(JSONText(stored_report))
    signed_by: Mapped[str | None] = mapped_column(Text)
    signed_us: Mapped[int | None] = mapped_column(BigInteger)
    conclusion: Mapped[str | None] = mapped_column(Text)


class PeerFile(Base):
    """A peer's figures beside a validation: the file as a person attached it, which never changes.

    Attributes:
        file: its name.
        content: its text.
        content_hash: SHA-256 of the text in UTF-8, in hexadecimal; the audit log has it too.
    """

    __tablename__ = "peer_files"
    __table_args__ = (Unique("validation_id", "content_hash"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    validation_id: Mapped[int] = mapped_column(ForeignKey("validations.id"))
    file: Mapped[str] = mapped_column(Text)
    content: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(String(HASH_CHARACTERS))
    attached_by: Mapped[str] = mapped_column(Text)
    attached_us: Mapped[int] = mapped_column(BigInteger)


class JobColumns:
    """The columns of every job that a worker does on a person's request; `store.sql.jobs` leases them.

    Attributes:
        attempts: how often a worker began it without being asked to stop.
        part: what the worker does now, in words; `done` of `total` count within it, if the total is known.
        error: why it failed or is quarantined.
    """

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    state: Mapped[str] = mapped_column(String(12))
    attempts: Mapped[int] = mapped_column(Integer)
    part: Mapped[str | None] = mapped_column(Text)
    requested_by: Mapped[str] = mapped_column(Text)
    requested_us: Mapped[int] = mapped_column(BigInteger)
    lease_until_us: Mapped[int | None] = mapped_column(BigInteger)
    done: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int] = mapped_column(BigInteger)
    finished_us: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)


class ValidationJob(JobColumns, Base):
    """A validation that a worker makes on a person's request: its progress, and its result.

    Attributes:
        validation_id: the result; None until it is done.
    """

    __tablename__ = "validation_jobs"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
        # At most one for a period at a time.
        Index(
            "ix_validation_jobs_open",
            "organisation_id",
            "from_us",
            "until_us",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        COUNTED,
    )

    from_us: Mapped[int] = mapped_column(BigInteger)
    until_us: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text)
    validation_id: Mapped[int | None] = mapped_column(ForeignKey("validations.id"))


class EvidenceJob(JobColumns, Base):
    """The evidence of a quarter that a worker collects on a person's request: its progress, and the archive.

    Attributes:
        quarter: such as 2026Q3.
        content: the archive; None until it is done, and after it was deleted.
        manifest_sha256: the hash of the archive's manifest; `size_bytes` is the size of the archive, and `findings` is
            the number of findings when the audit log was verified.
    """

    __tablename__ = "evidence_jobs"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
        # At most one for a quarter at a time.
        Index(
            "ix_evidence_jobs_open",
            "organisation_id",
            "quarter",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        COUNTED,
    )

    quarter: Mapped[str] = mapped_column(String(8))
    content: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    manifest_sha256: Mapped[str | None] = mapped_column(String(64))
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    findings: Mapped[int | None] = mapped_column(Integer)
