"""What lists, and the data of types of entities, were gathered for."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; nothing is said of what is there."""
    op.add_column("list_versions", sa.Column("purpose", sa.String(12)))
    op.add_column("entity_types", sa.Column("purposes", sa.Text()))
