"""The tables of what people read before they decided about an override. Nothing else that people read is kept."""

from sqlalchemy import BigInteger, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.tables.accounts import Base
from fivefold.store.tables.entities import BIG


class Opening(Base):
    """That the reasons of an assessment were opened in a session of the console, and when that was first."""

    __tablename__ = "openings"

    session_id: Mapped[int] = mapped_column(ForeignKey("console_sessions.id"), primary_key=True)
    entity_id: Mapped[int] = mapped_column(ForeignKey("entities.id"), primary_key=True, index=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    opened_us: Mapped[int] = mapped_column(BigInteger)


class OverrideReading(Base):
    """What a person had read when they asked for an override, or decided about it, on the pages.

    Attributes:
        act: requested, approved or refused.
        actor: who did it.
        number: of the assessment that held then; None where there was none.
        seconds: since its reasons were opened in the same session; None where they were not.
    """

    __tablename__ = "override_readings"

    override_id: Mapped[int] = mapped_column(BIG, ForeignKey("overrides.id"), primary_key=True)
    act: Mapped[str] = mapped_column(String(10), primary_key=True)
    actor: Mapped[str] = mapped_column(Text)
    number: Mapped[int | None] = mapped_column(Integer)
    seconds: Mapped[int | None] = mapped_column(Integer)
