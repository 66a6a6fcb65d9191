"""An index of deliveries that arrived, by endpoint and moment: when something arrived last is one row of it."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    arrived = sa.text("state = 'delivered'")
    op.create_index(
        "ix_deliveries_arrived",
        "deliveries",
        ["endpoint_id", "delivered_us"],
        sqlite_where=arrived,
        postgresql_where=arrived,
    )
