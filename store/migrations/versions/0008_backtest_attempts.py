"""Backtests count how often they were begun, say where they are, and can be cancelled or quarantined."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the states."""
    with op.batch_alter_table("backtests") as batch:
        batch.add_column(sa.Column("attempts", sa.Integer))
        batch.add_column(sa.Column("part", sa.Text))
        batch.drop_constraint(op.f("ck_backtests_state"), type_="check")
        batch.alter_column("state", type_=sa.String(12), existing_type=sa.String(10), existing_nullable=False)
        batch.create_check_constraint(
            op.f("ck_backtests_state"),
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'quarantined')",
        )
    # Whatever was begun before was begun once, as far as anything says.
    op.execute("UPDATE backtests SET attempts = CASE WHEN state = 'queued' THEN 0 ELSE 1 END")
    with op.batch_alter_table("backtests") as batch:
        batch.alter_column("attempts", existing_type=sa.Integer, nullable=False)
