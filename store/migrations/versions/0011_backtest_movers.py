"""Everybody who would be elsewhere by a backtest."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; backtests that were made before have none of it."""
    op.create_table(
        "backtest_movers",
        sa.Column("backtest_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("entity_id", BIG, primary_key=True, autoincrement=False),
        sa.Column("before", sa.String(200), nullable=False),
        sa.Column("after", sa.String(200), nullable=False),
        sa.Column("later", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["backtest_id"], ["backtests.id"], name="fk_backtest_movers_backtest_id"),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_backtest_movers_entity_id"),
    )
    op.create_index("ix_backtest_movers_entity_id", "backtest_movers", ["entity_id"])
    op.create_index("ix_backtest_movers_place", "backtest_movers", ["backtest_id", "before", "after", "entity_id"])
