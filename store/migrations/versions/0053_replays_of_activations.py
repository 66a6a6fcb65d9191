"""What runs of flows do, as one text by which a shadow is compared; and the replay that activations had."""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of runs and activations of before nothing is known."""
    op.add_column("flow_runs", sa.Column("does", sa.Text()))
    op.add_column("flow_activations", sa.Column("replay_id", sa.Integer()))


def downgrade() -> None:
    """Forward only."""
