"""The ends between which an entity's value will lie, beside its expected value."""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of values that are stored already no interval is known."""
    op.add_column("value_scores", sa.Column("expected_value_low", sa.Float(53)))
    op.add_column("value_scores", sa.Column("expected_value_high", sa.Float(53)))
    op.add_column("value_scores", sa.Column("interval_level_percent", sa.Integer()))


def downgrade() -> None:
    """Forward only."""
