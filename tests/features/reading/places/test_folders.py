"""Transactions in folders, partitions and patterns are the same bits as in one file; other rows are refused."""

import os
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.errors import FileFormatError
from fivefold.features.histories import Histories
from fivefold.features.reading import sources
from fivefold.features.reading.places.stores import takes_in
from fivefold.features.reading.sort_file import sort_by_customer
from fivefold.features.reading.sources import read_histories, stream_histories
from fivefold.features.reading.text_files import ColumnMap
from fivefold.training.data import TransactionSource
from tests.depth import examples
from tests.features.oracle.equality import same, scan_parquet
from tests.features.oracle.strategies import AS_OFS, RATES, Row, ledgers, row
from tests.features.reading.places.lakes import WHOLE, in_order, moments, one_file, read, write_partitions
from tests.features.reading.test_tables import arrow, grouped


@pytest.mark.parametrize("key", ["transaction_currency", "user_id", "user_category"])
def test_a_column_in_the_names_of_folders_is_read(key: str, lake: Path, expected: Histories) -> None:
    write_partitions(WHOLE, lake, key)
    assert same(read(lake), expected)
    assert same(read(f"{lake}/*/*.parquet"), expected)
    assert same(read(f"{lake}/{key}=*"), expected)


def test_one_folder_of_partitions_keeps_what_its_name_says(lake: Path, tmp_path: Path) -> None:
    write_partitions(WHOLE, lake, "transaction_currency")
    of_usd = one_file(WHOLE.filter(pa.compute.equal(WHOLE["transaction_currency"], "USD")), tmp_path)
    assert same(read(lake / "transaction_currency=USD"), of_usd)
    assert same(read(lake / "transaction_currency=USD" / "part-0.parquet"), of_usd)


def test_a_file_that_contradicts_its_folder_is_named(lake: Path) -> None:
    below = lake / "transaction_currency=GBP"
    below.mkdir()
    pq.write_table(WHOLE, below / "a.parquet")
    with pytest.raises(FileFormatError, match=r"a\.parquet has rows whose transaction_currency is not 'GBP'"):
        read(lake)


def test_a_folder_by_a_name_of_the_file_is_mapped(lake: Path, expected: Histories) -> None:
    renamed = WHOLE.rename_columns(["money" if name == "transaction_currency" else name for name in WHOLE.column_names])
    write_partitions(renamed, lake, "money")
    assert same(read(lake, names=ColumnMap({"money": "transaction_currency"})), expected)


@settings(max_examples=examples(25), deadline=None)
@given(ledgers(AS_OFS[0]), st.data())
def test_any_division_into_files_is_one_file(ledger: list[Row], data: st.DataObject) -> None:
    rows = grouped([one | {"transaction_date": f"2024-01-01T00:{place // 60 % 60:02}:{place % 60:02}"}
                    for place, one in enumerate(ledger)])  # fmt: skip
    rows = rows or [row()]
    files = [data.draw(st.integers(0, 3)) for _ in rows]
    with TemporaryDirectory() as folder:
        for number in sorted(set(files)):
            below = Path(folder) / f"year={number % 2}"
            below.mkdir(exist_ok=True)
            chosen = [one for one, file in zip(rows, files, strict=True) if file == number]
            pq.write_table(arrow(chosen), below / f"{9 - number}.parquet")
        assert same(read(folder), in_order(read_histories(rows, RATES)))


def test_what_writers_leave_beside_the_data_is_not_read(lake: Path, expected: Histories) -> None:
    pq.write_table(WHOLE, lake / "a.parquet")
    for hidden in ("_temporary/0/b.parquet", ".b.parquet", "_b.parquet", "_SUCCESS", ".a.parquet.crc"):
        (lake / hidden).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(WHOLE, lake / hidden)
    assert same(read(lake), expected)
    assert same(read(f"{lake}/*"), expected)


@pytest.mark.parametrize("pattern", ["", "/*", "/*/*.parquet", "/**/*.parquet", "/**"])
def test_links_are_followed_and_each_file_is_read_once(pattern: str, lake: Path, expected: Histories) -> None:
    write_partitions(WHOLE, lake, "transaction_currency")
    elsewhere = lake.parent / "elsewhere"
    (lake / "transaction_currency=USD").rename(elsewhere)
    (lake / "transaction_currency=USD").symlink_to("../elsewhere")
    (lake / "again").symlink_to("transaction_currency=EUR")
    (lake / "transaction_currency=EUR" / "again.parquet").symlink_to("part-0.parquet")
    (elsewhere / "circle").symlink_to(lake)
    assert same(read(f"{lake}{pattern}"), expected)


def test_a_link_to_what_is_hidden_is_read(lake: Path, expected: Histories) -> None:
    (lake / "..2024").mkdir()
    pq.write_table(WHOLE, lake / "..2024" / "a.parquet")
    (lake / "present").symlink_to("..2024")
    assert same(read(lake), expected)


def test_a_link_into_a_table_is_refused(lake: Path) -> None:
    table = lake.parent / "table"
    write_deltalake(str(table), moments(WHOLE), partition_by=["transaction_currency"])
    (lake / "transaction_currency=USD").symlink_to(table / "transaction_currency=USD")
    with pytest.raises(FileFormatError, match="is inside the table of Delta"):
        read(lake)


def test_a_file_without_a_column_of_the_others_is_named(lake: Path) -> None:
    pq.write_table(WHOLE, lake / "a.parquet")
    pq.write_table(WHOLE.drop_columns(["transaction_currency"]), lake / "b.parquet")
    with pytest.raises(FileFormatError, match=r"b\.parquet has no column transaction_currency, which .*a\.parquet has"):
        read(lake)


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_files_of_texts_in_any_form_are_joined(order: slice, lake: Path, expected: Histories) -> None:
    """A mix of plain text, large text and views of it, as delta-rs and Polars write them; and rows in any order."""
    places = list(range(len(WHOLE)))[order]
    for number, kind in enumerate((pa.string_view(), pa.large_string(), pa.string())):
        part = WHOLE.take(places[number::3])
        fields = [each.with_type(kind) if pa.types.is_string(each.type) else each for each in part.schema]
        pq.write_table(part.cast(pa.schema(fields)), lake / f"{number}.parquet")
    assert same(read(lake), expected)
    assert sort_by_customer(lake / "0.parquet", lake.parent / "out.parquet") == 4


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("transaction_date", pa.timestamp("ms", "UTC"), pa.timestamp("ns", "UTC")),
        ("transaction_amount", pa.int32(), pa.float64()),
        ("transaction_amount", pa.decimal128(20, 2), pa.decimal128(24, 4)),
        ("user_id", pa.string(), pa.large_string()),
    ],
)
@pytest.mark.parametrize("is_turned", [False, True])
def test_files_of_types_that_hold_each_other_are_scored_and_sorted(
    name: str, one: pa.DataType, other: pa.DataType, is_turned: bool, lake: Path
) -> None:
    rows = moments(WHOLE)
    place = rows.column_names.index(name)
    whole = pa.compute.round(rows["transaction_amount"])
    rows = rows.set_column(rows.column_names.index("transaction_amount"), "transaction_amount", whole)
    for number, kind in enumerate((other, one) if is_turned else (one, other)):
        half = rows.slice(number * 2, 2 if not number else None)
        columns = [*half.column_names[::-1]] if number else half.column_names
        half = half.set_column(place, name, half[name].cast(kind, safe=False))
        pq.write_table(half.select(columns), lake / f"{number}.parquet")
    expected = one_file(rows, lake.parent)
    assert same(read(lake), expected)
    assert sort_by_customer(lake, lake.parent / "sorted.parquet") == len(rows)
    assert same(read(lake.parent / "sorted.parquet"), expected)


def test_fractions_of_32_bits_beside_64_are_refused_by_the_file(lake: Path) -> None:
    place = WHOLE.column_names.index("transaction_amount")
    narrow = WHOLE.set_column(place, "transaction_amount", WHOLE["transaction_amount"].cast(pa.float32(), safe=False))
    pq.write_table(WHOLE, lake / "a.parquet")
    pq.write_table(narrow, lake / "b.parquet")
    for work in (read, lambda place: sort_by_customer(place, place.parent / "sorted.parquet")):
        with pytest.raises(FileFormatError, match=r"b\.parquet has the column transaction_amount as float, and .*a\."):
            work(lake)


def test_int96_beyond_what_nanoseconds_hold_is_what_it_says(tmp_path: Path) -> None:
    rows = moments(WHOLE)
    place = rows.column_names.index("user_created")
    late = pa.array([datetime(2600, 1, 1, tzinfo=UTC)] * len(rows), pa.timestamp("us"))
    rows = rows.set_column(place, "user_created", late)
    pq.write_table(rows, tmp_path / "old.parquet", use_deprecated_int96_timestamps=True, store_schema=False)
    assert same(read(tmp_path / "old.parquet"), one_file(rows, tmp_path))


def test_a_file_with_a_column_of_another_type_is_named(lake: Path) -> None:
    pq.write_table(WHOLE, lake / "a.parquet")
    place = WHOLE.column_names.index("transaction_amount")
    pq.write_table(WHOLE.set_column(place, "transaction_amount", [["5"] * len(WHOLE)]), lake / "b.parquet")
    with pytest.raises(FileFormatError, match=r"b\.parquet has the column transaction_amount as string"):
        read(lake)


@pytest.mark.parametrize(
    "change", ["a file more", "a file less", "another file", "another file of the same size and moment"]
)
def test_a_folder_that_changes_between_two_passes_is_refused(change: str, lake: Path) -> None:
    pq.write_table(WHOLE.slice(0, 8), lake / "a.parquet")
    pq.write_table(WHOLE.slice(8), lake / "b.parquet")
    source = TransactionSource(lake, RATES)
    assert sum(part.rows for part in source.batches("a pass")) == len(WHOLE)
    assert sum(part.rows for part in source.batches("the same")) == len(WHOLE)
    if change == "a file less":
        (lake / "b.parquet").unlink()
    elif change == "another file of the same size and moment":
        stamp, other = (lake / "b.parquet").stat(), lake.parent / "other.parquet"
        pq.write_table(WHOLE.slice(8), other)
        os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        other.rename(lake / "b.parquet")
    else:
        pq.write_table(WHOLE.slice(9), lake / ("c.parquet" if change == "a file more" else "b.parquet"))
    with pytest.raises(FileFormatError, match="changed while it was read"):
        list(source.batches("a second"))


def test_a_folder_that_changes_during_a_pass_is_refused(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PARQUET_ROWS_SORTED", -1)
    pq.write_table(WHOLE.slice(0, 8), lake / "a.parquet")
    pq.write_table(WHOLE.slice(8), lake / "b.parquet")
    parts = stream_histories(lake, RATES)
    next(parts)
    pq.write_table(WHOLE.slice(4), lake / "a.parquet")
    with pytest.raises(FileFormatError, match="changed while it was read"):
        list(parts)


def test_signs_of_a_pattern_in_the_name_of_what_is_there_are_its_own(lake: Path, expected: Histories) -> None:
    write_partitions(WHOLE, lake, "user_category")
    folder = lake.rename(lake.with_name("rows [1]*"))
    assert same(in_order(read(folder)), expected)
    assert same(in_order(read(f"file://{folder}")), expected)


@pytest.mark.parametrize("name", ["", "/a.parquet"])
def test_a_version_of_files_that_are_no_table_is_refused(name: str, lake: Path) -> None:
    pq.write_table(WHOLE, lake / "a.parquet")
    with pytest.raises(FileFormatError, match="is not a table of Delta or Iceberg, so there is no version 1"):
        read(f"{lake}{name}@1")


def test_a_folder_of_nothing_and_a_pattern_of_nothing(lake: Path) -> None:
    with pytest.raises(FileFormatError, match=r"is a folder without a file ending in \.parquet"):
        read(lake)
    with pytest.raises(FileFormatError, match="no file is called as"):
        read(f"{lake}/*.parquet")
    with pytest.raises(FileFormatError, match="does not exist"):
        read(lake / "none.parquet")
    (lake / "notes.txt").write_text("none", encoding="utf-8")
    with pytest.raises(FileFormatError, match=r"notes\.txt does not end in \.parquet"):
        read(f"{lake}/*")


@pytest.mark.parametrize("name", ["000001_0", "b.parq", "b.parquet.gz", "README.md", "deep/b.csv"])
def test_a_file_of_a_folder_with_another_ending_is_refused_by_its_name(name: str, lake: Path) -> None:
    pq.write_table(WHOLE, lake / "a.parquet")
    (lake / name).parent.mkdir(exist_ok=True)
    pq.write_table(WHOLE, lake / name)
    with pytest.raises(FileFormatError, match=rf"{name} does not end in \.parquet; .*if it is Parquet, give it that"):
        read(lake)
    with pytest.raises(FileFormatError, match=f"{name} does not end in"):
        scan_parquet(lake)
    read(f"{lake}/**/*.parquet")


def test_an_address_takes_in_its_own_files_alone(tmp_path: Path) -> None:
    rows, other = tmp_path / "rows.parquet", tmp_path / "other.parquet"
    data, metadata = tmp_path / "table" / "data" / "a.parquet", tmp_path / "table" / "metadata" / "1.metadata.json"
    for file in (rows, other, data, metadata):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert takes_in(Path(f"file://{rows}"), rows)
    assert not takes_in(Path(f"file://{rows}"), other)
    assert not takes_in(Path(f"file://{rows}"), tmp_path / "new.parquet")
    assert takes_in(metadata, data)
    assert not takes_in(metadata, rows)
    assert not takes_in(metadata, data.with_name("report.html"))
    assert not takes_in(Path("s3://bank/lake"), rows)


def test_a_folder_of_parquet_alone_takes_in_any_file(lake: Path) -> None:
    """It would stand in the way the next time; in a folder of other things, such as a model, it does not."""
    pq.write_table(WHOLE, lake / "a.parquet")
    assert takes_in(lake, lake / "report.html")
    assert takes_in(lake, lake / "_scores.csv")
    for hidden in ("_report.html", "_reports/report.html", ".reports/report.html"):
        for address in (lake, Path(f"{lake}/**")):
            assert not takes_in(address, lake / hidden)
        (lake / hidden).parent.mkdir(exist_ok=True)
        (lake / hidden).touch()
        assert not takes_in(lake, lake / hidden), "it may be written again"
    (lake / "model.json").touch()
    assert not takes_in(lake, lake / "report.html")
    assert takes_in(lake, lake / "scores.csv")
