"""Salts of runs of flows, of what their steps came to and of their actions: the audit log has a digest of each."""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for table in ("flow_runs", "flow_steps", "flow_actions"):
        op.add_column(table, sa.Column("salt", sa.String(32)))


def downgrade() -> None:
    """Forward only."""
