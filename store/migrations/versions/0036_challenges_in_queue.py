"""An index by which the queue finds the challenges that came last."""

from alembic import op

from fivefold.store.migrations.initial.columns import only_where

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index; those that are due first have one since the table came."""
    op.create_index(
        "ix_challenges_by_opening", "challenges", ["organisation_id", "opened_us", "id"], **only_where("state = 'open'")
    )


def downgrade() -> None:
    """Forward only."""
