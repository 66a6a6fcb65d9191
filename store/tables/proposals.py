"""The table of proposals: changes of what decides that one person proposes and another approves."""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.audit.history import SALT_CHARACTERS, new_salt
from fivefold.store.sql.json_text import JSONText
from fivefold.store.tables.accounts import Base


class Proposal(Base):
    """A change of what decides, and who proposed and decided it.

    Attributes:
        kind: such as `ruleset.switch`.
        subject: what it is about, in words.
        content: what would change.
        reach: whom it would reach, as far as that was counted when it was proposed.
        entity_id: whom it is about; None where it is about more than one.
        result: what was changed when it was approved.
        salt: of the digest of the row that the audit log has (`store.audit.bound_rows`).
    """

    __tablename__ = "proposals"
    __table_args__ = (
        CheckConstraint("state IN ('proposed', 'approved', 'refused', 'withdrawn')", name="state"),
        Index("ix_proposals_organisation_id_state", "organisation_id", "state"),
        Index("ix_proposals_by_at", "organisation_id", "proposed_us", "id"),
        Index("ix_proposals_by_actor", "organisation_id", "proposed_by", "proposed_us", "id"),
        Index("ix_proposals_by_state", "organisation_id", "state", "proposed_us", "id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    entity_id: Mapped[int | None] = mapped_column(ForeignKey("entities.id"), index=True)
    kind: Mapped[str] = mapped_column(String(30))
    subject: Mapped[str] = mapped_column(Text)
    content: Mapped[dict[str, Any]] = mapped_column(JSONText())
    reach: Mapped[dict[str, Any]] = mapped_column(JSONText())
    reason: Mapped[str] = mapped_column(Text)
    proposed_by: Mapped[str] = mapped_column(Text)
    proposed_us: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(10))
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_us: Mapped[int | None] = mapped_column(BigInteger)
    decision_reason: Mapped[str | None] = mapped_column(Text)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONText())
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)
