"""Rows in one file, as folders and tables of lakes have them, and how tests read them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from fivefold.features.histories import Histories
from fivefold.features.reading.sources import read_histories
from fivefold.features.reading.text_files import MappedFile
from tests.features.oracle.strategies import RATES, Row, row
from tests.features.reading.test_tables import arrow

ROWS: list[Row] = [
    row(
        user_id=user, user_balance=float(place), transaction_currency=currency, transaction_date=f"2024-0{place + 1}-03"
    )
    for user, currency in (("ann", "EUR"), ("bob", "USD"), ("cat", "EUR"))
    for place in range(4)
]


WHOLE = arrow(ROWS)


def moments(table: pa.Table) -> pa.Table:
    """The same rows with moments and not text, as tables of lakes keep them."""
    for name in ("transaction_date", "user_created"):
        place = table.column_names.index(name)
        column = table[name].cast(pa.string()).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
        table = table.set_column(place, name, column)
    return table


def in_order(histories: Histories) -> Histories:
    """Customers come in the order of the files; each one's history is what must be the same."""
    if not histories.customers:
        return histories
    return histories.take(np.argsort(histories.user_ids.to_numpy(zero_copy_only=False), kind="stable"))


def read(path: Path | str, **options: Any) -> Histories:
    return in_order(read_histories(MappedFile(Path(path), **options), RATES))


def one_file(table: pa.Table, folder: Path) -> Histories:
    pq.write_table(table, folder / "one.parquet")
    return read(folder / "one.parquet")


def write_partitions(table: pa.Table, folder: Path, key: str) -> None:
    """Write as Spark does: what the folder says is not in the file."""
    for value in table[key].unique().to_pylist():
        below = folder / f"{key}={value}"
        below.mkdir()
        chosen = table.filter(pa.compute.equal(table[key], value)).drop_columns([key])
        pq.write_table(chosen, below / "part-0.parquet")
