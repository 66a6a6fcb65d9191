"""Histories compared bit for bit, and Parquet scanned for comparisons."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from fivefold.features.histories import Histories
from fivefold.features.reading.places.parquet_frame import unchanged_parquet

ARRAYS = ("offsets", "time", "amount", "balance", "kind", "currency", "category", "created")
Contents = dict[str, list[tuple[int, ...]]]


def bits(array: np.ndarray) -> list[int]:
    return (array.view(np.int64) if array.dtype == np.float64 else array).tolist()


def same(one: Histories, other: Histories) -> bool:
    """Tell whether every array has the same bits, and the same customers in the same order."""
    arrays = all(bits(getattr(one, name)) == bits(getattr(other, name)) for name in ARRAYS)
    arrays = arrays and np.array_equal(*(np.broadcast_to(each.identified, each.rows) for each in (one, other)))
    return arrays and one.user_ids.to_pylist() == other.user_ids.to_pylist() and one.base == other.base


def by_user(histories: Histories) -> Contents:
    """Give each customer's rows in order, whatever the order of the customers."""
    rows = list(zip(*(bits(getattr(histories, name)) for name in ARRAYS[1:]), strict=True))
    ends = histories.offsets.tolist()
    return {user: rows[ends[c] : ends[c + 1]] for c, user in enumerate(histories.user_ids.to_pylist())}


def scan_parquet(
    path: Path,
    reads: Callable[[Sequence[str]], Collection[str]] = list,
    first: int = 0,
    count: int | None = None,
) -> pl.LazyFrame:
    """Scan Parquet that nothing changes meanwhile; the arguments are those of `unchanged_parquet`."""
    with unchanged_parquet(path, reads, first, count) as rows:
        return rows
