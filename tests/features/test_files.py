"""CSV and JSON as people and programs write them, and files that cannot be read."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fivefold.domain.errors import FileFormatError, InvalidDataError
from fivefold.features import schema as c
from fivefold.features.reading.sources import read_histories
from fivefold.features.reading.text_files import ColumnMap, MappedFile
from tests.features.oracle.equality import same
from tests.features.oracle.strategies import RATES, row
from tests.features.reading.test_tables import as_csv, read, written

HEAD = "transaction_date,user_id,user_category,user_created,transaction_amount,user_balance,transaction_currency"


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}\n2024-06-01T12:00:00,ann,WEB,2023-01-15,20.5,120.5,EUR\n",
        f"\ufeff{HEAD}\n2024-06-01T12:00:00,ann,WEB,2023-01-15,20.5,120.5,EUR",
        f"{HEAD}\r\n2024-06-01T12:00:00Z,ann,WEB,2023-01-15,+20.50,1.205e2,EUR\r\n\r\n",
        f'{HEAD}\n"2024-06-01T12:00:00","ann","WEB","2023-01-15","20.5","120.5","EUR"\n',
        f'{HEAD},transaction_state,note\n2024-06-01 12:00,ann,WEB,2023-01-15,20.5,120.5,EUR,,"a, ""b"""\n',
        f"{HEAD},transaction_state,transaction_id\n2024-06-01 12:00,ann,WEB,2023-01-15,20.5,120.5,EUR,completed,t\n",
    ],
    ids=["plain", "byte order mark", "windows", "quoted", "quotes inside", "all columns"],
)
def test_csv_as_people_write_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(text.encode())
    rows = read([row(transaction_id="t") if "transaction_id" in text else row()])
    assert same(read(path), rows)
    assert same(read(str(path)), rows)


def test_text_in_csv_stays_text(tmp_path: Path) -> None:
    """No field is guessed to be a number, a time or nothing."""
    users = ["007", "1e5", "NULL", "nan", "true", "2024-01-01", " x ", "ü"]
    rows = [row(user_id=user, transaction_id=user) for user in users]
    assert read(as_csv(rows, tmp_path)).user_ids.to_pylist() == users


@pytest.mark.parametrize("field", c.REQUIRED)
def test_an_empty_field_in_csv_is_missing(field: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=f"1 problem in .*rows.csv .*\nrow 3: {field} is missing"):
        read(as_csv([row(), row(**{field: None})], tmp_path))


def test_a_bad_number_in_csv_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError) as caught:
        read(as_csv([row(), row(user_balance="1.000,50"), row(transaction_amount="nan")], tmp_path))
    assert [(found.row, found.problem) for found in caught.value.problems] == [(1, "is '1.000,50'"), (2, "is nan")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"is empty \(0 bytes\)$"),
        ("a.csv", b"\n", "is not CSV with a header line: its first line is empty"),
        ("a.csv", f"{HEAD}\n".encode(), "has no rows"),
        ("a.csv", b"a;b\n1;2\n", "has no column user_id, transaction_amount"),
        ("a.csv", "straße,betrag".encode("latin-1"), "is not text in UTF-8; a spreadsheet saves it so"),
        ("a.csv", b"PK\x03\x04\x14\x00\x00\x00\n", "is a workbook or another zip file by its first bytes, which"),
        ("a.csv", b"\x1f\x8b\x08\x00", "is a gzip file by its first bytes"),
        ("a.json", b"PAR1", "is a Parquet file by its first bytes"),
        ("a.jsonl", b"\xff\xfe[\x00", "is text in UTF-16 by its first bytes"),
        ("a.csv", f"{HEAD},user_id\n1,2,3,4,5,6,7,8\n".encode(), "has more than one column user_id"),
        ("a.json", b"", "is not valid JSON"),
        ("a.json", b'{"user_id": "a"}', "holds a JSON dict; it must be an array of rows"),
        ("a.json", b"[1, 2", "is not valid JSON"),
        ("a.json", b"[" + b"9" * 5000 + b"]", "is not valid JSON: it has a number of more than 4300 digits$"),
        ("a.json", b"[" * 100_000, "is not valid JSON"),
        ("a.json", b'["\xff"]', "is not valid JSON"),
        ("a.parquet", b"PAR1 but not really PAR1", "cannot be read as Parquet"),
        (
            "a.xlsx",
            b"",
            r"files that can be read end in .parquet, .csv, .json, .jsonl.*; save it as CSV UTF-8$",
        ),
        ("a", b"", "files that can be read end in"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_torn_lines_of_csv_are_named_with_everything_else_that_is_wrong(tmp_path: Path) -> None:
    good, bad = row(), row(user_balance="much")
    path = as_csv([good, good, bad], tmp_path)
    head, first, second, last = path.read_text().splitlines()
    path.write_text("\n".join([head, first, "", f"{second},more", "2024-06-01,\xff", last]), encoding="latin-1")
    with pytest.raises(InvalidDataError) as caught:
        read(path)
    named = [(problem.row, problem.field) for problem in caught.value.problems]
    assert named == [(2, "line"), (3, "line"), (4, "user_balance")]
    assert "row 5: line is not text in UTF-8; allowed: text in UTF-8, which a spreadsheet" in str(caught.value)
    assert "row 6: user_balance is 'much'" in str(caught.value)


def test_torn_lines_of_json_are_named_with_everything_else_that_is_wrong(tmp_path: Path) -> None:
    lines = [json.dumps(row()), "", '{"user_id": "a", "user_bal', json.dumps(row(user_balance="much"))]
    path = written(tmp_path / "a.jsonl", "\n".join(lines))
    with pytest.raises(InvalidDataError) as caught:
        read(path)
    named = [(problem.row, problem.field) for problem in caught.value.problems]
    assert named == [(2, "line"), (3, "user_balance")]
    assert "row 3: line is not valid JSON: Unterminated string starting at" in str(caught.value)
    assert "row 4: user_balance is 'much'" in str(caught.value)
    with pytest.raises(InvalidDataError, match="row 1: line is not valid JSON"):
        read(written(tmp_path / "b.ndjson", "nothing"))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("transaction_sate", c.STATE),
        ("Transaction State", c.STATE),
        ("transactionid", c.TRANSACTION_ID),
        ("status", c.STATE),
        ("txStatus", c.STATE),
        ("Currency Code", c.CURRENCY),
        ("ccy", c.CURRENCY),
    ],
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet", "rows.json", "rows.jsonl", "frame", "list", "table"])
def test_a_column_that_is_nearly_named_as_one_that_may_be_absent_is_refused(
    name: str, theirs: str, ours: str, tmp_path: Path
) -> None:
    """Else a failed transaction would count as money, and an amount of any currency as one of the base."""
    rows = pl.DataFrame([{name: value for name, value in row().items() if name != ours} | {theirs: "FAILED"}])
    path = tmp_path / name
    source: Any = {"frame": rows, "list": rows.to_dicts(), "table": rows.to_arrow()}.get(name, path)
    write = {".csv": rows.write_csv, ".parquet": rows.write_parquet, ".jsonl": rows.write_ndjson}.get(path.suffix)
    if write is not None:
        write(path)
    elif path.suffix:
        path.write_text(json.dumps(rows.to_dicts()))
    with pytest.raises(FileFormatError, match=f"has no column {ours}, and has {theirs}") as refused:
        read(source)
    option = f"--map '{theirs}={ours}'" if " " in theirs else f"--map {theirs}={ours}"
    assert (option if path.suffix else f"{theirs} to {ours}") in str(refused.value)
    if not path.suffix:
        assert ours == c.CURRENCY or read(rows.rename({theirs: "note"})).rows == 1  # a list must have a currency


def test_a_column_that_seems_ours_may_be_something_else(tmp_path: Path) -> None:
    rows = pl.DataFrame([{**row(), "status": "married"}]).drop(c.STATE)
    rows.write_csv(tmp_path / "rows.csv")
    with pytest.raises(FileFormatError, match=r"if status is something else, .*such as --map status=status_other"):
        read(tmp_path / "rows.csv")
    assert read_histories(MappedFile(tmp_path / "rows.csv", ColumnMap({"status": "status_other"})), RATES).rows == 1
    assert read(rows.with_columns(transaction_state=pl.lit("FAILED"))).rows == 1
    without = rows.drop("status").with_columns(balance=pl.lit(5.0)).drop(c.BALANCE)
    with pytest.raises(FileFormatError, match="has no column user_balance, and has balance"):
        read(without)
    assert read_histories(without, RATES, absent=(c.BALANCE,)).rows == 1  # the model reads none


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"none.csv does not exist; give a file ending in .parquet"):
        read(tmp_path / "none.csv")


def test_json_as_people_write_it(tmp_path: Path) -> None:
    assert read(written(tmp_path / "a.json", "[]")).rows == 0
    assert read(written(tmp_path / "a.jsonl", "\n")).rows == 0
    assert read(written(tmp_path / "A.JSON", "\ufeff" + json.dumps([row()]))).rows == 1
    for number in ("1e400", "NaN", "-Infinity", str(2**70), "true", '"5,0"'):
        text = json.dumps([row(user_balance="?")]).replace('"?"', number)
        with pytest.raises(InvalidDataError, match="row 1: user_balance is "):
            read(written(tmp_path / "b.json", text))


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_identifiers_of_json_may_be_whole_numbers(suffix: str, tmp_path: Path) -> None:
    text = json.dumps(row(user_id=7, transaction_id=8))
    path = written(tmp_path / f"a{suffix}", f"[{text}]" if suffix == ".json" else text)
    assert same(read(path), read([row(user_id="7", transaction_id="8")]))
    with pytest.raises(InvalidDataError, match="row 1: user_id is True"):
        read(written(tmp_path / "b.json", json.dumps([row(user_id=True)])))


def test_half_a_surrogate_pair_in_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=r"row 1: user_id is '\\udc00'"):
        read(written(tmp_path / "a.json", json.dumps([row(user_id="\udc00")])))
