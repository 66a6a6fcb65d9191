"""Runs of flows and their actions are never numbered as ones that were deleted, on SQLite as on PostgreSQL."""

from fivefold.store.migrations.numbers import named_in_audit, number_once

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None

_RUNS_IN_EVENTS = """SELECT CAST(substr(body, instr(body, '"run":"f:') + 9) AS INTEGER) FROM outbox
    WHERE instr(body, '"run":"f:') > 0"""
_ACTIONS_IN_EVENTS = "SELECT CAST(substr(event_id, 13) AS INTEGER) FROM outbox WHERE event_id LIKE 'flow-action-%'"
"""Events name a run in what they say, an action in their own name."""


def upgrade() -> None:
    """Begin behind what rows, the audit log and events name."""
    number_once(
        {
            "flow_runs": [*named_in_audit("flow_runs", "flow run"), _RUNS_IN_EVENTS],
            "flow_actions": [*named_in_audit("flow_actions", "flow action"), _ACTIONS_IN_EVENTS],
        }
    )


def downgrade() -> None:
    """Forward only."""
