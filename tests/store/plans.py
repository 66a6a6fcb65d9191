"""What a use case asks of a database: its statements, and by which indexes these are answered."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

Statement = tuple[str, Any]


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

    Tables that are *analysed* are known as they are now, whatever another test had in them.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            return "\n".join(
                row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement[0]}", statement[1])
            )
        for table in analysed:
            connection.exec_driver_sql(f"ANALYZE {table}")
        for name in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"):
            connection.exec_driver_sql(f"SET LOCAL enable_{name} = off")
        return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement[0]}", statement[1]))
