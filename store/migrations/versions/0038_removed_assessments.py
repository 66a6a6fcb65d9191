"""For how many days an organisation keeps what assessments were made from, and guards that let retention empty them."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import only_where
from fivefold.store.migrations.initial.guards import (
    ENTITY_IS_ERASED,
    drop_guards,
    refuse,
    refuse_unless,
    unchanged,
)

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

_FACTS = (
    "entity_id", "number", "organisation_id", "as_of_us", "version_id", "source", "status", "level", "rules_level",
    "floor", "score", "engine", "batch",
)  # fmt: skip
"""What stays of an assessment whatever happens."""
_BY_RUN = (
    "EXISTS (SELECT 1 FROM retention_runs r JOIN assessments a ON a.organisation_id = r.organisation_id"
    " WHERE r.id = NEW.removed_by AND r.kind = 'assessments' AND r.finished_us IS NULL AND a.as_of_us < r.before_us"
    " AND a.entity_id = OLD.entity_id AND a.number = OLD.number)"
)
"""A run of the retention policy is under way, and the assessment is old enough for it."""
_REMOVED = (
    "EXISTS (SELECT 1 FROM assessment_inputs i WHERE i.entity_id = OLD.entity_id AND i.number = OLD.number"
    " AND i.removed_by IS NOT NULL)"
)


def upgrade() -> None:
    """Add the columns, an index of what is whole by moment, and other guards in place of those that there were."""
    op.add_column("organisation_settings", sa.Column("assessments_days", sa.Integer()))
    op.add_column("retention_runs", sa.Column("digest", sa.String(64)))
    op.add_column("assessment_inputs", sa.Column("removed_by", sa.Integer()))
    old = ["organisation_id", "as_of_us"]
    op.create_index("ix_assessments_old", "assessments", old, **only_where("breakdown IS NOT NULL"))
    for table in ("assessment_inputs", "assessments"):
        drop_guards(table, "UPDATE")
    once = f"({unchanged(('removed_by',))} OR OLD.removed_by IS NULL)"
    inputs = f"NEW.content IS NULL AND NEW.salt IS NULL AND {unchanged(('entity_id', 'number', 'sha256'))} AND {once}"
    refuse("assessment_inputs", "UPDATE", f"NOT ({inputs})")
    erased = f"({ENTITY_IS_ERASED} AND {unchanged(('removed_by',))})"
    refuse_unless("assessment_inputs", "UPDATE", inputs, f"{erased} OR {_BY_RUN}")
    row = f"NEW.breakdown IS NULL AND {unchanged(_FACTS)}"
    refuse("assessments", "UPDATE", f"NOT ({row})")
    refuse_unless("assessments", "UPDATE", row, f"{ENTITY_IS_ERASED} OR {_REMOVED}")
