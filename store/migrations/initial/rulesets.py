"""The first tables of rulesets and what judges them."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG, job_columns


def create() -> None:
    """Create them."""
    _ruleset_families()
    _proposals()
    _ruleset_drafts()
    _ruleset_versions()
    _backtests()
    _points_jobs()
    _reference_jobs()
    _threshold_reviews()
    _activations()
    _backtest_movers()


def _ruleset_families() -> None:
    op.create_table(
        "ruleset_families",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer(), sa.ForeignKey("entity_types.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("active_version_id", sa.Integer()),
        sa.Column("revision", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("organisation_id", "name"),
    )
    op.create_index("ix_ruleset_families_type_id", "ruleset_families", ["type_id"])


def _proposals() -> None:
    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id")),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("reach", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_us", sa.BigInteger()),
        sa.Column("decision_reason", sa.Text()),
        sa.Column("result", sa.Text()),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("state IN ('proposed', 'approved', 'refused', 'withdrawn')", name="state"),
    )
    op.create_index("ix_proposals_by_actor", "proposals", ["organisation_id", "proposed_by", "proposed_us", "id"])
    op.create_index("ix_proposals_by_at", "proposals", ["organisation_id", "proposed_us", "id"])
    op.create_index("ix_proposals_by_state", "proposals", ["organisation_id", "state", "proposed_us", "id"])
    op.create_index("ix_proposals_entity_id", "proposals", ["entity_id"])
    op.create_index("ix_proposals_organisation_id_state", "proposals", ["organisation_id", "state"])


def _ruleset_drafts() -> None:
    op.create_table(
        "ruleset_drafts",
        sa.Column("family_id", sa.Integer(), sa.ForeignKey("ruleset_families.id"), primary_key=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("editors", sa.Text(), nullable=False),
        sa.Column("edited_us", sa.BigInteger(), nullable=False),
    )


def _ruleset_versions() -> None:
    op.create_table(
        "ruleset_versions",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("family_id", sa.Integer(), sa.ForeignKey("ruleset_families.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("tests", sa.Text(), nullable=False),
        sa.Column("editors", sa.Text(), nullable=False),
        sa.Column("committed_by", sa.Text(), nullable=False),
        sa.Column("committed_us", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("family_id", "number"),
    )
    op.create_index("ix_ruleset_versions_content_hash", "ruleset_versions", ["content_hash"])


def _backtests() -> None:
    op.create_table(
        "backtests",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("family_id", sa.Integer(), sa.ForeignKey("ruleset_families.id")),
        sa.Column("proposal_id", sa.Integer(), sa.ForeignKey("proposals.id")),
        sa.Column("type_id", sa.Integer(), sa.ForeignKey("entity_types.id"), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("part", sa.Text()),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_us", sa.BigInteger(), nullable=False),
        sa.Column("lease_until_us", sa.BigInteger()),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger()),
        sa.Column("report", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("movers_removed_us", sa.BigInteger()),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'quarantined')", name="state"
        ),
    )
    op.create_index("ix_backtests_content_hash", "backtests", ["content_hash"])
    op.create_index("ix_backtests_family_id", "backtests", ["family_id"])
    op.create_index("ix_backtests_proposal_id", "backtests", ["proposal_id"])


def _points_jobs() -> None:
    op.create_table(
        "points_jobs",
        sa.Column("family_id", sa.Integer(), sa.ForeignKey("ruleset_families.id"), nullable=False),
        sa.Column("version_id", sa.Integer(), sa.ForeignKey("ruleset_versions.id"), nullable=False),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("learn_as_of_us", sa.BigInteger()),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("report", sa.Text()),
        sa.Column("draft_revision", sa.Integer()),
        *job_columns(),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_points_jobs_family_id", "points_jobs", ["family_id", "id"])


def _reference_jobs() -> None:
    op.create_table(
        "reference_jobs",
        sa.Column("family_id", sa.Integer(), sa.ForeignKey("ruleset_families.id"), nullable=False),
        sa.Column("version_id", sa.Integer(), sa.ForeignKey("ruleset_versions.id"), nullable=False),
        sa.Column("report", sa.Text()),
        sa.Column("proposal_id", sa.Integer(), sa.ForeignKey("proposals.id")),
        *job_columns(),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reference_jobs_family_id", "reference_jobs", ["family_id", "id"])


def _threshold_reviews() -> None:
    op.create_table(
        "threshold_reviews",
        sa.Column("family_id", sa.Integer(), sa.ForeignKey("ruleset_families.id"), nullable=False),
        sa.Column("version_id", sa.Integer(), sa.ForeignKey("ruleset_versions.id"), nullable=False),
        sa.Column("quarter", sa.String(8), nullable=False),
        sa.Column("rules_hash", sa.String(64), nullable=False),
        sa.Column("thresholds", sa.Text()),
        sa.Column("report", sa.Text()),
        sa.Column("draft_revision", sa.Integer()),
        *job_columns(),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
        sa.UniqueConstraint("family_id", "quarter"),
        sqlite_autoincrement=True,
    )


def _activations() -> None:
    op.create_table(
        "activations",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("family_id", sa.Integer(), sa.ForeignKey("ruleset_families.id"), nullable=False),
        sa.Column("version_id", sa.Integer(), sa.ForeignKey("ruleset_versions.id")),
        sa.Column("previous_version_id", sa.Integer(), sa.ForeignKey("ruleset_versions.id")),
        sa.Column("backtest_id", sa.Integer(), sa.ForeignKey("backtests.id")),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("per_second", sa.Integer(), nullable=False),
        sa.Column("reached_id", BIG, nullable=False),
        sa.Column("reached_us", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger()),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("kind IN ('activation', 'rollback', 'off')", name="kind"),
    )
    op.create_index("ix_activations_family_id", "activations", ["family_id"])


def _backtest_movers() -> None:
    op.create_table(
        "backtest_movers",
        sa.Column("backtest_id", sa.Integer(), sa.ForeignKey("backtests.id"), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("before", sa.String(200), nullable=False),
        sa.Column("after", sa.String(200), nullable=False),
        sa.Column("later", sa.String(200), nullable=False),
    )
    op.create_index("ix_backtest_movers_entity_id", "backtest_movers", ["entity_id"])
    op.create_index("ix_backtest_movers_place", "backtest_movers", ["backtest_id", "before", "after", "entity_id"])
