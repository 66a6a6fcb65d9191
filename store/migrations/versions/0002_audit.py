"""The audit log: entries in a chain, their values apart, heads; and guards that refuse to change what was written."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("audit_entries", "audit_values", "audit_heads")
_ERASED = (
    "OLD.erased_us IS NULL AND NEW.erased_us IS NOT NULL AND NEW.salt IS NULL AND NEW.before IS NULL"
    " AND NEW.after IS NULL AND NEW.organisation_id = OLD.organisation_id AND NEW.number = OLD.number"
)
"""The one change that values may see."""


def upgrade() -> None:
    """Make the tables and their guards."""
    _entries()
    _values()
    _heads()
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _entries() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
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
        sa.PrimaryKeyConstraint("organisation_id", "number", name="pk_audit_entries"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_audit_entries_organisation_id"),
        sa.CheckConstraint("number > 0", name=op.f("ck_audit_entries_number")),
        sqlite_with_rowid=False,
    )


def _values() -> None:
    op.create_table(
        "audit_values",
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("salt", sa.String(64)),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("erased_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("organisation_id", "number", name="pk_audit_values"),
        sa.ForeignKeyConstraint(
            ["organisation_id", "number"],
            ["audit_entries.organisation_id", "audit_entries.number"],
            name="fk_audit_values_organisation_id",
        ),
        sqlite_with_rowid=False,
    )


def _heads() -> None:
    op.create_table(
        "audit_heads",
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", name="pk_audit_heads"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_audit_heads_organisation_id"),
        sqlite_with_rowid=False,
    )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only, ' || TG_OP || ' is refused';"
        " END $$"
    )
    for table in _TABLES:
        refused = "UPDATE OR DELETE OR TRUNCATE" if table == "audit_entries" else "DELETE OR TRUNCATE"
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE {refused} ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )
        op.execute(f"REVOKE {refused.replace(' OR', ',')} ON {table} FROM PUBLIC")
    op.execute(
        "CREATE TRIGGER audit_values_erased_only BEFORE UPDATE ON audit_values"
        f" FOR EACH ROW WHEN (NOT ({_ERASED})) EXECUTE FUNCTION audit_refuse()"
    )


def _guard_sqlite() -> None:
    for table in _TABLES:
        _refuse("DELETE", table)
    _refuse("UPDATE", "audit_entries")
    _refuse("UPDATE", "audit_values", f"NOT ({_ERASED})")
    for table in ("audit_entries", "audit_values"):
        # INSERT OR REPLACE deletes the row that is in its way without asking the guard above.
        same = "organisation_id = NEW.organisation_id AND number = NEW.number"
        _refuse("INSERT", table, f"EXISTS (SELECT 1 FROM {table} WHERE {same})")  # noqa: S608 (our own words)


def _refuse(what: str, table: str, when: str = "TRUE") -> None:
    op.execute(
        f"CREATE TRIGGER {table}_no_{what.lower()} BEFORE {what} ON {table} WHEN {when}"
        f" BEGIN SELECT RAISE(ABORT, '{table} is append-only, {what} is refused'); END"
    )
