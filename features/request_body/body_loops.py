"""A loop over a JSON body, compiled like the kernel: it counts the values before a reader makes objects of them."""

import numpy as np

from fivefold.features.histories import Integers
from fivefold.features.reading.compiled_loops import Bytes

SIGNATURES = {"measure": "void(Array(uint8,1,'C',True), int64[::1])"}

OUTER, VALUES, WIDEST, WIDEST_AT, DEEP = range(5)
"""The place of each count."""

DEEPEST = 256
"""Deeper nesting is not counted: every reader of JSON here fails before it."""

_QUOTE, _BACKSLASH, _COMMA = 34, 92, 44
_OPEN_ARRAY, _CLOSE_ARRAY, _OPEN_OBJECT, _CLOSE_OBJECT = 91, 93, 123, 125
_SPACE, _TAB, _LINE, _RETURN = 32, 9, 10, 13


def _behind_text(body: Bytes, at: int) -> int:
    """Find what follows the text that begins behind its quote at *at*."""
    while at < len(body) and body[at] != _QUOTE:
        at += 2 if body[at] == _BACKSLASH else 1
    return at + 1


def _end_one(depth: int, sizes: Integers, objects: Integers, counts: Integers) -> None:
    """Add the array or object that is open at a depth to the counts."""
    size = sizes[depth]
    counts[VALUES] += size
    if depth == 1:
        counts[OUTER] = size
    if objects[depth] and size > counts[WIDEST]:
        counts[WIDEST], counts[WIDEST_AT] = size, max(sizes[1] - 1, 0)


def measure(body: Bytes, counts: Integers) -> None:
    """Count what a JSON text holds, in one pass; where it is not JSON, the counts are only rough.

    *counts* comes as five zeros and is filled with: elements of the outermost array or object, values in all, members
    of the object with the most members, the element that this object is in, and the deepest nesting; the count stops
    at DEEPEST + 1.
    """
    sizes, objects = np.zeros(DEEPEST + 1, dtype=np.int64), np.zeros(DEEPEST + 1, dtype=np.int64)
    at = depth = 0
    while at < len(body) and depth <= DEEPEST:
        byte = body[at]
        at += 1
        if byte in (_SPACE, _LINE, _RETURN, _TAB):
            continue
        if byte in (_CLOSE_ARRAY, _CLOSE_OBJECT):
            if depth == 0:
                break
            _end_one(depth, sizes, objects, counts)
            depth -= 1
            continue
        sizes[depth] = max(sizes[depth], 1) + (byte == _COMMA)
        if byte == _QUOTE:
            at = _behind_text(body, at)
        elif byte in (_OPEN_ARRAY, _OPEN_OBJECT):
            depth += 1
            counts[DEEP] = max(counts[DEEP], depth)
            if depth <= DEEPEST:
                sizes[depth], objects[depth] = 0, byte == _OPEN_OBJECT
    for still_open in range(min(depth, DEEPEST), 0, -1):  # a text that ends too early
        _end_one(still_open, sizes, objects, counts)
