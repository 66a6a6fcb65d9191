"""Tokens of people who see values alone, and customers by what they are expected to bring, without their levels."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_ROLES = "role IN ('app', 'commercial', 'investigator', 'approver', 'publisher', 'admin')"


def upgrade() -> None:
    """Let a token have the role, and index values by segment."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("tokens", recreate="always") as tokens:  # copies the table, without its old check
            tokens.create_check_constraint("role", sa.text(_ROLES))
    else:
        op.drop_constraint("role", "tokens", type_="check")
        op.create_check_constraint("role", "tokens", sa.text(_ROLES))
    op.create_index("ix_standings_worth", "standings", ["type_id", "segment", "expected_value", "entity_id"])
