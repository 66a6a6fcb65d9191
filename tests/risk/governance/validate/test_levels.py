"""Levels against labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.risk.governance.validate.levels import NO_LEVEL, captured_share, level_rows

NAMES = ("low", "medium", "high", "critical")
entities = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=60)


@given(entities)
def test_everyone_is_in_one_row(rows: list[tuple[int, bool]]) -> None:
    level, confirmed = (np.array(side) for side in zip(*rows, strict=True))
    found = level_rows(level, confirmed, NAMES)
    assert sum(row.entities for row in found) == len(rows)
    assert sum(row.confirmed for row in found) == confirmed.sum()
    assert sum(row.share for row in found) == pytest.approx(1)
    assert (found[-1].level == NO_LEVEL) == bool((level == 0).any())
    for row in found:
        assert (row.rate is None) == (row.entities == 0)


@given(entities)
def test_no_more_can_be_captured_than_arithmetic_allows(rows: list[tuple[int, bool]]) -> None:
    level, confirmed = (np.array(side) for side in zip(*rows, strict=True))
    found = captured_share(level, confirmed, NAMES)
    if found is None:
        assert not confirmed.any()
        return
    hits = sum(mark for number, mark in rows if number >= 3)
    assert found.captured.estimate == hits / confirmed.sum()
    assert found.missed.estimate == pytest.approx(1 - found.captured.estimate)
    assert found.captured.estimate <= found.possible + 1e-12
    room = sum(number >= 3 for number, _ in rows)
    assert found.possible == pytest.approx(min(1, room / confirmed.sum()))
    assert found.top == ("high", "critical")
