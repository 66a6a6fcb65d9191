"""The schema of the first release."""

from alembic import op

from fivefold.store.migrations.initial import accounts, facts, guards, levels

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and the guards of what does not change."""
    for tables in (accounts, facts, levels):
        tables.create()
    guards.create()
    if op.get_context().dialect.name == "postgresql":
        # Rows that change all the time: a version that fits beside the old one leaves the indexes alone.
        for table in ("due_marks", "standings"):
            op.execute(f"ALTER TABLE {table} SET (fillfactor = 50)")
