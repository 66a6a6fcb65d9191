"""The account at an identity provider to which a member is bound."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and let an account be one member's."""
    op.add_column("members", sa.Column("account", sa.Text()))
    op.create_index("ix_members_organisation_id_account", "members", ["organisation_id", "account"], unique=True)
