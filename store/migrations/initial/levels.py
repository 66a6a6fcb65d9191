"""The first tables of the schema: what decides on levels, levels, and what follows from them."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG, only_where


def create() -> None:
    """Create them."""
    _ruleset_families()
    _ruleset_drafts()
    _ruleset_versions()
    _proposals()
    _backtests()
    _activations()
    _assessments()
    _assessment_inputs()
    _standings()
    _transitions()
    _due_marks()
    _overrides()
    _level_releases()
    _outbox()
    _deliveries()
    _policies()
    _decisions()
    _material_changes()
    _validations()


def _ruleset_families() -> None:
    op.create_table(
        "ruleset_families",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer, sa.ForeignKey("entity_types.id"), nullable=False, index=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("active_version_id", sa.Integer),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("organisation_id", "name"),
    )


def _ruleset_drafts() -> None:
    op.create_table(
        "ruleset_drafts",
        sa.Column("family_id", sa.Integer, sa.ForeignKey("ruleset_families.id"), primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("editors", sa.Text, nullable=False),
        sa.Column("edited_us", sa.BigInteger, nullable=False),
    )


def _ruleset_versions() -> None:
    op.create_table(
        "ruleset_versions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("family_id", sa.Integer, sa.ForeignKey("ruleset_families.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("canonical", sa.Text, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False, index=True),
        sa.Column("tests", sa.Text, nullable=False),
        sa.Column("editors", sa.Text, nullable=False),
        sa.Column("committed_by", sa.Text, nullable=False),
        sa.Column("committed_us", sa.BigInteger, nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("family_id", "number"),
    )


def _proposals() -> None:
    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), index=True),
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
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("state IN ('proposed', 'approved', 'refused', 'withdrawn')", name="state"),
        sa.Index("ix_proposals_organisation_id_state", "organisation_id", "state"),
    )


def _backtests() -> None:
    op.create_table(
        "backtests",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("family_id", sa.Integer, sa.ForeignKey("ruleset_families.id"), index=True),
        sa.Column("proposal_id", sa.Integer, sa.ForeignKey("proposals.id"), index=True),
        sa.Column("type_id", sa.Integer, sa.ForeignKey("entity_types.id"), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False, index=True),
        sa.Column("canonical", sa.Text, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("part", sa.Text),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_us", sa.BigInteger, nullable=False),
        sa.Column("lease_until_us", sa.BigInteger),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("finished_us", sa.BigInteger),
        sa.Column("report", sa.Text),
        sa.Column("error", sa.Text),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'quarantined')", name="state"
        ),
    )


def _activations() -> None:
    op.create_table(
        "activations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("family_id", sa.Integer, sa.ForeignKey("ruleset_families.id"), nullable=False, index=True),
        sa.Column("version_id", sa.Integer, sa.ForeignKey("ruleset_versions.id")),
        sa.Column("previous_version_id", sa.Integer, sa.ForeignKey("ruleset_versions.id")),
        sa.Column("backtest_id", sa.Integer, sa.ForeignKey("backtests.id")),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("per_second", sa.Integer, nullable=False),
        sa.Column("reached_id", BIG, nullable=False),
        sa.Column("reached_us", sa.BigInteger, nullable=False),
        sa.Column("finished_us", sa.BigInteger),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("kind IN ('activation', 'rollback', 'off')", name="kind"),
    )


def _assessments() -> None:
    op.create_table(
        "assessments",
        sa.Column("entity_id", BIG, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("as_of_us", sa.BigInteger, nullable=False),
        sa.Column("version_id", sa.Integer),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("level", sa.SmallInteger),
        sa.Column("rules_level", sa.SmallInteger),
        sa.Column("floor", sa.SmallInteger, nullable=False),
        sa.Column("score", sa.Text, nullable=False),
        sa.Column("engine", sa.String(20), nullable=False),
        sa.Column("breakdown", sa.Text),
        sa.Column("batch", sa.BigInteger),
        sa.Index("ix_assessments_batch", "batch"),
    )


def _assessment_inputs() -> None:
    op.create_table(
        "assessment_inputs",
        sa.Column("entity_id", BIG, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("content", sa.Text),
        sa.Column("salt", sa.String(32)),
        sa.Column("sha256", sa.String(64)),
    )


def _standings() -> None:
    op.create_table(
        "standings",
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("assessed_us", sa.BigInteger, nullable=False),
        sa.Column("version_id", sa.Integer),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("level", sa.SmallInteger),
        sa.Column("rules_level", sa.SmallInteger),
        sa.Column("floor", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("hard_floor", sa.SmallInteger, nullable=False),
        sa.Column("floors_lost", sa.Text),
        sa.Column("entered_us", sa.BigInteger),
        sa.Column("may_move_down_us", sa.BigInteger),
        sa.Column("override_id", BIG),
        sa.Column("digest", sa.String(64)),
        sa.Index(
            "ix_standings_failed",
            "organisation_id",
            "entity_id",
            **only_where("status IN ('failed', 'unclassified', 'undetermined')"),
        ),
        sa.Index("ix_standings_level", "organisation_id", "level", "type_id", "entity_id"),
    )


def _transitions() -> None:
    op.create_table(
        "transitions",
        sa.Column("entity_id", BIG, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("from_level", sa.SmallInteger),
        sa.Column("to_level", sa.SmallInteger),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Index("ix_transitions_organisation_id_at_us", "organisation_id", "at_us"),
    )


def _due_marks() -> None:
    op.create_table(
        "due_marks",
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("type_id", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("due_us", sa.BigInteger),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("reasons", sa.Integer, nullable=False),
        sa.Column("lease", sa.String(40)),
        sa.Column("lease_until_us", sa.BigInteger),
        sa.Column("claimed", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("quarantined", sa.Boolean, nullable=False),
        sa.Column("error", sa.Text),
        sa.Index("ix_due_marks_queue", "quarantined", "organisation_id", "priority", "due_us"),
        sa.Index("ix_due_marks_waiting", "quarantined", "priority", "due_us"),
    )


def _overrides() -> None:
    op.create_table(
        "overrides",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("until_us", sa.BigInteger),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_us", sa.BigInteger, nullable=False),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_us", sa.BigInteger),
        sa.Column("decision_reason", sa.Text),
        sa.Column("revoked_by", sa.Text),
        sa.Column("revoked_us", sa.BigInteger),
        sa.Column("revocation_reason", sa.Text),
        sa.CheckConstraint("state IN ('requested', 'approved', 'refused', 'revoked')", name="state"),
        sa.Index("ix_overrides_entity_id_state", "entity_id", "state"),
        sa.Index("ix_overrides_organisation_id_id", "organisation_id", "id"),
    )


def _level_releases() -> None:
    op.create_table(
        "level_releases",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("backtest_id", sa.Integer, sa.ForeignKey("backtests.id"), nullable=False, index=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False, index=True),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("held_level", sa.SmallInteger, nullable=False),
        sa.Column("held_entered_us", sa.BigInteger, nullable=False),
        sa.Column("assessed_us", sa.BigInteger, nullable=False),
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("entered_us", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.SmallInteger, nullable=False),
        sa.Column("hard_floor", sa.SmallInteger, nullable=False),
        sa.Column("floors_lost", sa.Text),
        sa.Column("active", sa.Boolean, nullable=False),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("event_id", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("entity_id", BIG, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text),
        sa.UniqueConstraint("event_id"),
        sa.Index("ix_outbox_organisation_id_id", "organisation_id", "id"),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("endpoint_id", sa.Integer, sa.ForeignKey("endpoints.id"), primary_key=True),
        sa.Column("event_number", BIG, primary_key=True),
        sa.Column("entity_id", BIG, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_us", sa.BigInteger, nullable=False),
        sa.Column("lease", sa.String(40)),
        sa.Column("lease_until_us", sa.BigInteger),
        sa.Column("delivered_us", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name="state"),
        sa.Index("ix_deliveries_dead", "endpoint_id", "event_number", **only_where("state = 'dead'")),
        sa.Index("ix_deliveries_next", "endpoint_id", "next_us", **only_where("state = 'waiting'")),
        sa.Index("ix_deliveries_pair", "endpoint_id", "entity_id", "event_number", **only_where("state = 'waiting'")),
    )


def _policies() -> None:
    op.create_table(
        "policies",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("canonical", sa.Text, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("written_by", sa.Text, nullable=False),
        sa.Column("written_us", sa.BigInteger, nullable=False),
        sa.Column("approved_by", sa.Text),
        sa.Column("approved_us", sa.BigInteger),
        sa.UniqueConstraint("organisation_id", "name", "number"),
    )


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False, index=True),
        sa.Column("policy_id", sa.Integer, sa.ForeignKey("policies.id"), nullable=False),
        sa.Column("entity_id", BIG, nullable=False),
        sa.Column("assessment_number", sa.Integer),
        sa.Column("value_as_of_us", sa.BigInteger),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("decision_key", sa.Text),
        sa.Column("inputs", sa.Text),
        sa.Column("answer", sa.Text),
        sa.UniqueConstraint("organisation_id", "decision_key"),
        sa.Index("ix_decisions_entity_id_id", "entity_id", "id"),
    )


def _material_changes() -> None:
    op.create_table(
        "material_changes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False, index=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("registered_by", sa.Text, nullable=False),
        sa.Column("registered_us", sa.BigInteger, nullable=False),
        sa.Column("validation_id", sa.Integer),
        sa.Column("signed_by", sa.Text),
        sa.Column("signed_us", sa.BigInteger),
        sa.Column("conclusion", sa.Text),
    )


def _validations() -> None:
    op.create_table(
        "validations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False, index=True),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("from_us", sa.BigInteger, nullable=False),
        sa.Column("until_us", sa.BigInteger, nullable=False),
        sa.Column("made_us", sa.BigInteger, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
    )
