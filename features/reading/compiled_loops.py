"""Loops over bytes and rows, compiled like the kernel: plain texts read fast, and everything else left to the readers.

Each function takes what is plain, and says so where something is not; then `features.reading.columns` looks
again, slowly, and name what is wrong. Nothing is decided here that they would decide otherwise: tests compare the two.

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
    "disorder": f"int64({_INTEGERS}, {_INTEGERS}, {_INTEGERS})",
}

_SMALL_A, _SMALL_Z, _TO_CAPITAL = 97, 122, 32

IN_ORDER, TIED, UNORDERED = 0, 1, 2


def read_plain_numbers(numbers: Floats, largest: float, out: Floats) -> bool:
    """Copy numbers, with one zero; False where one is not finite or beyond *largest* either way."""
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
    """Read words as their codes, a missing or empty one as *absent* (-1 where it may not be); False for any other."""
    last = 0
    for row in range(len(begins)):
        at, end = begins[row], ends[row]
        if at < 0 or at == end:
            if absent < 0:
                return False
            out[row] = absent
            continue
        if not _is_word(data, at, end, words, firsts[last], stops[last], any_case):  # most repeat the one before
            last = -1
            for word in range(len(codes)):
                if _is_word(data, at, end, words, firsts[word], stops[word], any_case):
                    last = word
                    break
            if last < 0:
                return False
        out[row] = codes[last]
    return True


def _same(data: Bytes, at: int, end: int, begin: int, stop: int) -> bool:
    if end - at != stop - begin:
        return False
    for place in range(end - at):  # noqa: SIM110 (Numba knows no generators in all())
        if data[at + place] != data[begin + place]:
            return False
    return True


def number_texts(
    data: Bytes, begins: Integers, ends: Integers, seed: int, slots: Integers, numbers: Integers, firsts: Integers
) -> int:
    """Number texts in order of first appearance, whose rows go to *firsts*; -1 where one is missing or empty.

    *slots* is the hash table, filled with -1, as many as a power of two; *seed* keeps callers from choosing what
    collides.
    """
    found = 0
    mask = len(slots) - 1
    for row in range(len(begins)):
        at, end = begins[row], ends[row]
        if at < 0 or at == end:
            return -1
        if row and _same(data, at, end, begins[row - 1], ends[row - 1]):
            numbers[row] = numbers[row - 1]
            continue
        mixed = np.uint64(seed)
        for place in range(at, end):
            mixed = (mixed ^ np.uint64(data[place])) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        slot = np.int64(mixed & np.uint64(mask))
        while slots[slot] >= 0:
            first = firsts[slots[slot]]
            if _same(data, at, end, begins[first], ends[first]):
                break
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = found
            firsts[found] = row
            found += 1
        numbers[row] = slots[slot]
    return found


def gather_texts(data: Bytes, begins: Integers, ends: Integers, offsets: Integers, out: Bytes) -> None:
    """Copy texts to *out*, text i to offsets[i]; missing ones are left out."""
    for row in range(len(begins)):
        if begins[row] >= 0:
            at = offsets[row]
            for place in range(begins[row], ends[row]):
                out[at] = data[place]
                at += 1


def times_hold(customer: Integers, time: Integers, created: Integers, latest: int, slack: int, first: Integers) -> bool:
    """Tell whether no time is after *latest* and no account made *slack* after its customer's first row.

    *first* has one place a customer, filled with the largest moment less *slack*.
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
    """Tell whether rows, taken in *order*, are in that of customer and time, with ties or without."""
    found = IN_ORDER
    for place in range(1, len(order)):
        before, row = order[place - 1], order[place]
        if customer[row] < customer[before]:
            return UNORDERED
        if customer[row] == customer[before]:
            if time[row] < time[before]:
                return UNORDERED
            if time[row] == time[before]:
                found = TIED
    return found


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
    """Copy rows to where the kernel reads them, in *order*, money converted by the *units* of its currency.

    *kinds* has the kind of a row by its state and sign, from negative to positive. *money* takes amounts and balances,
    *small* kinds and categories; *offsets* comes filled with 0.
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
    """Add n x F indicators and n scores to the *counts* of their buckets: the first holds undefined values.

    *edges* are (F + 1) x 9 upper edges; a value is above all that are smaller than it.
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
