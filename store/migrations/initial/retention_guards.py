"""Guards of what the retention policy removes: besides an erasure, a run of the policy that is under way may."""

from fivefold.store.migrations.initial.guards import ENTITY_IS_ERASED, refuse, refuse_unless, unchanged

_ASSESSMENT = (
    "entity_id", "number", "organisation_id", "as_of_us", "version_id", "source", "status", "level", "rules_level",
    "floor", "score", "engine", "batch",
)  # fmt: skip
"""What stays of an assessment whatever happens."""
_ASSESSMENT_IS_OLD = (
    "EXISTS (SELECT 1 FROM retention_runs r JOIN assessments a ON a.organisation_id = r.organisation_id"
    " WHERE r.id = NEW.removed_by AND r.kind = 'assessments' AND r.finished_us IS NULL AND a.as_of_us < r.before_us"
    " AND a.entity_id = OLD.entity_id AND a.number = OLD.number)"
)
"""A run of the retention policy is under way, and the assessment is old enough for it."""
_INPUTS_ARE_REMOVED = (
    "EXISTS (SELECT 1 FROM assessment_inputs i WHERE i.entity_id = OLD.entity_id AND i.number = OLD.number"
    " AND i.removed_by IS NOT NULL)"
)
_BEGUN = (
    "id", "organisation_id", "flow_id", "version_id", "entity_id", "cause", "about", "acting", "begun_us", "actor",
)  # fmt: skip
"""What nothing changes once a run of a flow has begun; its facts are not changed once they were read."""
_RUN = (
    "id", "organisation_id", "flow_id", "version_id", "entity_id", "cause", "acting", "begun_us", "actor", "as_of_us",
    "state", "stopped_at", "ended_us", "due_us",
)  # fmt: skip
"""What stays of a run of a flow whatever happens."""
_UNDER_WAY = "r.kind = 'flows' AND r.finished_us IS NULL"
_RUN_IS_OLD = (
    f"EXISTS (SELECT 1 FROM retention_runs r WHERE r.id = NEW.removed_by AND {_UNDER_WAY}"  # noqa: S608 (our own words)
    " AND r.organisation_id = OLD.organisation_id AND OLD.as_of_us < r.before_us AND (OLD.ended_us < r.before_us"
    " OR (OLD.ended_us IS NULL AND NOT OLD.acting AND OLD.state = 'waiting' AND OLD.due_us IS NULL)))"
)
"""A run of the retention policy is under way, and the run of a flow is over and old enough for it."""
_RUN_IS_REMOVED = "EXISTS (SELECT 1 FROM flow_runs f WHERE f.id = OLD.run_id AND f.removed_by IS NOT NULL)"
_MOVE_IS_OLD = (
    "EXISTS (SELECT 1 FROM named_groups g JOIN retention_runs r ON r.organisation_id = g.organisation_id"  # noqa: S608 (our own words)
    f" WHERE g.id = OLD.group_id AND {_UNDER_WAY} AND OLD.at_us < r.before_us) AND EXISTS (SELECT 1 FROM group_moves m"
    " WHERE m.group_id = OLD.group_id AND m.entity_id = OLD.entity_id AND m.number > OLD.number)"
)
"""A run of the retention policy is under way, the move is old enough for it, and not the newest of the entity."""


def create() -> None:
    """Create the triggers."""
    _guard_assessments()
    _guard_runs()
    refuse("group_moves", "UPDATE")
    refuse_unless("group_moves", "DELETE", "TRUE", f"{ENTITY_IS_ERASED} OR ({_MOVE_IS_OLD})")


def _guard_assessments() -> None:
    once = f"({unchanged(('removed_by',))} OR OLD.removed_by IS NULL)"
    inputs = f"NEW.content IS NULL AND NEW.salt IS NULL AND {unchanged(('entity_id', 'number', 'sha256'))} AND {once}"
    refuse("assessment_inputs", "UPDATE", f"NOT ({inputs})")
    erased = f"({ENTITY_IS_ERASED} AND {unchanged(('removed_by',))})"
    refuse_unless("assessment_inputs", "UPDATE", inputs, f"{erased} OR {_ASSESSMENT_IS_OLD}")
    row = f"NEW.breakdown IS NULL AND {unchanged(_ASSESSMENT)}"
    refuse("assessments", "UPDATE", f"NOT ({row})")
    refuse_unless("assessments", "UPDATE", row, f"{ENTITY_IS_ERASED} OR {_INPUTS_ARE_REMOVED}")


def _guard_runs() -> None:
    facts = f"(OLD.inputs IS NULL OR ({unchanged(('inputs', 'as_of_us'))}))"
    open_still = f"(OLD.ended_us IS NULL OR ({unchanged(('state', 'stopped_at', 'answer', 'ended_us'))}))"
    goes_on = f"NEW.removed_by IS NULL AND {unchanged(_BEGUN)} AND {facts} AND {open_still}"
    gone = " AND ".join(f"NEW.{column} IS NULL" for column in ("inputs", "answer", "error"))
    emptied = f"NEW.removed_by IS NOT NULL AND {gone} AND {unchanged(_RUN)}"
    refuse("flow_runs", "UPDATE", f"NOT (OLD.removed_by IS NULL AND (({goes_on}) OR ({emptied})))")
    refuse_unless("flow_runs", "UPDATE", "NEW.removed_by IS NOT NULL", _RUN_IS_OLD)
    step = unchanged(("run_id", "step", "entity_id", "kind", "at_us", "actor"))
    refuse("flow_steps", "UPDATE", f"NOT (NEW.outcome = '{{}}' AND {step})")
    refuse_unless("flow_steps", "UPDATE", "NEW.outcome = '{}'", _RUN_IS_REMOVED)
