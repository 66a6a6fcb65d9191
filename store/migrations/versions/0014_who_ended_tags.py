"""Who ended a tag, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both; of tags that ended before the audit log alone says it."""
    op.add_column("tags", sa.Column("ended_by", sa.Text(), nullable=True))
    op.add_column("tags", sa.Column("end_reason", sa.Text(), nullable=True))
