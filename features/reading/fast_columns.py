"""The quick look at a column: everything in it is plain and right, or None, and the slow reader says what is what."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fivefold.features.histories import Floats, Integers
from fivefold.features.numba_cache import compiled_loops
from fivefold.features.reading import time_loops
from fivefold.features.reading.string_columns import Texts, Words, fast, texts_of


def plain_times(column: Any, earliest: int, latest: int) -> Integers | None:
    """Read ISO 8601 times, all of them within bounds, as microseconds."""
    texts = texts_of(column)
    if texts is None:
        return None
    times = np.empty(len(texts), dtype=np.int64)
    loops = compiled_loops(time_loops)
    return times if loops.read_plain_times(texts.data, texts.begins, texts.ends, earliest, latest, times) else None


def plain_words(column: Any, words: Words, *, any_case: bool, absent: int | None) -> npt.NDArray[np.int16] | None:
    """Read words, all of them known, as their codes."""
    texts = texts_of(column)
    if texts is None:
        return None
    codes = np.empty(len(texts), dtype=np.int16)
    nothing = -1 if absent is None else absent
    known = fast().read_plain_words(texts.data, texts.begins, texts.ends, *words.table, any_case, nothing, codes)
    return codes if known else None


def plain_numbers(column: Any, largest: float) -> Floats | None:
    """Read numbers, all of them finite and at most *largest* either way; there is one zero."""
    if isinstance(column, pa.Array) and column.type == pa.float64() and not column.null_count:
        column = column.to_numpy()
    if not isinstance(column, np.ndarray):
        return None
    numbers = np.empty(len(column))
    return numbers if fast().read_plain_numbers(column, largest, numbers) else None


def as_arrow(column: Any) -> pa.Array:
    """Give a column as Arrow's, whatever it is: the slow readers know no other."""
    if isinstance(column, Texts):
        return column.arrow()
    return pa.array(column) if isinstance(column, np.ndarray) else column
