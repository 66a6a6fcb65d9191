"""Loops over a JSON body, compiled like the kernel: one counts its values, one scans plain objects into columns.

A body that is not plain (escapes in texts, nested values, a field twice, a value of another type) ends the scan, and
the ordinary reader of JSON reads it. Tests compare the two: a scanned body means the same there.
"""

import numpy as np

from fivefold.features.histories import Floats, Integers
from fivefold.features.reading.compiled_loops import Bytes

_BYTES, _INTEGERS = "Array(uint8,1,'C',True)", "Array(int64,1,'C',True)"
_GRID = "int64[:,::1]"
SIGNATURES = {
    "scan_rows": f"UniTuple(int64,3)({_BYTES}, {_BYTES}, {_INTEGERS}, {_INTEGERS}, {_INTEGERS}, {_GRID}, {_GRID}, "
    "float64[:,::1])",
    "measure": f"void({_BYTES}, int64[::1])",
}

TEXT, TEXT_OR_NOTHING, NUMBER = 0, 1, 2
"""What a field may hold."""
NOT_PLAIN = -1

OUTER, VALUES, WIDEST, WIDEST_AT, DEEP = range(5)
"""The place of each count."""

DEEPEST = 256
"""Deeper nesting is not counted: every reader of JSON here fails before it."""


_QUOTE, _BACKSLASH, _COMMA, _COLON, _MINUS, _PLUS, _POINT = 34, 92, 44, 58, 45, 43, 46
_OPEN_ARRAY, _CLOSE_ARRAY, _OPEN_OBJECT, _CLOSE_OBJECT = 91, 93, 123, 125
_SPACE, _TAB, _LINE, _RETURN, _ZERO, _NINE, _SMALL_E, _CAPITAL_E = 32, 9, 10, 13, 48, 57, 101, 69
_LETTERS_NULL, _LETTERS_TRUE, _LETTERS_FALSE = (110, 117, 108, 108), (116, 114, 117, 101), (102, 97, 108, 115, 101)
_POWERS = np.array([10.0**power for power in range(23)])
_LARGEST_EXACT = 1 << 53


def _after_space(body: Bytes, at: int) -> int:
    while at < len(body) and (body[at] == _SPACE or body[at] == _LINE or body[at] == _RETURN or body[at] == _TAB):
        at += 1
    return at


def _at(body: Bytes, at: int, byte: int) -> bool:
    return at < len(body) and body[at] == byte


def _text_end(body: Bytes, at: int) -> int:
    """Find the quote that ends a text; NOT_PLAIN where an escape, a control character or the end comes before."""
    if at < 0:  # it never is; this tells the compiler so, which saves a test for each byte
        return NOT_PLAIN
    while at < len(body):
        byte = body[at]
        if byte == _QUOTE:
            return at
        if byte == _BACKSLASH or byte < _SPACE:
            return NOT_PLAIN
        at += 1
    return NOT_PLAIN


def _digits_end(body: Bytes, at: int) -> int:
    while at < len(body) and body[at] >= _ZERO and body[at] <= _NINE:
        at += 1
    return at


def _number_end(body: Bytes, at: int) -> int:
    """Find the end of a JSON number; NOT_PLAIN where there is none."""
    if _at(body, at, _MINUS):
        at += 1
    end = _digits_end(body, at)
    if end == at or (end - at > 1 and body[at] == _ZERO):
        return NOT_PLAIN
    if _at(body, end, _POINT):
        at = end + 1
        end = _digits_end(body, at)
        if end == at:
            return NOT_PLAIN
    if _at(body, end, _SMALL_E) or _at(body, end, _CAPITAL_E):
        at = end + 1
        if _at(body, at, _MINUS) or _at(body, at, _PLUS):
            at += 1
        end = _digits_end(body, at)
        if end == at:
            return NOT_PLAIN
    return end


def _value(body: Bytes, at: int, end: int) -> float:
    """Work out a number exactly; NaN where two exact factors do not suffice.

    Source: Clinger, "How to read floating point numbers accurately" (1990): digits below 2^53 and a power of ten up
    to 22 are exact, so that their one product or quotient is the nearest float.
    """
    negative = body[at] == _MINUS
    if negative:
        at += 1
    if end - at > 18:  # 64 bits hold no more digits for certain
        return np.nan
    digits, behind_point, seen_point = 0, 0, False
    while at < end and body[at] != _SMALL_E and body[at] != _CAPITAL_E:
        if body[at] == _POINT:
            seen_point = True
        else:
            digits = 10 * digits + int(body[at]) - _ZERO
            behind_point += seen_point
        at += 1
    if at < end or digits > _LARGEST_EXACT:
        return np.nan
    value: float = digits / _POWERS[behind_point]
    return -value if negative else value


def _is_literal(body: Bytes, at: int, letters: tuple[int, ...]) -> bool:
    if at + len(letters) > len(body):
        return False
    for place in range(len(letters)):  # noqa: SIM110 (Numba knows no generators in all())
        if body[at + place] != letters[place]:
            return False
    return True


def _other_end(body: Bytes, at: int) -> int:
    """Find the end of a value of a field that is not read; NOT_PLAIN for arrays and objects."""
    if at >= len(body):
        return NOT_PLAIN
    if body[at] == _QUOTE:
        end = _text_end(body, at + 1)
        return NOT_PLAIN if end == NOT_PLAIN else end + 1
    if _is_literal(body, at, _LETTERS_NULL) or _is_literal(body, at, _LETTERS_TRUE):
        return at + 4
    if _is_literal(body, at, _LETTERS_FALSE):
        return at + 5
    return _number_end(body, at)


def _is_key(body: Bytes, at: int, names: Bytes, first: int, stop: int) -> bool:
    """Tell whether a name and the quote that ends it follow; names have no character that JSON would escape."""
    size = stop - first
    if at < 0 or first < 0 or at + size >= len(body) or body[at + size] != _QUOTE:
        return False
    for place in range(size):  # noqa: SIM110 (as above)
        if body[at + place] != names[first + place]:
            return False
    return True


def _field(body: Bytes, at: int, names: Bytes, firsts: Integers, stops: Integers) -> int:
    """Find the field whose key begins here; len(firsts) for a field that is not read."""
    for field in range(len(firsts)):
        if _is_key(body, at, names, firsts[field], stops[field]):
            return field
    return len(firsts)


def _key(body: Bytes, at: int, usual: int, names: Bytes, firsts: Integers, stops: Integers) -> tuple[int, int]:
    """Find the field of a key, trying the *usual* one first, and where its value begins; NOT_PLAIN without a key."""
    if not _at(body, at, _QUOTE):
        return 0, NOT_PLAIN
    field = usual
    if field == len(firsts) or not _is_key(body, at + 1, names, firsts[field], stops[field]):
        field = _field(body, at + 1, names, firsts, stops)
    end = at + 1 + stops[field] - firsts[field] if field < len(firsts) else _text_end(body, at + 1)
    if end == NOT_PLAIN:
        return 0, NOT_PLAIN
    at = _after_space(body, end + 1)
    if not _at(body, at, _COLON):
        return 0, NOT_PLAIN
    return field, _after_space(body, at + 1)


def _known_end(
    body: Bytes, at: int, kind: int, field: int, row: int, begins: Integers, ends: Integers, numbers: Floats
) -> int:
    """Record a value of a field that is read, and find its end; NOT_PLAIN where it is of another kind."""
    if kind == NUMBER:
        end = _number_end(body, at)
        if end == NOT_PLAIN:
            return NOT_PLAIN
        begins[field, row], ends[field, row] = at, end
        numbers[field, row] = _value(body, at, end)
        return end
    if _at(body, at, _QUOTE):
        end = _text_end(body, at + 1)
        if end == NOT_PLAIN:
            return NOT_PLAIN
        begins[field, row], ends[field, row] = at + 1, end
        return end + 1
    if kind == TEXT_OR_NOTHING and _is_literal(body, at, _LETTERS_NULL):
        return at + 4
    return NOT_PLAIN


def _row_end(
    body: Bytes,
    at: int,
    row: int,
    names: Bytes,
    firsts: Integers,
    stops: Integers,
    kinds: Integers,
    usual: Integers,
    begins: Integers,
    ends: Integers,
    numbers: Floats,
) -> int:
    """Record the fields of the object that begins here, and find its end; NOT_PLAIN where a field is missing.

    *usual* is the order of the fields in the rows before: most rows have the same, so one comparison finds a key.
    """
    if not _at(body, at, _OPEN_OBJECT):
        return NOT_PLAIN
    present = place = 0
    while True:
        field, at = _key(body, _after_space(body, at + 1), usual[place], names, firsts, stops)
        if at != NOT_PLAIN:
            known = field < len(firsts)
            usual[place] = field
            if known and present & (1 << field):
                return NOT_PLAIN
            present |= known << field
            at = (
                _known_end(body, at, kinds[field], field, row, begins, ends, numbers) if known else _other_end(body, at)
            )
        if at == NOT_PLAIN:
            return NOT_PLAIN
        place = min(place + 1, len(usual) - 1)
        at = _after_space(body, at)
        if not _at(body, at, _COMMA):
            break
    return at + 1 if _at(body, at, _CLOSE_OBJECT) and _has_all(present, kinds) else NOT_PLAIN


def _has_all(present: int, kinds: Integers) -> bool:
    for field in range(len(kinds)):  # noqa: SIM110 (as above)
        if kinds[field] != TEXT_OR_NOTHING and not present & (1 << field):
            return False
    return True


def scan_rows(
    body: Bytes,
    names: Bytes,
    firsts: Integers,
    stops: Integers,
    kinds: Integers,
    begins: Integers,
    ends: Integers,
    numbers: Floats,
) -> tuple[int, int, int]:
    """Scan a JSON array of objects: their count, the count of their numbers that were not read, and their fields.

    The first is NOT_PLAIN where the body is anything else, is empty, or has more rows than the arrays.

    The name of field f is names[firsts[f]:stops[f]]. Its value in row r goes to begins[f, r] and ends[f, r], which
    come filled with -1; the number itself goes to numbers[f, r], NaN where it takes more than one division. The fields
    of the rows are bits of one number.
    """
    at, row, usual = _after_space(body, 0), 0, np.zeros(16, dtype=np.int64)
    unread = fields = 0
    if not _at(body, at, _OPEN_ARRAY):
        return NOT_PLAIN, 0, 0
    while True:
        at = _after_space(body, at + 1)
        if row == begins.shape[1]:
            return NOT_PLAIN, 0, 0
        at = _row_end(body, at, row, names, firsts, stops, kinds, usual, begins, ends, numbers)
        if at == NOT_PLAIN:
            return NOT_PLAIN, 0, 0
        for field in range(len(firsts)):
            fields |= (begins[field, row] >= 0) << field
        for field in range(len(numbers)):
            unread += np.isnan(numbers[field, row])
        row += 1
        at = _after_space(body, at)
        if not _at(body, at, _COMMA):
            break
    if not _at(body, at, _CLOSE_ARRAY):
        return NOT_PLAIN, 0, 0
    if _after_space(body, at + 1) != len(body):
        return NOT_PLAIN, 0, 0
    return row, unread, fields


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
