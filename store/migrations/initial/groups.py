"""The first tables of named groups."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG, only_where


def create() -> None:
    """Create them."""
    _named_groups()
    _group_members()
    _group_moves()
    _group_sizes()
    _group_versions()


def _named_groups() -> None:
    op.create_table(
        "named_groups",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer(), sa.ForeignKey("entity_types.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("purpose", sa.String(10), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("organisation_id", "name"),
    )
    op.create_index("ix_named_groups_type_id", "named_groups", ["type_id"])


def _group_members() -> None:
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.Integer(), sa.ForeignKey("named_groups.id"), primary_key=True),
        sa.Column("entity_id", BIG, primary_key=True),
        sa.Column("is_member", sa.Boolean(), nullable=False),
        sa.Column("is_unknown", sa.Boolean(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("moves", sa.Integer(), nullable=False),
    )
    op.create_index("ix_group_members_entity_id", "group_members", ["entity_id"])
    op.create_index("ix_group_members_in", "group_members", ["group_id", "entity_id"], **only_where("is_member"))


def _group_moves() -> None:
    op.create_table(
        "group_moves",
        sa.Column("group_id", sa.Integer(), sa.ForeignKey("named_groups.id"), primary_key=True),
        sa.Column("entity_id", BIG, primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("version_id", sa.Integer()),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("entered", sa.Boolean(), nullable=False),
        sa.Column("is_unknown", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_group_moves_by_at", "group_moves", ["group_id", "at_us", "entity_id", "number"])
    op.create_index("ix_group_moves_entity_id", "group_moves", ["entity_id", "at_us"])


def _group_sizes() -> None:
    op.create_table(
        "group_sizes",
        sa.Column("group_id", sa.Integer(), sa.ForeignKey("named_groups.id"), primary_key=True),
        sa.Column("day", sa.Integer(), primary_key=True),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("members", sa.BigInteger(), nullable=False),
        sa.Column("unknown", sa.BigInteger(), nullable=False),
    )


def _group_versions() -> None:
    op.create_table(
        "group_versions",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("group_id", sa.Integer(), sa.ForeignKey("named_groups.id"), nullable=False),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("written_by", sa.Text(), nullable=False),
        sa.Column("written_us", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.Text()),
        sa.Column("approved_us", sa.BigInteger()),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("state IN ('proposed', 'active', 'retired')", name="state"),
        sa.UniqueConstraint("group_id", "number"),
    )
