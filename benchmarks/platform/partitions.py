"""Would partitions by time help on PostgreSQL? Plans of the statements that matter, on generated rows.

`python -m benchmarks.platform.partitions --rows 10000000` makes so many rows of events, deliveries, assessments and
transactions over two years, each table twice: as the product has it, and in a partition for each month. It reads the
plan of each statement on both and runs it, then removes the oldest month: part by part as the worker does, and by
dropping a partition. The rows are made by the database, so that 10 million take minutes.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from statistics import median
from time import perf_counter
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, text

from benchmarks.platform import data

MONTHS: Final = 24
MONTH_US: Final = 30 * 86_400 * 1_000_000
RUNS: Final = 25
PART_ROWS: Final = 500
"""As `usecases.erasure.retention` removes."""
VARIANTS: Final = ("plain", "by_month")


class Table(NamedTuple):
    """A table as it is generated.

    Attributes:
        key: the column by which it is partitioned, and whether that is a moment; else it is the number of the row.
        columns: an expression of the row's number `i`, `:rows` and moment `at` for each column that is not null.
        indexes: after loading; `{table}` stands for the name. A unique one has to have the key in it.
    """

    key: tuple[str, bool]
    columns: Mapping[str, str]
    indexes: tuple[str, ...]


_TEXT = "repeat(md5(i::text), 5)"
TABLES: Final[Mapping[str, Table]] = {
    "outbox": Table(
        ("id", False),
        {
            "id": "i", "organisation_id": "1", "event_id": "'level-' || i", "kind": "'level.reached'",
            "entity_id": "1 + i % (:rows / 10)", "at_us": "at", "body": _TEXT,
        },
        ("UNIQUE INDEX ON {table} (id)", "INDEX ON {table} (organisation_id, id)"),
    ),
    "deliveries": Table(
        ("event_number", False),
        {
            "endpoint_id": "1", "event_number": "i", "entity_id": "1 + i % (:rows / 10)", "attempts": "1",
            "state": "CASE WHEN i > :rows * 0.999 THEN 'waiting' ELSE 'delivered' END", "next_us": "at",
            "delivered_us": "CASE WHEN i > :rows * 0.999 THEN NULL ELSE at END",
        },
        (
            "UNIQUE INDEX ON {table} (endpoint_id, event_number)",
            "INDEX ON {table} (endpoint_id, next_us) WHERE state = 'waiting'",
            "INDEX ON {table} (endpoint_id, entity_id, event_number) WHERE state = 'waiting'",
            "INDEX ON {table} (endpoint_id, delivered_us) WHERE state = 'delivered'",
        ),
    ),
    "assessments": Table(
        ("as_of_us", True),
        {
            "entity_id": "1 + i % (:rows / 10)", "number": "1 + i / (:rows / 10)", "organisation_id": "1",
            "as_of_us": "at", "version_id": "1", "source": "'rules'", "status": "'assessed'", "level": "1 + i % 3",
            "rules_level": "1 + i % 3", "floor": "0", "score": "'41.5'", "engine": "'9'", "breakdown": _TEXT,
            "batch": "i / 2500",
        },
        (
            "INDEX ON {table} (entity_id, number)",
            "INDEX ON {table} (batch)",
            "INDEX ON {table} (organisation_id, as_of_us) WHERE breakdown IS NOT NULL",
        ),
    ),
    "transactions": Table(
        ("at_us", True),
        {
            "organisation_id": "1", "transaction_id": "'t-' || i", "entity_id": "1 + i % (:rows / 100)",
            "at_us": "at", "amount": "i % 1000", "currency": "'EUR'", "state": "'SUCCEEDED'", "content": "'{}'",
            "batch": "i / 500", "recorded_us": "at",
        },
        (
            "INDEX ON {table} (organisation_id, transaction_id)",
            "INDEX ON {table} (entity_id, at_us)",
            "INDEX ON {table} (batch)",
        ),
    ),
}  # fmt: skip

_BEFORE = "SELECT 1 FROM deliveries b WHERE b.endpoint_id = 1 AND b.entity_id = d.entity_id AND b.state = 'waiting'"
STATEMENTS: Final[Mapping[str, str]] = {
    "events that are planned next": (
        "SELECT id, entity_id, kind FROM outbox WHERE organisation_id = 1 AND id > :recent ORDER BY id LIMIT 5000"
    ),
    "old events, a part": (
        "SELECT id, entity_id, at_us FROM outbox WHERE organisation_id = 1 AND id > :old ORDER BY id LIMIT 500"
    ),
    "deliveries that are due": (
        "SELECT event_number FROM deliveries d WHERE endpoint_id = 1 AND state = 'waiting' AND next_us <= :now"
        f" AND NOT EXISTS ({_BEFORE} AND b.event_number < d.event_number) ORDER BY next_us LIMIT 50"
    ),
    "a delivery that arrived": "SELECT * FROM deliveries WHERE endpoint_id = 1 AND event_number = :row",
    "old deliveries, a part": (
        "SELECT event_number, entity_id, delivered_us FROM deliveries WHERE endpoint_id = 1 AND state = 'delivered'"
        " AND delivered_us < :early ORDER BY delivered_us, event_number LIMIT 500"
    ),
    "the assessment that a standing names": "SELECT * FROM assessments WHERE entity_id = :entity AND number = 9",
    "an entity's history, a page": (
        "SELECT * FROM assessments WHERE entity_id = :entity ORDER BY number DESC LIMIT 51"
    ),
    "old assessments, a part": (
        "SELECT entity_id, number FROM assessments WHERE organisation_id = 1 AND as_of_us < :early"
        " AND breakdown IS NOT NULL ORDER BY as_of_us, entity_id, number LIMIT 500"
    ),
    "an entity's payments of 90 days": (
        "SELECT * FROM transactions WHERE entity_id = :payer AND at_us > :from_us AND at_us <= :now"
    ),
    "an entity's payments of all time": "SELECT * FROM transactions WHERE entity_id = :payer",
    "whether a payment is known": (
        "SELECT * FROM transactions WHERE organisation_id = 1 AND transaction_id = 't-' || :row"
    ),
}
"""As the product asks, for one organisation."""


def main() -> None:
    """Generate, measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=10_000_000)
    options = arguments.parse_args()
    sys.stdout.write(f"load {os.getloadavg()[0]:.1f} before; {options.rows:,} rows a table, {MONTHS} months\n")
    with data.postgresql() as engine:
        for line in measured(engine, options.rows):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"load {os.getloadavg()[0]:.1f} after\n")


def measured(engine: Engine, rows: int) -> Iterator[str]:
    """Give the figures as lines of text."""
    for variant in VARIANTS:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {variant}"))
        for name, table in TABLES.items():
            start = perf_counter()
            _fill(engine, variant, name, table, rows)
            yield f"{variant}.{name}: filled in {perf_counter() - start:.0f} s, {_size(engine, variant, name):,} MB"
    yield "statement | plain ms | plan ms | pages | nodes | by month ms | plan ms | pages | nodes"
    for words, statement in STATEMENTS.items():
        figures = [figure for variant in VARIANTS for figure in _explained(engine, variant, statement, rows)]
        yield f"{words} | {' | '.join(figures)}"
    yield from _removed(engine, rows)


def _fill(engine: Engine, variant: str, name: str, table: Table, rows: int) -> None:
    at = "(i * (:month * :months / :rows))"
    columns = ", ".join(table.columns)
    values = ", ".join(table.columns.values())
    parameters = {"rows": rows, "month": MONTH_US, "months": MONTHS}
    of = f"{variant}.{name}"
    with engine.begin() as connection:
        partitioned = f" PARTITION BY RANGE ({table.key[0]})" if variant == "by_month" else ""
        connection.execute(text(f"CREATE TABLE {of} (LIKE public.{name}){partitioned}"))
        if partitioned:
            width = MONTH_US if table.key[1] else rows // MONTHS
            for month in range(MONTHS):
                last = "MAXVALUE" if month == MONTHS - 1 else (month + 1) * width
                first = "MINVALUE" if month == 0 else month * width
                connection.execute(
                    text(f"CREATE TABLE {of}_{month:02} PARTITION OF {of} FOR VALUES FROM ({first}) TO ({last})")
                )
        insert = f"INSERT INTO {of} ({columns}) SELECT {values} FROM (SELECT i, {at}::bigint AS at"
        connection.execute(text(f"{insert} FROM generate_series(1, :rows) AS i) AS numbered"), parameters)
        for index in table.indexes:
            connection.execute(text(f"CREATE {index.format(table=of)}"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"VACUUM ANALYZE {of}"))


def _size(engine: Engine, variant: str, name: str) -> int:
    query = (
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) / 1048576 FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname LIKE :name AND c.relkind = 'r'"
    )
    with engine.connect() as connection:
        return int(connection.execute(text(query), {"schema": variant, "name": f"{name}%"}).scalar_one())


def _parameters(rows: int, run: int) -> dict[str, int]:
    """Give the parameters of a run: another entity, and another place among old and recent rows, each time."""
    now = MONTHS * MONTH_US
    entity = 1 + run * 7919 % (rows // 100)
    return {
        "recent": rows - 10_000 - run, "old": run * PART_ROWS, "now": now, "row": 1 + run * 104_729 % rows,
        "early": 2 * MONTH_US, "entity": entity, "payer": entity, "from_us": now - 3 * MONTH_US,
    }  # fmt: skip


def _explained(engine: Engine, variant: str, statement: str, rows: int) -> tuple[str, str, str, str]:
    """Give the median of execution and planning, the pages that the last run read, and the nodes of its plan."""
    executed, planned = [], []
    plan: Any = None
    with engine.connect() as connection:
        connection.execute(text(f"SET search_path = {variant}"))
        for run in range(RUNS):
            parameters = {name: value for name, value in _parameters(rows, run).items() if f":{name}" in statement}
            (plan,) = _plan(connection, statement, parameters)
            executed.append(plan["Execution Time"])
            planned.append(plan["Planning Time"])
        connection.rollback()
    top = plan["Plan"]
    pages = top.get("Shared Hit Blocks", 0) + top.get("Shared Read Blocks", 0)
    return f"{median(executed):.3f}", f"{median(planned):.3f}", f"{pages:,}", f"{_nodes(top)}"


def _plan(connection: Connection, statement: str, parameters: Mapping[str, int]) -> Any:
    for name, value in sorted(parameters.items(), key=lambda pair: -len(pair[0])):
        statement = statement.replace(f":{name}", str(value))
    return connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}").scalar_one()


def _nodes(plan: Mapping[str, Any]) -> int:
    """Count the nodes of a plan that were run."""
    return (plan.get("Actual Loops", 1) > 0) + sum(_nodes(each) for each in plan.get("Plans", ()))


def _removed(engine: Engine, rows: int) -> Iterator[str]:
    """Remove the oldest month of events: as the worker does, and by dropping a partition."""
    month = rows // MONTHS
    parts = []
    with engine.connect() as connection:
        connection.execute(text("SET search_path = plain"))
        connection.commit()
        for first in range(0, month, PART_ROWS):
            start = perf_counter()
            connection.execute(
                text("DELETE FROM outbox WHERE id > :first AND id <= :last"),
                {"first": first, "last": min(first + PART_ROWS, month)},
            )
            connection.commit()
            parts.append(perf_counter() - start)
    worst = max(parts) * 1e3
    yield f"a month of {month:,} events, part by part: {sum(parts):.1f} s, the longest part {worst:.0f} ms"
    start = perf_counter()
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE by_month.outbox_00"))
    yield f"the same by dropping a partition: {(perf_counter() - start) * 1e3:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
