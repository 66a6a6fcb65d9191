"""The audit log, decisions and overrides in the order of time: all, of an actor, an action, a state or a subject."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_INDEXES = {
    "audit_entries": {
        "at": ["organisation_id", "at_us", "number"],
        "actor": ["organisation_id", "actor", "at_us", "number"],
        "action": ["organisation_id", "action", "at_us", "number"],
        "subject": ["organisation_id", "subject_kind", "subject_id", "at_us", "number"],
    },
    "decisions": {
        "at": ["organisation_id", "at_us", "id"],
        "actor": ["organisation_id", "actor", "at_us", "id"],
        "action": ["organisation_id", "action", "at_us", "id"],
    },
    "overrides": {
        "at": ["organisation_id", "requested_us", "id"],
        "actor": ["organisation_id", "requested_by", "requested_us", "id"],
        "state": ["organisation_id", "state", "requested_us", "id"],
    },
}


def upgrade() -> None:
    """Index them."""
    for table, indexes in _INDEXES.items():
        for name, columns in indexes.items():
            op.create_index(f"ix_{table}_by_{name}", table, columns)
