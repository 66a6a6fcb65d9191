"""Loops over bytes and rows, compiled like the kernel: they read plain values fast, and count the content of a body.

Each reader returns False if a value is not plain. `features.reading.columns` then reads the column again, slowly, and
names the problem. Tests compare the two: a value means the same to both.

Texts are given by their bytes: row i is data[begins[i]:ends[i]], and begins[i] < 0 is a missing value.
"""

import numpy as np
import numpy.typing as npt

from fivefold.features.histories import Floats, Integers

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int16]

_BYTES, _INTEGERS, _FLOATS = "Array(uint8,1,'C',True)", "Array(int64,1,'C',True)", "Array(float64,1,'C',True)"
_TEXTS = f"{_BYTES}, {_INTEGERS}, {_INTEGERS}"
_CODES = "Array(int16,1,'C',True)"

SIGNATURES = {
    "read_plain_words": f"boolean({_TEXTS}, {_TEXTS}, {_CODES}, boolean, int64, int16[::1])",
    "read_plain_numbers": f"boolean({_FLOATS}, float64, float64[::1])",
    "number_texts": f"int64({_TEXTS}, uint64, int64[::1], int64[::1], int64[::1])",
    "gather_texts": f"void({_TEXTS}, int64[::1], uint8[::1])",
    "times_hold": f"boolean({_INTEGERS}, {_INTEGERS}, {_INTEGERS}, int64, int64, int64[::1])",
    "lay_out": f"void({_INTEGERS}, {_INTEGERS}, {_INTEGERS}, {_INTEGERS}, {_FLOATS}, {_FLOATS}, {_CODES}, {_CODES}, "
    f"{_CODES}, {_FLOATS}, Array(int8,2,'C',True), int64[::1], int64[::1], int64[::1], float64[:,::1], int8[:,::1], "
    "int16[::1])",
    "count_buckets": f"void(Array(float64,2,'C',True), {_FLOATS}, Array(float64,2,'C',True), int64[:,::1])",
    "interpolate": f"void(Array(float64,1,'A',True), {_FLOATS}, {_FLOATS}, float64[::1])",
    "disorder": f"int64({_INTEGERS}, {_INTEGERS}, {_INTEGERS})",
    "read_plain_times": f"boolean({_TEXTS}, int64, int64, int64[::1])",
    "measure": f"void({_BYTES}, int64[::1])",
    "read_plain_rows": f"int64({_BYTES}, int64[:,::1], int64[:,::1], float64[:,::1], "
    f"UniTuple(Tuple(({_TEXTS}, {_CODES})), 3), {_INTEGERS}, {_INTEGERS}, float64, uint64, int64[::1], "
    "int64[::1], int64[:,::1], float64[:,::1], int16[:,::1])",
}
"""The last loop calls others, which are compiled before it."""

_SMALL_A, _SMALL_Z, _TO_CAPITAL = 97, 122, 32
_MICROSECONDS = 1_000_000
_NO_TIME = -1 << 62
_ZERO, _NINE, _MINUS, _PLUS, _COLON, _POINT, _SPACE, _T, _Z = 48, 57, 45, 43, 58, 46, 32, 84, 90

IN_ORDER, TIED, UNORDERED = 0, 1, 2
NOT_PLAIN = -1
FOREVER = (1 << 63) - 1
USERS, CURRENCIES, CREATIONS, CATEGORIES, TIMES, STATES, IDENTIFIERS = range(7)
"""The place of each text of a body."""
STATELESS, IDENTIFIED = range(2)
"""The place of each count of rows of a body."""
OUTER, VALUES, WIDEST, WIDEST_AT, DEEP = range(5)
"""The place of each count."""
DEEPEST = 256
"""Deeper nesting is not counted: every reader of JSON here fails before it."""
_QUOTE, _BACKSLASH, _COMMA = 34, 92, 44
_OPEN_ARRAY, _CLOSE_ARRAY, _OPEN_OBJECT, _CLOSE_OBJECT = 91, 93, 123, 125
_TAB, _LINE, _RETURN = 9, 10, 13


def read_plain_numbers(numbers: Floats, largest: float, out: Floats) -> bool:
    """Copy numbers, -0.0 as 0.0; False where one is not finite or its size is above *largest*."""
    for row in range(len(numbers)):
        if not (-largest <= numbers[row] <= largest):
            return False
        out[row] = numbers[row] + 0.0
    return True


def _is_word(data: Bytes, at: int, end: int, words: Bytes, begin: int, stop: int, any_case: bool) -> bool:
    if end - at != stop - begin:
        return False
    for place in range(end - at):
        letter = data[at + place]
        if any_case and letter >= _SMALL_A and letter <= _SMALL_Z:
            letter -= _TO_CAPITAL
        if letter != words[begin + place]:
            return False
    return True


def read_plain_words(
    data: Bytes,
    begins: Integers,
    ends: Integers,
    words: Bytes,
    firsts: Integers,
    stops: Integers,
    codes: Codes,
    any_case: bool,
    absent: int,
    out: Codes,
) -> bool:
    """Read words as their codes, a missing or empty one as *absent* (-1 if that is refused); False for any other."""
    last = 0
    for row in range(len(begins)):
        at, end = begins[row], ends[row]
        if at < 0 or at == end:
            if absent < 0:
                return False
            out[row] = absent
            continue
        if not _is_word(data, at, end, words, firsts[last], stops[last], any_case):  # most rows repeat the row before
            last = -1
            for word in range(len(codes)):
                if _is_word(data, at, end, words, firsts[word], stops[word], any_case):
                    last = word
                    break
            if last < 0:
                return False
        out[row] = codes[last]
    return True


def same_text(data: Bytes, at: int, end: int, begin: int, stop: int) -> bool:
    """Compare two texts of one buffer, byte by byte."""
    if end - at != stop - begin:
        return False
    for place in range(end - at):  # noqa: SIM110 (Numba knows no generators in all())
        if data[at + place] != data[begin + place]:
            return False
    return True


def number_texts(
    data: Bytes, begins: Integers, ends: Integers, seed: int, slots: Integers, numbers: Integers, firsts: Integers
) -> int:
    """Number texts in order of first appearance, whose rows go to *firsts*; -1 if one is missing or empty.

    *slots* is the hash table: a power of two places, filled with -1. *seed* is secret, so that no caller can choose
    texts that collide.
    """
    count = 0
    mask = len(slots) - 1
    for row in range(len(begins)):
        at, end = begins[row], ends[row]
        if at < 0 or at == end:
            return -1
        if row and same_text(data, at, end, begins[row - 1], ends[row - 1]):
            numbers[row] = numbers[row - 1]
            continue
        mixed = np.uint64(seed)
        for place in range(at, end):
            mixed = (mixed ^ np.uint64(data[place])) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        slot = np.int64(mixed & np.uint64(mask))
        while slots[slot] >= 0:
            first = firsts[slots[slot]]
            if same_text(data, at, end, begins[first], ends[first]):
                break
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = count
            firsts[count] = row
            count += 1
        numbers[row] = slots[slot]
    return count


def gather_texts(data: Bytes, begins: Integers, ends: Integers, offsets: Integers, out: Bytes) -> None:
    """Copy texts to *out*, text i to offsets[i]; missing ones are left out."""
    for row in range(len(begins)):
        if begins[row] >= 0:
            at = offsets[row]
            for place in range(begins[row], ends[row]):
                out[at] = data[place]
                at += 1


def times_hold(customer: Integers, time: Integers, created: Integers, latest: int, slack: int, first: Integers) -> bool:
    """Check whether no time is after *latest* and no account was created more than *slack* after its first row.

    *first* has one place for each customer, filled with the largest moment less *slack*.
    """
    for row in range(len(time)):
        if time[row] > latest or created[row] > latest:
            return False
        first[customer[row]] = min(first[customer[row]], time[row])
    for row in range(len(time)):  # noqa: SIM110 (as above)
        if created[row] > first[customer[row]] + slack:
            return False
    return True


def disorder(customer: Integers, time: Integers, order: Integers) -> int:
    """Return how *order* sorts the rows by customer and time: IN_ORDER, TIED or UNORDERED."""
    result = IN_ORDER
    for place in range(1, len(order)):
        before, row = order[place - 1], order[place]
        if customer[row] < customer[before]:
            return UNORDERED
        if customer[row] == customer[before]:
            if time[row] < time[before]:
                return UNORDERED
            if time[row] == time[before]:
                result = TIED
    return result


def lay_out(
    order: Integers,
    customer: Integers,
    time: Integers,
    created: Integers,
    amount: Floats,
    balance: Floats,
    state: Codes,
    currency: Codes,
    category: Codes,
    units: Floats,
    kinds: npt.NDArray[np.int8],
    offsets: Integers,
    times: Integers,
    createds: Integers,
    money: Floats,
    small: npt.NDArray[np.int8],
    currencies: Codes,
) -> None:
    """Copy rows in *order* to the arrays that the kernel reads, and convert money by the *units* of its currency.

    *kinds* has the kind of a row by its state and sign, from negative to positive. *money* receives amounts and
    balances, *small* kinds and categories; *offsets* must be filled with 0.
    """
    for place in range(len(order)):
        row = order[place]
        offsets[customer[row] + 1] += 1
        unit = units[currency[row]]
        times[place], createds[place], currencies[place] = time[row], created[row], currency[row]
        money[0, place], money[1, place] = amount[row] * unit, balance[row] * unit
        sign = int(amount[row] > 0) - int(amount[row] < 0)
        small[0, place], small[1, place] = kinds[state[row], sign + 1], category[row]
    for place in range(1, len(offsets)):
        offsets[place] += offsets[place - 1]


def count_buckets(matrix: Floats, scores: Floats, edges: Floats, counts: Integers) -> None:
    """Add n x F indicators and n scores to the *counts* of their buckets; the first bucket is for undefined values.

    *edges* are (F + 1) x 9 upper edges; a value is above all edges smaller than it.
    """
    for row in range(len(scores)):
        for column in range(len(edges)):
            value = scores[row] if column == matrix.shape[1] else matrix[row, column]
            bucket = 0
            if not np.isnan(value):
                bucket = 1
                for edge in range(edges.shape[1]):
                    bucket += value > edges[column, edge]
            counts[column, bucket] += 1


def interpolate(values: Floats, xs: Floats, ys: Floats, out: Floats) -> None:
    """Fill *out* with the height, at each of *values*, of the line through the points *xs*, which rise, and *ys*.

    It has the bits of `numpy.interp`, which takes several times as long for one value; NaN stays NaN, even with a
    single point.
    """
    last = len(xs) - 1
    for place in range(len(values)):
        value = values[place]
        at, above = -1, len(xs)
        while above - at > 1:
            middle = (at + above) // 2
            if xs[middle] <= value:
                at = middle
            else:
                above = middle
        if np.isnan(value):
            out[place] = value
        elif at < 0 or at == last or xs[at] == value:
            out[place] = ys[max(at, 0)]
        else:
            out[place] = (ys[above] - ys[at]) / (xs[above] - xs[at]) * (value - xs[at]) + ys[at]


def _digits(data: Bytes, at: int, count: int) -> int:
    """Read *count* digits; -1 where a character is not a digit."""
    number = 0
    for place in range(at, at + count):
        digit = int(data[place]) - _ZERO
        if digit < 0 or digit > 9:
            return -1
        number = 10 * number + digit
    return number


def _days(year: int, month: int, day: int) -> int:
    """Count the days from 1970-01-01 to a date; its year begins in March, so that a leap day is the last day.

    Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
    """
    if month <= 2:
        year -= 1
    century = year // 400
    of_century = year - century * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return century * 146_097 + of_century * 365 + of_century // 4 - of_century // 100 + of_year - 719_468


def _month_days(year: int, month: int) -> int:
    if month == 2:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return 29 if leap else 28
    return 30 + (month + month // 8) % 2


def _plain_date(data: Bytes, at: int) -> int:
    """Read YYYY-MM-DD as the microseconds of its midnight; _NO_TIME where that is not a date."""
    if data[at + 4] != _MINUS or data[at + 7] != _MINUS:
        return _NO_TIME
    year, month, day = _digits(data, at, 4), _digits(data, at + 5, 2), _digits(data, at + 8, 2)
    if year < 1 or month < 1 or month > 12 or day < 1 or day > _month_days(year, month):
        return _NO_TIME
    return _days(year, month, day) * 86_400 * _MICROSECONDS


def _plain_clock(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Read [T ]HH:MM[:SS[.f]]: its microseconds, -1 where it is not a time, and its end."""
    if end - at < 6 or (data[at] != _T and data[at] != _SPACE) or data[at + 3] != _COLON:
        return -1, at
    hour, minute, second, fraction = _digits(data, at + 1, 2), _digits(data, at + 4, 2), 0, 0
    at += 6
    if end - at >= 3 and data[at] == _COLON:
        second = _digits(data, at + 1, 2)
        at += 3
        if end - at >= 2 and data[at] == _POINT:
            at += 1
            scale = _MICROSECONDS
            begun = at
            finer = 0
            while at < end and data[at] >= _ZERO and data[at] <= _NINE:
                scale //= 10
                fraction += (int(data[at]) - _ZERO) * scale
                if scale == 0 and data[at] != _ZERO:
                    finer = 1  # rounded up: a time after as-of must not count as at as-of
                at += 1
            fraction += finer
            if at == begun or at - begun > 9:
                return -1, at
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return -1, at
    return ((hour * 60 + minute) * 60 + second) * _MICROSECONDS + fraction, at


def _plain_zone(data: Bytes, at: int, end: int) -> int:
    """Read Z or +HH, +HHMM, +HH:MM up to the end: microseconds to subtract, _NO_TIME where it is not a zone."""
    left = end - at
    if left == 1 and data[at] == _Z:
        return 0
    if left < 3 or (data[at] != _PLUS and data[at] != _MINUS):
        return _NO_TIME
    hour, minute = _digits(data, at + 1, 2), -1
    if left == 3:
        minute = 0
    elif left == 5:
        minute = _digits(data, at + 3, 2)
    elif left == 6 and data[at + 3] == _COLON:
        minute = _digits(data, at + 4, 2)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59:
        return _NO_TIME
    ahead = (hour * 60 + minute) * 60 * _MICROSECONDS
    return ahead if data[at] == _PLUS else -ahead


def read_plain_times(data: Bytes, begins: Integers, ends: Integers, earliest: int, latest: int, out: Integers) -> bool:
    """Read ISO 8601 times as microseconds; False where a time is not plain, before *earliest* or after *latest*."""
    for row in range(len(begins)):
        at, end = begins[row], ends[row]
        if at < 0 or end - at < 10:
            return False
        time = _plain_date(data, at)
        if time == _NO_TIME:
            return False
        at += 10
        if at < end:
            clock, at = _plain_clock(data, at, end)
            if clock < 0:
                return False
            time += clock
        if at < end:
            zone = _plain_zone(data, at, end)
            if zone == _NO_TIME:
                return False
            time -= zone
        if time < earliest or time > latest:
            return False
        out[row] = time
    return True


def read_plain_rows(
    data: Bytes,
    begins: Integers,
    ends: Integers,
    numbers: Floats,
    words: tuple[tuple[Bytes, Integers, Integers, Codes], ...],
    absent: Integers,
    limits: Integers,
    largest: float,
    seed: int,
    counts: Integers,
    firsts: Integers,
    integers: Integers,
    money: Floats,
    codes: Codes,
) -> int:
    """Check the rows of a body as the readers of single columns do, and return the number of their customers.

    NOT_PLAIN if a value is not plain, or a time does not hold. The rows of *begins* and *ends* are the fields
    `features.reading.request_body.TEXTS`, those of *numbers* amounts and balances. *words* are those of states,
    currencies and categories, *absent* the codes of missing ones; states may be in any case. *limits* are the earliest
    and latest moment that is read, the latest that is allowed, and the slack of `times_hold`.

    *integers* receives the customer, time and creation of each row, *money* its amount and balance, *codes* its state,
    currency and category. *firsts* receives the first row of each customer, *counts* the number of rows without a
    state, and of those with an identifier.
    """
    rows, size = integers.shape[1], 1
    while size <= 2 * rows:
        size *= 2
    customer, time, created = integers[0], integers[1], integers[2]
    slots = np.full(size, -1)
    count = number_texts(data, begins[USERS, :rows], ends[USERS, :rows], seed, slots, customer, firsts)
    if count < 0:
        return NOT_PLAIN
    for field, out in ((TIMES, time), (CREATIONS, created)):
        if not read_plain_times(data, begins[field, :rows], ends[field, :rows], limits[0], limits[1], out):
            return NOT_PLAIN
    for place in range(len(money)):
        if not read_plain_numbers(numbers[place, :rows], largest, money[place]):
            return NOT_PLAIN
    for place, field in enumerate((STATES, CURRENCIES, CATEGORIES)):
        letters, starts, stops, meanings = words[place]
        at, end, out_codes, any_case = begins[field, :rows], ends[field, :rows], codes[place], field == STATES
        if not read_plain_words(data, at, end, letters, starts, stops, meanings, any_case, absent[place], out_codes):
            return NOT_PLAIN
    for row in range(rows):
        counts[STATELESS] += begins[STATES, row] < 0 or begins[STATES, row] == ends[STATES, row]
        counts[IDENTIFIED] += begins[IDENTIFIERS, row] >= 0
    first = np.full(count, FOREVER - limits[3])
    return count if times_hold(customer, time, created, limits[2], limits[3], first) else NOT_PLAIN


def _behind_text(body: Bytes, at: int) -> int:
    """Return the place after a text that begins, after its quote, at *at*."""
    while at < len(body) and body[at] != _QUOTE:
        at += 2 if body[at] == _BACKSLASH else 1
    return at + 1


def _end_one(depth: int, sizes: Integers, objects: Integers, counts: Integers) -> None:
    """Add the array or object that is open at this depth to the counts."""
    size = sizes[depth]
    counts[VALUES] += size
    if depth == 1:
        counts[OUTER] = size
    if objects[depth] and size > counts[WIDEST]:
        counts[WIDEST], counts[WIDEST_AT] = size, max(sizes[1] - 1, 0)


def measure(body: Bytes, counts: Integers) -> None:
    """Count the content of a JSON text in one pass; if it is not JSON, the counts are only rough.

    *counts* must be five zeros and is filled with: elements of the outermost array or object, all values, members of
    the object with the most members, the element that this object is in, and the deepest nesting; the count stops at
    DEEPEST + 1.
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
