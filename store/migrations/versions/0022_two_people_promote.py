"""A value model may need a second person to become champion."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column(
        "organisation_settings",
        sa.Column("two_people_promote", sa.Boolean, nullable=False, server_default=sa.false()),
    )
