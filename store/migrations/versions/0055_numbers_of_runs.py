"""Runs of flows and their actions are never numbered as ones that were deleted, on SQLite as on PostgreSQL."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None

_SUBJECTS = {"flow_runs": "flow run", "flow_actions": "flow action"}
"""The tables, and how the audit log names their rows."""
_EVENTS = {
    "flow_runs": """SELECT CAST(substr(body, instr(body, '"run":"f:') + 9) AS INTEGER) FROM outbox
        WHERE instr(body, '"run":"f:') > 0""",
    "flow_actions": "SELECT CAST(substr(event_id, 13) AS INTEGER) FROM outbox WHERE event_id LIKE 'flow-action-%'",
}
"""The numbers that events name: a run in what they say, an action in their own name."""
_KEY = re.compile(r"\bid INTEGER NOT NULL\b(.*), *\s*CONSTRAINT pk_\w+ PRIMARY KEY \(id\)", re.DOTALL)


def upgrade() -> None:
    """Make both tables anew where they number by the greatest row that is there; others have a sequence already."""
    if op.get_bind().dialect.name == "sqlite":
        for table, subject in _SUBJECTS.items():
            _number_for_good(table)
            _go_on_behind(table, subject)


def _number_for_good(table: str) -> None:
    """Copy a table into one that counts on for good, and put back what belongs to it: indexes and guards.

    SQLite can add this to no table that is there. Others refer to it by its name, and are left as they are.
    """
    bind = op.get_bind()
    found = bind.execute(sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :of"), {"of": table}).all()
    (made,) = (sql for kind, sql in found if kind == "table")
    if "AUTOINCREMENT" in made:
        return
    beside = f"{table}_counted"
    written, count = _KEY.subn(r"id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT\1", made)
    if not count:
        raise ValueError(f"the table {table} is not as the migrations before made it")
    names = ", ".join(f'"{column["name"]}"' for column in sa.inspect(bind).get_columns(table))
    op.execute("PRAGMA legacy_alter_table=ON")
    bind.exec_driver_sql(written.replace(table, beside, 1))
    bind.exec_driver_sql(f"INSERT INTO {beside} ({names}) SELECT {names} FROM {table} ORDER BY id")  # noqa: S608 (ours)
    op.execute(f"DROP TABLE {table}")
    op.execute(f"ALTER TABLE {beside} RENAME TO {table}")
    op.execute("PRAGMA legacy_alter_table=OFF")
    for kind, sql in found:
        if kind in {"index", "trigger"} and sql is not None:
            bind.exec_driver_sql(sql)


def _go_on_behind(table: str, subject: str) -> None:
    """Begin behind the greatest number that was given and is still known: of rows, in the audit log and in events.

    The audit log names rows by entity and number beside their hashes, also those that were erased since. What was
    deleted without being named in one of these is known nowhere any more.
    """
    last = sa.text(
        f"SELECT max(number) FROM (SELECT max(id) AS number FROM {table}"  # noqa: S608 (ours)
        " UNION ALL SELECT CAST(subject_id AS INTEGER) FROM audit_entries WHERE subject_kind = :subject"
        " UNION ALL SELECT CAST(substr(hashed.key, instr(hashed.key, '.') + 1) AS INTEGER)"
        " FROM audit_values CROSS JOIN json_each(audit_values.after, :rows) AS hashed"
        " WHERE instr(audit_values.after, :named) > 0"
        f" UNION ALL {_EVENTS[table]})"
    )
    of = {"subject": subject, "rows": f"$.rows.{table}", "named": f'"{table}":'}
    number = op.get_bind().execute(last, of).scalar()
    if number is not None:
        op.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :of").bindparams(of=table))
        add = sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:of, :number)")
        op.execute(add.bindparams(of=table, number=number))


def downgrade() -> None:
    """Forward only."""
