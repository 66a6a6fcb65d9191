"""Money that a file has as text: the same for scores, rules and imports, in every format."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fivefold.domain.errors import InvalidDataError
from fivefold.domain.money import base_only
from fivefold.features.reading.frames import histories_in_memory
from fivefold.features.reading.sources import read_histories
from fivefold.features.reading.validate import TransactionReader
from fivefold.features.schema import AMOUNT, CURRENCY, DATE, USER_ID
from fivefold.risk.facts.reading import read_number
from fivefold.usecases.shared.transaction_columns import TransactionColumns

RATES = base_only("EUR", date(2024, 1, 1))
NUMBERS = [" 1.5", "-2 ", "\t1e2", "+.5", "7.", "\u00a00.35"]
OTHERS = ["1,5", "1_000", "0x10", "", " ", "1.5 EUR", "- 1", "nan", "inf"]


def amounts_of(texts: list[str]) -> pl.DataFrame:
    days = [f"2024-01-{day:02d}" for day in range(1, len(texts) + 1)]
    return pl.DataFrame({USER_ID: "u", CURRENCY: "EUR", DATE: days, AMOUNT: texts})


def files_of(frame: pl.DataFrame, folder: Path) -> list[Path]:
    paths = [folder / f"rows.{suffix}" for suffix in ("csv", "json", "jsonl", "parquet")]
    frame.write_csv(paths[0], quote_style="always")
    paths[1].write_text(json.dumps(frame.to_dicts()))
    frame.write_ndjson(paths[2])
    frame.with_columns(pl.col(AMOUNT).cast(pl.Categorical)).write_parquet(paths[3])
    return paths


def read_by_rules(frame: pl.DataFrame) -> list[float | None]:
    categories = frame.with_columns(pl.col(AMOUNT).cast(pl.Categorical))
    values = [each.select(read_number(AMOUNT, each.schema[AMOUNT]).value) for each in (frame, categories)]
    assert values[0].equals(values[1])
    return values[0].to_series().to_list()


def test_scores_rules_and_imports_read_the_same_numbers(tmp_path: Path) -> None:
    frame = amounts_of(NUMBERS)
    expected = [1.5, -2.0, 100.0, 0.5, 7.0, 0.35]
    assert read_by_rules(frame) == expected
    assert TransactionColumns(frame, text=True, most_named=None).numbers(AMOUNT).to_list() == expected
    for source in (*files_of(frame, tmp_path), frame, frame.to_pandas().astype(object)):
        assert read_histories(source, RATES).amount.tolist() == expected


@pytest.mark.parametrize("text", OTHERS)
def test_none_of_them_takes_another_text(text: str, tmp_path: Path) -> None:
    frame = amounts_of(["1", text])
    assert read_by_rules(frame) == [1.0, None]
    for source in files_of(frame, tmp_path):
        with pytest.raises(InvalidDataError, match=f"rows? {3 if source.suffix == '.csv' else 2}: {AMOUNT} is"):
            read_histories(source, RATES)


def test_identifiers_that_numpy_made_whole_numbers_are_read_from_rows_as_from_a_frame() -> None:
    frame = amounts_of(["1.5"]).with_columns(pl.lit(7).alias(USER_ID))
    rows = [{**row, USER_ID: np.int64(7)} for row in frame.to_dicts()]
    for source in (rows, frame, frame.to_pandas()):
        assert read_histories(source, RATES).user_ids.to_pylist() == ["7"]


def test_a_request_has_numbers_alone() -> None:
    with pytest.raises(InvalidDataError, match=f"{AMOUNT} is '1.5'"):
        histories_in_memory(amounts_of(["1.5"]).to_dicts(), TransactionReader(RATES))
