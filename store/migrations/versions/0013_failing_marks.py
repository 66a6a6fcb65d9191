"""An index of the entities that could not be assessed the last time that was tried, which are counted and listed."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it."""
    condition = sa.text("error IS NOT NULL")
    op.create_index(
        "ix_due_marks_failing",
        "due_marks",
        ["organisation_id", "entity_id"],
        sqlite_where=condition,
        postgresql_where=condition,
    )
