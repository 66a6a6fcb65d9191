"""The loops over bytes and rows: compiled they do what they do interpreted."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fivefold.features.reading import compiled_loops as loops
from fivefold.features.reading.fast_columns import CodedWords, StringColumn, column_loops
from tests.features.reading.test_fast_columns import ODD_TIMES, PLAIN_TIMES, TIMES, texts

WORDS = CodedWords({"NO": 7, "YES": 4, "NOT": 5}).table
small_texts = st.lists(st.sampled_from(["", "a", "b", "ab", "ba", "aa", "Yes", "NO", "not", "é"]), max_size=12)


def both(name: str, given_: tuple[Any, ...], outs: Callable[[], tuple[np.ndarray, ...]]) -> list[Any]:
    """Give what a loop returns and writes, which is the same interpreted and compiled."""
    found = []
    for function in (getattr(loops, name), getattr(column_loops(), name)):
        written = outs()
        with np.errstate(over="ignore"):  # hashes overflow on purpose
            returned = function(*given_, *written)
        found.append([returned, *(array.tolist() for array in written)])
    assert repr(found[0]) == repr(found[1])
    return found[0]


def parts(of: StringColumn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return of.data, of.begins, of.ends


@given(small_texts, st.booleans(), st.sampled_from([-1, 9]))
def test_words(words: list[str], any_case: bool, absent: int) -> None:
    given_ = (*parts(texts(words)), *WORDS, any_case, absent)
    both("read_plain_words", given_, lambda: (np.zeros(len(words), dtype=np.int16),))


@given(st.lists(st.floats() | st.sampled_from([-0.0, 1e15, -1e15]), max_size=6))
def test_numbers(numbers: list[float]) -> None:
    both("read_plain_numbers", (np.array(numbers), 1e15), lambda: (np.zeros(len(numbers)),))


@given(small_texts, st.integers(0, 2**64 - 1), st.sampled_from([16, 64]))
def test_numbered_texts_and_their_copies(words: list[str], seed: int, slots: int) -> None:
    rows, given_ = len(words), parts(texts(words))
    found = both(
        "number_texts",
        (*given_, np.uint64(seed)),
        lambda: (np.full(slots, -1), np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)),
    )
    wanted = list(dict.fromkeys(words))
    assert found[0] == (-1 if "" in words else len(wanted))
    if "" not in words:
        assert [wanted[number] for number in found[2]] == words
        assert [words[row] for row in found[3][: found[0]]] == wanted
    joined = "".join(words).encode()
    offsets = np.cumsum([0, *(len(word.encode()) for word in words)])
    copied = both("gather_texts", (*given_, offsets), lambda: (np.zeros(len(joined), dtype=np.uint8),))
    assert bytes(copied[1]) == joined


moments = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 9)), max_size=8)


@given(moments, st.integers(0, 9), st.integers(0, 9))
def test_times_that_hold(rows: list[tuple[int, int, int]], latest: int, slack: int) -> None:
    customer, time, created = (np.array([row[part] for row in rows], dtype=np.int64) for part in range(3))
    largest = np.iinfo(np.int64).max
    found = both("times_hold", (customer, time, created, latest, slack), lambda: (np.full(3, largest - slack),))
    first = {of: min(row[1] for row in rows if row[0] == of) for of, _, _ in rows}
    assert found[0] == all(row[1] <= latest and row[2] <= latest and row[2] <= first[row[0]] + slack for row in rows)


@given(moments)
def test_disorder(rows: list[tuple[int, int, int]]) -> None:
    customer, time = (np.array([row[part] for row in rows], dtype=np.int64) for part in range(2))
    (found,) = both("disorder", (customer, time, np.arange(len(rows))), lambda: ())
    keys = [row[:2] for row in rows]
    assert (found == loops.UNORDERED) == (keys != sorted(keys))
    assert (found == loops.IN_ORDER) == (keys == sorted(set(keys)))


@given(moments, st.randoms(use_true_random=False))
def test_the_layout(rows: list[tuple[int, int, int]], chance: Any) -> None:
    customer, time, created = (np.array([row[part] for row in rows], dtype=np.int64) for part in range(3))
    money = np.array([chance.choice([-1.5, 0.0, 2.5]) for _ in rows])
    codes = np.array([chance.randrange(3) for _ in rows], dtype=np.int16)
    order, many = np.argsort(customer, kind="stable"), len(rows)
    kinds = np.arange(9, dtype=np.int8).reshape(3, 3)
    units = np.array([1.0, 2.0, 0.5])

    def outs() -> tuple[np.ndarray, ...]:
        whole = [np.zeros(size, dtype=np.int64) for size in (4, many, many)]
        return (*whole, np.zeros((2, many)), np.zeros((2, many), dtype=np.int8), np.zeros(many, dtype=np.int16))

    found = both("lay_out", (order, customer, time, created, money, -money, codes, codes, codes, units, kinds), outs)
    assert found[1] == [0, *np.cumsum(np.bincount(customer, minlength=3)).tolist()]
    assert found[4] == [(money * units[codes])[order].tolist(), (-money * units[codes])[order].tolist()]
    assert found[5][0] == kinds[codes, np.sign(money).astype(np.int64) + 1][order].tolist()


@pytest.mark.parametrize("value", [np.nan, -np.inf, 0.0, 1.0, 1.5, 3.0, np.inf])
def test_buckets(value: float) -> None:
    edges = np.array([[1.0, 2.0], [0.0, np.inf]])
    found = both(
        "count_buckets", (np.array([[value]]), np.array([0.5]), edges), lambda: (np.zeros((2, 4), dtype=np.int64),)
    )
    bucket = 0 if np.isnan(value) else 1 + int((value > edges[0]).sum())
    assert found[1] == [[int(place == bucket) for place in range(4)], [0, 0, 1, 0]]


heights = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.dictionaries(heights, heights, min_size=1, max_size=8), st.lists(st.floats(), max_size=8))
@example({0.0: 0.5}, [float("nan")])
def test_heights_of_a_line_have_the_bits_of_numpy(points: dict[float, float], values: list[float]) -> None:
    """At its points, between, outside, and every second of an array too; of NaN with one point NumPy gives a number."""
    xs = np.array(sorted(points))
    ys = np.array([points[x] for x in xs])
    wanted = np.array([*values, *xs, *(xs[1:] + xs[:-1]) / 2])
    of_numpy = np.where(np.isnan(wanted), wanted, np.interp(wanted, xs, ys)).tobytes()
    found = both("interpolate", (wanted, xs, ys), lambda: (np.zeros(len(wanted)),))
    assert np.array(found[1]).tobytes() == of_numpy
    every_second = np.repeat(wanted, 2)[::2]
    column_loops().interpolate(every_second, xs, ys, out := np.zeros(len(wanted)))
    assert out.tobytes() == of_numpy


def both_times(times: list[str | None]) -> tuple[bool, list[int]]:
    """Read interpreted and compiled."""
    found = []
    for module in (loops, column_loops()):
        of, out = texts(times), np.zeros(len(times), dtype=np.int64)
        read = module.read_plain_times(of.data, of.begins, of.ends, -(10**18), 10**18, out)
        found.append((bool(read), out.tolist()))
    assert found[0] == found[1]
    return found[0]


@given(st.lists(TIMES, max_size=4))
def test_any_times(times: list[str | None]) -> None:
    both_times(times)


def test_plain_and_odd_ones() -> None:
    assert both_times([*PLAIN_TIMES])[0]
    assert not any(both_times([time])[0] for time in ODD_TIMES if time[:1] != "1" or len(time) != 10)


def test_bounds_count() -> None:
    of, out = texts(["1970-01-01"]), np.zeros(1, dtype=np.int64)
    data = (of.data, of.begins, of.ends)
    assert [loops.read_plain_times(*data, *bounds, out) for bounds in ((0, 0), (1, 2), (-2, -1))] == [
        True,
        False,
        False,
    ]
