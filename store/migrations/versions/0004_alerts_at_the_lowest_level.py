"""The share of alerts that the lowest level may have before a revalidation is asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; without a value it is the default."""
    op.add_column("organisation_settings", sa.Column("lowest_alert_percent", sa.Integer(), nullable=True))
