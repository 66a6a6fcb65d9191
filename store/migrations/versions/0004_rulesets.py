"""Rulesets: families, drafts, committed versions, activations, backtests."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite numbers rows by itself only where their key is plainly an integer."""


def upgrade() -> None:
    """Make the tables."""
    _ruleset_families()
    _backtests()
    _ruleset_drafts()
    _ruleset_versions()
    _activations()
    _guard()


def _guard() -> None:
    """Versions are never changed: the database refuses it, as it does for the audit log."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER ruleset_versions_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ruleset_versions"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )
        return
    for what in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER ruleset_versions_no_{what.lower()} BEFORE {what} ON ruleset_versions"
            f" BEGIN SELECT RAISE(ABORT, 'ruleset_versions is append-only, {what} is refused'); END"
        )


def _ruleset_families() -> None:
    op.create_table(
        "ruleset_families",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("type_id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("active_version_id", sa.Integer),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ruleset_families"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_ruleset_families_organisation_id"),
        sa.ForeignKeyConstraint(["type_id"], ["entity_types.id"], name="fk_ruleset_families_type_id"),
        sa.UniqueConstraint("organisation_id", "name", name="uq_ruleset_families_organisation_id"),
    )
    op.create_index("ix_ruleset_families_type_id", "ruleset_families", ["type_id"])


def _backtests() -> None:
    op.create_table(
        "backtests",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("family_id", sa.Integer, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("canonical", sa.Text, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_us", sa.BigInteger, nullable=False),
        sa.Column("lease_until_us", sa.BigInteger),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("finished_us", sa.BigInteger),
        sa.Column("report", sa.Text),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_backtests"),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name=op.f("ck_backtests_state")),
        sa.ForeignKeyConstraint(["family_id"], ["ruleset_families.id"], name="fk_backtests_family_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_backtests_organisation_id"),
    )
    op.create_index("ix_backtests_content_hash", "backtests", ["content_hash"])


def _ruleset_drafts() -> None:
    op.create_table(
        "ruleset_drafts",
        sa.Column("family_id", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("editors", sa.Text, nullable=False),
        sa.Column("edited_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("family_id", name="pk_ruleset_drafts"),
        sa.ForeignKeyConstraint(["family_id"], ["ruleset_families.id"], name="fk_ruleset_drafts_family_id"),
    )


def _ruleset_versions() -> None:
    op.create_table(
        "ruleset_versions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("family_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("canonical", sa.Text, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("tests", sa.Text, nullable=False),
        sa.Column("editors", sa.Text, nullable=False),
        sa.Column("committed_by", sa.Text, nullable=False),
        sa.Column("committed_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ruleset_versions"),
        sa.ForeignKeyConstraint(["family_id"], ["ruleset_families.id"], name="fk_ruleset_versions_family_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_ruleset_versions_organisation_id"),
        sa.UniqueConstraint("family_id", "number", name="uq_ruleset_versions_family_id"),
    )
    op.create_index("ix_ruleset_versions_content_hash", "ruleset_versions", ["content_hash"])


def _activations() -> None:
    op.create_table(
        "activations",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("family_id", sa.Integer, nullable=False),
        sa.Column("version_id", sa.Integer),
        sa.Column("previous_version_id", sa.Integer),
        sa.Column("backtest_id", sa.Integer),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("per_second", sa.Integer, nullable=False),
        sa.Column("reached_id", _BIG, nullable=False),
        sa.Column("reached_us", sa.BigInteger, nullable=False),
        sa.Column("finished_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_activations"),
        sa.CheckConstraint("kind IN ('activation', 'rollback', 'off')", name=op.f("ck_activations_kind")),
        sa.ForeignKeyConstraint(["backtest_id"], ["backtests.id"], name="fk_activations_backtest_id"),
        sa.ForeignKeyConstraint(["family_id"], ["ruleset_families.id"], name="fk_activations_family_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_activations_organisation_id"),
        sa.ForeignKeyConstraint(
            ["previous_version_id"], ["ruleset_versions.id"], name="fk_activations_previous_version_id"
        ),
        sa.ForeignKeyConstraint(["version_id"], ["ruleset_versions.id"], name="fk_activations_version_id"),
    )
    op.create_index("ix_activations_family_id", "activations", ["family_id"])
