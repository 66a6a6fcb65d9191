"""Rows that the audit log binds one by one: a salt for each, and proposals are history.

What is stored already is bound as it is now: entries `rows.bound` have the digests of all of it.
"""

import sqlalchemy as sa
from alembic import op

from fivefold.store.audit.bound_rows import BoundTable
from fivefold.store.migrations.binding import SALT, bind

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_OF_ENTITY = "coalesce((SELECT e.organisation_id FROM entities e WHERE e.id = r.entity_id), 0)"
_TABLES = (
    BoundTable(
        "attributes",
        ("entity_id", "number", "known_us", "content"),
        primary=("entity_id", "number"),
        organisation=_OF_ENTITY,
    ),
    BoundTable("tags", ("id", "organisation_id", "entity_id", "tag", "from_us", "until_us", "set_by")),
    BoundTable("screenings", ("id", "organisation_id", "entity_id", "screening", "found", "at_us", "recorded_us")),
    BoundTable(
        "records",
        (
            "id", "organisation_id", "kind", "external_id", "entity_id", "opened_us", "closed_us", "outcome", "status",
            "content",
        ),
    ),
    BoundTable(
        "ownerships",
        ("id", "entity_id", "owner_id", "from_us", "until_us"),
        entities=("entity_id", "owner_id"),
        organisation=_OF_ENTITY,
    ),
    BoundTable(
        "proposals",
        (
            "id", "organisation_id", "entity_id", "kind", "subject", "content", "reach", "reason", "proposed_by",
            "proposed_us", "state", "decided_by", "decided_us", "decision_reason", "result",
        ),
        entities=(),
    ),
)  # fmt: skip
"""As they are in this release."""
_FIXED = {
    "attributes": ("entity_id", "number", "content", "salt"),
    "screenings": ("id", "organisation_id", "entity_id", "screening", "found", "salt"),
    "tags": ("id", "organisation_id", "entity_id", "tag", "set_by", "salt"),
    "records": ("id", "organisation_id", "kind", "external_id", "entity_id", "salt"),
    "ownerships": ("id", "entity_id", "owner_id", "salt"),
}
"""Columns that nothing changes."""
_NEVER = ("id", "organisation_id", "entity_id", "kind", "proposed_by", "proposed_us", "salt")
_PROPOSED = ("subject", "content", "reach", "reason")
_DECIDED = ("decided_by", "decided_us", "result")
_IS_ERASED = (
    "(EXISTS (SELECT 1 FROM entities e WHERE e.id = OLD.entity_id AND e.erased_us IS NOT NULL)"
    " OR (OLD.kind = 'override.revoke' AND EXISTS (SELECT 1 FROM overrides o JOIN entities e ON e.id = o.entity_id"
    " WHERE OLD.content = '{\"override\":' || o.id || '}' AND e.erased_us IS NOT NULL)))"
)


def upgrade() -> None:
    """Add the columns, guard them, and bind what is there."""
    dialect = op.get_bind().dialect.name
    for table in _TABLES:
        op.add_column(table.name, sa.Column("salt", sa.String(32)))
        op.execute(f"UPDATE {table.name} SET salt = {SALT[dialect]}")  # noqa: S608 (our own words)
    on_postgresql = dialect == "postgresql"
    for name, fixed in _FIXED.items():
        op.execute(f"DROP TRIGGER {name}_history_update" + (f" ON {name}" if on_postgresql else ""))
        _guard(name, f"NOT ({_same(fixed, on_postgresql=on_postgresql)})", on_postgresql=on_postgresql)
    _guard_proposals(on_postgresql=on_postgresql)
    bind(op.get_bind(), _TABLES)


def _same(columns: tuple[str, ...], *, on_postgresql: bool) -> str:
    same = "IS NOT DISTINCT FROM" if on_postgresql else "IS"
    return " AND ".join(f"OLD.{name} {same} NEW.{name}" for name in columns)


def _guard(table: str, refused: str, *, on_postgresql: bool) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_history_update BEFORE UPDATE ON {table}"
        + (
            f" FOR EACH ROW WHEN ({refused}) EXECUTE FUNCTION audit_refuse()"
            if on_postgresql
            else f" WHEN {refused} BEGIN SELECT RAISE(ABORT, '{table} is append-only, UPDATE is refused'); END"
        )
    )


def _guard_proposals(*, on_postgresql: bool) -> None:
    """Let one be decided once, and be emptied where its entity is erased; nothing else happens to it."""
    same = "IS NOT DISTINCT FROM" if on_postgresql else "IS"
    decided = (
        f"({_same((*_PROPOSED, *_DECIDED, 'decision_reason', 'state'), on_postgresql=on_postgresql)}"
        f" OR ({_same(_PROPOSED, on_postgresql=on_postgresql)} AND OLD.state = 'proposed'"
        " AND NEW.state IN ('approved', 'refused', 'withdrawn')"
        " AND NEW.decided_by IS NOT NULL AND NEW.decided_us IS NOT NULL"
        " AND (NEW.result IS NULL OR NEW.state = 'approved')))"
    )
    emptied = (
        f"({_same(_DECIDED, on_postgresql=on_postgresql)} AND NEW.reason = 'erased' AND NEW.decision_reason IS NULL"
        f" AND (NEW.subject {same} OLD.subject OR NEW.subject = 'erased')"
        f" AND (NEW.content {same} OLD.content OR NEW.content = '{{}}')"
        f" AND (NEW.reach {same} OLD.reach OR NEW.reach = '{{}}')"
        f" AND (NEW.state {same} OLD.state OR (OLD.state = 'proposed' AND NEW.state = 'withdrawn'))"
        f" AND {_IS_ERASED})"
    )
    allowed = f"{_same(_NEVER, on_postgresql=on_postgresql)} AND ({decided} OR {emptied})"
    if not on_postgresql:
        _guard("proposals", f"NOT ({allowed})", on_postgresql=False)
        op.execute(
            "CREATE TRIGGER proposals_history_delete BEFORE DELETE ON proposals"
            " BEGIN SELECT RAISE(ABORT, 'proposals is append-only, DELETE is refused'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION proposals_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {allowed} THEN RETURN NEW; END IF;"
        " RAISE EXCEPTION 'proposals is append-only, UPDATE is refused'; END $$"
    )
    op.execute(
        "CREATE TRIGGER proposals_history_update BEFORE UPDATE ON proposals"
        " FOR EACH ROW EXECUTE FUNCTION proposals_refuse()"
    )
    op.execute(
        "CREATE TRIGGER proposals_history_delete BEFORE DELETE OR TRUNCATE ON proposals"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )
