"""Indexes by which the queue finds assessments that are dated after now, and those that are quarantined."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes.

    An assessment writes its moment every time. PostgreSQL keeps the earliest and the latest of each range of pages: no
    range reaches into the future unless something there does, and a row still needs no new entry in the other indexes.
    """
    op.create_index(
        "ix_standings_assessed",
        "standings",
        ["organisation_id", "assessed_us"],
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    op.create_index(
        "ix_due_marks_quarantined",
        "due_marks",
        ["organisation_id", "entity_id"],
        sqlite_where=sa.text("quarantined = 1"),
        postgresql_where=sa.text("quarantined"),
    )


def downgrade() -> None:
    """Forward only."""
