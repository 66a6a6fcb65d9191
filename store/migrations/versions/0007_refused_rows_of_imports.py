"""The file of an import's refused rows, and how much of it belongs to the rows that are stored."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both; an import that was interrupted before gets another file."""
    op.add_column("imports", sa.Column("refused_path", sa.Text(), nullable=True))
    op.add_column("imports", sa.Column("refused_bytes", sa.BigInteger(), nullable=False, server_default="0"))
