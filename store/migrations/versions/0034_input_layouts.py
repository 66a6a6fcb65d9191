"""What the inputs of many assessments share, stored once, with a guard: nothing changes or deletes it."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.guards import refuse

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; assessments of before have their inputs whole, and stay as they are."""
    op.create_table(
        "input_layouts",
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("content", sa.Text(), nullable=False),
    )
    refuse("input_layouts", "UPDATE")
    refuse("input_layouts", "DELETE")
