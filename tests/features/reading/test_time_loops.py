"""The loop over times: compiled it does what it does interpreted; see test_fast_columns.py."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fivefold.features.numba_cache import compiled_loops
from fivefold.features.reading import time_loops
from tests.features.reading.test_fast_columns import ODD_TIMES, PLAIN_TIMES, TIMES, texts


def both(times: list[str | None]) -> tuple[bool, list[int]]:
    """Read interpreted and compiled."""
    found = []
    for loops in (time_loops, compiled_loops(time_loops)):
        of, out = texts(times), np.zeros(len(times), dtype=np.int64)
        read = loops.read_plain_times(of.data, of.begins, of.ends, -(10**18), 10**18, out)
        found.append((bool(read), out.tolist()))
    assert found[0] == found[1]
    return found[0]


@given(st.lists(TIMES, max_size=4))
def test_any_times(times: list[str | None]) -> None:
    both(times)


def test_plain_and_odd_ones() -> None:
    assert both([*PLAIN_TIMES])[0]
    assert not any(both([time])[0] for time in ODD_TIMES if time[:1] != "1" or len(time) != 10)


def test_bounds_count() -> None:
    of, out = texts(["1970-01-01"]), np.zeros(1, dtype=np.int64)
    data = (of.data, of.begins, of.ends)
    assert [time_loops.read_plain_times(*data, *bounds, out) for bounds in ((0, 0), (1, 2), (-2, -1))] == [
        True,
        False,
        False,
    ]
