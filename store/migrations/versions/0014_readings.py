"""What people read before they decide about an override."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "openings",
        sa.Column("session_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("entity_id", BIG, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["console_sessions.id"], name="fk_openings_session_id"),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_openings_entity_id"),
    )
    op.create_index("ix_openings_entity_id", "openings", ["entity_id"])
    op.create_table(
        "override_readings",
        sa.Column("override_id", BIG, primary_key=True, autoincrement=False),
        sa.Column("act", sa.String(10), primary_key=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer()),
        sa.Column("seconds", sa.Integer()),
        sa.ForeignKeyConstraint(["override_id"], ["overrides.id"], name="fk_override_readings_override_id"),
    )
