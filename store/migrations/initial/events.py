"""The first tables of events, webhooks and decisions."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG, job_columns, only_where


def create() -> None:
    """Create them."""
    _outbox()
    _endpoints()
    _evidence_jobs()
    _material_changes()
    _policies()
    _validations()
    _decisions()
    _deliveries()
    _peer_files()
    _validation_jobs()


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("entity_id", BIG, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text()),
        sa.UniqueConstraint("event_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_organisation_id_id", "outbox", ["organisation_id", "id"])


def _endpoints() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("secrets", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("private_allowed", sa.Boolean(), nullable=False),
        sa.Column("planned_id", BIG, nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.String(32)),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_endpoints_organisation_id", "endpoints", ["organisation_id"])


def _evidence_jobs() -> None:
    op.create_table(
        "evidence_jobs",
        sa.Column("quarter", sa.String(8), nullable=False),
        sa.Column("content", sa.LargeBinary()),
        sa.Column("manifest_sha256", sa.String(64)),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("findings", sa.Integer()),
        *job_columns(),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_evidence_jobs_open",
        "evidence_jobs",
        ["organisation_id", "quarter"],
        unique=True,
        **only_where("state IN ('queued', 'running')"),
    )


def _material_changes() -> None:
    op.create_table(
        "material_changes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("registered_by", sa.Text(), nullable=False),
        sa.Column("registered_us", sa.BigInteger(), nullable=False),
        sa.Column("validation_id", sa.Integer()),
        sa.Column("signed_by", sa.Text()),
        sa.Column("signed_us", sa.BigInteger()),
        sa.Column("conclusion", sa.Text()),
    )
    op.create_index("ix_material_changes_organisation_id", "material_changes", ["organisation_id"])


def _policies() -> None:
    op.create_table(
        "policies",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("written_by", sa.Text(), nullable=False),
        sa.Column("written_us", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.Text()),
        sa.Column("approved_us", sa.BigInteger()),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("organisation_id", "name", "number"),
    )


def _validations() -> None:
    op.create_table(
        "validations",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("signed_by", sa.Text()),
        sa.Column("signed_us", sa.BigInteger()),
        sa.Column("conclusion", sa.Text()),
    )
    op.create_index("ix_validations_organisation_id", "validations", ["organisation_id"])


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("policy_id", sa.Integer(), sa.ForeignKey("policies.id"), nullable=False),
        sa.Column("entity_id", BIG, nullable=False),
        sa.Column("assessment_number", sa.Integer()),
        sa.Column("value_as_of_us", sa.BigInteger()),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("decision_key", sa.Text()),
        sa.Column("inputs", sa.Text()),
        sa.Column("answer", sa.Text()),
        sa.UniqueConstraint("organisation_id", "decision_key"),
    )
    op.create_index("ix_decisions_by_action", "decisions", ["organisation_id", "action", "at_us", "id"])
    op.create_index("ix_decisions_by_actor", "decisions", ["organisation_id", "actor", "at_us", "id"])
    op.create_index("ix_decisions_by_at", "decisions", ["organisation_id", "at_us", "id"])
    op.create_index("ix_decisions_entity_id_id", "decisions", ["entity_id", "id"])
    op.create_index("ix_decisions_organisation_id", "decisions", ["organisation_id"])


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("endpoint_id", sa.Integer(), sa.ForeignKey("endpoints.id"), primary_key=True),
        sa.Column("event_number", BIG, primary_key=True),
        sa.Column("entity_id", BIG, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=False),
        sa.Column("lease", sa.String(40)),
        sa.Column("lease_until_us", sa.BigInteger()),
        sa.Column("delivered_us", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name="state"),
    )
    op.create_index(
        "ix_deliveries_arrived", "deliveries", ["endpoint_id", "delivered_us"], **only_where("state = 'delivered'")
    )
    op.create_index("ix_deliveries_dead", "deliveries", ["endpoint_id", "event_number"], **only_where("state = 'dead'"))
    op.create_index("ix_deliveries_next", "deliveries", ["endpoint_id", "next_us"], **only_where("state = 'waiting'"))
    op.create_index(
        "ix_deliveries_pair",
        "deliveries",
        ["endpoint_id", "entity_id", "event_number"],
        **only_where("state = 'waiting'"),
    )


def _peer_files() -> None:
    op.create_table(
        "peer_files",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("validation_id", sa.Integer(), sa.ForeignKey("validations.id"), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("attached_by", sa.Text(), nullable=False),
        sa.Column("attached_us", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("validation_id", "content_hash"),
    )


def _validation_jobs() -> None:
    op.create_table(
        "validation_jobs",
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("validation_id", sa.Integer(), sa.ForeignKey("validations.id")),
        *job_columns(),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_validation_jobs_open",
        "validation_jobs",
        ["organisation_id", "from_us", "until_us"],
        unique=True,
        **only_where("state IN ('queued', 'running')"),
    )
