"""A JSON body read straight into columns, without an object for each row and value."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fivefold.features import schema as c
from fivefold.features.histories import Floats, Integers
from fivefold.features.numba_cache import compiled_loops
from fivefold.features.reading.string_columns import Texts, Words
from fivefold.features.request_body import scan_loops as json_loops
from fivefold.features.request_body.scan_loops import NUMBER, TEXT, TEXT_OR_NOTHING

_NUMBERS = (c.AMOUNT, c.BALANCE)
_FIELDS = (*_NUMBERS, *(name for name in c.COLUMNS if name not in _NUMBERS))
_KINDS = np.array([NUMBER if name in _NUMBERS else TEXT_OR_NOTHING if name in c.OPTIONAL else TEXT for name in _FIELDS])
_NAMES, _FIRSTS, _STOPS, _ = Words({name: number for number, name in enumerate(_FIELDS)}).table
_LEAST_BYTES = 1 + sum(len(f'"{name}":0,') for name in c.REQUIRED)
"""No object with all its fields is shorter."""


@dataclass(frozen=True)
class Scanned:
    """Rows as columns; the doorway takes them as it takes a table.

    Attributes:
        rows: how many there are.
        columns: texts as bytes, numbers as floats; every required one is there.
    """

    rows: int
    columns: Mapping[str, Texts | Floats]

    def __len__(self) -> int:
        """Count the rows."""
        return self.rows


def scan(body: bytes, most_rows: int) -> Scanned | None:
    """Scan an array of plain objects with all their fields; None where it is anything else, or may be larger."""
    if not _is_unicode(body):
        return None
    capacity = min(len(body) // _LEAST_BYTES + 1, most_rows)
    begins, ends = np.full((len(_FIELDS), capacity), -1), np.empty((len(_FIELDS), capacity), dtype=np.int64)
    numbers = np.empty((len(_NUMBERS), capacity))
    data = np.frombuffer(body, np.uint8)
    loops = compiled_loops(json_loops)
    rows, unread, found = loops.scan_rows(data, _NAMES, _FIRSTS, _STOPS, _KINDS, begins, ends, numbers)
    if rows < 0:
        return None
    if unread:
        _complete(body, begins, ends, numbers[:, :rows])
    columns: dict[str, Texts | Floats] = {name: numbers[place, :rows] for place, name in enumerate(_NUMBERS)}
    for place in range(len(_NUMBERS), len(_FIELDS)):
        if found & (1 << place):
            columns[_FIELDS[place]] = Texts(data, begins[place, :rows], ends[place, :rows])
    return Scanned(rows, columns)


def _is_unicode(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _complete(body: bytes, begins: Integers, ends: Integers, numbers: Floats) -> None:
    """Read the numbers that the scan did not; what a float does not hold is infinite, which the doorway refuses."""
    for field, row in zip(*(places.tolist() for places in np.nonzero(np.isnan(numbers))), strict=True):
        numbers[field, row] = float(body[begins[field, row] : ends[field, row]])
