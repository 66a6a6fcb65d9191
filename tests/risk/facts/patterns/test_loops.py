"""The loops: compiled they do what they do interpreted, and leave no trace of one row in the next."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.features.numba_cache import compile_loops
from fivefold.risk.facts.patterns import loops

rows = st.lists(
    st.lists(st.tuples(st.integers(0, 30), st.integers(-1, 3), st.integers(0, 9)), min_size=1, max_size=12),
    min_size=1,
    max_size=4,
)
"""Rows of (time, counterparty or -1, amount)."""


def arrays(groups: list[list[tuple[int, int, int]]]) -> tuple[np.ndarray, ...]:
    offsets = np.cumsum([0, *map(len, groups)], dtype=np.int64)
    flat = np.array([one for group in groups for one in sorted(group)], dtype=np.int64)
    return (offsets, *(np.ascontiguousarray(column) for column in flat.T))


@pytest.mark.parametrize("module", [loops, compile_loops(loops)], ids=["interpreted", "compiled"])
def test_the_busiest_span(module: object) -> None:
    offsets, time, who, _ = arrays([[(0, 0, 0), (5, 1, 0), (9, 0, 0), (10, 2, 0)], [(0, 2, 0), (1, 2, 0)]])
    held, most, latest, begun, lacking = (np.zeros(size, np.int64) for size in (3, 2, 2, 2, 2))
    module.busiest(offsets, time, who, 10, 2, 2, held, most, latest, begun, lacking)  # type: ignore[attr-defined]  # a module of two kinds
    assert (most.tolist(), latest.tolist(), begun.tolist()) == ([3, 0], [10, 0], [5, 0])
    assert (held.tolist(), lacking.tolist()) == ([0, 0, 0], [0, 0])


@pytest.mark.parametrize("module", [loops, compile_loops(loops)], ids=["interpreted", "compiled"])
def test_a_span_whose_counterparties_are_not_known_lacks_them_where_they_would_be_enough(module: object) -> None:
    groups = [
        [(0, 0, 0), (1, -1, 0), (2, 0, 0)],
        [(0, 0, 0), (1, 0, 0), (2, 0, 0)],
        [(0, -1, 0), (1, -1, 0), (2, -1, 0), (30, 0, 0), (31, 1, 0), (32, 1, 0)],
        [(0, -1, 0), (1, -1, 0), (2, -1, 0), (3, -1, 0)],
    ]
    offsets, time, who, _ = arrays(groups)
    held, most, latest, begun, lacking = (np.zeros(size, np.int64) for size in (2, 4, 4, 4, 4))
    module.busiest(offsets, time, who, 10, 2, 2, held, most, latest, begun, lacking)  # type: ignore[attr-defined]  # as above
    assert (most.tolist(), lacking.tolist()) == ([0, 0, 3, 0], [1, 0, 0, 4])


@pytest.mark.parametrize("module", [loops, compile_loops(loops)], ids=["interpreted", "compiled"])
def test_withdrawals_go_to_the_earliest(module: object) -> None:
    offsets, time, needed, amount = arrays([[(0, 3, 5), (2, 4, 4), (3, 0, 7), (9, 0, 9)]])
    passed, latest = np.zeros(4, np.int64), np.zeros(4, np.int64)
    module.pass_on(offsets, time, amount, needed, time + 6, passed, latest)  # type: ignore[attr-defined]  # as above
    assert (passed.tolist(), latest.tolist()) == ([5, 2, 0, 0], [3, 3, 0, 0])


@given(rows, st.integers(1, 12), st.integers(0, 3), st.integers(1, 3))
def test_busiest_is_the_same_compiled(
    groups: list[list[tuple[int, int, int]]], span: int, more_than: int, least: int
) -> None:
    offsets, time, who, _ = arrays(groups)
    seen = []
    for module in (loops, compile_loops(loops)):
        out = [np.zeros(size, np.int64) for size in (4, *[len(groups)] * 4)]
        module.busiest(offsets, time, who, span, more_than, least, *out)
        seen.append([column.tolist() for column in out])
    assert seen[0] == seen[1]
    assert seen[0][0] == [0, 0, 0, 0]


@given(rows, st.integers(0, 12))
def test_pass_on_is_the_same_compiled(groups: list[list[tuple[int, int, int]]], within: int) -> None:
    offsets, time, kind, amount = arrays(groups)
    needed = np.where(kind > 0, np.maximum(1, amount - kind), 0)
    amount = np.maximum(amount, 1)
    seen = []
    for module in (loops, compile_loops(loops)):
        out = [np.zeros(len(time), np.int64) for _ in range(2)]
        module.pass_on(offsets, time, amount, needed, time + within, *out)
        seen.append([column.tolist() for column in out])
    assert seen[0] == seen[1]
    assert all(part <= whole for part, whole in zip(seen[0][0], amount, strict=True))
