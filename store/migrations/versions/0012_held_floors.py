"""The floors that hold, and since when some of them rest on what is unknown."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; the floors that were triggered by the latest assessments are those that hold."""
    op.add_column("standings", sa.Column("floor", sa.SmallInteger, nullable=False, server_default="0"))
    op.add_column("standings", sa.Column("floors_lost", sa.Text))
    op.execute(
        "UPDATE standings SET floor = (SELECT a.floor FROM assessments a"
        " WHERE a.entity_id = standings.entity_id AND a.number = standings.number)"
        " WHERE rules_level IS NOT NULL AND EXISTS (SELECT 1 FROM assessments a"
        " WHERE a.entity_id = standings.entity_id AND a.number = standings.number)"
    )
