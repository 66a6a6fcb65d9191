"""The first tables of organisations, and who acts for them."""

import sqlalchemy as sa
from alembic import op


def create() -> None:
    """Create them."""
    _counted()
    _organisations()
    _idempotency_keys()
    _members()
    _rate_tables()
    _tokens()
    _console_sessions()
    _token_requests()
    _usage()


def _counted() -> None:
    op.create_table(
        "counted",
        sa.Column("worker", sa.String(32), primary_key=True),
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("counts", sa.Text(), nullable=False),
    )


def _organisations() -> None:
    op.create_table(
        "organisations",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("name"),
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("token_id", sa.Integer(), primary_key=True),
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("attempt", sa.String(32), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("begun_us", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.SmallInteger()),
        sa.Column("answer", sa.Text()),
    )
    op.create_index("ix_idempotency_keys_begun_us", "idempotency_keys", ["begun_us"])
    op.create_index("ix_idempotency_keys_organisation_id", "idempotency_keys", ["organisation_id"])


def _members() -> None:
    op.create_table(
        "members",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("left_us", sa.BigInteger()),
        sa.Column("zone", sa.String(200)),
        sa.Column("account", sa.Text()),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("organisation_id", "name"),
    )
    op.create_index("ix_members_organisation_id_account", "members", ["organisation_id", "account"], unique=True)


def _rate_tables() -> None:
    op.create_table(
        "rate_tables",
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("base_currency", sa.String(3), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
    )


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("member_id", sa.Integer()),
        sa.Column("plan", sa.String(100), nullable=False),
        sa.Column("mcp_changes", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger()),
        sa.Column("revoked_us", sa.BigInteger()),
        sa.Column("last_used_us", sa.BigInteger()),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint(
            "role IN ('app', 'commercial', 'investigator', 'approver', 'publisher', 'admin')", name="role"
        ),
        sa.UniqueConstraint("sha256"),
    )
    op.create_index("ix_tokens_organisation_id", "tokens", ["organisation_id"])


def _console_sessions() -> None:
    op.create_table(
        "console_sessions",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("token_id", sa.Integer(), sa.ForeignKey("tokens.id"), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("last_used_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger()),
        sa.Column("subject", sa.Text()),
        sa.UniqueConstraint("sha256"),
    )
    op.create_index("ix_console_sessions_member_id", "console_sessions", ["member_id"])


def _token_requests() -> None:
    op.create_table(
        "token_requests",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("member_id", sa.Integer()),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("plan", sa.String(100), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("expires_days", sa.Integer()),
        sa.Column("mcp_changes", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("half_sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_us", sa.BigInteger()),
        sa.Column("token_id", sa.Integer(), sa.ForeignKey("tokens.id")),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("state IN ('asked', 'made', 'refused')", name="state"),
    )
    op.create_index("ix_token_requests_organisation_id_id", "token_requests", ["organisation_id", "id"])


def _usage() -> None:
    op.create_table(
        "usage",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("token_id", sa.Integer(), sa.ForeignKey("tokens.id"), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("users", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("token_id", "month"),
    )
