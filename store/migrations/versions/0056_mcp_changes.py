"""Which tokens may change something by the tools of /mcp: none that was made or asked for before."""

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; a process of the release before makes tokens that change nothing."""
    for table in ("tokens", "token_requests"):
        op.add_column(table, sa.Column("mcp_changes", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Forward only."""
