"""Figures of peers that people attach to validations."""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; validations of before have no peers."""
    op.create_table(
        "peer_files",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("validation_id", sa.Integer(), sa.ForeignKey("validations.id"), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("attached_by", sa.Text(), nullable=False),
        sa.Column("attached_us", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("validation_id", "content_hash"),
    )


def downgrade() -> None:
    """Forward only."""
