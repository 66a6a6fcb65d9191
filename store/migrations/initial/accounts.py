"""The first tables of the schema: organisations and who acts for them, webhooks, and the audit log."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG


def create() -> None:
    """Create them."""
    _organisations()
    _members()
    _tokens()
    _usage()
    _counted()
    _idempotency_keys()
    _organisation_settings()
    _rate_tables()
    _endpoints()
    _audit_entries()
    _audit_values()
    _audit_heads()


def _organisations() -> None:
    op.create_table(
        "organisations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("created_us", sa.BigInteger, nullable=False),
    )


def _members() -> None:
    op.create_table(
        "members",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("left_us", sa.BigInteger),
        sa.UniqueConstraint("organisation_id", "name"),
    )


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False, index=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("member_id", sa.Integer),
        sa.Column("plan", sa.String(100), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger),
        sa.Column("revoked_us", sa.BigInteger),
        sa.Column("last_used_us", sa.BigInteger),
        sa.CheckConstraint("role IN ('app', 'investigator', 'approver', 'publisher', 'admin')", name="role"),
    )


def _usage() -> None:
    op.create_table(
        "usage",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("token_id", sa.Integer, sa.ForeignKey("tokens.id"), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("users", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("token_id", "month"),
    )


def _counted() -> None:
    op.create_table(
        "counted",
        sa.Column("worker", sa.String(32), primary_key=True),
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("counts", sa.Text, nullable=False),
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("token_id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False, index=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("attempt", sa.String(32), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("begun_us", sa.BigInteger, nullable=False, index=True),
        sa.Column("status", sa.SmallInteger),
        sa.Column("answer", sa.Text),
    )


def _organisation_settings() -> None:
    op.create_table(
        "organisation_settings",
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("levels", sa.Text, nullable=False),
        sa.Column("locked_us", sa.BigInteger),
        sa.Column("base_currency", sa.String(3), nullable=False),
        sa.Column("override_cap_percent", sa.Integer, nullable=False),
        sa.Column("retention_days", sa.Integer, nullable=False),
        sa.Column("minimum_coverage_percent", sa.Integer, nullable=False),
        sa.Column("programs_lower_levels", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("two_people_promote", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("sole_operator_us", sa.BigInteger),
        sa.Column("salt", sa.String(32)),
    )


def _rate_tables() -> None:
    op.create_table(
        "rate_tables",
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("base_currency", sa.String(3), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
    )


def _endpoints() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False, index=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("kinds", sa.Text, nullable=False),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("private_allowed", sa.Boolean, nullable=False),
        sa.Column("planned_id", BIG, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
    )


def _audit_entries() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("subject_kind", sa.String(100), nullable=False),
        sa.Column("subject_id", sa.Text),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("bulk_count", sa.BigInteger),
        sa.Column("bulk_digest", sa.String(64)),
        sa.Column("before_hash", sa.String(64)),
        sa.Column("after_hash", sa.String(64)),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.CheckConstraint("number > 0", name="number"),
        sqlite_with_rowid=False,
    )


def _audit_values() -> None:
    op.create_table(
        "audit_values",
        sa.Column("organisation_id", sa.Integer, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("salt", sa.String(64)),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("erased_us", sa.BigInteger),
        sa.ForeignKeyConstraint(
            ["organisation_id", "number"], ["audit_entries.organisation_id", "audit_entries.number"]
        ),
        sqlite_with_rowid=False,
    )


def _audit_heads() -> None:
    op.create_table(
        "audit_heads",
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sqlite_with_rowid=False,
    )
