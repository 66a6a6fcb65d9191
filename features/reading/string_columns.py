"""Texts as bytes: one view of Arrow's text columns and of a scanned body, for the compiled loops."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fivefold.features.histories import Integers
from fivefold.features.numba_cache import compiled_loops
from fivefold.features.reading import compiled_loops as loops

_SEED = secrets.randbits(64)
"""Of the hash table in `numbered`; what it gives does not depend on it."""


@dataclass(frozen=True)
class Texts:
    """Texts of n rows in UTF-8: row i is data[begins[i]:ends[i]]; begins[i] is negative where there is none."""

    data: npt.NDArray[np.uint8]
    begins: Integers
    ends: Integers

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.begins)

    def arrow(self) -> pa.Array:
        """Copy them to an Arrow array."""
        known = self.begins >= 0
        lengths = np.where(known, self.ends - self.begins, 0)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        out = np.empty(int(offsets[-1]), dtype=np.uint8)
        fast().gather_texts(self.data, self.begins, self.ends, offsets, out)
        valid = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
        made = pa.LargeStringArray.from_buffers(len(self), pa.py_buffer(offsets), pa.py_buffer(out), valid)
        return made.cast(pa.string()) if len(out) < 1 << 31 else made

    def numbered(self) -> tuple[Integers, Integers] | None:
        """Number them in order of first appearance: number by row, first row by number.

        None where one is missing or empty.
        """
        rows = len(self)
        slots = np.full(1 << (2 * rows).bit_length(), -1)
        numbers, firsts = np.empty(rows, dtype=np.int64), np.empty(rows, dtype=np.int64)
        found = fast().number_texts(self.data, self.begins, self.ends, _SEED, slots, numbers, firsts)
        return None if found < 0 else (numbers, firsts[:found])

    def take(self, rows: Integers) -> pa.Array:
        """Give the texts of some rows as Arrow's plain text."""
        data, begins, ends = self.data, self.begins[rows].tolist(), self.ends[rows].tolist()
        return pa.array(
            [data[begin:end].tobytes().decode() for begin, end in zip(begins, ends, strict=True)], pa.string()
        )


class Words(dict[str, int]):
    """Words of a fixed list with their codes, and the same as bytes for the compiled loops."""

    @cached_property
    def table(self) -> tuple[npt.NDArray[np.uint8], Integers, Integers, npt.NDArray[np.int16]]:
        """The words one after another, where each begins and ends, and their codes."""
        spelled = [word.encode() for word in self]
        ends = np.cumsum([len(word) for word in spelled], dtype=np.int64)
        begins = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        return np.frombuffer(b"".join(spelled), np.uint8), begins, ends, np.array([*self.values()], dtype=np.int16)


def words_of(codes: Mapping[str, int]) -> Words:
    """Give words as `Words`."""
    return codes if isinstance(codes, Words) else Words(codes)


def texts_of(column: Any) -> Texts | None:
    """View a column as texts, without a copy of them; None where it is no plain text column of Arrow."""
    if isinstance(column, Texts):
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
    return Texts(np.frombuffer(data, np.uint8), begins, bounds[1:])


def fast() -> ModuleType:
    """Give the compiled loops."""
    return compiled_loops(loops)
