"""Only reading the columns that the indicators need, row group after row group: the floor under every engine."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.features.plan import Plan

COLUMNS = (
    "user_id",
    "transaction_state",
    "transaction_currency",
    "user_balance",
    "transaction_amount",
    "user_created",
    "user_category",
    "transaction_date",
)
"""What the kernel path reads of a file without transaction_id."""

_FEW_VALUES = ("user_id", "transaction_state", "transaction_currency", "user_category")
_ROWS_A_BATCH = 1 << 19


def compute(plan: Plan) -> int:
    """Read with pyarrow's defaults and let go of every batch; the number of rows."""
    return _read(plan, (), 1 << 16)


def compute_as_kernel(plan: Plan) -> int:
    """Read as the kernel path does: large batches, text that repeats as dictionaries."""
    return _read(plan, _FEW_VALUES, _ROWS_A_BATCH)


def as_arrow(_: int) -> pa.Table:
    """Give no result."""
    return pa.table({"user_id": pa.array([], pa.string())})


def _read(plan: Plan, dictionaries: Sequence[str], rows_a_batch: int) -> int:
    with pq.ParquetFile(plan.path, read_dictionary=list(dictionaries), pre_buffer=not dictionaries) as file:
        return sum(batch.num_rows for batch in file.iter_batches(rows_a_batch, columns=list(COLUMNS)))
