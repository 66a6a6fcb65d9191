"""Proposals, backtests of proposals, the least coverage of examples, and organisations of one person."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the columns."""
    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("reach", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("proposed_by", sa.Text, nullable=False),
        sa.Column("proposed_us", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_us", sa.BigInteger),
        sa.Column("decision_reason", sa.Text),
        sa.Column("result", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_proposals"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_proposals_organisation_id"),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'refused', 'withdrawn')", name=op.f("ck_proposals_state")
        ),
    )
    op.create_index("ix_proposals_organisation_id_state", "proposals", ["organisation_id", "state"])
    _backtests()
    _settings()


def _backtests() -> None:
    with op.batch_alter_table("backtests") as batch:
        batch.alter_column("family_id", existing_type=sa.Integer, nullable=True)
        batch.add_column(sa.Column("proposal_id", sa.Integer))
        batch.add_column(sa.Column("type_id", sa.Integer))
        batch.create_foreign_key(op.f("fk_backtests_proposal_id"), "proposals", ["proposal_id"], ["id"])
        batch.create_foreign_key(op.f("fk_backtests_type_id"), "entity_types", ["type_id"], ["id"])
    op.execute(
        "UPDATE backtests SET type_id = (SELECT f.type_id FROM ruleset_families f WHERE f.id = backtests.family_id)"
    )
    with op.batch_alter_table("backtests") as batch:
        batch.alter_column("type_id", existing_type=sa.Integer, nullable=False)
        batch.create_index(op.f("ix_backtests_proposal_id"), ["proposal_id"])


def _settings() -> None:
    with op.batch_alter_table("organisation_settings") as batch:
        batch.add_column(sa.Column("minimum_coverage_percent", sa.Integer))
        batch.add_column(sa.Column("sole_operator_us", sa.BigInteger))
    op.execute("UPDATE organisation_settings SET minimum_coverage_percent = 0")
    with op.batch_alter_table("organisation_settings") as batch:
        batch.alter_column("minimum_coverage_percent", existing_type=sa.Integer, nullable=False)
