"""The first tables of flows and their runs."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG, job_columns, only_where


def create() -> None:
    """Create them."""
    _flows()
    _flow_drafts()
    _flow_marks()
    _flow_schedules()
    _flow_versions()
    _flow_activations()
    _flow_replays()
    _flow_runs()
    _flow_actions()
    _flow_replay_people()
    _flow_steps()


def _flows() -> None:
    op.create_table(
        "flows",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer(), sa.ForeignKey("entity_types.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("active_version_id", sa.Integer()),
        sa.Column("shadow_version_id", sa.Integer()),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("organisation_id", "name"),
    )
    op.create_index("ix_flows_type_id", "flows", ["type_id"])


def _flow_drafts() -> None:
    op.create_table(
        "flow_drafts",
        sa.Column("flow_id", sa.Integer(), sa.ForeignKey("flows.id"), primary_key=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("editors", sa.Text(), nullable=False),
        sa.Column("edited_us", sa.BigInteger(), nullable=False),
    )


def _flow_marks() -> None:
    op.create_table(
        "flow_marks",
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("from_revision", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("through", sa.Text(), nullable=False),
        sa.Column("people", sa.Text()),
        sa.Column("answered", sa.Text()),
        sa.Column("until_us", sa.BigInteger()),
    )


def _flow_schedules() -> None:
    op.create_table(
        "flow_schedules",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("flow_id", sa.Integer(), sa.ForeignKey("flows.id"), nullable=False),
        sa.Column("acting", sa.Boolean(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("reached_id", BIG, nullable=False),
        sa.Column("ran_us", sa.BigInteger()),
        sa.UniqueConstraint("flow_id", "acting", "schedule"),
    )


def _flow_versions() -> None:
    op.create_table(
        "flow_versions",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("flow_id", sa.Integer(), sa.ForeignKey("flows.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("pinned", sa.Text(), nullable=False),
        sa.Column("tests", sa.Text(), nullable=False),
        sa.Column("editors", sa.Text(), nullable=False),
        sa.Column("committed_by", sa.Text(), nullable=False),
        sa.Column("committed_us", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("flow_id", "number"),
    )
    op.create_index("ix_flow_versions_content_hash", "flow_versions", ["content_hash"])


def _flow_activations() -> None:
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
        sa.Column("replay_id", sa.Integer()),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("kind IN ('active', 'rollback', 'off', 'shadow', 'shadow_off')", name="kind"),
    )
    op.create_index("ix_flow_activations_flow_id", "flow_activations", ["flow_id", "id"])


def _flow_replays() -> None:
    op.create_table(
        "flow_replays",
        sa.Column("flow_id", sa.Integer(), sa.ForeignKey("flows.id"), nullable=False),
        sa.Column("version_id", sa.Integer(), sa.ForeignKey("flow_versions.id"), nullable=False),
        sa.Column("base_version_id", sa.Integer(), sa.ForeignKey("flow_versions.id")),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("from_us", sa.BigInteger()),
        sa.Column("until_us", sa.BigInteger()),
        sa.Column("until_id", BIG, nullable=False),
        sa.Column("reached", sa.Text()),
        sa.Column("report", sa.Text()),
        sa.Column("report_hash", sa.String(64)),
        *job_columns(),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'quarantined')", name="state"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_flow_replays_flow_id", "flow_replays", ["flow_id", "id"])


def _flow_runs() -> None:
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
        sa.Column("does", sa.Text()),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("asks", sa.String(20)),
        sa.Column("asked_us", sa.BigInteger()),
        sa.Column("removed_by", sa.Integer()),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("state IN ('queued', 'running', 'waiting', 'ended', 'failed', 'quarantined')", name="state"),
        sa.UniqueConstraint("version_id", "entity_id", "cause", "acting"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_flow_runs_asks_came",
        "flow_runs",
        ["organisation_id", "asks", "asked_us", "id"],
        **only_where("asks IS NOT NULL"),
    )
    op.create_index(
        "ix_flow_runs_asks_due",
        "flow_runs",
        ["organisation_id", "asks", "due_us", "id"],
        **only_where("asks IS NOT NULL"),
    )
    op.create_index("ix_flow_runs_due", "flow_runs", ["due_us", "id"], **only_where("due_us IS NOT NULL"))
    op.create_index("ix_flow_runs_entity", "flow_runs", ["entity_id", "id"])
    op.create_index("ix_flow_runs_flow", "flow_runs", ["flow_id", "state", "stopped_at", "id"])
    op.create_index(
        "ix_flow_runs_old", "flow_runs", ["organisation_id", "as_of_us", "id"], **only_where("inputs IS NOT NULL")
    )
    op.create_index("ix_flow_runs_organisation", "flow_runs", ["organisation_id", "id"])


def _flow_actions() -> None:
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
        sa.Column("due_us", sa.BigInteger()),
        sa.Column("waits_us", sa.BigInteger()),
        sa.Column("done_us", sa.BigInteger()),
        sa.Column("done_by", sa.Text()),
        sa.Column("done_reason", sa.Text()),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("flow_id", "entity_id", "cause", "action"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_flow_actions_reviews_came",
        "flow_actions",
        ["organisation_id", "waits_us", "id"],
        **only_where("waits_us IS NOT NULL AND taken_back_us IS NULL AND done_us IS NULL"),
    )
    op.create_index(
        "ix_flow_actions_reviews_due",
        "flow_actions",
        ["organisation_id", "due_us", "id"],
        **only_where("waits_us IS NOT NULL AND taken_back_us IS NULL AND done_us IS NULL"),
    )
    op.create_index("ix_flow_actions_run", "flow_actions", ["run_id"])
    op.create_index(
        "ix_flow_actions_standing",
        "flow_actions",
        ["entity_id", "kind", "subject"],
        **only_where("taken_back_us IS NULL AND done_us IS NULL"),
    )


def _flow_replay_people() -> None:
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


def _flow_steps() -> None:
    op.create_table(
        "flow_steps",
        sa.Column("run_id", BIG, sa.ForeignKey("flow_runs.id"), primary_key=True),
        sa.Column("step", sa.String(200), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("salt", sa.String(32)),
    )
    op.create_index("ix_flow_steps_entity_id", "flow_steps", ["entity_id"])
