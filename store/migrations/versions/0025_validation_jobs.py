"""Validations that a worker makes, with their progress: one of a time at once."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "validation_jobs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("part", sa.Text()),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_us", sa.BigInteger(), nullable=False),
        sa.Column("lease_until_us", sa.BigInteger()),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.Column("validation_id", sa.Integer(), sa.ForeignKey("validations.id")),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
    )
    under_way = sa.text("state IN ('queued', 'running')")
    op.create_index(
        "ix_validation_jobs_open",
        "validation_jobs",
        ["organisation_id", "from_us", "until_us"],
        unique=True,
        sqlite_where=under_way,
        postgresql_where=under_way,
    )
