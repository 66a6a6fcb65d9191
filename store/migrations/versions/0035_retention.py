"""For how many days an organisation keeps what the program made, and the runs that remove what is older."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import only_where

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the settings, empty: nothing is removed until an organisation says so. Create the table of runs."""
    for kind in ("outbox", "deliveries", "reports"):
        op.add_column("organisation_settings", sa.Column(f"{kind}_days", sa.Integer()))
    op.add_column("backtests", sa.Column("movers_removed_us", sa.BigInteger()))
    op.create_table(
        "retention_runs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("before_us", sa.BigInteger(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger()),
        sa.Column("reached", sa.Text()),
        sa.Column("removed", sa.BigInteger(), nullable=False),
        sa.Column("oldest_us", sa.BigInteger()),
        sa.Column("newest_us", sa.BigInteger()),
    )
    op.create_index("ix_retention_runs_last", "retention_runs", ["organisation_id", "kind", "id"])
    op.create_index(
        "ix_retention_runs_open",
        "retention_runs",
        ["organisation_id", "kind"],
        unique=True,
        **only_where("finished_us IS NULL"),
    )
