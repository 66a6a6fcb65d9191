"""Predictions of the value model, kept until their horizon has passed, and their figures afterwards."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; the first predictions are kept by the next worker."""
    op.create_table(
        "prediction_days",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer(), sa.ForeignKey("entity_types.id"), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("model_hash", sa.String(64), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("horizon_ends_us", sa.BigInteger(), nullable=False),
        sa.Column("valued", sa.BigInteger(), nullable=False),
        sa.Column("predicted", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("interval_level_percent", sa.Integer()),
        sa.Column("judged_us", sa.BigInteger()),
        sa.Column("state", sa.String(10)),
        sa.Column("reasons", sa.Text()),
        sa.Column("figures", sa.Text()),
        sa.Column("announced_us", sa.BigInteger()),
        sa.Column("forgotten_us", sa.BigInteger()),
        sa.Column("lease_until_us", sa.BigInteger()),
        sa.UniqueConstraint("type_id", "model", "model_version", "day"),
        sa.CheckConstraint("state IN ('due', 'holds', 'unknown')", name="state"),
    )
    op.create_index(
        "ix_prediction_days_version", "prediction_days", ["organisation_id", "model_version", "as_of_us", "id"]
    )
    op.create_table(
        "predictions",
        sa.Column("day_id", sa.Integer(), sa.ForeignKey("prediction_days.id"), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("segment", sa.String(10), nullable=False),
        sa.Column("expected_value", sa.Float(53), nullable=False),
        sa.Column("expected_value_low", sa.Float(53)),
        sa.Column("expected_value_high", sa.Float(53)),
    )
    op.create_index("ix_predictions_entity_id", "predictions", ["entity_id"])


def downgrade() -> None:
    """Forward only."""
