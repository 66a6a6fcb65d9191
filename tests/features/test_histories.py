"""The container: its parts put together again are the whole."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.features.histories import concatenate
from fivefold.features.reading.sources import read_histories
from tests.features.equality import same
from tests.features.strategies import AS_OFS, RATES, Row, ledgers, row


@given(ledgers(AS_OFS[0]), st.data())
def test_parts_joined_are_the_whole(ledger: list[Row], data: st.DataObject) -> None:
    whole = read_histories([*ledger, row(user_id="zoe")], RATES)
    cuts = sorted(data.draw(st.sets(st.integers(1, whole.customers - 1)))) if whole.customers > 1 else []
    bounds = [0, *cuts, whole.customers]
    parts = [whole.select(first, last) for first, last in pairwise(bounds)]
    assert same(concatenate(parts), whole)
    assert sum(part.rows for part in parts) == whole.rows


@given(ledgers(AS_OFS[0]))
def test_offsets_frame_every_row_in_time_order(ledger: list[Row]) -> None:
    histories = read_histories(ledger, RATES)
    ends = histories.offsets.tolist()
    assert ends[0] == 0
    assert ends[-1] == histories.rows == len(ledger)
    for first, last in pairwise(ends):
        assert last > first
        assert (histories.time[first:last].tolist()) == sorted(histories.time[first:last].tolist())


def test_a_customer_is_found_by_name() -> None:
    histories = read_histories([row(user_id=user) for user in ("b", "a", "c", "a")], RATES)
    assert [histories.position(user) for user in ("b", "a", "c", "d", "")] == [0, 1, 2, None, None]
    assert histories.select(1, 3).position("c") == 1
    assert histories.select(1, 3).position("b") is None
    assert read_histories([], RATES).position("a") is None


def test_an_empty_selection_is_empty() -> None:
    histories = read_histories([row()], RATES)
    assert histories.select(1, 1).rows == histories.select(0, 0).customers == 0


@pytest.mark.parametrize("user_id", ["a", "Ä", "7", "a b", "x" * 1000])
def test_identifiers_are_kept_as_they_are(user_id: str) -> None:
    assert read_histories([row(user_id=user_id)], RATES).user_ids.to_pylist() == [user_id]
