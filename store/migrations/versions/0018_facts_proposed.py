"""Facts that would lower a level are proposed, programs may be let off that; and nobody's least coverage is none."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("proposals") as batch:
        batch.add_column(sa.Column("entity_id", sa.BigInteger().with_variant(sa.Integer, "sqlite")))
        batch.create_foreign_key(op.f("fk_proposals_entity_id"), "entities", ["entity_id"], ["id"])
        batch.create_index(op.f("ix_proposals_entity_id"), ["entity_id"])
    op.add_column(
        "organisation_settings",
        sa.Column("programs_lower_levels", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    # Nobody chose it: it was what organisations began with. What is active goes on deciding.
    op.execute("UPDATE organisation_settings SET minimum_coverage_percent = 80 WHERE minimum_coverage_percent = 0")
