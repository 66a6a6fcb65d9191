"""Ends of tags that were announced stay for a while, so that it is known who set them."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the mark of those; what ended before was deleted when it was announced."""
    op.add_column("tag_ends", sa.Column("announced", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.drop_index("ix_tag_ends_due_us", "tag_ends")
    op.create_index("ix_tag_ends_waiting", "tag_ends", ["announced", "due_us"])
