"""What tests of imported files share: a file of customers, its import, and one that is stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import text

from fivefold.usecases.ingest.files import ImportFile, Progress, import_table
from fivefold.usecases.shared.context import Context
from tests.usecases.banks import Bank

COUNT = 25


Tell = Callable[[Progress], None]


def entities(path: Path, **changed: list[str]) -> Path:
    columns = {"entity_id": [f"c{number}" for number in range(COUNT)], "income": ["5"] * COUNT, **changed}
    pl.DataFrame(columns).write_csv(path)
    return path


def count(bank: Bank, table: str) -> int:
    with bank.engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def take(bank: Bank, path: Path, table: str = "entities", *, tell: Tell | None = None, **more: Any) -> Progress:
    """Import a file of customers, or of rows about them."""
    context = Context(bank.engine, bank.actor, lambda: bank.now)
    return import_table(context, table, "customer", ImportFile(path, **more), *([] if tell is None else [tell]))


class StoppedError(Exception):
    """Somebody pulled the plug."""


def stopped(bank: Bank, path: Path, rows: int) -> None:
    """Begin to import customers, and pull the plug as soon as so many rows are stored."""

    def stop(progress: Progress) -> None:
        if progress.rows >= rows:
            raise StoppedError

    with pytest.raises(StoppedError):
        take(bank, path, tell=stop)


def rows_refused(done: Progress) -> list[int]:
    assert done.refused_path is not None
    return pl.read_csv(done.refused_path, infer_schema_length=None)["refused_row"].to_list()


def imported(bank: Bank, table: str, path: Path, rows: str) -> tuple[int, int, int, int]:
    path.write_text(rows)
    done = take(bank, path, table)
    return done.new, done.changed, done.same, done.refused
