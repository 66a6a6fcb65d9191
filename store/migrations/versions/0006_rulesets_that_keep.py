"""The rulesets that keep an entity on which another one decides while a value is missing."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; without a value none does."""
    op.add_column("standings", sa.Column("kept_by", sa.Text(), nullable=True))
