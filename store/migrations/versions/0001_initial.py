"""The schema of the first release."""

from alembic import op

from fivefold.store.migrations.initial import (
    accounts,
    audit,
    counts,
    entities,
    events,
    flows,
    groups,
    guards,
    levels,
    operations,
    retention_guards,
    rulesets,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (accounts, audit, entities, operations, events, rulesets, levels, flows, groups)
"""Each after those that its rows refer to."""


def upgrade() -> None:
    """Create the tables, the guards of what does not change, and what counts."""
    for tables in _TABLES:
        tables.create()
    guards.create()
    retention_guards.create()
    counts.create()
    if op.get_context().dialect.name == "postgresql":
        # Rows that change all the time: a version that fits beside the old one leaves the indexes alone.
        for table in ("due_marks", "standings"):
            op.execute(f"ALTER TABLE {table} SET (fillfactor = 50)")
