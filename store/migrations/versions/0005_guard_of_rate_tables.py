"""The guard of own exchange rates: a table of them is neither changed nor deleted."""

from fivefold.store.migrations.initial.guards import refuse

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create its triggers."""
    refuse("rate_tables", "UPDATE")
    refuse("rate_tables", "DELETE")
