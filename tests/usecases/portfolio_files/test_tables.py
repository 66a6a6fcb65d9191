"""Portfolios from files."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fivefold.domain.errors import ConfigError, FileFormatError, InvalidDataError
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.risk.facts.portfolio import NOT_READ
from fivefold.usecases.ingest.file_parts import parts as file_parts
from fivefold.usecases.portfolio_files.portfolio import TransactionRows
from fivefold.usecases.portfolio_files.tables import (
    TableFile,
    read_entities,
    read_frame,
    read_linked,
    read_slice,
    without_repeats,
)
from tests.cli.rules.test_assess import RULES

RULESET = analyse_text(RULES)
ROWS = [{"user_id": "a", "kind": "person", "age": 5}, {"user_id": "b", "kind": 7, "age": "old"}]


def file(path: Path) -> TableFile:
    return TableFile(path, lambda _: None)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json", ".jsonl"])
def test_every_format_gives_the_same_entities(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"entities{suffix}"
    frame = pl.DataFrame({"user_id": ["a", "b"], "kind": ["person", "company"]})
    write = {
        ".parquet": frame.write_parquet,
        ".csv": frame.write_csv,
        ".json": frame.write_json,
        ".jsonl": frame.write_ndjson,
    }
    write[suffix](path)
    assert read_entities(file(path), RULESET).select("entity_id", "kind").rows() == [("a", "person"), ("b", "company")]
    assert read_frame(file(path)).columns == ["entity_id", "kind"]


@pytest.mark.parametrize(
    "read",
    [read_linked, lambda rows: read_slice(rows, 0, 3), lambda rows: list(file_parts(rows.path / "1.parquet", 2))],
)
def test_a_part_that_is_replaced_while_rows_are_read_is_refused(
    read: Callable[[TableFile], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "lake.parquet"
    lake.mkdir()
    for number in range(2):
        pl.DataFrame({"user_id": ["a", "b"], "age": [number, 1]}).write_parquet(lake / f"{number}.parquet")

    def replacing(name: str) -> Callable[..., object]:
        method = getattr(pl.LazyFrame, name)

        def replace(*arguments: object, **options: object) -> object:
            pl.DataFrame({"user_id": ["a", "c"], "age": [8, 9]}).write_parquet(lake / "1.parquet")
            return method(*arguments, **options)

        return replace

    for name in ("collect", "collect_batches"):
        monkeypatch.setattr(pl.LazyFrame, name, replacing(name))
    with pytest.raises(FileFormatError, match="was changed while it was read"):
        read(file(lake))


def test_a_value_of_a_wrong_type_in_json_stands_beside_its_field(tmp_path: Path) -> None:
    path = tmp_path / "entities.json"
    path.write_text(json.dumps(ROWS))
    made = read_entities(file(path), RULESET)
    assert made["kind"].to_list() == ["person", None]
    assert made["kind!"].to_list() == [None, "7"]
    assert made["age!"].to_list() == [None, "'old'"]


def test_several_rows_of_an_entity_keep_when_they_were_known(tmp_path: Path) -> None:
    path = tmp_path / "entities.json"
    path.write_text(json.dumps([{**row, "known_at": "2024-01-01"} for row in ROWS]))
    assert read_entities(file(path), RULESET)["known_at"].to_list() == ["2024-01-01"] * 2


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        ("a.json", "{", FileFormatError, "cannot be read"),
        ("a.json", "[" * 5_000, FileFormatError, "cannot be read: it is nested too deeply"),
        ("a.json", "9" * 5_000, FileFormatError, "cannot be read: it has a number of more than 4300 digits"),
        ("a.json", '{"entity_id": 1}', FileFormatError, "must hold objects, one for each entity"),
        ("a.json", "[{}]", FileFormatError, "has no row with an entity_id"),
        ("a.csv", "x\n1\n", FileFormatError, "has no column entity_id"),
        ("a.parquet", "x", FileFormatError, "cannot be read"),
        ("a.txt", "", ConfigError, "must end in"),
        ("gone.csv", None, ConfigError, "there is no file"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: str | None, kind: type[Exception], message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(kind, match=message):
        read_entities(file(path), RULESET)


def test_identifiers_with_decimals_are_refused_instead_of_being_nobody_s(tmp_path: Path) -> None:
    pl.DataFrame({"user_id": [1.0, None]}).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(FileFormatError, match="user_id is Float64; identifiers must be text or whole numbers"):
        read_frame(file(tmp_path / "rows.parquet"))


def test_a_rounded_identifier_of_a_mapped_column_is_a_row_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("konto,entity_id\n1.23E+11,a\n124,b\n", encoding="utf-8")
    warnings: list[str] = []
    names = {"konto": "transaction_id"}
    read = read_linked(TableFile(tmp_path / "rows.csv", warnings.append, lambda frame: frame.rename(names)))
    assert read["entity_id"].to_list() == ["b", "a"]
    assert "row 2 of rows.csv has a transaction_id that lost digits" in read[NOT_READ][1]
    assert len(warnings) == 2


@pytest.mark.parametrize("amounts", [["5.00"] * 1_000, [5.0] * 1_000])
def test_amounts_without_their_signs_are_warned_of(amounts: list[object]) -> None:
    def warnings_of(rows: pl.DataFrame) -> list[str]:
        found: list[str] = []
        TransactionRows.counted(rows, rows).warn_of_amounts(Path("rows.csv"), found.append)
        return found

    rows = pl.DataFrame({"entity_id": ["a"] * 1_000, "transaction_amount": amounts})
    text = "rows.csv: no amount is below 0, so every row is a deposit: a withdrawal is a negative amount"
    assert warnings_of(rows) == [text]
    assert warnings_of(rows[1:]) == []
    payout = rows[:1].with_columns(transaction_amount=pl.lit("-1").cast(rows.schema["transaction_amount"]))
    assert warnings_of(pl.concat([rows, payout])) == []


def test_a_torn_line_of_json_is_a_row_of_the_entity_that_it_names(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text(
        '{"entity_id": "a", "country": 5}\n\n{"entity_id": "b", "country": "I\n{"entity_i\n{"entity_id": "c"}'
    )
    found = read_entities(file(path), RULESET)
    assert found["entity_id"].to_list() == ["a", "c", "b"]
    wrong = found["country!"].to_list()
    assert wrong[:2] == ["5", None]
    assert wrong[2].startswith("not known, since row 3 of people.jsonl is not valid JSON: Unterminated string")
    linked = read_linked(file(path.rename(tmp_path / "tags.ndjson")))
    assert linked["entity_id"].to_list() == ["a", "c", "b", None]
    assert linked["@not_read"].is_not_null().to_list() == [False, False, True, True]


def test_a_decimal_number_of_too_many_digits_is_refused_by_its_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    wide = pa.array([Decimal("5.25")], pa.decimal256(39, 2))
    pq.write_table(pa.table({"user_id": ["a"], "transaction_amount": wide}), path)
    words = r"rows.parquet cannot be read: the column transaction_amount is decimal256\(39, 2\); allowed: at most 38 "
    with pytest.raises(FileFormatError, match=words):
        read_linked(file(path))


def test_a_file_of_torn_lines_alone_is_refused_with_each(tmp_path: Path) -> None:
    path = tmp_path / "tags.jsonl"
    path.write_text('{"entity_id": "a",\n{"entity_i\n')
    with pytest.raises(InvalidDataError, match=r"row 1: line is not valid JSON: .*\nrow 2: line is not valid JSON: "):
        read_linked(file(path))


def test_a_row_that_comes_twice_counts_once_and_rows_without_an_id_all_count() -> None:
    rows = [("a", "t1", 5.0), ("a", "t1", 5.0), ("a", None, 7.0), ("a", None, 7.0), ("b", "t1", 5.0), ("a", "", 7.0)]
    frame = pl.DataFrame(rows, schema=["entity_id", "transaction_id", "amount"], orient="row")
    assert without_repeats(frame).rows() == [rows[0], rows[2], rows[3], rows[4], rows[5]]
    assert without_repeats(frame.drop("transaction_id")).height == len(rows)


def test_one_transaction_of_two_contents_is_marked_as_what_fails_its_entity() -> None:
    columns = {"entity_id": ["a", "a", "b"], "transaction_id": ["t1", "t1", "t1"], "amount": [5.0, 6.0, 5.0]}
    assert without_repeats(pl.DataFrame(columns))["@contradicts"].to_list() == ["amount", "amount", None]
    written = {**columns, "amount": ["5", "5.00", "5"], "on": ["2024-02-01", "2024-02-01T00:00:00Z", "2024-02-01"]}
    assert without_repeats(pl.DataFrame(written))["@contradicts"].to_list() == ["amount, on", "amount, on", None]


def test_int96_beyond_what_nanoseconds_hold_is_what_it_says(tmp_path: Path) -> None:
    moments = [datetime(2600, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)]
    table = pa.table({"entity_id": ["a", "b"], "at": pa.array(moments, pa.timestamp("us"))})
    path = tmp_path / "old.parquet"
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, store_schema=False)
    assert read_linked(file(path))["at"].dt.year().to_list() == [2600, 2024]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.json", "rows.jsonl"])
def test_signs_in_a_name_are_no_pattern(tmp_path: Path, name: str) -> None:
    for folder in ("a1", "a[1]"):
        (tmp_path / folder).mkdir()
        frame = pl.DataFrame({"entity_id": [folder]})
        {"parquet": frame.write_parquet, "csv": frame.write_csv, "json": frame.write_json, "jsonl": frame.write_ndjson}[
            name.partition(".")[2]
        ](tmp_path / folder / name)
    assert read_frame(file(tmp_path / "a[1]" / name))["entity_id"].to_list() == ["a[1]"]


def test_a_folder_is_parquet_whatever_its_name(tmp_path: Path) -> None:
    for name in ("rows", "rows.csv"):
        (tmp_path / name).mkdir()
        for number, entity in enumerate("ab"):
            pl.DataFrame({"entity_id": [entity]}).write_parquet(tmp_path / name / f"{number}.parquet")
        assert read_frame(file(tmp_path / name))["entity_id"].to_list() == ["a", "b"]
