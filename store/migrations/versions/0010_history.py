"""History that the audit log binds: batches of rows, salted hashes, and guards that refuse to change what was written.

What is erased is marked as erased first: only then may its rows go, or lose what is personal.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_IS_SETTLED = sa.text("settled_batch IS NOT NULL")
_NEVER_DELETED = ("assessments", "assessment_inputs", "transitions", "decisions", "overrides")
_DELETED_WITH_THE_ENTITY = ("transactions", "attributes", "screenings", "tags", "records")
_EMPTIED = {
    "assessments": (
        ("breakdown",),
        (
            "entity_id", "number", "organisation_id", "as_of_us", "version_id", "source", "status", "level",
            "rules_level", "floor", "score", "engine", "batch",
        ),
    ),
    "assessment_inputs": (("content", "salt"), ("entity_id", "number", "sha256")),
    "decisions": (
        ("inputs", "answer", "decision_key"),
        (
            "id", "organisation_id", "policy_id", "entity_id", "assessment_number", "value_as_of_us", "at_us", "actor",
            "action",
        ),
    ),
}  # fmt: skip
"""Columns that become null where the entity is erased, and those that stay as they are."""
_FIXED = {
    "transitions": ("entity_id", "number", "organisation_id", "at_us", "from_level", "to_level", "source"),
    "overrides": (
        "id", "organisation_id", "entity_id", "level", "until_us", "requested_by", "requested_us",
    ),
    "attributes": ("entity_id", "number", "content"),
    "screenings": ("id", "organisation_id", "entity_id", "screening", "found"),
    "tags": ("id", "organisation_id", "entity_id", "tag", "set_by"),
    "records": ("id", "organisation_id", "kind", "external_id", "entity_id"),
    "transactions": (
        "organisation_id", "transaction_id", "entity_id", "at_us", "amount", "currency", "balance", "category",
        "account_created_us", "content", "batch",
    ),
}  # fmt: skip
"""Columns that nothing changes."""
_SETTLED = (
    "(OLD.state {same} NEW.state AND OLD.settled_batch {same} NEW.settled_batch)"
    " OR (OLD.state {same} 'PENDING' AND OLD.settled_batch IS NULL AND NEW.settled_batch IS NOT NULL)"
)
_DECIDED = (
    "OLD.state = NEW.state OR (OLD.state = 'requested' AND NEW.state IN ('approved', 'refused'))"
    " OR (OLD.state = 'approved' AND NEW.state = 'revoked')"
)
_ALSO = {"transactions": _SETTLED, "overrides": _DECIDED}
"""What else must hold of a change."""
_KINDS: dict[str, Any] = {
    "batch": sa.BigInteger(),
    "settled_batch": sa.BigInteger(),
    "salt": sa.String(32),
    "sha256": sa.String(64),
}


def upgrade() -> None:
    """Add the columns, their indexes, and the guards."""
    for table, names in (
        ("transactions", ("batch", "settled_batch")),
        ("assessments", ("batch",)),
        ("assessment_inputs", ("salt", "sha256")),
    ):
        for name in names:
            op.add_column(table, sa.Column(name, _KINDS[name]))
    op.create_index("ix_transactions_batch", "transactions", ["batch"])
    op.create_index("ix_assessments_batch", "assessments", ["batch"])
    op.create_index(
        "ix_transactions_settled_batch", "transactions", ["settled_batch"],
        sqlite_where=_IS_SETTLED, postgresql_where=_IS_SETTLED,
    )  # fmt: skip
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    if on_postgresql:
        _make_function()
    for table in _NEVER_DELETED:
        _refuse(table, "DELETE", "TRUE", on_postgresql=on_postgresql)
    for table in _DELETED_WITH_THE_ENTITY:
        _refuse_unless_erased(table, "DELETE", "TRUE", on_postgresql=on_postgresql)
    same = "IS NOT DISTINCT FROM" if on_postgresql else "IS"
    for table, (emptied, kept) in _EMPTIED.items():
        only_emptied = " AND ".join([f"NEW.{name} IS NULL" for name in emptied] + _unchanged(kept, same))
        _refuse(table, "UPDATE", f"NOT ({only_emptied})", on_postgresql=on_postgresql)
        _refuse_unless_erased(table, "UPDATE", only_emptied, on_postgresql=on_postgresql)
    for table, kept in _FIXED.items():
        held = [*_unchanged(kept, same), f"({_ALSO.get(table, 'TRUE').format(same=same)})"]
        _refuse(table, "UPDATE", f"NOT ({' AND '.join(held)})", on_postgresql=on_postgresql)


def _unchanged(names: tuple[str, ...], same: str) -> list[str]:
    return [f"OLD.{name} {same} NEW.{name}" for name in names]


def _make_function() -> None:
    op.execute(
        "CREATE FUNCTION history_refuse_unless_erased() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF EXISTS (SELECT 1 FROM entities WHERE id = OLD.entity_id AND erased_us IS NOT NULL) THEN"
        " IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END IF;"
        " RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is history, ' || TG_OP"
        " || ' is refused unless the entity is erased';"
        " END $$"
    )


def _refuse(table: str, what: str, when: str, *, on_postgresql: bool) -> None:
    name = f"{table}_history_{what.lower()}"
    if not on_postgresql:
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {what} ON {table} WHEN {when}"
            f" BEGIN SELECT RAISE(ABORT, '{table} is append-only, {what} is refused'); END"
        )
    elif what == "DELETE":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )
    else:
        op.execute(
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION audit_refuse()"
        )


def _refuse_unless_erased(table: str, what: str, when: str, *, on_postgresql: bool) -> None:
    name = f"{table}_erased_{what.lower()}"
    if on_postgresql:
        condition = "" if what == "DELETE" else f" WHEN ({when})"
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {what} ON {table}"
            f" FOR EACH ROW{condition} EXECUTE FUNCTION history_refuse_unless_erased()"
        )
        if what == "DELETE":
            op.execute(
                f"CREATE TRIGGER {name}_all BEFORE TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
            )
        return
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {what} ON {table} WHEN ({when}) AND NOT EXISTS"  # noqa: S608 (our own words)
        " (SELECT 1 FROM entities WHERE id = OLD.entity_id AND erased_us IS NOT NULL)"
        f" BEGIN SELECT RAISE(ABORT, '{table} is history, {what} is refused unless the entity is erased'); END"
    )
