"""Entities, their types, settings, rulesets and activations are bound by the audit log, as facts are; two are guarded.

What is stored already is bound as it is now, transactions and assessments of before seals among it.
"""

import sqlalchemy as sa
from alembic import op

from fivefold.store.audit.bound_rows import BoundTable
from fivefold.store.migrations.binding import SALT, bind, guards_asleep, seal_unsealed

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_TABLES = (
    BoundTable(
        "entities",
        (
            "id", "organisation_id", "type_id", "external_id", "created_us", "erased_us", "hold_until_us",
            "hold_reason",
        ),
        entities=(),
    ),
    BoundTable(
        "entity_types",
        ("id", "organisation_id", "name", "fields", "transaction_fields", "case_fields", "created_us"),
        entities=(),
    ),
    BoundTable(
        "organisation_settings",
        (
            "organisation_id", "levels", "locked_us", "base_currency", "override_cap_percent", "retention_days",
            "minimum_coverage_percent", "programs_lower_levels", "two_people_promote", "sole_operator_us",
        ),
        primary=("organisation_id",),
        entities=(),
    ),
    BoundTable(
        "ruleset_families",
        ("id", "organisation_id", "type_id", "name", "position", "enabled", "active_version_id", "created_us"),
        entities=(),
    ),
    BoundTable(
        "ruleset_versions",
        (
            "id", "organisation_id", "family_id", "number", "document", "canonical", "content_hash", "tests", "editors",
            "committed_by", "committed_us",
        ),
        entities=(),
    ),
    BoundTable(
        "activations",
        (
            "id", "organisation_id", "family_id", "version_id", "previous_version_id", "backtest_id", "kind", "reason",
            "actor", "at_us", "per_second",
        ),
        entities=(),
    ),
)  # fmt: skip
"""As they are in this release."""
_FIXED = {
    "entities": ("id", "organisation_id", "type_id", "external_id", "created_us", "erased_us", "salt"),
    "activations": (*_TABLES[-1].columns, "salt"),
}
"""Columns that nothing changes, but the erasure of an entity."""
_ERASURE = (
    "OLD.id = NEW.id AND OLD.organisation_id = NEW.organisation_id AND OLD.type_id = NEW.type_id"
    " AND OLD.created_us = NEW.created_us AND OLD.erased_us IS NULL AND NEW.erased_us IS NOT NULL"
    " AND NEW.external_id IN (OLD.external_id, 'erased-' || NEW.id)"
)


def upgrade() -> None:
    """Add the columns, bind what is there, and guard what does not change."""
    dialect = op.get_bind().dialect.name
    for table in _TABLES:
        op.add_column(table.name, sa.Column("salt", sa.String(32)))
        with guards_asleep(op.get_bind(), table.name):  # versions of rulesets refuse every change
            op.execute(f"UPDATE {table.name} SET salt = {SALT[dialect]}")  # noqa: S608 (our own words)
    bind(op.get_bind(), _TABLES)
    seal_unsealed(op.get_bind())
    for name in _FIXED:
        _guard(name, dialect)


def _guard(table: str, dialect: str) -> None:
    """Look at an UPDATE only where it names a fixed column: others come by the thousand."""
    fixed = _FIXED[table]
    same = "IS NOT DISTINCT FROM" if dialect == "postgresql" else "IS"
    allowed = " AND ".join(f"OLD.{name} {same} NEW.{name}" for name in fixed)
    if table == "entities":
        allowed = f"({allowed}) OR ({_ERASURE})"
    updated = f"CREATE TRIGGER {table}_history_update BEFORE UPDATE OF {', '.join(fixed)} ON {table}"
    if dialect == "postgresql":
        op.execute(f"{updated} FOR EACH ROW WHEN (NOT ({allowed})) EXECUTE FUNCTION audit_refuse()")
        op.execute(
            f"CREATE TRIGGER {table}_history_delete BEFORE DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )
        return
    refused = "BEGIN SELECT RAISE(ABORT, '{} is append-only, {} is refused'); END"
    op.execute(f"{updated} WHEN NOT ({allowed}) {refused.format(table, 'UPDATE')}")
    op.execute(f"CREATE TRIGGER {table}_history_delete BEFORE DELETE ON {table} {refused.format(table, 'DELETE')}")
