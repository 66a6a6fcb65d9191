"""Reads the JSON body of a request straight into columns, if its rows are flat objects."""

import json

import numpy as np

from fivefold.features import schema as c
from fivefold.features.histories import Floats, Integers
from fivefold.features.numba_cache import compile_loops
from fivefold.features.reading.fast_columns import CodedWords
from fivefold.features.reading.request_body import NUMBERS, TEXTS, BodyColumns
from fivefold.serving.v4 import row_loops
from fivefold.serving.v4.row_loops import ESCAPED

_FIELDS = (*NUMBERS, *TEXTS)
_NAMES = CodedWords({name: place for place, name in enumerate(_FIELDS)}).table[:3]
_LEAST_BYTES = 1 + sum(len(f'"{name}":0,') for name in c.REQUIRED)
"""The length of the shortest object with all its fields."""


def decode_body(body: bytes, most_rows: int) -> BodyColumns | None:
    """Read an array of flat objects with all their fields; None if it is anything else or has more rows."""
    if not _is_unicode(body):
        return None
    room = min(len(body) // _LEAST_BYTES + 1, most_rows)
    begins, ends = np.empty((2, len(_FIELDS), room), dtype=np.int64)
    numbers, data = np.empty((len(NUMBERS), room)), np.frombuffer(body + b"\0", np.uint8)
    rows, is_read = compile_loops(row_loops).scan_rows(data, _NAMES, len(c.REQUIRED), begins, ends, numbers)
    if rows < 0:
        return None
    if not is_read:
        _read_numbers(body, begins, ends, numbers[:, :rows])
        data = np.frombuffer(_unescaped(body, begins[:, :rows], ends), np.uint8)
    return BodyColumns(rows, data, begins[len(NUMBERS) :], ends[len(NUMBERS) :], numbers)


def _read_numbers(body: bytes, begins: Integers, ends: Integers, numbers: Floats) -> None:
    """Read the numbers that are not the quotient of two exact floats; one too large for a float is infinite."""
    for field, row in np.argwhere(np.isnan(numbers)).tolist():
        numbers[field, row] = float(body[begins[field, row] : ends[field, row]])


def _unescaped(body: bytes, begins: Integers, ends: Integers) -> bytes:
    """Return a body with its escaped texts appended in unescaped form, and point their places to these."""
    parts, size, places = [body], len(body), dict[bytes, tuple[int, int]]()
    for field, row in np.argwhere(begins <= ESCAPED).tolist():
        text = body[ESCAPED - begins[field, row] - 1 : ends[field, row] + 1]
        if text not in places:
            parts.append(json.loads(text).encode())
            places[text] = size, size + len(parts[-1])
            size += len(parts[-1])
        begins[field, row], ends[field, row] = places[text]
    return b"".join(parts)


def _is_unicode(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
