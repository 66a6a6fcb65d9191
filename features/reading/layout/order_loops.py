"""Loops over rows that come in order, compiled like the kernel: they check the rows and lay them out in one pass.

Each returns False if a row is not plain, or not in its place; the general readers then find the row. Texts are given as
in `features.reading.compiled_loops`: row i is data[begins[i]:ends[i]], and a missing one begins below 0.
"""

import numpy as np
import numpy.typing as npt

from fivefold.features.histories import Floats, Integers
from fivefold.features.reading.compiled_loops import Bytes, Codes, same_text

Words = npt.NDArray[np.uint64]
Small = npt.NDArray[np.int8]
Places = npt.NDArray[np.int32]
Out = tuple[Integers, Floats, Floats, Small, Codes, Small, Integers]
"""The columns that the kernel reads: time, amount, balance, kind, currency, category and creation."""
Texts = tuple[Bytes, Integers, Integers]

_INTEGERS, _FLOATS = "Array(int64,1,'C',True)", "Array(float64,1,'C',True)"
_PLACES, _CODES = "Array(int32,1,'C',True)", "Array(int16,1,'C',True)"
_TEXTS = f"Tuple((Array(uint8,1,'C',True), {_INTEGERS}, {_INTEGERS}))"
_OUT = "Tuple((int64[::1], float64[::1], float64[::1], int8[::1], int16[::1], int8[::1], int64[::1]))"

SIGNATURES = {
    "count_changes": f"int64({_PLACES})",
    "group_rows": f"boolean({_PLACES}, {_INTEGERS}, uint8[::1], int64[::1], UniTuple(int64[::1], 3))",
    "copy_rows": f"boolean({_INTEGERS}, UniTuple({_INTEGERS}, 2), UniTuple({_FLOATS}, 2), UniTuple({_PLACES}, 3), "
    f"UniTuple({_CODES}, 3), {_FLOATS}, Array(int8,2,'C',True), {_INTEGERS}, float64, {_OUT})",
    "texts_differ": f"boolean({_INTEGERS}, {_TEXTS}, Array(uint64,1,'C',True), uint64, int64[::1], uint64[::1])",
    "order_ties": f"boolean({_INTEGERS}, UniTuple({_FLOATS}, 2), {_PLACES}, {_CODES}, {_TEXTS}, {_OUT})",
}

CUSTOMERS, TIES = range(2)
"""The place of each count."""
EARLIEST, LATEST, SLACK = range(3)
"""The place of each limit: no moment is before the first or after the second, and no account is created more than the
third after its customer's first row."""
MOST_TIED = 64
"""Most rows of one customer and moment that are sorted here: the time grows with the square of their number."""


def count_changes(places: Places) -> int:
    """Count the rows that have another number than the row before."""
    count = 0
    for row in range(1, len(places)):
        count += places[row] != places[row - 1]
    return count


def group_rows(
    customer: Places, time: Integers, met: Bytes, counts: Integers, groups: tuple[Integers, Integers, Integers]
) -> bool:
    """Find where customers begin; False if the rows of one are not adjacent, or not in order of time.

    *customer* is a number for each row, below the length of *met*, which must be filled with 0. *groups* receives these
    numbers in order of appearance, the first row of each, and the rows that have the moment of the row before; *counts*
    receives the numbers of customers and of such rows.
    """
    firsts, begins, ties = groups
    customers = tied = 0
    for row in range(len(customer)):
        who = customer[row]
        if row == 0 or who != customer[row - 1]:
            if who < 0 or who >= len(met) or met[who]:
                return False
            met[who] = 1
            firsts[customers], begins[customers] = who, row
            customers += 1
        elif time[row] <= time[row - 1]:
            if time[row] < time[row - 1]:
                return False
            ties[tied] = row
            tied += 1
    counts[CUSTOMERS], counts[TIES] = customers, tied
    return True


def copy_rows(
    begins: Integers,
    moments: tuple[Integers, Integers],
    money: tuple[Floats, Floats],
    words: tuple[Places, Places, Places],
    codes: tuple[Codes, Codes, Codes],
    units: Floats,
    kinds: Small,
    limits: Integers,
    largest: float,
    out: Out,
) -> bool:
    """Check values, and copy them to *out*, money converted by the *units* of its currency; False if one is wrong.

    Args:
        begins: the first row of each customer, and the number of rows.
        moments: the moments of the rows, and of the creation of accounts; if these are empty, the customer's first.
        money: amounts and balances, at most *largest* in size.
        words: the places of states, currencies and categories in *codes*.
        codes: the codes of states, currencies and categories by place.
        units: the value of a unit by currency.
        kinds: the kind of a row by its state and sign, from negative to positive.
        limits: see `EARLIEST`.
        largest: the largest size of money.
        out: receives the columns.
    """
    time, created = moments
    amount, balance = money
    states, currencies, categories = words
    state_codes, currency_codes, category_codes = codes
    times, amounts, balances, kinds_out, currencies_out, categories_out, createds = out
    following = 0  # the number of the next customer
    first = latest_created = limits[EARLIEST]
    for row in range(len(time)):
        if row == begins[following]:
            first, following = time[row], following + 1
            latest_created = min(limits[LATEST], first + limits[SLACK])
        moment, creation = time[row], created[row] if len(created) else first
        if (
            moment < limits[EARLIEST]
            or moment > limits[LATEST]
            or creation < limits[EARLIEST]
            or creation > latest_created
        ):
            return False
        if not (-largest <= amount[row] <= largest and -largest <= balance[row] <= largest):
            return False
        at, of, by = states[row], currencies[row], categories[row]
        if not (0 <= at < len(state_codes) and 0 <= of < len(currency_codes) and 0 <= by < len(category_codes)):
            return False
        state, currency, category = state_codes[at], currency_codes[of], category_codes[by]
        if state < 0 or currency < 0 or category < 0:
            return False
        unit = units[currency]
        sign = int(amount[row] > 0) - int(amount[row] < 0)
        times[row], createds[row] = moment, creation
        amounts[row], balances[row] = (amount[row] + 0.0) * unit, (balance[row] + 0.0) * unit  # -0.0 becomes 0.0
        kinds_out[row], currencies_out[row], categories_out[row] = kinds[state, sign + 1], currency, category
    return True


def texts_differ(  # noqa: C901 (the hash is not in a function of its own: to pass that an array takes longer than it)
    begins: Integers, texts: Texts, words: Words, seed: int, slots: Integers, hashes: Words
) -> bool:
    """Check whether no customer has a text twice; a text that is missing or empty does not count.

    Args:
        begins: the first row of each customer, and the number of rows.
        texts: the texts of the rows.
        words: the bytes of the texts by eights, without those left over.
        seed: a secret, so that no caller can choose texts that collide.
        slots: a hash table for the customer with most rows: a power of two places, at least four times the rows, filled
            with -1.
        hashes: a place for each row of that customer.
    """
    data, text_begins, text_ends = texts
    mixer, one, whole = np.uint64(0x9E3779B97F4A7C15), np.uint64(1), np.uint64(63)
    for customer in range(len(begins) - 1):
        first, last = begins[customer], begins[customer + 1]
        size = 4
        while size < 4 * (last - first):
            size *= 2
        for row in range(first, last):
            at, end = text_begins[row], text_ends[row]
            if at < 0 or at == end:
                continue
            mixed = np.uint64(seed) ^ np.uint64(end - at)
            for place in range(at, end, 8):
                word = np.uint64(0)
                if (place >> 3) + 1 < len(words):
                    shift = np.uint64((place & 7) << 3)
                    word = words[place >> 3] >> shift | (words[(place >> 3) + 1] << one) << (whole - shift)
                else:
                    for byte in range(place, min(place + 8, end)):
                        word |= np.uint64(data[byte]) << np.uint64((byte - place) << 3)
                if end - place < 8:
                    word &= (one << np.uint64((end - place) << 3)) - one
                mixed = (mixed ^ word) * mixer
                mixed ^= mixed >> np.uint64(29)
            slot = np.int64(mixed & np.uint64(size - 1))
            while slots[slot] >= first:  # below are the rows of other customers
                other = slots[slot]
                if hashes[other - first] == mixed and same_text(data, at, end, text_begins[other], text_ends[other]):
                    return False
                slot = (slot + 1) & (size - 1)
            slots[slot] = row
            hashes[row - first] = mixed
    return True


def _characters(data: Bytes, at: int, end: int) -> int:
    count = 0
    for place in range(at, end):
        count += (data[place] & 0xC0) != 0x80  # no byte within a character of UTF-8
    return count


def _compare_texts(texts: Texts, one: int, other: int) -> int:
    """Compare by length, then by bytes, a missing text last: below 0 if *one* comes first, 0 if equal, or above 0."""
    data, begins, ends = texts
    at, end, begin, stop = begins[one], ends[one], begins[other], ends[other]
    is_missing, is_other_missing = at < 0 or at == end, begin < 0 or begin == stop
    if is_missing or is_other_missing:
        return int(is_missing) - int(is_other_missing)
    longer = _characters(data, at, end) - _characters(data, begin, stop)
    if longer:
        return longer
    for place in range(min(end - at, stop - begin)):
        if data[at + place] != data[begin + place]:
            return 1 if data[at + place] > data[begin + place] else -1
    return 0


def _compare(one: float, other: float) -> int:
    return int(one > other) - int(one < other)


def _is_before(
    one: int, other: int, money: tuple[Floats, Floats], state: Places, codes: Codes, texts: Texts, out: Out
) -> bool:
    """Check whether a row comes before another of the same customer and moment: see `features.reading.row_order`."""
    amount, balance = money
    _, _, _, _, currency, category, created = out
    compared = _compare_texts(texts, one, other) if len(texts[1]) else 0
    compared = compared or _compare(amount[other], amount[one])
    compared = compared or _compare(balance[one], balance[other])
    compared = compared or _compare(codes[state[one]], codes[state[other]])
    compared = compared or _compare(currency[one], currency[other])
    compared = compared or _compare(category[one], category[other])
    return (compared or _compare(created[one], created[other])) < 0


def _reorder(column: npt.NDArray[np.generic], order: Integers, begin: int, many: int) -> None:
    values = column[begin : begin + many].copy()
    for place in range(many):
        column[begin + place] = values[order[place] - begin]


def order_ties(
    ties: Integers, money: tuple[Floats, Floats], state: Places, codes: Codes, texts: Texts, out: Out
) -> bool:
    """Put rows of one customer and moment in order, in *out* alone; False if there are too many of them.

    *ties* are rows that have the moment of the row before. *state* has places in *codes*. *texts* are identifiers of
    transactions, without rows if the source has none.
    """
    order = np.empty(MOST_TIED, dtype=np.int64)
    at = 0
    while at < len(ties):
        begin, end, is_ordered = ties[at] - 1, ties[at], True
        while at < len(ties) and ties[at] == end:
            is_ordered &= not _is_before(end, end - 1, money, state, codes, texts, out)
            end += 1
            at += 1
        if is_ordered:
            continue
        many = end - begin
        if many > MOST_TIED:
            return False
        for row in range(begin, end):
            place = row - begin
            while place > 0 and _is_before(row, order[place - 1], money, state, codes, texts, out):
                order[place] = order[place - 1]
                place -= 1
            order[place] = row
        _reorder(out[1], order, begin, many)
        _reorder(out[2], order, begin, many)
        _reorder(out[3], order, begin, many)
        _reorder(out[4], order, begin, many)
        _reorder(out[5], order, begin, many)
        _reorder(out[6], order, begin, many)
    return True
