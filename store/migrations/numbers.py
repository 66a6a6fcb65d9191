"""Tables whose rows are never numbered as ones that were deleted, on SQLite as on PostgreSQL: for migrations alone."""

import re
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from alembic import op

_KEY = re.compile(r"\bid INTEGER NOT NULL\b(.*), *\s*CONSTRAINT pk_\w+ PRIMARY KEY \(id\)", re.DOTALL)


def number_once(known: Mapping[str, Sequence[str]]) -> None:
    """Make tables anew where they number by the greatest row that is there; PostgreSQL has a sequence already.

    Args:
        known: by the name of a table the queries that give numbers which are known besides those of its rows, such as
            from `named_in_audit`.
    """
    if op.get_bind().dialect.name == "sqlite":
        for table, elsewhere in known.items():
            _number_for_good(table)
            _go_on_behind(table, elsewhere)


def named_in_audit(table: str, subject: str | None = None) -> list[str]:
    """Give the queries of the numbers in the audit log, which names rows also after they were deleted.

    Args:
        table: whose rows it names by entity and number beside their hashes.
        subject: how it names such a row as what something was done to; None where it does not.
    """
    hashed = (
        "SELECT CAST(substr(hashed.key, instr(hashed.key, '.') + 1) AS INTEGER)"  # noqa: S608 (our own words)
        f" FROM audit_values CROSS JOIN json_each(audit_values.after, '$.rows.{table}') AS hashed"
        f""" WHERE instr(audit_values.after, '"{table}":') > 0"""
    )
    if subject is None:
        return [hashed]
    return [hashed, f"SELECT CAST(subject_id AS INTEGER) FROM audit_entries WHERE subject_kind = '{subject}'"]  # noqa: S608 (our own words)


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


def _go_on_behind(table: str, elsewhere: Sequence[str]) -> None:
    """Begin behind the greatest number that was given and is still known.

    What was deleted without being named by one of the queries is known nowhere any more.
    """
    bind = op.get_bind()
    numbers = " UNION ALL ".join((f"SELECT max(id) AS number FROM {table}", *elsewhere))  # noqa: S608 (ours)
    number = bind.exec_driver_sql(f"SELECT max(number) FROM ({numbers})").scalar()  # noqa: S608 (ours)
    if number is not None:
        op.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :of").bindparams(of=table))
        add = sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:of, :number)")
        op.execute(add.bindparams(of=table, number=number))
