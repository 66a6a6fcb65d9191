"""Replays of a flow's version over history: jobs of workers, and whom the version would treat otherwise."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "flow_replays",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("flow_id", sa.Integer(), sa.ForeignKey("flows.id"), nullable=False),
        sa.Column("version_id", sa.Integer(), sa.ForeignKey("flow_versions.id"), nullable=False),
        sa.Column("base_version_id", sa.Integer(), sa.ForeignKey("flow_versions.id")),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("from_us", sa.BigInteger()),
        sa.Column("until_us", sa.BigInteger()),
        sa.Column("until_id", BIG, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("part", sa.Text()),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_us", sa.BigInteger(), nullable=False),
        sa.Column("lease_until_us", sa.BigInteger()),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.Column("reached", sa.Text()),
        sa.Column("report", sa.Text()),
        sa.Column("report_hash", sa.String(64)),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'quarantined')", name="state"
        ),
    )
    op.create_index("ix_flow_replays_flow_id", "flow_replays", ["flow_id", "id"])
    op.create_table(
        "flow_replay_people",
        sa.Column("replay_id", sa.Integer(), sa.ForeignKey("flow_replays.id"), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("cause", sa.String(160), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("before_state", sa.String(12), nullable=False),
        sa.Column("before_at", sa.String(200), nullable=False),
        sa.Column("before_actions", sa.Text(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("stopped_at", sa.String(200), nullable=False),
        sa.Column("actions", sa.Text(), nullable=False),
    )
    op.create_index("ix_flow_replay_people_entity_id", "flow_replay_people", ["entity_id"])


def downgrade() -> None:
    """Forward only."""
