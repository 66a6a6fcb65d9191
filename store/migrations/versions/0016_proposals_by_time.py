"""Proposals in the order of time: all, of an actor, of a state."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_INDEXES = {
    "at": ["organisation_id", "proposed_us", "id"],
    "actor": ["organisation_id", "proposed_by", "proposed_us", "id"],
    "state": ["organisation_id", "state", "proposed_us", "id"],
}


def upgrade() -> None:
    """Index them."""
    for name, columns in _INDEXES.items():
        op.create_index(f"ix_proposals_by_{name}", "proposals", columns)
