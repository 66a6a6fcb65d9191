"""Standings say what the last assessment came to, so that one that comes to the same is not stored again."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; whoever stands somewhere is stored once more, whatever comes of it."""
    op.add_column("standings", sa.Column("digest", sa.String(64)))
