"""A loop over the bytes of a JSON body, compiled like the kernel: it reads flat objects into columns in place.

Anything else (a nested value, a field twice, a value of another type, half a surrogate pair) ends it, and the ordinary
JSON reader reads the body and names what is wrong. Tests compare the two.

A body ends with a byte 0 here, which ends every text, number and word, so nothing is read past it.
"""

import numpy as np

from fivefold.features.histories import Floats, Integers
from fivefold.features.reading.compiled_loops import Bytes

_BYTES, _INTEGERS, _GRID = "Array(uint8,1,'C',True)", "Array(int64,1,'C',True)", "int64[:,::1]"
SIGNATURES = {
    "scan_rows": f"Tuple((int64, boolean))({_BYTES}, Tuple(({_BYTES}, {_INTEGERS}, {_INTEGERS})), int64, {_GRID}, "
    f"{_GRID}, float64[:,::1])"
}

NOT_PLAIN, MISSING = -1, -1
ESCAPED = -2
"""A text with escapes begins, as stored, at this minus the place of its first byte."""
_QUOTE, _BACKSLASH, _COMMA, _COLON, _MINUS, _PLUS, _POINT = 34, 92, 44, 58, 45, 43, 46
_SPACE, _TAB, _LINE, _RETURN, _ZERO, _NINE = 32, 9, 10, 13, 48, 57
_SMALL, _SMALL_A, _SMALL_D, _SMALL_E, _SMALL_F, _SMALL_N, _SMALL_U = 32, 97, 100, 101, 102, 110, 117
_OPEN_ARRAY, _CLOSE_ARRAY, _OPEN_OBJECT, _CLOSE_OBJECT = 91, 93, 123, 125
_WORDS = np.frombuffer(b"null\0\0true\0\0false\0", np.uint8).reshape(3, 6)
_SHORT = np.frombuffer(b'"\\/bfnrt', np.uint8)
"""Characters that may follow a backslash, except u."""
_ENDS_PLAIN = np.array([byte < 32 or byte in {34, 92} for byte in range(256)])
"""Whether a byte ends the plain part of a text: a quote, a backslash or a control character."""
_EXACT_DIGITS = 15
_POWERS = 10.0 ** np.arange(_EXACT_DIGITS + 1)


def _behind_space(body: Bytes, at: int) -> int:
    while body[at] == _SPACE or body[at] == _LINE or body[at] == _RETURN or body[at] == _TAB:
        at += 1
    return at


def _escape_end(body: Bytes, at: int) -> int:
    """Find the end of the escape whose backslash is before *at*; NOT_PLAIN if it is wrong or half of a pair."""
    if body[at] != _SMALL_U:
        for short in _SHORT:
            if body[at] == short:
                return at + 1
        return NOT_PLAIN
    for place in range(at + 1, at + 5):
        digit = body[place] | _SMALL
        if not (_ZERO <= body[place] <= _NINE or _SMALL_A <= digit <= _SMALL_F):
            return NOT_PLAIN
    is_half = body[at + 1] | _SMALL == _SMALL_D and body[at + 2] > _ZERO + 7
    return NOT_PLAIN if is_half else at + 5


def _text_end(body: Bytes, at: int) -> tuple[int, bool]:
    """Find the quote that ends a text, and whether it has escapes; NOT_PLAIN if the text is wrong."""
    has_escapes = False
    while True:
        if at < 0:  # a wrong escape; this check also saves a test for each byte in compiled code
            return NOT_PLAIN, False
        while not _ENDS_PLAIN[body[at]]:
            at += 1
        if body[at] != _BACKSLASH:
            return (at if body[at] == _QUOTE else NOT_PLAIN), has_escapes
        has_escapes, at = True, _escape_end(body, at + 1)


def _number(body: Bytes, at: int) -> tuple[int, float]:
    """Return the end of a number, NOT_PLAIN if it is wrong, and its value, NaN if one division cannot give it.

    Up to 15 digits, and powers of ten up to the 15th, are exact, so their quotient is the nearest float.
    """
    begin = at + (body[at] == _MINUS)
    end, digits = begin, 0
    while _ZERO <= body[end] <= _NINE:
        digits, end = 10 * digits + int(body[end]) - _ZERO, end + 1
    if end == begin or (body[begin] == _ZERO and end > begin + 1):
        return NOT_PLAIN, 0.0
    count, point = end - begin, end
    if body[end] == _POINT:
        end += 1
        while _ZERO <= body[end] <= _NINE:
            digits, end = 10 * digits + int(body[end]) - _ZERO, end + 1
        if end == point + 1:
            return NOT_PLAIN, 0.0
        count, point = end - begin - 1, end - 1 - point
    else:
        point = 0
    if body[end] | _SMALL == _SMALL_E:
        end += 1
        end += body[end] == _MINUS or body[end] == _PLUS
        first = end
        while _ZERO <= body[end] <= _NINE:
            end += 1
        return (NOT_PLAIN if end == first else end), np.nan
    value = digits / _POWERS[point] if count <= _EXACT_DIGITS else np.nan
    return end, -value if begin > at else value


def _word_end(body: Bytes, at: int) -> int:
    """Find the end of null, true or false; NOT_PLAIN if none of them is here."""
    for word in _WORDS:
        size = 0
        while word[size] and body[at + size] == word[size]:
            size += 1
        if not word[size]:
            return at + size
    return NOT_PLAIN


def _is_name(body: Bytes, at: int, letters: Bytes, first: int, stop: int) -> bool:
    if at < 0 or first < 0:  # they never are; this tells the compiler so, which saves a test for each byte
        return False
    for place in range(stop - first):
        if body[at + place] != letters[first + place]:
            return False
    return bool(body[at + stop - first] == _QUOTE)


def _field_of(body: Bytes, at: int, usual: int, names: tuple[Bytes, Integers, Integers]) -> int:
    """Find the field whose name begins here, trying the *usual* one first; len(firsts) if it is not a known field."""
    letters, firsts, stops = names
    if usual < len(firsts) and _is_name(body, at, letters, firsts[usual], stops[usual]):
        return usual
    for field in range(len(firsts)):
        if _is_name(body, at, letters, firsts[field], stops[field]):
            return field
    return len(firsts)


def _value_end(
    body: Bytes, at: int, field: int, row: int, required: int, begins: Integers, ends: Integers, numbers: Floats
) -> int:
    """Store the value that begins here, if its field is read; return its end, NOT_PLAIN if it has another type."""
    is_read, is_number = field < len(begins), field < len(numbers)
    if body[at] == _QUOTE:
        end, has_escapes = _text_end(body, at + 1)
        if end < 0 or is_number:
            return NOT_PLAIN
        if is_read:
            begins[field, row], ends[field, row] = ESCAPED - (at + 1) if has_escapes else at + 1, end
        return end + 1
    if body[at] == _MINUS or _ZERO <= body[at] <= _NINE:
        end, number = _number(body, at)
        if is_number:
            begins[field, row], ends[field, row], numbers[field, row] = at, end, number
        return NOT_PLAIN if is_read and not is_number else end
    end = _word_end(body, at)
    may_be_null = not is_read or field >= required
    return end if may_be_null and (not is_read or body[at] == _SMALL_N) else NOT_PLAIN


def _row_end(
    body: Bytes,
    at: int,
    row: int,
    names: tuple[Bytes, Integers, Integers],
    required: int,
    usual: Integers,
    begins: Integers,
    ends: Integers,
    numbers: Floats,
) -> int:
    """Store the fields of the object that begins here; return its end, NOT_PLAIN if a required one is missing.

    *usual* holds the fields of the row before, in order: most rows have the same, so one comparison finds a name.
    """
    _, firsts, stops = names
    present = place = 0
    while True:
        at = _behind_space(body, at + 1)
        if body[at] != _QUOTE:
            return NOT_PLAIN
        field = usual[place] = _field_of(body, at + 1, usual[place], names)
        place = min(place + 1, len(usual) - 1)
        if field < len(firsts):
            if present >> field & 1:
                return NOT_PLAIN
            present |= 1 << field
            at += 1 + stops[field] - firsts[field]
        else:
            at, has_escapes = _text_end(body, at + 1)
            if at < 0 or has_escapes:
                return NOT_PLAIN
        at = _behind_space(body, at + 1)
        if body[at] != _COLON:
            return NOT_PLAIN
        at = _value_end(body, _behind_space(body, at + 1), field, row, required, begins, ends, numbers)
        if at < 0:
            return NOT_PLAIN
        at = _behind_space(body, at)
        if body[at] != _COMMA:
            break
    whole = (1 << required) - 1
    return at + 1 if body[at] == _CLOSE_OBJECT and present & whole == whole else NOT_PLAIN


def scan_rows(
    body: Bytes,
    names: tuple[Bytes, Integers, Integers],
    required: int,
    begins: Integers,
    ends: Integers,
    numbers: Floats,
) -> tuple[int, bool]:
    """Read an array of flat objects into columns; return their number, or NOT_PLAIN, and whether every value is read.

    Texts with escapes, and numbers that are NaN in *numbers*, are left for the caller to read.

    Args:
        body: the bytes, and a byte 0.
        names: letters, firsts and stops; the name of field f is letters[firsts[f]:stops[f]], and numbers come first.
        required: the number of fields that must not be null or missing; the texts from there on may be.
        begins: gets the place of each value's first byte, by field and row; MISSING if there is none.
        ends: gets the end of each value, by field and row.
        numbers: gets the value of each number, by field and row.
    """
    at, rows, usual = _behind_space(body, 0), 0, np.zeros(16, dtype=np.int64)
    if body[at] != _OPEN_ARRAY:
        return NOT_PLAIN, False
    while rows == 0 or body[at] == _COMMA:
        at = _behind_space(body, at + 1)
        if body[at] != _OPEN_OBJECT or rows == begins.shape[1]:
            return NOT_PLAIN, False
        begins[required:, rows] = MISSING
        at = _row_end(body, at, rows, names, required, usual, begins, ends, numbers)
        if at < 0:
            return NOT_PLAIN, False
        rows, at = rows + 1, _behind_space(body, at)
    is_whole = body[at] == _CLOSE_ARRAY and _behind_space(body, at + 1) == len(body) - 1
    return (rows, _is_read(begins, numbers, rows)) if is_whole else (NOT_PLAIN, False)


def _is_read(begins: Integers, numbers: Floats, rows: int) -> bool:
    """Return whether no text has escapes and no number is NaN."""
    is_read = True
    for row in range(rows):
        for field in range(len(begins)):
            is_read &= begins[field, row] > ESCAPED
        for field in range(len(numbers)):
            is_read &= not np.isnan(numbers[field, row])
    return is_read
