"""Corrections and reversals of transactions: facts of their own, and history like the transactions they name."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_FIXED = (
    "id", "organisation_id", "external_id", "transaction_id", "entity_id", "kind", "known_us", "reason", "actor",
    "at_us", "amount", "currency", "state", "balance", "category", "account_created_us", "content", "batch",
)  # fmt: skip
"""Columns that nothing changes; the moment of recording is moved back after a clock that was ahead."""


def upgrade() -> None:
    """Add the table and its guards."""
    op.create_table(
        "corrections",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column(
            "entity_id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            sa.ForeignKey("entities.id"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("known_us", sa.BigInteger, nullable=False),
        sa.Column("recorded_us", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at_us", sa.BigInteger),
        sa.Column("amount", sa.Float(53)),
        sa.Column("currency", sa.Text),
        sa.Column("state", sa.Text),
        sa.Column("balance", sa.Float(53)),
        sa.Column("category", sa.Text),
        sa.Column("account_created_us", sa.BigInteger),
        sa.Column("content", sa.Text),
        sa.Column("batch", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("organisation_id", "external_id"),
        sa.CheckConstraint("kind IN ('correction', 'reversal')", name="kind"),
    )
    op.create_index("ix_corrections_entity_id", "corrections", ["entity_id"])
    op.create_index("ix_corrections_batch", "corrections", ["batch"])
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _guard_postgresql() -> None:
    changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in _FIXED)
    op.execute(
        f"CREATE TRIGGER corrections_history_update BEFORE UPDATE ON corrections FOR EACH ROW WHEN ({changed})"
        " EXECUTE FUNCTION audit_refuse()"
    )
    op.execute(
        "CREATE TRIGGER corrections_erased_delete BEFORE DELETE ON corrections"
        " FOR EACH ROW EXECUTE FUNCTION history_refuse_unless_erased()"
    )
    op.execute(
        "CREATE TRIGGER corrections_erased_delete_all BEFORE TRUNCATE ON corrections"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )


def _guard_sqlite() -> None:
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _FIXED)
    op.execute(
        f"CREATE TRIGGER corrections_history_update BEFORE UPDATE ON corrections WHEN {changed}"
        " BEGIN SELECT RAISE(ABORT, 'corrections is append-only, UPDATE is refused'); END"
    )
    op.execute(
        "CREATE TRIGGER corrections_erased_delete BEFORE DELETE ON corrections WHEN NOT EXISTS"
        " (SELECT 1 FROM entities WHERE id = OLD.entity_id AND erased_us IS NOT NULL)"
        " BEGIN SELECT RAISE(ABORT, 'corrections is history, DELETE is refused unless the entity is erased'); END"
    )
