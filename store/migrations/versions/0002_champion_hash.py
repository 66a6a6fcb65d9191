"""The content hash of the value model that serves, as a version's number is given again in a registry made anew."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it."""
    op.add_column("champions", sa.Column("content_hash", sa.String(64), nullable=True))
