"""Flows: versions, what is active, runs, finished steps and actions, with guards of what is history."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG, only_where
from fivefold.store.migrations.initial.guards import refuse, refuse_unless_erased, unchanged

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

_BEGUN = (
    "id", "organisation_id", "flow_id", "version_id", "entity_id", "cause", "about", "acting", "begun_us", "actor",
)  # fmt: skip
"""What nothing changes once a run has begun; its facts are not changed once they were read."""
_TAKEN = (
    "id", "organisation_id", "flow_id", "run_id", "entity_id", "cause", "action", "kind", "subject", "content", "at_us",
)  # fmt: skip
"""What nothing changes of an action that was taken."""


def upgrade() -> None:
    """Create the tables and their guards."""
    _create_versions()
    _create_runs()
    _create_outcomes()
    for table in ("flow_versions", "flow_activations"):
        refuse(table, "UPDATE")
        refuse(table, "DELETE")
    facts = f"(OLD.inputs IS NULL OR ({unchanged(('inputs', 'as_of_us'))}))"
    open_still = f"(OLD.ended_us IS NULL OR ({unchanged(('state', 'stopped_at', 'answer', 'ended_us'))}))"
    refuse("flow_runs", "UPDATE", f"NOT ({unchanged(_BEGUN)} AND {facts} AND {open_still})")
    refuse("flow_steps", "UPDATE")
    refuse("flow_actions", "UPDATE", f"NOT ({unchanged(_TAKEN)} AND OLD.taken_back_us IS NULL)")
    for table in ("flow_runs", "flow_steps", "flow_actions"):
        refuse_unless_erased(table, "DELETE")


def downgrade() -> None:
    """Forward only."""


def _create_versions() -> None:
    op.create_table(
        "flows",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer(), sa.ForeignKey("entity_types.id"), nullable=False, index=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("active_version_id", sa.Integer()),
        sa.Column("shadow_version_id", sa.Integer()),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("organisation_id", "name"),
    )
    op.create_table(
        "flow_drafts",
        sa.Column("flow_id", sa.Integer(), sa.ForeignKey("flows.id"), primary_key=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("editors", sa.Text(), nullable=False),
        sa.Column("edited_us", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "flow_versions",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("flow_id", sa.Integer(), sa.ForeignKey("flows.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False, index=True),
        sa.Column("pinned", sa.Text(), nullable=False),
        sa.Column("tests", sa.Text(), nullable=False),
        sa.Column("editors", sa.Text(), nullable=False),
        sa.Column("committed_by", sa.Text(), nullable=False),
        sa.Column("committed_us", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("flow_id", "number"),
    )
    op.create_table(
        "flow_activations",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("flow_id", sa.Integer(), sa.ForeignKey("flows.id"), nullable=False),
        sa.Column("version_id", sa.Integer(), sa.ForeignKey("flow_versions.id")),
        sa.Column("previous_version_id", sa.Integer(), sa.ForeignKey("flow_versions.id")),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("kind IN ('active', 'rollback', 'off', 'shadow', 'shadow_off')", name="kind"),
    )
    op.create_index("ix_flow_activations_flow_id", "flow_activations", ["flow_id", "id"])


def _create_runs() -> None:
    op.create_table(
        "flow_runs",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("flow_id", sa.Integer(), sa.ForeignKey("flows.id"), nullable=False),
        sa.Column("version_id", sa.Integer(), sa.ForeignKey("flow_versions.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("cause", sa.String(160), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("acting", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("stopped_at", sa.String(200)),
        sa.Column("due_us", sa.BigInteger()),
        sa.Column("lease", sa.String(40)),
        sa.Column("lease_until_us", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("as_of_us", sa.BigInteger()),
        sa.Column("inputs", sa.Text()),
        sa.Column("answer", sa.Text()),
        sa.Column("begun_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.UniqueConstraint("version_id", "entity_id", "cause", "acting"),
        sa.CheckConstraint("state IN ('queued', 'running', 'waiting', 'ended', 'failed', 'quarantined')", name="state"),
    )
    op.create_index("ix_flow_runs_due", "flow_runs", ["due_us", "id"], **only_where("due_us IS NOT NULL"))
    op.create_index("ix_flow_runs_entity", "flow_runs", ["entity_id", "id"])
    op.create_index("ix_flow_runs_flow", "flow_runs", ["flow_id", "state", "stopped_at", "id"])
    op.create_index("ix_flow_runs_organisation", "flow_runs", ["organisation_id", "id"])


def _create_outcomes() -> None:
    op.create_table(
        "flow_steps",
        sa.Column("run_id", BIG, sa.ForeignKey("flow_runs.id"), primary_key=True),
        sa.Column("step", sa.String(200), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False, index=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
    )
    op.create_table(
        "flow_actions",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("flow_id", sa.Integer(), sa.ForeignKey("flows.id"), nullable=False),
        sa.Column("run_id", BIG, sa.ForeignKey("flow_runs.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("cause", sa.String(160), nullable=False),
        sa.Column("action", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("subject", sa.String(160), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("taken_back_us", sa.BigInteger()),
        sa.Column("taken_back_by", sa.Text()),
        sa.Column("taken_back_reason", sa.Text()),
        sa.UniqueConstraint("flow_id", "entity_id", "cause", "action"),
    )
    op.create_index("ix_flow_actions_run", "flow_actions", ["run_id"])
    op.create_index(
        "ix_flow_actions_standing",
        "flow_actions",
        ["entity_id", "kind", "subject"],
        **only_where("taken_back_us IS NULL"),
    )
