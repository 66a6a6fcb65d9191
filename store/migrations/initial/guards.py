"""Guards: triggers by which the database itself refuses to change or delete what was written.

What is erased is marked as erased first: only then may its rows go, or lose what is personal.
"""

from collections.abc import Iterable

from alembic import op

_UNCHANGEABLE = (
    "audit_entries", "ruleset_versions", "list_versions", "rate_tables", "input_layouts", "flow_versions",
    "flow_activations",
)  # fmt: skip
"""Tables whose rows are neither changed nor deleted."""
_NEVER_DELETED = (
    "audit_values", "audit_heads", "assessments", "assessment_inputs", "transitions", "decisions", "overrides",
    "proposals", "entities", "activations", "group_versions", "policies",
    "members", "tokens", "token_requests", "backtests",
)  # fmt: skip
_DELETED_WITH_THE_ENTITY = (
    "transactions", "corrections", "attributes", "screenings", "tags", "records", "ownerships", "links", "challenges",
    "flow_runs", "flow_steps", "flow_actions",
)  # fmt: skip
_FIXED = {
    "transitions": ("entity_id", "number", "organisation_id", "at_us", "from_level", "to_level", "source"),
    "overrides": ("id", "organisation_id", "entity_id", "level", "until_us", "requested_by", "requested_us"),
    "attributes": ("entity_id", "number", "content", "salt"),
    "screenings": ("id", "organisation_id", "entity_id", "screening", "found", "salt"),
    "tags": ("id", "organisation_id", "entity_id", "tag", "set_by", "salt"),
    "records": ("id", "organisation_id", "kind", "external_id", "entity_id", "salt"),
    "ownerships": ("id", "entity_id", "owner_id", "salt"),
    "links": (
        "id", "organisation_id", "type_id", "entity_id", "link", "other_id", "thing", "recorded_us", "set_by", "salt",
    ),
    "group_versions": (
        "id", "group_id", "organisation_id", "number", "document", "canonical", "content_hash", "written_by",
        "written_us", "salt",
    ),
    "policies": (
        "id", "organisation_id", "name", "number", "document", "canonical", "content_hash", "written_by", "written_us",
        "salt",
    ),
    "transactions": (
        "organisation_id", "transaction_id", "entity_id", "at_us", "amount", "currency", "balance", "category",
        "account_created_us", "content", "batch",
    ),
    "challenges": (
        "id", "organisation_id", "entity_id", "number", "words", "received_us", "opened_us", "opened_by", "due_us",
        "record_sha256", "salt",
    ),
    "flow_actions": (
        "id", "organisation_id", "flow_id", "run_id", "entity_id", "cause", "action", "kind", "subject", "content",
        "at_us", "due_us", "waits_us",
    ),
    # The moment of recording is moved back after a clock that was ahead.
    "corrections": (
        "id", "organisation_id", "external_id", "transaction_id", "entity_id", "kind", "known_us", "reason", "actor",
        "at_us", "amount", "currency", "state", "balance", "category", "account_created_us", "content", "batch",
    ),
}  # fmt: skip
"""Columns that no UPDATE changes."""
_ALSO = {
    "transactions": (
        "(OLD.state {same} NEW.state AND OLD.settled_batch {same} NEW.settled_batch)"
        " OR (OLD.state {same} 'PENDING' AND OLD.settled_batch IS NULL AND NEW.settled_batch IS NOT NULL)"
    ),
    "overrides": (
        "OLD.state = NEW.state OR (OLD.state = 'requested' AND NEW.state IN ('approved', 'refused'))"
        " OR (OLD.state = 'approved' AND NEW.state = 'revoked')"
    ),
    "policies": (
        "(OLD.approved_by {same} NEW.approved_by AND OLD.approved_us {same} NEW.approved_us"
        " AND (OLD.state = NEW.state OR (OLD.state <> 'retired' AND NEW.state = 'retired')))"
        " OR (OLD.state = 'proposed' AND NEW.state = 'active' AND NEW.approved_by IS NOT NULL"
        " AND NEW.approved_us IS NOT NULL)"
    ),
    "challenges": (
        "OLD.state = 'open' AND NEW.state <> 'open' AND NEW.settled_by IS NOT NULL AND NEW.reason IS NOT NULL"
    ),
    "flow_actions": "OLD.taken_back_us IS NULL AND OLD.done_us IS NULL",
}
"""What else must hold of an UPDATE."""
_FIXED_WHERE_NAMED = {
    "entities": ("id", "organisation_id", "type_id", "external_id", "created_us", "erased_us", "salt"),
    "activations": (
        "id", "organisation_id", "family_id", "version_id", "previous_version_id", "backtest_id", "kind", "reason",
        "actor", "at_us", "per_second", "salt",
    ),
}  # fmt: skip
"""Columns of tables whose other columns change by the thousand: an UPDATE that names none of these is not looked at."""
_OR_ERASURE = {
    "entities": (
        "OLD.id = NEW.id AND OLD.organisation_id = NEW.organisation_id AND OLD.type_id = NEW.type_id"
        " AND OLD.created_us = NEW.created_us AND OLD.erased_us IS NULL AND NEW.erased_us IS NOT NULL"
        " AND NEW.external_id IN (OLD.external_id, 'erased-' || NEW.id)"
    )
}
"""What an UPDATE of them may be besides."""
_EMPTIED = {
    "decisions": (
        ("inputs", "answer", "decision_key"),
        (
            "id", "organisation_id", "policy_id", "entity_id", "assessment_number", "value_as_of_us", "at_us", "actor",
            "action",
        ),
    ),
}  # fmt: skip
"""Columns that become null where the entity is erased, and those that stay as they are."""
_VALUES_ERASED = (
    "OLD.erased_us IS NULL AND NEW.erased_us IS NOT NULL AND NEW.salt IS NULL AND NEW.before IS NULL"
    " AND NEW.after IS NULL AND NEW.organisation_id = OLD.organisation_id AND NEW.number = OLD.number"
)
"""The one change that values of the audit log may see."""
_PROPOSED = ("id", "organisation_id", "entity_id", "kind", "proposed_by", "proposed_us", "salt")
_CONTENT = ("subject", "content", "reach", "reason")
_DECIDED = ("decided_by", "decided_us", "result")
ENTITY_IS_ERASED = "EXISTS (SELECT 1 FROM entities WHERE id = OLD.entity_id AND erased_us IS NOT NULL)"
_IS_ERASED = {
    "ownerships": "EXISTS (SELECT 1 FROM entities WHERE id IN (OLD.entity_id, OLD.owner_id) AND erased_us IS NOT NULL)",
    "links": "EXISTS (SELECT 1 FROM entities WHERE id IN (OLD.entity_id, OLD.other_id) AND erased_us IS NOT NULL)",
}
"""What tells, of a table's row, that the entity is erased; of the others their `entity_id` does."""

_UNLESS_ERASED = "is history, ", " is refused unless the entity is erased"


def create() -> None:
    """Create the triggers, and on PostgreSQL the functions that they run."""
    if _on_postgresql():
        _prepare_postgresql()
    else:
        _refuse_replacing()
    for table in _UNCHANGEABLE:
        refuse(table, "UPDATE")
    for table in (*_UNCHANGEABLE, *_NEVER_DELETED):
        refuse(table, "DELETE")
    for table in _DELETED_WITH_THE_ENTITY:
        refuse_unless_erased(table, "DELETE")
    for table, fixed in _FIXED.items():
        also = f" AND ({_ALSO[table].format(same=_same())})" if table in _ALSO else ""
        refuse(table, "UPDATE", f"NOT ({unchanged(fixed)}{also})")
    for table, fixed in _FIXED_WHERE_NAMED.items():
        erasure = f" OR ({_OR_ERASURE[table]})" if table in _OR_ERASURE else ""
        refuse(table, "UPDATE", f"NOT (({unchanged(fixed)}){erasure})", of=fixed)
    for table, (emptied, kept_columns) in _EMPTIED.items():
        only_emptied = " AND ".join([*(f"NEW.{name} IS NULL" for name in emptied), unchanged(kept_columns)])
        refuse(table, "UPDATE", f"NOT ({only_emptied})")
        refuse_unless_erased(table, "UPDATE", only_emptied)
    refuse("audit_values", "UPDATE", f"NOT ({_VALUES_ERASED})")
    _guard_proposals()


def _prepare_postgresql() -> None:
    """Create the functions, since conditions of triggers cannot ask other tables; and take rights from everybody."""
    _create_function("audit_refuse", "FALSE", "is append-only, ", " is refused")
    for name, is_erased in {"history": ENTITY_IS_ERASED, **_IS_ERASED}.items():
        _create_function(f"{name}_refuse_unless_erased", is_erased, *_UNLESS_ERASED)
    op.execute("REVOKE UPDATE, DELETE, TRUNCATE ON audit_entries FROM PUBLIC")
    for table in ("audit_values", "audit_heads"):
        op.execute(f"REVOKE DELETE, TRUNCATE ON {table} FROM PUBLIC")


def _refuse_replacing() -> None:
    """Refuse INSERT OR REPLACE: it deletes the row that is in its way without asking the guard of DELETE."""
    for table in ("audit_entries", "audit_values"):
        same = "organisation_id = NEW.organisation_id AND number = NEW.number"
        refuse(table, "INSERT", f"EXISTS (SELECT 1 FROM {table} WHERE {same})")  # noqa: S608 (our own words)


def _guard_proposals() -> None:
    """Let one be decided once, and be emptied where its entity is erased; nothing else happens to it."""
    same = _same()
    decided = (
        f"({unchanged((*_CONTENT, *_DECIDED, 'decision_reason', 'state'))}"
        f" OR ({unchanged(_CONTENT)} AND OLD.state = 'proposed' AND NEW.state IN ('approved', 'refused', 'withdrawn')"
        " AND NEW.decided_by IS NOT NULL AND NEW.decided_us IS NOT NULL"
        " AND (NEW.result IS NULL OR NEW.state = 'approved')))"
    )
    emptied = (
        f"({unchanged(_DECIDED)} AND NEW.reason = 'erased' AND NEW.decision_reason IS NULL"
        f" AND (NEW.subject {same} OLD.subject OR NEW.subject = 'erased')"
        f" AND (NEW.content {same} OLD.content OR NEW.content = '{{}}')"
        f" AND (NEW.reach {same} OLD.reach OR NEW.reach = '{{}}')"
        f" AND (NEW.state {same} OLD.state OR (OLD.state = 'proposed' AND NEW.state = 'withdrawn')))"
    )
    refuse("proposals", "UPDATE", f"NOT ({unchanged(_PROPOSED)} AND ({decided} OR {emptied}))")
    refuse_unless_erased("proposals", "UPDATE", f"NOT ({decided})")


def _on_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _same() -> str:
    """Give the operator that compares two values of which either may be null."""
    return "IS NOT DISTINCT FROM" if _on_postgresql() else "IS"


def unchanged(columns: Iterable[str]) -> str:
    """Write the condition that an UPDATE leaves these columns as they are."""
    return " AND ".join(f"OLD.{name} {_same()} NEW.{name}" for name in columns)


def refuse(table: str, statement: str, when: str = "TRUE", of: Iterable[str] = ()) -> None:
    """Refuse a statement, or that for rows of a condition alone; an UPDATE may be looked at for some columns alone."""
    name = f"{table}_history_{statement.lower()}"
    what = f"{statement} OF {', '.join(of)}" if of else statement
    if not _on_postgresql():
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {what} ON {table} WHEN {when}"
            f" BEGIN SELECT RAISE(ABORT, '{table} is append-only, {statement} is refused'); END"
        )
        return
    rows = "STATEMENT" if when == "TRUE" else f"ROW WHEN ({when})"
    what = "DELETE OR TRUNCATE" if statement == "DELETE" else what
    op.execute(f"CREATE TRIGGER {name} BEFORE {what} ON {table} FOR EACH {rows} EXECUTE FUNCTION audit_refuse()")


def refuse_unless_erased(table: str, statement: str, when: str = "TRUE") -> None:
    """Refuse a statement for rows of a condition whose entity is not marked as erased."""
    name = f"{table}_erased_{statement.lower()}"
    if not _on_postgresql():
        is_erased = _IS_ERASED.get(table, ENTITY_IS_ERASED)
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {statement} ON {table} WHEN ({when}) AND NOT ({is_erased})"
            f" BEGIN SELECT RAISE(ABORT, '{table} is history, {statement} is refused unless the entity is erased'); END"
        )
        return
    function = f"{table if table in _IS_ERASED else 'history'}_refuse_unless_erased"
    rows = "" if when == "TRUE" else f" WHEN ({when})"
    op.execute(f"CREATE TRIGGER {name} BEFORE {statement} ON {table} FOR EACH ROW{rows} EXECUTE FUNCTION {function}()")
    _refuse_truncating(table, statement)


def refuse_unless(table: str, statement: str, when: str, allowed: str) -> None:
    """Refuse a statement for rows of a condition unless another one holds, which may ask other tables."""
    name, exception_text = f"{table}_erased_{statement.lower()}", "unless the entity is erased, or retention removed it"
    if not _on_postgresql():
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {statement} ON {table} WHEN ({when}) AND NOT ({allowed})"
            f" BEGIN SELECT RAISE(ABORT, '{table} is history, {statement} is refused {exception_text}'); END"
        )
        return
    _create_function(f"{table}_refuse_unless", allowed, "is history, ", f" is refused {exception_text}")
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {statement} ON {table} FOR EACH ROW WHEN ({when})"
        f" EXECUTE FUNCTION {table}_refuse_unless()"
    )
    _refuse_truncating(table, statement)


def _refuse_truncating(table: str, statement: str) -> None:
    """Where rows are not deleted one by one, nor are all of them at once: a trigger of rows is not asked then."""
    if statement == "DELETE":
        name = f"{table}_erased_delete_all"
        op.execute(
            f"CREATE TRIGGER {name} BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )


def _create_function(name: str, allowed: str, before: str, after: str) -> None:
    """Create what a trigger of PostgreSQL runs: it lets the row be where a condition holds, and refuses otherwise."""
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {allowed} THEN IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END IF;"
        f" RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' {before}' || TG_OP || '{after}'; END $$"
    )
