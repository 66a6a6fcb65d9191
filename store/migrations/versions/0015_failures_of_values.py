"""Why a value could not be computed."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of a value that failed before, the next assessment stores the reason."""
    op.add_column("value_scores", sa.Column("failure", sa.Text(), nullable=True))
