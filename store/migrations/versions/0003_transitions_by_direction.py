"""Rises and falls of levels, each by their moment: most transitions are first levels."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_CONDITIONS = {"rises": "to_level > from_level", "falls": "from_level > coalesce(to_level, 0)"}


def upgrade() -> None:
    """Index them."""
    for name, condition in _CONDITIONS.items():
        only = sa.text(condition)
        columns = ["organisation_id", "at_us", "entity_id", "number"]
        op.create_index(f"ix_transitions_{name}", "transitions", columns, sqlite_where=only, postgresql_where=only)
