"""A request's JSON body: its rows as columns, and how much it holds, which is counted before it is read.

To read a body makes an object of every value in it, some hundred bytes each, so that a few megabytes can take
gigabytes. To count takes a millisecond a megabyte: a body that would take too long or too much memory is refused first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fivefold.features.histories import Floats
from fivefold.features.numba_cache import compile_loops
from fivefold.features.reading import compiled_loops
from fivefold.features.reading.compiled_loops import DEEPEST
from fivefold.features.reading.fast_columns import StringColumn

__all__ = ["DEEPEST", "BodyColumns", "BodyShape", "measure_body"]


@dataclass(frozen=True)
class BodyColumns:
    """Rows as columns, which `TransactionReader` reads as it reads a table.

    Attributes:
        rows: how many there are.
        columns: texts as bytes, numbers as floats; every required one is there.
    """

    rows: int
    columns: Mapping[str, StringColumn | Floats]

    def __len__(self) -> int:
        """Count the rows."""
        return self.rows


@dataclass(frozen=True)
class BodyShape:
    """Counts of a JSON body.

    Attributes:
        rows: elements of the outermost array, or members of the outermost object.
        values: values in all, at any depth.
        widest: members of the object with the most members.
        widest_row: the row, from 0, of that object.
        depth: levels of nesting; levels beyond DEEPEST are not counted.
    """

    rows: int
    values: int
    widest: int
    widest_row: int
    depth: int


def measure_body(body: bytes) -> BodyShape:
    """Count what a JSON body holds; where it is not JSON, the counts are only rough."""
    counts = np.zeros(5, dtype=np.int64)
    if body:
        compile_loops(compiled_loops).measure(np.frombuffer(body, np.uint8), counts)
    return BodyShape(*counts.tolist())
