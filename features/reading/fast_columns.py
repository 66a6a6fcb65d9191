"""The fast path of a column: text viewed as bytes and read by compiled loops, if every value is in plain form.

A reader here returns None if a value is not; the slow reader in `features.reading.columns` then names the problem.
"""

import secrets
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fivefold.features.histories import Floats, Integers
from fivefold.features.numba_cache import compile_loops
from fivefold.features.reading import compiled_loops as loops

SEED = secrets.randbits(64)
"""The seed of the hash table in `StringColumn.numbered`; the result does not depend on it."""
_MANY_TEXTS = 64
"""From this number on, a compiled loop gathers texts: for 100,000 a list of views takes 0.4 s, and the loop 1 ms."""


@dataclass(frozen=True)
class StringColumn:
    """Texts of n rows in UTF-8: row i is data[begins[i]:ends[i]]; begins[i] is negative if it is missing."""

    data: npt.NDArray[np.uint8]
    begins: Integers
    ends: Integers

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.begins)

    def arrow(self) -> pa.Array:
        """Copy the texts to an Arrow array."""
        is_present = self.begins >= 0
        lengths = np.where(is_present, self.ends - self.begins, 0)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        out = np.empty(int(offsets[-1]), dtype=np.uint8)
        column_loops().gather_texts(self.data, self.begins, self.ends, offsets, out)
        valid = None if is_present.all() else pa.py_buffer(np.packbits(is_present, bitorder="little"))
        array = pa.LargeStringArray.from_buffers(len(self), pa.py_buffer(offsets), pa.py_buffer(out), valid)
        return array.cast(pa.string()) if len(out) < 1 << 31 else array

    def numbered(self) -> tuple[Integers, Integers] | None:
        """Number the texts in order of first appearance: number by row, first row by number.

        None if a text is missing or empty.
        """
        rows = len(self)
        slots = np.full(1 << (2 * rows).bit_length(), -1)
        numbers, firsts = np.empty(rows, dtype=np.int64), np.empty(rows, dtype=np.int64)
        count = column_loops().number_texts(self.data, self.begins, self.ends, SEED, slots, numbers, firsts)
        return None if count < 0 else (numbers, firsts[:count])

    def take(self, rows: Integers) -> pa.Array:
        """Return the texts of some rows, none of which is missing, as Arrow's plain text."""
        begins, ends = self.begins[rows], self.ends[rows]
        if len(begins) >= _MANY_TEXTS:
            return StringColumn(self.data, begins, ends).arrow()
        data = self.data.data
        texts = [data[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
        # For one text `pa.array` takes three times as long.
        offsets = pa.py_buffer(array("i", accumulate(map(len, texts), initial=0)))
        return pa.Array.from_buffers(pa.string(), len(texts), [None, offsets, pa.py_buffer(b"".join(texts))])


class CodedWords(dict[str, int]):
    """Words of a fixed list with their codes, also as bytes for the compiled loops."""

    @cached_property
    def table(self) -> tuple[npt.NDArray[np.uint8], Integers, Integers, npt.NDArray[np.int16]]:
        """The joined bytes of the words, where each begins and ends, and their codes."""
        encoded = [word.encode() for word in self]
        ends = np.cumsum([len(word) for word in encoded], dtype=np.int64)
        begins = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        return np.frombuffer(b"".join(encoded), np.uint8), begins, ends, np.array([*self.values()], dtype=np.int16)


def coded_words(codes: Mapping[str, int]) -> CodedWords:
    """Return words with their codes as `CodedWords`."""
    return codes if isinstance(codes, CodedWords) else CodedWords(codes)


def string_column(column: Any) -> StringColumn | None:
    """View a column as texts without copying them; None if it is not a plain text column of Arrow."""
    if isinstance(column, StringColumn):
        return column
    if not isinstance(column, pa.Array) or not (
        pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    ):
        return None
    _, offsets, data = column.buffers()
    if data is None or not len(column):
        return None
    width = np.int32 if pa.types.is_string(column.type) else np.int64
    bounds = np.frombuffer(offsets, width)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    begins = bounds[:-1]
    if column.null_count:
        begins = np.where(column.is_valid().to_numpy(zero_copy_only=False), begins, -1)
    return StringColumn(np.frombuffer(data, np.uint8), begins, bounds[1:])


def column_loops() -> ModuleType:
    """Return the compiled loops."""
    return compile_loops(loops)


def read_plain_times(column: Any, earliest: int, latest: int) -> Integers | None:
    """Read ISO 8601 times as microseconds; None if a time is not plain or out of bounds."""
    strings = string_column(column)
    if strings is None:
        return None
    times = np.empty(len(strings), dtype=np.int64)
    is_plain = column_loops().read_plain_times(strings.data, strings.begins, strings.ends, earliest, latest, times)
    return times if is_plain else None


def read_plain_words(
    column: Any, words: CodedWords, *, any_case: bool, absent: int | None
) -> npt.NDArray[np.int16] | None:
    """Read words as their codes; None if a word is not in the list."""
    strings = string_column(column)
    if strings is None:
        return None
    codes = np.empty(len(strings), dtype=np.int16)
    missing = -1 if absent is None else absent
    is_plain = column_loops().read_plain_words(
        strings.data, strings.begins, strings.ends, *words.table, any_case, missing, codes
    )
    return codes if is_plain else None


def read_plain_numbers(column: Any, largest: float) -> Floats | None:
    """Read numbers, -0.0 as 0.0; None if a number is not finite or its size is above *largest*."""
    if isinstance(column, pa.Array) and column.type == pa.float64() and not column.null_count:
        column = column.to_numpy()
    if not isinstance(column, np.ndarray):
        return None
    numbers = np.empty(len(column))
    return numbers if column_loops().read_plain_numbers(column, largest, numbers) else None


def as_arrow(column: Any) -> pa.Array:
    """Return any column as an Arrow array, which the slow readers need; views of text as text."""
    if isinstance(column, StringColumn):
        return column.arrow()
    if isinstance(column, np.ndarray):
        return pa.array(column)
    # Arrow neither compares nor parses views; those of delta-rs and Polars may be more than 32-bit offsets hold.
    return column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column
