"""What operators look at: workers, imports and how far they are, and proofs of the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_COUNTS = ("rows", "new", "changed", "same", "refused")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "workers",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger()),
    )
    op.create_table(
        "imports",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("content", sa.String(20), nullable=False),
        sa.Column("entity_type", sa.String(200), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger()),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_imports_organisation_id"),
    )
    op.create_index("ix_imports_organisation_id_id", "imports", ["organisation_id", "id"])
    op.create_table(
        "audit_proofs",
        sa.Column("organisation_id", sa.Integer(), primary_key=True),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("findings", sa.BigInteger(), nullable=False),
        sa.Column("heads_us", sa.BigInteger()),
        sa.Column("whole_us", sa.BigInteger()),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_audit_proofs_organisation_id"),
    )
