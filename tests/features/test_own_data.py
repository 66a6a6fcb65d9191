"""Files as people have them: other names, semicolons, gzip, columns that are missing, rows in no order."""

import gzip
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from domain.clock import parse_moment
from domain.errors import ConfigError, DataNotValid, LayoutError
from domain.money import Rate, RateTable
from features.columns import CATEGORIES
from features.histories import Histories
from features.paths import MappedFile
from features.sources import currencies_of, read_histories
from features.text_files import ColumnMap

RATES = RateTable("EUR", date(2024, 7, 1), {"USD": Rate(0.5, date(2024, 7, 1))}, "test")
ROWS = [("a", "2024-01-02", 10.0, 10.0), ("b", "2024-01-03", 5.0, 5.0), ("a", "2024-01-01", 7.0, 7.0)]
NAMES = ("kunde", "tag", "betrag", "saldo")
MAP = ColumnMap.read(["kunde=user_id", "tag=transaction_date", "betrag=transaction_amount", "saldo=user_balance"])


def written(path: Path, rows: list[tuple[str, str, float, float]] | None = None) -> Path:
    frame = pl.DataFrame(rows or ROWS, schema=list(NAMES), orient="row")
    text = {"csv": lambda: frame.write_csv(separator=";"), "json": frame.write_ndjson}
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text["csv" if ".csv" in path.name else "json"]().encode()))
    elif path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        path.write_text(text["csv" if path.suffix == ".csv" else "json"]())
    return path


def told(found: Histories) -> list[object]:
    return [found.user_ids.to_pylist(), found.offsets.tolist(), found.amount.tolist(), found.created.tolist()]


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz", "r.jsonl", "r.jsonl.gz", "r.parquet"])
def test_every_form_of_the_same_rows_is_the_same(tmp_path: Path, name: str) -> None:
    found = read_histories(MappedFile(written(tmp_path / name), MAP), RATES)
    first, second = parse_moment("2024-01-01"), parse_moment("2024-01-03")
    assert told(found) == [["a", "b"], [0, 2, 3], [7.0, 10.0, 5.0], [first, first, second]]
    assert set(found.category.tolist()) == {CATEGORIES["WEB"]}
    assert {RATES.codes[code] for code in found.currency.tolist()} == {"EUR"}


def test_a_column_that_is_there_is_read(tmp_path: Path) -> None:
    text = "user_id,transaction_date,transaction_amount,user_balance,transaction_currency\na,2024-01-01,10,10,USD\n"
    (tmp_path / "r.csv").write_text(text)
    found = read_histories(tmp_path / "r.csv", RATES)
    assert found.amount.tolist() == [5.0]
    assert currencies_of(MappedFile(tmp_path / "r.csv")) == ["USD"]
    assert currencies_of(MappedFile(written(tmp_path / "s.parquet"), MAP)) == []


def test_rows_of_a_call_must_still_be_whole() -> None:
    row = {"user_id": "a", "transaction_date": "2024-01-01", "transaction_amount": 1.0, "user_balance": 1.0}
    with pytest.raises(DataNotValid, match="user_category is missing"):
        read_histories([row], RATES)


def test_what_is_missing_is_named_with_how_to_say_it(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="has no column user_id, user_balance, transaction_amount, transaction_date"):
        read_histories(written(tmp_path / "r.parquet"), RATES)
    with pytest.raises(LayoutError, match="such as --map customer_id=user_id"):
        read_histories(written(tmp_path / "r.csv"), RATES)
    with pytest.raises(LayoutError, match="has no column konto to map"):
        read_histories(MappedFile(tmp_path / "r.csv", ColumnMap.read(["konto=user_id"])), RATES)


def test_rows_are_numbered_as_in_a_spreadsheet(tmp_path: Path) -> None:
    path = written(tmp_path / "r.csv", [*ROWS, ("c", "soon", 1.0, 1.0)])
    with pytest.raises(DataNotValid, match="row 5: transaction_date is 'soon'"):
        read_histories(MappedFile(path, MAP), RATES)


@pytest.mark.parametrize("pairs", [["a"], ["=b"], ["a="], ["a=b", "a=c"], ["a=b", "c=b"]])
def test_a_map_that_cannot_be_is_refused(pairs: list[str]) -> None:
    with pytest.raises(ConfigError):
        ColumnMap.read(pairs)
