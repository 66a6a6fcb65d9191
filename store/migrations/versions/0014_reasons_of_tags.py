"""Why a tag was set, who ended it, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of tags that were set or ended before the audit log alone says it."""
    for name in ("set_reason", "ended_by", "end_reason"):
        op.add_column("tags", sa.Column(name, sa.Text(), nullable=True))
