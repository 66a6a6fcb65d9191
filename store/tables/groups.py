"""The tables of named groups: versions, members, entries and exits, and daily sizes."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, ForeignKey, Index, Integer, String, text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.tables.accounts import NAME_CHARACTERS, Base
from fivefold.store.tables.entities import BIG
from fivefold.store.tables.versions import ProposedColumns

_ORGANISATION = "organisations.id"
_GROUP = "named_groups.id"
_IS_MEMBER = text("is_member")


class NamedGroup(Base):
    """A group of entities of one type. All its versions have its purpose, for which members were selected."""

    __tablename__ = "named_groups"
    __table_args__ = (Unique("organisation_id", "name"), Index("ix_named_groups_type_id", "type_id"))

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    type_id: Mapped[int] = mapped_column(ForeignKey("entity_types.id"))
    name: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    purpose: Mapped[str] = mapped_column(String(10))
    created_us: Mapped[int] = mapped_column(BigInteger)


class GroupVersion(ProposedColumns, Base):
    """A version of a group: proposed, active or retired; at most one of a group is active."""

    __tablename__ = "group_versions"
    __table_args__ = (
        Unique("group_id", "number"),
        CheckConstraint("state IN ('proposed', 'active', 'retired')", name="state"),
    )

    group_id: Mapped[int] = mapped_column(ForeignKey(_GROUP))


class GroupMember(Base):
    """Whether an entity is a member. An entity that was never a member, nor unknown, has no row.

    Attributes:
        is_unknown: whether the condition was unknown at the last evaluation.
        since_us: since when it has been a member, or not been one.
        moves: how often it entered or left.
    """

    __tablename__ = "group_members"
    __table_args__ = (
        Index("ix_group_members_entity_id", "entity_id"),
        Index("ix_group_members_in", "group_id", "entity_id", sqlite_where=_IS_MEMBER, postgresql_where=_IS_MEMBER),
    )

    group_id: Mapped[int] = mapped_column(ForeignKey(_GROUP), primary_key=True)
    entity_id: Mapped[int] = mapped_column(BIG, primary_key=True)
    is_member: Mapped[bool] = mapped_column(Boolean)
    is_unknown: Mapped[bool] = mapped_column(Boolean)
    since_us: Mapped[int] = mapped_column(BigInteger)
    moves: Mapped[int] = mapped_column(Integer)


class GroupMove(Base):
    """An entry of an entity into a group or an exit, numbered from 1 for each entity; stored once, announced once.

    Attributes:
        version_id: the version that moved it; None if the group was retired.
        is_unknown: whether the condition was unknown, so that the group's `on_unknown` moved the entity.
    """

    __tablename__ = "group_moves"
    __table_args__ = (
        Index("ix_group_moves_entity_id", "entity_id", "at_us"),
        Index("ix_group_moves_by_at", "group_id", "at_us", "entity_id", "number"),
    )

    group_id: Mapped[int] = mapped_column(ForeignKey(_GROUP), primary_key=True)
    entity_id: Mapped[int] = mapped_column(BIG, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    version_id: Mapped[int | None] = mapped_column(Integer)
    at_us: Mapped[int] = mapped_column(BigInteger)
    entered: Mapped[bool] = mapped_column(Boolean)
    is_unknown: Mapped[bool] = mapped_column(Boolean)


class GroupSize(Base):
    """The size of a group, counted once on each day (UTC) by a worker; a day without a count has no row.

    Attributes:
        day: in days since 1970.
        unknown: the number of entities for which the condition was unknown, members or not.
    """

    __tablename__ = "group_sizes"

    group_id: Mapped[int] = mapped_column(ForeignKey(_GROUP), primary_key=True)
    day: Mapped[int] = mapped_column(Integer, primary_key=True)
    at_us: Mapped[int] = mapped_column(BigInteger)
    members: Mapped[int] = mapped_column(BigInteger)
    unknown: Mapped[int] = mapped_column(BigInteger)
