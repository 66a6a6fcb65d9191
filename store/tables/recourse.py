"""The table of challenges: the contested assessment, the due date, and the settlement."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.audit.history import SALT_CHARACTERS, new_salt
from fivefold.store.sql.json_text import JSONText
from fivefold.store.tables.accounts import COUNTED, HASH_CHARACTERS, Base
from fivefold.store.tables.entities import BIG

_IS_OPEN = text("state = 'open'")


class Challenge(Base):
    """A challenge: a person contests an assessment, which is kept unchanged until another person settles the challenge.

    Attributes:
        number: the number of the assessment, among those of the entity.
        words: the words of the person.
        received_us: when these were received; the setting at that time decides how many days later it is due.
        opened_by: who recorded it, as the audit log names them.
        record_sha256: the hash of the assessment and everything that it rests on, when the challenge was opened.
        state: open, confirmed, corrected or overridden.
        reason: the reason of the settlement, for the organisation; None while the challenge is open.
        answer: the answer to the person concerned; None if nothing is added to the fixed text.
        facts: the corrected facts, as the settlement names them.
        settled_number: the number of the first assessment after all changes that the settlement names; None if the
            contested one is confirmed.
        override_id: the override that replaced the rules' level, or that was revoked.
    """

    __tablename__ = "challenges"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'confirmed', 'corrected', 'overridden')", name="state"),
        Index("ix_challenges_by_due", "organisation_id", "due_us", "id"),
        Index("ix_challenges_by_state", "organisation_id", "state", "due_us", "id"),
        Index(
            "ix_challenges_by_opening",
            "organisation_id",
            "opened_us",
            "id",
            sqlite_where=_IS_OPEN,
            postgresql_where=_IS_OPEN,
        ),
        Index("ix_challenges_entity", "entity_id", "due_us", "id"),
        Index(
            "ix_challenges_open",
            "entity_id",
            "number",
            unique=True,
            sqlite_where=_IS_OPEN,
            postgresql_where=_IS_OPEN,
        ),
        COUNTED,
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    entity_id: Mapped[int] = mapped_column(ForeignKey("entities.id"))
    number: Mapped[int] = mapped_column(Integer)
    words: Mapped[str] = mapped_column(Text)
    received_us: Mapped[int] = mapped_column(BigInteger)
    opened_us: Mapped[int] = mapped_column(BigInteger)
    opened_by: Mapped[str] = mapped_column(Text)
    due_us: Mapped[int] = mapped_column(BigInteger)
    record_sha256: Mapped[str] = mapped_column(String(HASH_CHARACTERS))
    state: Mapped[str] = mapped_column(String(10))
    settled_by: Mapped[str | None] = mapped_column(Text)
    settled_us: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str | None] = mapped_column(Text)
    answer: Mapped[str | None] = mapped_column(Text)
    facts: Mapped[list[str] | None] = mapped_column(JSONText())
    settled_number: Mapped[int | None] = mapped_column(Integer)
    override_id: Mapped[int | None] = mapped_column(BIG)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)
