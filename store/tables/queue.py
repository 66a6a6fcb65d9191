"""The tables of people's work on items of the queue, and of its named filters; the items are rows of other tables."""

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.sql.json_text import JSONText
from fivefold.store.tables.accounts import COUNTED, Base
from fivefold.store.tables.entities import BIG

KIND_CHARACTERS, VIEW_NAME_CHARACTERS = 12, 60


class QueueWork(Base):
    """The assignment of an item of the queue, and whether it is completed.

    Attributes:
        kind: the kind of the item, a `store.queue.items.Kind`.
        number: with `step`, it identifies the item within its kind, such as an entity and its assessment.
        entity_id: the entity of the item; None if the item is about several.
        member_id: the member to whom it is assigned; None if it is not assigned.
        done_us: when it was put away; None while it waits.
        revision: how often the row was written; a change names the revision on which it is based.
        changed_by: who wrote it last.
    """

    __tablename__ = "queue_work"
    __table_args__ = (Index("ix_queue_work_member_id", "organisation_id", "member_id"),)

    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(KIND_CHARACTERS), primary_key=True)
    number: Mapped[int] = mapped_column(BIG, primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    entity_id: Mapped[int | None] = mapped_column(ForeignKey("entities.id"), index=True)
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"))
    done_us: Mapped[int | None] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(Integer)
    changed_us: Mapped[int] = mapped_column(BigInteger)
    changed_by: Mapped[str] = mapped_column(Text)


class QueueView(Base):
    """A filter of the queue under a name, for one member or for all members of the organisation.

    Attributes:
        owner: the number of the member who owns it; 0 for the organisation.
        filters: by name, as addresses have them.
        saved_by: the number of the member who saved it.
    """

    __tablename__ = "queue_views"
    __table_args__ = (UniqueConstraint("organisation_id", "owner", "name"), COUNTED)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    owner: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(String(VIEW_NAME_CHARACTERS))
    filters: Mapped[dict[str, str]] = mapped_column(JSONText())
    saved_by: Mapped[int] = mapped_column(Integer)
    saved_us: Mapped[int] = mapped_column(BigInteger)
