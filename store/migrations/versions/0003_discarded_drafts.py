"""The revision of the last draft of a ruleset that was discarded, from which the next draft continues."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it."""
    op.add_column("ruleset_families", sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
