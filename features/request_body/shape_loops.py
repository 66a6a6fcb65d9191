"""Loops over a JSON body, compiled like the kernel: how much there is in it, before anything is read of it."""

import numpy as np

from fivefold.features.histories import Integers
from fivefold.features.reading.compiled_loops import Bytes

SIGNATURES = {"measure": "void(Array(uint8,1,'C',True), int64[::1])"}
OUTER, VALUES, WIDEST, WIDEST_AT, DEEP = range(5)
"""Where each count stands."""

DEEPEST = 256
"""Deeper nesting is not looked into: every reader of JSON here ends before it."""

_QUOTE, _BACKSLASH, _COMMA = 34, 92, 44
_OPEN_ARRAY, _CLOSE_ARRAY, _OPEN_OBJECT, _CLOSE_OBJECT = 91, 93, 123, 125
_SPACE, _TAB, _LINE, _RETURN = 32, 9, 10, 13


def _behind_text(body: Bytes, at: int) -> int:
    """Find what follows the text that begins behind its quote at *at*."""
    while at < len(body) and body[at] != _QUOTE:
        at += 2 if body[at] == _BACKSLASH else 1
    return at + 1


def _end_one(depth: int, counts: Integers, objects: Integers, found: Integers) -> None:
    """Take the array or object that is open at a depth into the counts."""
    size = counts[depth]
    found[VALUES] += size
    if depth == 1:
        found[OUTER] = size
    if objects[depth] and size > found[WIDEST]:
        found[WIDEST], found[WIDEST_AT] = size, max(counts[1] - 1, 0)


def measure(body: Bytes, found: Integers) -> None:
    """Count what a JSON text holds, in one pass; of what is no JSON the counts mean little.

    *found* comes as five zeros, and has then: elements of the outermost array or object, values in all, members of the
    object that has most of them, the element in which that one stands, and the deepest nesting, where DEEPEST + 1 ends
    the look.
    """
    counts, objects = np.zeros(DEEPEST + 1, dtype=np.int64), np.zeros(DEEPEST + 1, dtype=np.int64)
    at = depth = 0
    while at < len(body) and depth <= DEEPEST:
        byte = body[at]
        at += 1
        if byte in (_SPACE, _LINE, _RETURN, _TAB):
            continue
        if byte in (_CLOSE_ARRAY, _CLOSE_OBJECT):
            if depth == 0:
                break
            _end_one(depth, counts, objects, found)
            depth -= 1
            continue
        counts[depth] = max(counts[depth], 1) + (byte == _COMMA)
        if byte == _QUOTE:
            at = _behind_text(body, at)
        elif byte in (_OPEN_ARRAY, _OPEN_OBJECT):
            depth += 1
            found[DEEP] = max(found[DEEP], depth)
            if depth <= DEEPEST:
                counts[depth], objects[depth] = 0, byte == _OPEN_OBJECT
    for still_open in range(min(depth, DEEPEST), 0, -1):  # a text that ends too early
        _end_one(still_open, counts, objects, found)
