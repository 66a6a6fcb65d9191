"""The kernel path as training and scoring use it: validation, order and conversion included."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.features.plan import Plan
from fivefold.features.ahead import read_ahead
from fivefold.features.histories import Floats, Integers
from fivefold.features.indicator_matrix import catalogue, indicator_matrix, warm
from fivefold.features.reading.sources import stream_histories

Block = tuple[pa.Array, Floats, Integers]
"""Identifiers, indicators, and how many rows each customer had by then."""

warm()  # loads the compiled kernel when this module is imported, as a service does when it starts


def compute(plan: Plan) -> list[Block]:
    """Compute the plan's indicators, everything in hand at the end."""
    return list(_blocks(plan))


def compute_to_parquet(plan: Plan) -> int:
    """Compute them and write each block to a Parquet file beside the data; the number of customers."""
    written = Path(plan.path).with_suffix(".indicators.parquet")
    schema = pa.schema([("user_id", pa.string()), *((name, pa.float64()) for name in catalogue().names)])
    customers = 0
    with pq.ParquetWriter(written, schema) as writer:
        for block in _blocks(plan):
            table = _table(block)
            writer.write_table(table)
            customers += table.num_rows
    return customers


def as_arrow(result: list[Block] | int) -> pa.Table:
    """Turn the result into a table of user_id and one column each."""
    if isinstance(result, int):  # it is on disk
        return pa.table({"user_id": pa.nulls(result, pa.string())})
    return pa.concat_tables(map(_table, result))


def _blocks(plan: Plan) -> Iterator[Block]:
    for histories in read_ahead(stream_histories(Path(plan.path), plan.rates)):
        values, row_counts = indicator_matrix(histories, plan.as_of)
        yield histories.user_ids, values, row_counts


def _table(block: Block) -> pa.Table:
    user_ids, values, row_counts = block
    present = row_counts > 0
    rows = np.asfortranarray(values if present.all() else values[present])
    columns = {name: rows[:, number] for number, name in enumerate(catalogue().names)}
    return pa.table({"user_id": user_ids.filter(pa.array(present)), **columns})
