"""Tokens that one administrator asks for and another one approves."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "token_requests",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer()),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("plan", sa.String(100), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("expires_days", sa.Integer()),
        sa.Column("half_sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_us", sa.BigInteger()),
        sa.Column("token_id", sa.Integer()),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_token_requests_organisation_id"),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.id"], name="fk_token_requests_token_id"),
        sa.CheckConstraint("state IN ('asked', 'made', 'refused')", name="state"),
    )
    op.create_index("ix_token_requests_organisation_id_id", "token_requests", ["organisation_id", "id"])
