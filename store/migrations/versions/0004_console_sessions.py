"""Sessions of the console: who is signed in."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "console_sessions",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("token_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("last_used_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger()),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.id"], name="fk_console_sessions_token_id"),
        sa.UniqueConstraint("sha256", name="uq_console_sessions_sha256"),
    )
    op.create_index("ix_console_sessions_member_id", "console_sessions", ["member_id"])
