"""How far everybody of a type is marked due by a change that reaches them all."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "markings",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer(), sa.ForeignKey("entity_types.id"), nullable=False),
        sa.Column("reasons", sa.Integer(), nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("begun_us", sa.BigInteger(), nullable=False),
        sa.Column("reached_id", BIG, nullable=False),
    )
    op.create_index("ix_markings_type_id", "markings", ["type_id"])
