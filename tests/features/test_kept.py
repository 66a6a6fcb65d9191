"""Histories in files of Arrow come back bit for bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.kept import kept_table, read_kept
from fivefold.features.reading.sources import read_histories
from tests.features.equality import ARRAYS, same
from tests.features.strategies import AS_OFS, RATES, Row, ledgers


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
