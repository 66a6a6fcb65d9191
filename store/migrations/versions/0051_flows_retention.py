"""For how many days an organisation keeps what runs of flows were made from; guards that let retention empty them."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import only_where
from fivefold.store.migrations.initial.guards import ENTITY_IS_ERASED, refuse, refuse_unless, unchanged

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

_BEGUN = (
    "id", "organisation_id", "flow_id", "version_id", "entity_id", "cause", "about", "acting", "begun_us", "actor",
)  # fmt: skip
"""What nothing changes once a run has begun; its facts are not changed once they were read."""
_SAID = (
    "id", "organisation_id", "flow_id", "version_id", "entity_id", "cause", "acting", "begun_us", "actor", "as_of_us",
    "state", "stopped_at", "ended_us", "due_us",
)  # fmt: skip
"""What stays of a run whatever happens."""
_RUN = "r.kind = 'flows' AND r.finished_us IS NULL"
_BY_RUN = (
    f"EXISTS (SELECT 1 FROM retention_runs r WHERE r.id = NEW.removed_by AND {_RUN}"  # noqa: S608 (our own words)
    " AND r.organisation_id = OLD.organisation_id AND OLD.as_of_us < r.before_us AND (OLD.ended_us < r.before_us"
    " OR (OLD.ended_us IS NULL AND NOT OLD.acting AND OLD.state = 'waiting' AND OLD.due_us IS NULL)))"
)
"""A run of the retention policy is under way, and the run of a flow is over and old enough for it."""
_OF_EMPTIED = "EXISTS (SELECT 1 FROM flow_runs f WHERE f.id = OLD.run_id AND f.removed_by IS NOT NULL)"
_OLD_MOVE = (
    "EXISTS (SELECT 1 FROM named_groups g JOIN retention_runs r ON r.organisation_id = g.organisation_id"  # noqa: S608 (our own words)
    f" WHERE g.id = OLD.group_id AND {_RUN} AND OLD.at_us < r.before_us) AND EXISTS (SELECT 1 FROM group_moves m"
    " WHERE m.group_id = OLD.group_id AND m.entity_id = OLD.entity_id AND m.number > OLD.number)"
)
"""A run of the retention policy is under way, the move is old enough for it, and not the newest of the entity."""


def upgrade() -> None:
    """Add the columns, an index of what is whole by moment, and other guards in place of those that there were."""
    op.add_column("organisation_settings", sa.Column("flows_days", sa.Integer()))
    op.add_column("flow_runs", sa.Column("removed_by", sa.Integer()))
    old = ["organisation_id", "as_of_us", "id"]
    op.create_index("ix_flow_runs_old", "flow_runs", old, **only_where("inputs IS NOT NULL"))
    guards = {"flow_runs": "history_update", "flow_steps": "history_update", "group_moves": "erased_delete"}
    for table, guard in guards.items():
        on = f" ON {table}" if op.get_bind().dialect.name == "postgresql" else ""
        op.execute(f"DROP TRIGGER {table}_{guard}{on}")
    facts = f"(OLD.inputs IS NULL OR ({unchanged(('inputs', 'as_of_us'))}))"
    open_still = f"(OLD.ended_us IS NULL OR ({unchanged(('state', 'stopped_at', 'answer', 'ended_us'))}))"
    goes_on = f"NEW.removed_by IS NULL AND {unchanged(_BEGUN)} AND {facts} AND {open_still}"
    gone = " AND ".join(f"NEW.{column} IS NULL" for column in ("inputs", "answer", "error"))
    emptied = f"NEW.removed_by IS NOT NULL AND {gone} AND {unchanged(_SAID)}"
    refuse("flow_runs", "UPDATE", f"NOT (OLD.removed_by IS NULL AND (({goes_on}) OR ({emptied})))")
    refuse_unless("flow_runs", "UPDATE", "NEW.removed_by IS NOT NULL", _BY_RUN)
    step = unchanged(("run_id", "step", "entity_id", "kind", "at_us", "actor"))
    refuse("flow_steps", "UPDATE", f"NOT (NEW.outcome = '{{}}' AND {step})")
    refuse_unless("flow_steps", "UPDATE", "NEW.outcome = '{}'", _OF_EMPTIED)
    refuse_unless("group_moves", "DELETE", "TRUE", f"{ENTITY_IS_ERASED} OR ({_OLD_MOVE})")


def downgrade() -> None:
    """Forward only."""
