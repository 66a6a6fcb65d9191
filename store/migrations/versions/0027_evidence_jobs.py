"""Evidence that a worker collects, with its progress and the archive: one of a quarter at once."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "evidence_jobs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("quarter", sa.String(8), nullable=False),
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
        sa.Column("content", sa.LargeBinary()),
        sa.Column("manifest_sha256", sa.String(64)),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("findings", sa.Integer()),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
    )
    under_way = sa.text("state IN ('queued', 'running')")
    op.create_index(
        "ix_evidence_jobs_open",
        "evidence_jobs",
        ["organisation_id", "quarter"],
        unique=True,
        sqlite_where=under_way,
        postgresql_where=under_way,
    )
