"""Exchange rates of an organisation's own: dated tables, of which the newest holds."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "rate_tables",
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("base_currency", sa.String(3), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
    )
