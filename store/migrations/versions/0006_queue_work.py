"""To whom items of the queue are assigned, and which of them are done."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "queue_work",
        sa.Column("organisation_id", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.String(12), primary_key=True),
        sa.Column("number", BIG, primary_key=True, autoincrement=False),
        sa.Column("step", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("entity_id", BIG),
        sa.Column("member_id", sa.Integer()),
        sa.Column("done_us", sa.BigInteger()),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_queue_work_organisation_id"),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_queue_work_entity_id"),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_queue_work_member_id"),
    )
    op.create_index("ix_queue_work_entity_id", "queue_work", ["entity_id"])
    op.create_index("ix_queue_work_member_id", "queue_work", ["organisation_id", "member_id"])
