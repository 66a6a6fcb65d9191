"""Who is behind the flows by which an entity is due."""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of notes that are there already nobody is known."""
    op.add_column("flow_marks", sa.Column("people", sa.Text()))
    op.add_column("flow_marks", sa.Column("answered", sa.Text()))


def downgrade() -> None:
    """Forward only."""
