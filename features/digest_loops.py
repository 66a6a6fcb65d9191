"""A loop over customers, compiled by Numba: two hashes of everything known of each customer, added up.

The sums do not depend on the order of the customers. They distinguish data, but do not resist a person who searches for
other data with the same sums.
"""

from typing import Any

import numpy as np

_INTEGERS, _WORDS, _SMALL = "Array(int64,1,'C',True)", "Array(uint64,1,'C',True)", "Array(int8,1,'C',True)"
SIGNATURES = {
    "add_customers": f"void(Array(uint8,1,'C',True), UniTuple({_INTEGERS}, 2), {_INTEGERS}, UniTuple({_WORDS}, 4), "
    f"UniTuple({_SMALL}, 2), Array(int16,1,'C',True), {_WORDS}, uint64[::1])",
}


def _mixed(number: Any, word: Any, factor: Any) -> Any:
    """Mix a word of 64 bits into a number; different words give different results for the same number."""
    product = (number ^ word) * factor
    return product ^ (product >> np.uint64(29))


def _ended(number: Any) -> Any:
    """Make every bit affect all others. Source: Steele and others, "Fast splittable random numbers" (2014), Mix13."""
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))


def add_customers(
    data: Any, texts: Any, offsets: Any, columns: Any, small: Any, currency: Any, currencies: Any, sums: Any
) -> None:
    """Add two numbers for each of n customers with m rows to the two *sums*, modulo 2 to the 64th.

    Args:
        data: the bytes of the identifiers.
        texts: where each identifier begins in them, and where it ends.
        offsets: n + 1 numbers: the first row of each customer, and the number of rows.
        columns: four columns of m rows, each as 64 bits.
        small: two columns of m rows, codes of 8 bits.
        currency: of each row, its position in *currencies*.
        currencies: each as a number of 24 bits.
        sums: the sums to add to.
    """
    begins, ends = texts
    first, second, third, fourth = columns
    kind, category = small
    one_factor, other_factor = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
    byte, whole = np.uint64(8), np.uint64(0xFF)
    for customer in range(len(offsets) - 1):
        length = np.uint64(ends[customer] - begins[customer])
        one, other = _mixed(np.uint64(1), length, one_factor), _mixed(np.uint64(2), length, other_factor)
        for place in range(begins[customer], ends[customer], 8):
            word = np.uint64(0)
            for at in range(place, min(place + 8, ends[customer])):
                word = word << byte | np.uint64(data[at])
            one, other = _mixed(one, word, one_factor), _mixed(other, word, other_factor)
        for row in range(offsets[customer], offsets[customer + 1]):
            one, other = _mixed(one, first[row], one_factor), _mixed(other, first[row], other_factor)
            one, other = _mixed(one, second[row], one_factor), _mixed(other, second[row], other_factor)
            one, other = _mixed(one, third[row], one_factor), _mixed(other, third[row], other_factor)
            one, other = _mixed(one, fourth[row], one_factor), _mixed(other, fourth[row], other_factor)
            codes = currencies[currency[row]] << byte | np.uint64(kind[row]) & whole
            codes = codes << byte | np.uint64(category[row]) & whole
            one, other = _mixed(one, codes, one_factor), _mixed(other, codes, other_factor)
        count = np.uint64(offsets[customer + 1] - offsets[customer])
        sums[0] += _ended(_mixed(one, count, one_factor))
        sums[1] += _ended(_mixed(other, count, other_factor))
