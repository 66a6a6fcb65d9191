"""The first tables of what workers and imports do, and of the queue."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG, only_where


def create() -> None:
    """Create them."""
    _workers()
    _audit_proofs()
    _imports()
    _retention_runs()
    _queue_views()
    _queue_work()


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger()),
    )


def _audit_proofs() -> None:
    op.create_table(
        "audit_proofs",
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("findings", sa.BigInteger(), nullable=False),
        sa.Column("heads_us", sa.BigInteger()),
        sa.Column("whole_us", sa.BigInteger()),
    )


def _imports() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("content", sa.String(20), nullable=False),
        sa.Column("entity_type", sa.String(200), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger()),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("new", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("same", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("refused_path", sa.Text()),
        sa.Column("refused_bytes", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.create_index("ix_imports_organisation_id_id", "imports", ["organisation_id", "id"])


def _retention_runs() -> None:
    op.create_table(
        "retention_runs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("before_us", sa.BigInteger(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger()),
        sa.Column("reached", sa.Text()),
        sa.Column("removed", sa.BigInteger(), nullable=False),
        sa.Column("oldest_us", sa.BigInteger()),
        sa.Column("newest_us", sa.BigInteger()),
        sa.Column("digest", sa.String(64)),
    )
    op.create_index("ix_retention_runs_last", "retention_runs", ["organisation_id", "kind", "id"])
    op.create_index(
        "ix_retention_runs_open",
        "retention_runs",
        ["organisation_id", "kind"],
        unique=True,
        **only_where("finished_us IS NULL"),
    )


def _queue_views() -> None:
    op.create_table(
        "queue_views",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("owner", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("filters", sa.Text(), nullable=False),
        sa.Column("saved_by", sa.Integer(), nullable=False),
        sa.Column("saved_us", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("organisation_id", "owner", "name"),
        sqlite_autoincrement=True,
    )


def _queue_work() -> None:
    op.create_table(
        "queue_work",
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("kind", sa.String(12), primary_key=True),
        sa.Column("number", BIG, primary_key=True),
        sa.Column("step", sa.BigInteger(), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id")),
        sa.Column("member_id", sa.Integer(), sa.ForeignKey("members.id")),
        sa.Column("done_us", sa.BigInteger()),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
    )
    op.create_index("ix_queue_work_entity_id", "queue_work", ["entity_id"])
    op.create_index("ix_queue_work_member_id", "queue_work", ["organisation_id", "member_id"])
