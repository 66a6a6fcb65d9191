"""Erased entities: an index by which they are left out of what is counted."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_IS_ERASED = sa.text("erased_us IS NOT NULL")


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_entities_erased", "entities", ["id"], sqlite_where=_IS_ERASED, postgresql_where=_IS_ERASED)
