"""Tags that are to end by the clock, so that flows can listen to that."""

import sqlalchemy as sa
from alembic import op

from fivefold.domain.clock import now_microseconds
from fivefold.store.migrations.initial.columns import BIG

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, with the tags whose end is to come: what ended before is history, and nobody listened then."""
    op.create_table(
        "tag_ends",
        sa.Column("tag_id", BIG, sa.ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_tag_ends_due_us", "tag_ends", ["due_us"])
    op.create_index("ix_tag_ends_entity_id", "tag_ends", ["entity_id"])
    ahead = sa.text(
        "INSERT INTO tag_ends (tag_id, entity_id, due_us) SELECT id, entity_id, until_us FROM tags "
        "WHERE until_us > from_us AND until_us > :now_us"
    )
    op.execute(ahead.bindparams(now_us=now_microseconds()))


def downgrade() -> None:
    """Forward only."""
