"""Questions of runs and reviews of flows in the queue: whom a run asks, and when a review is due and was done."""

import json

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import only_where
from fivefold.store.migrations.initial.guards import refuse, unchanged

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

_TAKEN = (
    "id", "organisation_id", "flow_id", "run_id", "entity_id", "cause", "action", "kind", "subject", "content", "at_us",
    "due_us", "waits_us",
)  # fmt: skip
"""What nothing changes of an action that was taken."""
_AHEAD_US = 7 * 86_400_000_000
"""A review is in the queue so long before it is due."""


def upgrade() -> None:
    """Add the columns, fill those of what waits already, and let a review be done once."""
    op.add_column("flow_runs", sa.Column("asks", sa.String(20)))
    op.add_column("flow_runs", sa.Column("asked_us", sa.BigInteger()))
    for name in ("due_us", "waits_us", "done_us"):
        op.add_column("flow_actions", sa.Column(name, sa.BigInteger()))
    for name in ("done_by", "done_reason"):
        op.add_column("flow_actions", sa.Column(name, sa.Text()))
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    op.execute("DROP TRIGGER flow_actions_history_update" + (" ON flow_actions" if is_postgresql else ""))
    _fill_questions()
    _fill_reviews()
    open_still = "OLD.taken_back_us IS NULL AND OLD.done_us IS NULL"
    refuse("flow_actions", "UPDATE", f"NOT ({unchanged(_TAKEN)} AND {open_still})")
    op.drop_index("ix_flow_actions_standing", "flow_actions")
    stands = "taken_back_us IS NULL AND done_us IS NULL"
    op.create_index("ix_flow_actions_standing", "flow_actions", ["entity_id", "kind", "subject"], **only_where(stands))
    for name, moment in (("asks_due", "due_us"), ("asks_came", "asked_us")):
        columns = ["organisation_id", "asks", moment, "id"]
        op.create_index(f"ix_flow_runs_{name}", "flow_runs", columns, **only_where("asks IS NOT NULL"))
    for name, moment in (("reviews_due", "due_us"), ("reviews_came", "waits_us")):
        columns = ["organisation_id", moment, "id"]
        op.create_index(
            f"ix_flow_actions_{name}", "flow_actions", columns, **only_where(f"waits_us IS NOT NULL AND {stands}")
        )


def downgrade() -> None:
    """Forward only."""


def _fill_questions() -> None:
    """Say of runs that wait whom they ask; since when was not kept, but their facts were read when they first ran."""
    bind, roles = op.get_bind(), {}
    waiting = "SELECT id, version_id, stopped_at FROM flow_runs WHERE state = 'waiting' AND acting"
    for number, version_id, step in bind.execute(sa.text(waiting)).all():
        if version_id not in roles:
            of = sa.text("SELECT canonical FROM flow_versions WHERE id = :id")
            flow = json.loads(bind.execute(of, {"id": version_id}).scalar_one())
            asked = {each["id"]: each["person"] for each in flow["steps"] if "person" in each}
            roles[version_id] = {name: person.get("role", "investigator") for name, person in asked.items()}
        change = sa.text("UPDATE flow_runs SET asks = :asks, asked_us = coalesce(as_of_us, begun_us) WHERE id = :id")
        bind.execute(change, {"asks": roles[version_id].get(step), "id": number})


def _fill_reviews() -> None:
    bind = op.get_bind()
    reviews = bind.execute(sa.text("SELECT id, at_us, content FROM flow_actions WHERE kind = 'review'")).all()
    change = sa.text("UPDATE flow_actions SET due_us = :due, waits_us = :waits WHERE id = :id")
    for number, at_us, content in reviews:
        due_us = json.loads(content)["due_us"]
        bind.execute(change, {"due": due_us, "waits": max(at_us, due_us - _AHEAD_US), "id": number})
