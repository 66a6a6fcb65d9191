"""The moment at which a transaction counts for the value of an entity, so that a process without a model keeps it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; it is known of marks that are due by it, which have the bit of `Reason.SETTLED`."""
    op.add_column("due_marks", sa.Column("settled_us", sa.BigInteger(), nullable=True))
    op.execute("UPDATE due_marks SET settled_us = due_us WHERE reasons & 1048576 <> 0")
