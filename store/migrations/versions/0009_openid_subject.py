"""Whom an identity provider signed in to the console."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("console_sessions", sa.Column("subject", sa.Text()))
