"""An index leads to those of one organisation and priority who are due: workers share themselves out."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_due_marks_queue", "due_marks", ["quarantined", "organisation_id", "priority", "due_us"])
