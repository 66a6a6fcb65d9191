"""The assessment whose reasons a person had opened before they acted, beside the one in force when they did."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; until now only the one in force was looked for, so it is the one that was opened."""
    op.add_column("override_readings", sa.Column("opened_number", sa.Integer(), nullable=True))
    op.execute("UPDATE override_readings SET opened_number = number WHERE seconds IS NOT NULL")
