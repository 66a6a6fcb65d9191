"""Each value names its model by the content hash too: a registry that was made anew begins with version 1 again."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; values of the version that serves get its hash, and whose model nobody knows are given anew."""
    for table in ("value_scores", "markings"):
        op.add_column(table, sa.Column("model_hash", sa.String(64), nullable=True))
    op.execute(
        "UPDATE value_scores SET model_hash = (SELECT c.content_hash FROM champions c) WHERE EXISTS (SELECT 1 FROM"
        " champions c WHERE c.model = value_scores.model AND c.model_version = value_scores.model_version)"
    )
