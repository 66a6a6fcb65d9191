"""When something was last said of an entity, which may be of long ago: retention counts from then.

What was said before stays without such a moment; retention counts from its own moments, as before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("entities", sa.Column("noted_us", sa.BigInteger))
