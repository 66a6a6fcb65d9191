"""Requests that are carried out once."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "idempotency_keys",
        sa.Column("token_id", sa.Integer, nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("attempt", sa.String(32), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("begun_us", sa.BigInteger, nullable=False),
        sa.Column("status", sa.SmallInteger),
        sa.Column("answer", sa.Text),
        sa.PrimaryKeyConstraint("token_id", "key", name="pk_idempotency_keys"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_idempotency_keys_organisation_id"),
    )
    for column in ("organisation_id", "begun_us"):
        op.create_index(f"ix_idempotency_keys_{column}", "idempotency_keys", [column])
