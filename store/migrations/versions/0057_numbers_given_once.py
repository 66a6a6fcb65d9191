"""What is named outside by its number is never numbered as what was deleted, on SQLite as on PostgreSQL."""

from collections.abc import Sequence

from fivefold.store.migrations.numbers import named_in_audit, number_once

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def _named_in_causes(*prefixes: str) -> list[str]:
    """Give the queries of the numbers in causes of runs of flows: of those that are kept, and in events."""
    in_runs = (
        f"SELECT CAST(substr(cause, {len(prefix) + 1}) AS INTEGER) FROM flow_runs"  # noqa: S608 (our own words)
        f" WHERE substr(cause, 1, {len(prefix)}) = '{prefix}'"
        for prefix in prefixes
    )
    in_events = (
        f"SELECT CAST(substr(body, instr(body, '{said}') + {len(said)}) AS INTEGER) FROM outbox"  # noqa: S608 (our own words)
        f" WHERE instr(body, '{said}') > 0"
        for said in (f'"cause":"{prefix}' for prefix in prefixes)
    )
    return [*in_runs, *in_events]


_REPLAYS_OF_ACTIVATIONS = "SELECT replay_id FROM flow_activations"
_ROWS_ALONE: Sequence[str] = ()
"""Where a deleted row is named nowhere that could be asked."""


def upgrade() -> None:
    """Begin behind what rows, the audit log, causes and events name."""
    number_once(
        {
            "tags": [*named_in_audit("tags"), *_named_in_causes("tag:", "tag-end:")],
            "screenings": [*named_in_audit("screenings"), *_named_in_causes("screening:")],
            "records": [*named_in_audit("records"), *_named_in_causes("case:", "alert:")],
            "challenges": named_in_audit("challenges", "challenge"),
            "endpoints": named_in_audit("endpoints", "endpoint"),
            "queue_views": named_in_audit("queue_views", "queue_view"),
            "flow_replays": [_REPLAYS_OF_ACTIVATIONS],
            "validation_jobs": _ROWS_ALONE,
            "evidence_jobs": _ROWS_ALONE,
            "reference_jobs": _ROWS_ALONE,
            "points_jobs": _ROWS_ALONE,
            "threshold_reviews": _ROWS_ALONE,
        }
    )


def downgrade() -> None:
    """Forward only."""
