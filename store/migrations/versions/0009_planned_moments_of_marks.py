"""The moment for which a due mark was planned, where something brought it forward."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; of marks that were brought forward before, it is not known."""
    op.add_column("due_marks", sa.Column("planned_us", sa.BigInteger(), nullable=True))
