"""A request's JSON body: counted before it is read, and read straight into columns where it is plain.

To read a body makes an object of every value in it, some hundred bytes each, so that a few megabytes can take
gigabytes. To count takes a millisecond a megabyte: a body that would take too long or too much memory is refused first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fivefold.features import schema as c
from fivefold.features.histories import Floats, Integers
from fivefold.features.numba_cache import compile_loops
from fivefold.features.reading.fast_columns import CodedWords, StringColumn
from fivefold.features.request_body import body_loops
from fivefold.features.request_body.body_loops import DEEPEST, NUMBER, TEXT, TEXT_OR_NOTHING

__all__ = ["DEEPEST", "BodyColumns", "BodyShape", "measure_body", "scan_body"]

_NUMBERS = (c.AMOUNT, c.BALANCE)
_FIELDS = (*_NUMBERS, *(name for name in c.COLUMNS if name not in _NUMBERS))
_KINDS = np.array([NUMBER if name in _NUMBERS else TEXT_OR_NOTHING if name in c.OPTIONAL else TEXT for name in _FIELDS])
_NAMES, _FIRSTS, _STOPS, _ = CodedWords({name: number for number, name in enumerate(_FIELDS)}).table
_LEAST_BYTES = 1 + sum(len(f'"{name}":0,') for name in c.REQUIRED)
"""The length of the shortest object with all its fields."""


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


def scan_body(body: bytes, most_rows: int) -> BodyColumns | None:
    """Scan an array of plain objects with all their fields; None where it is anything else or may have more rows."""
    if not _is_unicode(body):
        return None
    capacity = min(len(body) // _LEAST_BYTES + 1, most_rows)
    begins, ends = np.full((len(_FIELDS), capacity), -1), np.empty((len(_FIELDS), capacity), dtype=np.int64)
    numbers = np.empty((len(_NUMBERS), capacity))
    data = np.frombuffer(body, np.uint8)
    loops = compile_loops(body_loops)
    rows, unread, fields = loops.scan_rows(data, _NAMES, _FIRSTS, _STOPS, _KINDS, begins, ends, numbers)
    if rows < 0:
        return None
    if unread:
        _complete(body, begins, ends, numbers[:, :rows])
    columns: dict[str, StringColumn | Floats] = {name: numbers[place, :rows] for place, name in enumerate(_NUMBERS)}
    for place in range(len(_NUMBERS), len(_FIELDS)):
        if fields & (1 << place):
            columns[_FIELDS[place]] = StringColumn(data, begins[place, :rows], ends[place, :rows])
    return BodyColumns(rows, columns)


def _is_unicode(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _complete(body: bytes, begins: Integers, ends: Integers, numbers: Floats) -> None:
    """Read the numbers that the scan left out; one too large for a float is infinite, which the reader refuses."""
    for field, row in zip(*(places.tolist() for places in np.nonzero(np.isnan(numbers))), strict=True):
        numbers[field, row] = float(body[begins[field, row] : ends[field, row]])


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
        compile_loops(body_loops).measure(np.frombuffer(body, np.uint8), counts)
    return BodyShape(*counts.tolist())
