"""Tags that are to end by the clock, so that flows can listen to that."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, with the tags that have an end; those whose end is past are taken out by the first worker."""
    op.create_table(
        "tag_ends",
        sa.Column("tag_id", BIG, sa.ForeignKey("tags.id"), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_tag_ends_due_us", "tag_ends", ["due_us"])
    op.create_index("ix_tag_ends_entity_id", "tag_ends", ["entity_id"])
    op.execute(
        "INSERT INTO tag_ends (tag_id, entity_id, due_us) SELECT id, entity_id, until_us FROM tags "
        "WHERE until_us IS NOT NULL AND until_us > from_us"
    )


def downgrade() -> None:
    """Forward only."""
