"""What a use case asks of a database: its statements, and by which indexes these are answered."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

Statement = tuple[str, Any]

# The planner asks pg_statistic how many rows have a value, and pg_class how many rows there are. PostgreSQL writes both
# by itself, at a moment that no test knows, of whatever rows a test has then.
FORGET_STATISTICS = """
DELETE FROM pg_statistic WHERE starelid IN (
    SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND NOT relname = ANY(%(analysed)s)
)
"""
FORGET_SIZES = """
UPDATE pg_class SET relpages = 0, reltuples = -1
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i') AND NOT relname = ANY(%(analysed)s)
"""


@contextmanager
def statements(engine: Engine) -> Iterator[list[Statement]]:
    """Note the SELECTs that are run, with their parameters."""
    asked: list[Statement] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


def plan_of(engine: Engine, statement: Statement, *analysed: str) -> str:
    """Give the plan of a statement; PostgreSQL's as it would be where tables are large and sorting is dear.

    Tables that are *analysed* are known as they are now, and of the others the planner knows nothing: so the plan does
    not depend on when PostgreSQL last looked at them. What it knew is there again afterwards.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            return "\n".join(
                row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement[0]}", statement[1])
            )
        for table in analysed:
            connection.exec_driver_sql(f"ANALYZE {table}")
        for forget in (FORGET_STATISTICS, FORGET_SIZES):
            connection.exec_driver_sql(forget, {"analysed": list(analysed)})
        for name in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"):
            connection.exec_driver_sql(f"SET LOCAL enable_{name} = off")
        return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement[0]}", statement[1]))
