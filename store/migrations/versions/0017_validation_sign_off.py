"""Who signed a validation off, when, and what follows from it."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; validations of before are not signed off."""
    op.add_column("validations", sa.Column("signed_by", sa.Text()))
    op.add_column("validations", sa.Column("signed_us", sa.BigInteger()))
    op.add_column("validations", sa.Column("conclusion", sa.Text()))
