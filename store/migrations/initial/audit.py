"""The first tables of the audit log."""

import sqlalchemy as sa
from alembic import op


def create() -> None:
    """Create them."""
    _audit_entries()
    _audit_heads()
    _audit_values()


def _audit_entries() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("subject_kind", sa.String(100), nullable=False),
        sa.Column("subject_id", sa.Text()),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("bulk_count", sa.BigInteger()),
        sa.Column("bulk_digest", sa.String(64)),
        sa.Column("before_hash", sa.String(64)),
        sa.Column("after_hash", sa.String(64)),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.CheckConstraint("number > 0", name="number"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_audit_entries_by_action", "audit_entries", ["organisation_id", "action", "at_us", "number"])
    op.create_index("ix_audit_entries_by_actor", "audit_entries", ["organisation_id", "actor", "at_us", "number"])
    op.create_index("ix_audit_entries_by_at", "audit_entries", ["organisation_id", "at_us", "number"])
    op.create_index(
        "ix_audit_entries_by_subject",
        "audit_entries",
        ["organisation_id", "subject_kind", "subject_id", "at_us", "number"],
    )


def _audit_heads() -> None:
    op.create_table(
        "audit_heads",
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sqlite_with_rowid=False,
    )


def _audit_values() -> None:
    op.create_table(
        "audit_values",
        sa.Column("organisation_id", sa.Integer(), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True),
        sa.Column("salt", sa.String(64)),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
        sa.Column("erased_us", sa.BigInteger()),
        sa.ForeignKeyConstraint(
            ["organisation_id", "number"],
            ["audit_entries.organisation_id", "audit_entries.number"],
            name="fk_audit_values_organisation_id",
        ),
        sqlite_with_rowid=False,
    )
