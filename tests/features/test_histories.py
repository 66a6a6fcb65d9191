"""The container: its parts put together again are the whole, and files of Arrow give it back bit for bit."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.features import schema as c
from fivefold.features.histories import Histories, concatenate
from fivefold.features.kept import kept_table, read_kept
from fivefold.features.reading.sources import read_histories
from tests.features.oracle.equality import ARRAYS, same
from tests.features.oracle.strategies import AS_OFS, RATES, Row, ledgers, row


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


def written(part: Histories, folder: Path) -> Path:
    table = kept_table(part)
    with pa.ipc.new_file(folder / "kept.arrow", table.schema) as file:
        file.write_table(table)
    return folder / "kept.arrow"


@given(
    ledger=ledgers(AS_OFS[0]).filter(bool),
    absent=st.sampled_from([(), (c.BALANCE,), (c.CURRENCY, c.CREATED)]),
    unknown=st.booleans(),
    identified=st.booleans() | st.just("some"),
)
def test_histories_come_back_as_they_were_kept(
    ledger: list[Row],
    absent: tuple[str, ...],
    unknown: bool,
    identified: bool | str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    part = read_histories(ledger, RATES)
    flags = identified if isinstance(identified, bool) else np.arange(part.rows) % 3 == 0
    part = replace(part, absent=absent, identified=flags)
    if unknown:
        moments = np.arange(part.customers * len(c.NULLABLE), dtype=np.int64).reshape(part.customers, -1)
        part = replace(part, unknown_from=moments)
    for shown in (part, part.select(part.customers - 1, part.customers), part.select(0, 0)):
        back = read_kept(written(shown, tmp_path_factory.mktemp("kept")))
        assert same(back, shown)
        assert back.absent == absent
        assert isinstance(back.identified, bool) == isinstance(identified, bool)
        assert (back.unknown_from is None) == (not unknown)
        if unknown:
            assert back.unknown_from.tolist() == shown.unknown_from.tolist()
        for name in ARRAYS:
            assert getattr(back, name).dtype == getattr(shown, name).dtype
            assert getattr(back, name).flags.writeable, "compiled loops take no others"
