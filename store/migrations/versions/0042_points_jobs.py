"""Points of a ruleset that workers learn from the platform's own cases, asked for by a person."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "points_jobs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("family_id", sa.Integer(), sa.ForeignKey("ruleset_families.id"), nullable=False),
        sa.Column("version_id", sa.Integer(), sa.ForeignKey("ruleset_versions.id"), nullable=False),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("learn_as_of_us", sa.BigInteger()),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
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
        sa.Column("report", sa.Text()),
        sa.Column("draft_revision", sa.Integer()),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
    )
    op.create_index("ix_points_jobs_family_id", "points_jobs", ["family_id", "id"])


def downgrade() -> None:
    """Forward only."""
