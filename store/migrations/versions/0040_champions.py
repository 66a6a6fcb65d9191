"""Which version of the value model serves, and how far those are marked due whose value is of another one."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and the columns of markings."""
    op.create_table(
        "champions",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    op.add_column("markings", sa.Column("model", sa.String(200)))
    op.add_column("markings", sa.Column("model_version", sa.Integer()))


def downgrade() -> None:
    """Forward only."""
