"""What assessments take on disk: each table with its indexes, and the columns of an assessment.

`python -m benchmarks.platform.storage` assesses customers again, as if everybody came to something else each time, and
says by how many bytes the tables grew for each assessment, on PostgreSQL and on SQLite; and how many bytes a round adds
in which everybody comes to the same.
"""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine, text

from benchmarks.platform import data
from fivefold.domain.clock import now_microseconds
from fivefold.store.sql.database import open_database, upgrade
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.worker import run_batch
from fivefold.usecases.shared.context import Context

TABLES = (
    *("assessments", "assessment_inputs", "standings", "due_marks", "transitions", "outbox"),
    *("audit_entries", "audit_values"),
)
"""What an assessment writes to."""
COLUMNS = {
    "assessments": ("breakdown", "score", "status", "source", "engine"),
    "assessment_inputs": ("content", "salt", "sha256"),
}
"""The texts of an assessment."""
Sizes = dict[str, tuple[int, int]]
"""Bytes of each table, and of its indexes."""


def main() -> None:
    """Measure both databases, and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--customers", type=int, default=5_000)
    arguments.add_argument("--rounds", type=int, default=4)
    arguments.add_argument("--only", choices=["postgresql", "sqlite"])
    options = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    sys.stdout.write(
        f"load {os.getloadavg()[0]:.1f} before; {options.customers:,} customers, {options.rounds} rounds\n"
    )
    for name, database in (("postgresql", data.postgresql), ("sqlite", _sqlite)):
        if options.only in {None, name}:
            with database() as engine:
                sys.stdout.write(f"\n{name}\n{measured(engine, options.customers, options.rounds)}")
    sys.stdout.write(f"\nload {os.getloadavg()[0]:.1f} after\n")


@contextmanager
def _sqlite() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="fivefold-measured-") as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'platform.db'}")
        upgrade(engine)
        yield engine
        engine.dispose()


def measured(engine: Engine, customers: int, rounds: int) -> str:
    """Give the figures of one database as lines of text."""
    actor = data.organise(engine)
    data.activate(engine, actor)
    data.add_customers(engine, actor, customers)
    for first in range(0, 8 * customers, data.PART):
        add_transactions(Context(engine, actor), data.transactions(first, data.PART, customers))
    _assess(engine)
    lines = []
    for words, anew in (("each assessment anew", True), ("each that comes to the same", False)):
        sizes = [_sizes(engine)]
        for _ in range(rounds):
            _make_due(engine, anew=anew)
            _assess(engine)
            sizes.append(_sizes(engine))
        lines.append(f"{words}: bytes more for each, table and indexes (least of {rounds} rounds in brackets)")
        lines += _growth(sizes, customers)
    lines.append("average bytes of texts")
    lines += [f"  {name}: {size:.0f}" for name, size in _texts(engine).items()]
    return "\n".join(lines) + "\n"


def _make_due(engine: Engine, *, anew: bool) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE due_marks SET due_us = :now, revision = revision + 1, reasons = 4, priority = 1"),
            {"now": now_microseconds()},
        )
        if anew:
            connection.execute(text("UPDATE standings SET digest = NULL"))


def _assess(engine: Engine) -> None:
    while run_batch(engine) is not None:
        pass


def _growth(sizes: list[Sizes], customers: int) -> Iterator[str]:
    """Compare the first sizes with the last: what is written over leaves room for the rounds between."""
    rounds = len(sizes) - 1
    total = 0.0
    for table in TABLES:
        table_bytes, index_bytes = (
            (sizes[-1][table][part] - sizes[0][table][part]) / rounds / customers for part in (0, 1)
        )
        least = min(sum(after[table]) - sum(before[table]) for before, after in pairwise(sizes))
        total += table_bytes + index_bytes
        yield f"  {table}: {table_bytes:.0f} + {index_bytes:.0f} ({least / customers:.0f})"
    yield f"  together: {total:.0f}"


def _sizes(engine: Engine) -> Sizes:
    return _MEASURES[engine.dialect.name](engine)


def _sizes_of_postgresql(engine: Engine) -> Sizes:
    """Ask after a vacuum, so that rows that are gone leave their room to others, as they do in service."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        rows = connection.execute(
            text(
                "SELECT relname, pg_table_size(oid) AS of_table, pg_indexes_size(oid) AS of_indexes FROM pg_class"
                " WHERE relkind = 'r' AND relname = ANY(:tables)"
            ),
            {"tables": list(TABLES)},
        )
        return {row.relname: (row.of_table, row.of_indexes) for row in rows}


def _sizes_of_sqlite(engine: Engine) -> Sizes:
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT m.tbl_name, sum(CASE WHEN m.type = 'table' THEN d.pgsize ELSE 0 END) AS of_table,"
                " sum(CASE WHEN m.type = 'index' THEN d.pgsize ELSE 0 END) AS of_indexes"
                " FROM dbstat d JOIN sqlite_master m ON m.name = d.name GROUP BY m.tbl_name"
            )
        )
        return {row.tbl_name: (row.of_table, row.of_indexes) for row in rows if row.tbl_name in TABLES}


_MEASURES: Mapping[str, Callable[[Engine], Sizes]] = {
    "postgresql": _sizes_of_postgresql,
    "sqlite": _sizes_of_sqlite,
}


def _texts(engine: Engine) -> dict[str, float]:
    """Give the average bytes of each text as it is written, and on PostgreSQL as it is stored."""
    forms = {"": "length(CAST({} AS BLOB))"}
    if engine.dialect.name == "postgresql":
        forms = {"": "octet_length({})", " as stored": "pg_column_size({})"}
    mean_bytes: dict[str, float] = {}
    with engine.connect() as connection:
        for table, columns in COLUMNS.items():
            for column in columns:
                for words, form in forms.items():
                    mean: Any = connection.scalar(text(f"SELECT avg({form.format(column)}) FROM {table}"))
                    mean_bytes[f"{table}.{column}{words}"] = float(mean or 0)
    return mean_bytes


if __name__ == "__main__":
    main()
