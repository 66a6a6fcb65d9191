"""A request's JSON body: its rows as columns, and the size of its content, which is counted before it is read.

Reading a body makes an object of every value in it, some hundred bytes each, so that a few megabytes can take
gigabytes. Counting takes a millisecond per megabyte: a body that would take too long or too much memory is refused
first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fivefold.features import schema as c
from fivefold.features.histories import Floats, Integers
from fivefold.features.numba_cache import compile_loops
from fivefold.features.reading import compiled_loops
from fivefold.features.reading.compiled_loops import DEEPEST, Bytes
from fivefold.features.reading.fast_columns import StringColumn

__all__ = ["DEEPEST", "NUMBERS", "TEXTS", "BodyColumns", "BodyShape", "measure_body"]


NUMBERS = (c.AMOUNT, c.BALANCE)
TEXTS = (*(name for name in c.REQUIRED if name not in NUMBERS), *c.OPTIONAL)
"""Columns of a body, in order; the optional texts come last."""


@dataclass(frozen=True)
class BodyColumns:
    """Rows as columns, which `TransactionReader` reads in one pass if all are plain, and else as a table.

    Attributes:
        rows: the number of rows, n.
        data: the bytes of all texts.
        begins, ends: where texts begin and end, a row of n places or more for each of `TEXTS`; -1 if one is missing.
        numbers: the numbers, a row of n places or more for each of `NUMBERS`.
    """

    rows: int
    data: Bytes
    begins: Integers
    ends: Integers
    numbers: Floats

    def __len__(self) -> int:
        """Count the rows."""
        return self.rows

    def text(self, name: str) -> StringColumn:
        """Return a column of text."""
        place = TEXTS.index(name)
        return StringColumn(self.data, self.begins[place, : self.rows], self.ends[place, : self.rows])

    @cached_property
    def columns(self) -> Mapping[str, StringColumn | Floats]:
        """Texts as bytes, numbers as floats; every required column, and others that some row has."""
        numbers = {name: self.numbers[place, : self.rows] for place, name in enumerate(NUMBERS)}
        texts = {name: self.text(name) for name in TEXTS}
        is_column = {name: name in c.REQUIRED or texts[name].begins.max() >= 0 for name in TEXTS}
        return {**numbers, **{name: column for name, column in texts.items() if is_column[name]}}


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
    """Count the content of a JSON body; if it is not JSON, the counts are only rough."""
    counts = np.zeros(5, dtype=np.int64)
    if body:
        compile_loops(compiled_loops).measure(np.frombuffer(body, np.uint8), counts)
    return BodyShape(*counts.tolist())
