"""Grouping a file by customer, out of core."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fivefold.domain.errors import ConfigError, FileFormatError, FivefoldError, InvalidDataError
from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.reading import csv_file, json_lines, tables, text_files
from fivefold.features.reading import sort_file as sort
from fivefold.features.reading.sort_file import sort_by_customer
from fivefold.features.reading.sources import read_histories
from fivefold.features.reading.text_files import ColumnMap, MappedFile
from tests.features.oracle.equality import by_user
from tests.features.oracle.strategies import AS_OFS, RATES, Row, iso, row
from tests.features.reading.test_tables import FORMS, arrow, as_csv, written

CHANCE = random.Random(3)
LEDGER = [
    row(
        user_id=f"u{CHANCE.randrange(20)}",
        transaction_id=str(number),
        transaction_date=iso(AS_OFS[0] - CHANCE.randrange(10**12) * 10),
        user_balance=float(number),
    )
    for number in range(200)
]


def read(path: Path) -> Histories:
    return read_histories(path, RATES)


@pytest.mark.parametrize("rows_a_bucket", [1_000, 200, 60, 7])
@pytest.mark.parametrize("form", ["parquet", "csv", "json", "json lines", "parquet of dictionaries", "parquet folder"])
def test_what_was_refused_is_taken_once_it_is_sorted(
    form: str, rows_a_bucket: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sort, "ROWS_A_BUCKET", rows_a_bucket)
    source = folder_of(LEDGER, tmp_path) if form == "parquet folder" else FORMS[form](LEDGER, tmp_path)
    output = tmp_path / "grouped.parquet"
    assert sort_by_customer(source, output) == len(LEDGER)
    assert by_user(read(output)) == by_user(read_histories(LEDGER, RATES))
    assert not [path for path in tmp_path.iterdir() if path.suffix not in {".parquet", ".csv", ".json", ".jsonl", ""}]


def folder_of(rows: list[Row], tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    for number in range(4):
        pq.write_table(arrow(rows[number * 50 : number * 50 + 50]), folder / f"{number}.parquet")
    return folder


def test_money_in_csv_that_is_no_number_is_named(tmp_path: Path) -> None:
    rows = [*LEDGER[:7], row(user_balance="much"), row(transaction_amount=None)]
    with pytest.raises(InvalidDataError) as caught:
        sort_by_customer(as_csv(rows, tmp_path), tmp_path / "grouped.parquet")
    found = [(problem.row, problem.field, problem.problem) for problem in caught.value.problems]
    assert found == [(7, c.BALANCE, "is 'much'"), (8, c.AMOUNT, "is missing")]
    assert not (tmp_path / "grouped.parquet").exists()


def test_bad_rows_have_the_numbers_that_reading_gives_them(tmp_path: Path) -> None:
    """Empty lines and torn ones count, and all that is wrong is said at once."""
    text = as_csv([*LEDGER[:3], row(user_balance="much")], tmp_path).read_text().splitlines()
    path = written(tmp_path / "bad.csv", "\n".join([text[0], text[1], "", *text[2:], "ann"]))
    said = []
    for work in (read, lambda source: sort_by_customer(source, tmp_path / "grouped.parquet")):
        with pytest.raises(InvalidDataError) as caught:
            work(path)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "row 6: user_balance is 'much'" in said[0]
    assert "row 7: line has 1 field" in said[0]


def _grown(path: Path) -> None:
    path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")


def _cut(path: Path) -> None:
    path.write_text("\n".join(path.read_text().splitlines()[:100]) + "\n")


def _of_other_rows(path: Path) -> None:
    """Give it other rows of the same number and size."""
    path.write_text(path.read_text().replace("u1", "u2"))


@pytest.mark.parametrize("change", [_grown, _cut, _of_other_rows])
@pytest.mark.parametrize("form", ["csv", "json lines"])
def test_text_that_changes_before_it_is_read_again_is_refused(
    form: str, change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FORMS[form](LEDGER, tmp_path)
    count = sort._count

    def count_and_change(source: MappedFile) -> int:
        rows = count(source)
        change(path)
        return rows

    monkeypatch.setattr(sort, "_count", count_and_change)
    with pytest.raises(FileFormatError, match=f"{path.name} was changed while it was read: read it again once it is"):
        sort_by_customer(path, tmp_path / "grouped.parquet")
    assert list(tmp_path.iterdir()) == [path]


def test_text_that_has_another_number_on_the_disk_is_no_other_text(tmp_path: Path) -> None:
    """A mount by sshfs or rclone may give the same file another one while it is read."""
    path, copy = as_csv(LEDGER, tmp_path), tmp_path / "copy.csv"
    with text_files.unchanged(path):
        shutil.copy2(path, copy)
        copy.rename(path)


@pytest.mark.parametrize("form", ["csv", "json", "json lines"])
def test_text_that_changes_while_it_is_read_is_refused(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FORMS[form](LEDGER, tmp_path)
    opened = text_files.open_text

    def open_and_change(file: Path, *arguments: str | None, **options: str | None) -> IO[str]:
        text = opened(file, *arguments, **options)
        text.read(1)
        text.seek(0)
        path.write_text(path.read_text() + "\n")
        return text

    for module in (csv_file, json_lines, tables):
        monkeypatch.setattr(module, "open_text", open_and_change)
    with pytest.raises(FivefoldError, match=f"{path.name} was changed while it was read"):
        read(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_columns_of_other_names_are_sorted_under_ours(suffix: str, tmp_path: Path) -> None:
    theirs = pl.from_arrow(arrow(LEDGER)).rename({c.USER_ID: "who", c.AMOUNT: "paid"})
    path = tmp_path / f"rows{suffix}"
    {".csv": theirs.write_csv, ".jsonl": theirs.write_ndjson, ".parquet": theirs.write_parquet}[suffix](path)
    with pytest.raises(
        FileFormatError, match=r"has no column user_id; it has .*A column of another name is given by --"
    ):
        sort_by_customer(path, tmp_path / "grouped.parquet")
    file = MappedFile(path, ColumnMap({"who": c.USER_ID, "paid": c.AMOUNT}))
    assert sort_by_customer(file, tmp_path / "grouped.parquet") == len(LEDGER)
    assert by_user(read(tmp_path / "grouped.parquet")) == by_user(read_histories(LEDGER, RATES))


def test_all_columns_are_kept_and_time_order_as_well(tmp_path: Path) -> None:
    table = pl.from_arrow(arrow(LEDGER)).with_columns(note=pl.int_range(pl.len())).sort("user_balance")
    table.write_parquet(tmp_path / "a.parquet")
    sort_by_customer(tmp_path / "a.parquet", tmp_path / "b.parquet")
    after = pl.read_parquet(tmp_path / "b.parquet")
    assert after.columns == table.columns
    assert after.sort("note").equals(table.sort("note"))
    for _, of_user in after.group_by(c.USER_ID, maintain_order=True):
        assert of_user[c.DATE].is_sorted()


def test_all_columns_of_json_are_kept_wherever_they_begin(tmp_path: Path) -> None:
    rows = [row(), row(note="late"), row(transaction_state=...)]
    sort_by_customer(written(tmp_path / "a.json", json.dumps(rows)), tmp_path / "b.parquet")
    assert pq.read_table(tmp_path / "b.parquet")["note"].to_pylist() == [None, "late", None]
    assert by_user(read(tmp_path / "b.parquet")) == by_user(read_histories(rows, RATES))


def test_sorting_onto_itself_is_safe(tmp_path: Path) -> None:
    path = FORMS["parquet"](LEDGER, tmp_path)
    sort_by_customer(path, path)
    assert by_user(read(path)) == by_user(read_histories(LEDGER, RATES))


@pytest.mark.parametrize("missing", [c.USER_ID, c.DATE])
def test_a_missing_column_is_named(missing: str, tmp_path: Path) -> None:
    pq.write_table(arrow(LEDGER).drop_columns([missing]), tmp_path / "a.parquet")
    with pytest.raises(FileFormatError, match=f"has no column {missing}; it has"):
        sort_by_customer(tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert not (tmp_path / "b.parquet").exists()


def test_nothing_to_sort_says_so(tmp_path: Path) -> None:
    pq.write_table(arrow([]), tmp_path / "a.parquet")
    with pytest.raises(FileFormatError, match="has no rows"):
        sort_by_customer(tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet"]


def test_rows_without_a_customer_are_kept_for_validation_to_name(tmp_path: Path) -> None:
    pq.write_table(arrow([row(user_id=None), row(), row(user_id=None)]), tmp_path / "a.parquet")
    assert sort_by_customer(tmp_path / "a.parquet", tmp_path / "b.parquet") == 3
    assert pq.read_metadata(tmp_path / "b.parquet").num_rows == 3


def test_what_cannot_be_sorted_is_refused_in_our_words(tmp_path: Path) -> None:
    files = [
        written(tmp_path / "a.json", "[5]"),
        written(tmp_path / "b.json", '{"a": 1}'),
        written(tmp_path / "c.json", "[]"),
        written(tmp_path / "f.json", '[{"user_id": 1}, {"user_id": "a"}]'),
        written(tmp_path / "g.json", '[{"user_id": "a"}, {"user_id": {"a": 1}}]'),
        written(tmp_path / "h.json", '["user_id"]'),
        written(tmp_path / "k.json", '[{"user_id": "a", "user_balance": 1.5}, {"user_id": "a", "user_balance": true}]'),
        written(tmp_path / "i.json", '[{"user_id": "\\ud800"}]'),
        written(tmp_path / "j.json", f'[{{"user_id": {2**70}}}]'),
        written(tmp_path / "d.csv", ""),
        written(tmp_path / "e.parquet", "no"),
        tmp_path / "none.csv",
    ]
    for file in files:
        with pytest.raises(FivefoldError):
            sort_by_customer(file, tmp_path / "out.parquet")
    assert sorted(tmp_path.iterdir()) == sorted(files[:-1])


def test_files_that_disagree_in_types_are_refused_in_our_words(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    folder.mkdir()
    table = arrow(LEDGER)
    pq.write_table(table, folder / "a.parquet")
    pq.write_table(table.set_column(2, table.column_names[2], pa.array([True] * len(LEDGER))), folder / "b.parquet")
    with pytest.raises(FivefoldError):
        sort_by_customer(folder, tmp_path / "out.parquet")


def test_a_column_that_is_there_twice_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "user_id,user_id,transaction_date\na,a,2024-01-01\n")
    with pytest.raises(FileFormatError, match="has more than one column user_id"):
        sort_by_customer(path, tmp_path / "b.parquet")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = FORMS["parquet"](LEDGER, tmp_path)
    with pytest.raises(ConfigError, match=r"cannot be written: there is no folder .*none"):
        sort_by_customer(path, tmp_path / "none" / "b.parquet")


@pytest.mark.parametrize("rows_a_bucket", [1_000, 7])
def test_rows_of_one_customer_and_moment_keep_their_order(
    rows_a_bucket: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sort, "ROWS_A_BUCKET", rows_a_bucket)
    rows = [row(user_id=f"u{number % 3}", user_balance=float(number)) for number in range(60)]
    pq.write_table(arrow(rows), tmp_path / "a.parquet")
    sort_by_customer(tmp_path / "a.parquet", tmp_path / "b.parquet")
    after = pl.read_parquet(tmp_path / "b.parquet")
    for _, of_user in after.group_by(c.USER_ID):
        assert of_user[c.BALANCE].is_sorted()


def test_dates_of_several_zones_give_the_same_histories_once_they_are_sorted(tmp_path: Path) -> None:
    dates = ["2024-01-02T00:30:00+02:00", "2024-01-01T23:00:00Z", "2024-01-01T22:30:00", "2024-01-01T23:30:00+01:00"]
    rows = [row(user_id="ab"[place % 2], transaction_date=day, user_balance=place) for place, day in enumerate(dates)]
    path = as_csv(rows, tmp_path)
    sort_by_customer(path, tmp_path / "grouped.parquet")
    assert by_user(read(tmp_path / "grouped.parquet")) == by_user(read(path))


def test_an_error_in_the_middle_leaves_no_bucket_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sort, "ROWS_A_BUCKET", 7)
    path = FORMS["parquet"](LEDGER, tmp_path)

    def fails(_: pa.Table) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sort, "_sorted", fails)
    with pytest.raises(KeyboardInterrupt):
        sort_by_customer(path, tmp_path / "b.parquet")
    assert list(tmp_path.iterdir()) == [path]


def test_customers_that_are_no_text_are_refused(tmp_path: Path) -> None:
    for values in ([["a"]], [{"id": "a"}], [b"\xff"]):
        table = arrow([row()])
        table = table.set_column(table.column_names.index(c.USER_ID), c.USER_ID, pa.array(values))
        pq.write_table(table, tmp_path / "rows.parquet")
        with pytest.raises(FileFormatError, match="in the column user_id; allowed: text that is not empty"):
            sort_by_customer(tmp_path / "rows.parquet", tmp_path / "sorted.parquet")
        assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]
