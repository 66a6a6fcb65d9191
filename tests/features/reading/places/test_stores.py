"""Transactions at every kind of address are the same bits as in one file, and what would be other rows is refused."""

import json
import logging
import struct
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.utils.config import Config
from pyroaring import BitMap64

from fivefold.domain.errors import ConfigError, FileFormatError, InvalidDataError
from fivefold.features.histories import Histories
from fivefold.features.reading import sources
from fivefold.features.reading.sort_file import sort_by_customer
from fivefold.features.reading.sources import read_histories, require_columns, stream_histories
from fivefold.features.reading.text_files import ColumnMap, MappedFile
from fivefold.training.data import TransactionSource
from tests.depth import examples
from tests.features.equality import same
from tests.features.reading.test_tables import arrow, grouped
from tests.features.strategies import AS_OFS, RATES, Row, ledgers, row

ROWS: list[Row] = [
    row(
        user_id=user, user_balance=float(place), transaction_currency=currency, transaction_date=f"2024-0{place + 1}-03"
    )
    for user, currency in (("ann", "EUR"), ("bob", "USD"), ("cat", "EUR"))
    for place in range(4)
]
WHOLE = arrow(ROWS)


def moments(table: pa.Table) -> pa.Table:
    """The same rows with moments and not text, as tables of lakes keep them."""
    for name in ("transaction_date", "user_created"):
        place = table.column_names.index(name)
        column = table[name].cast(pa.string()).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
        table = table.set_column(place, name, column)
    return table


def in_order(histories: Histories) -> Histories:
    """Customers come in the order of the files; each one's history is what must be the same."""
    if not histories.customers:
        return histories
    return histories.take(np.argsort(histories.user_ids.to_numpy(zero_copy_only=False), kind="stable"))


def read(path: Path | str, **options: Any) -> Histories:
    return in_order(read_histories(MappedFile(Path(path), **options), RATES))


def one_file(table: pa.Table, folder: Path) -> Histories:
    pq.write_table(table, folder / "one.parquet")
    return read(folder / "one.parquet")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


@pytest.fixture
def expected(tmp_path: Path) -> Histories:
    return one_file(WHOLE, tmp_path)


def write_partitions(table: pa.Table, folder: Path, key: str) -> None:
    """Write as Spark does: what the folder says is not in the file."""
    for value in table[key].unique().to_pylist():
        below = folder / f"{key}={value}"
        below.mkdir()
        chosen = table.filter(pa.compute.equal(table[key], value)).drop_columns([key])
        pq.write_table(chosen, below / "part-0.parquet")


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


@pytest.mark.parametrize("change", ["a file more", "a file less", "another file"])
def test_a_folder_that_changes_between_two_passes_is_refused(change: str, lake: Path) -> None:
    pq.write_table(WHOLE.slice(0, 8), lake / "a.parquet")
    pq.write_table(WHOLE.slice(8), lake / "b.parquet")
    source = TransactionSource(lake, RATES)
    assert sum(part.rows for part in source.batches("a pass")) == len(WHOLE)
    assert sum(part.rows for part in source.batches("the same")) == len(WHOLE)
    if change == "a file less":
        (lake / "b.parquet").unlink()
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


# Delta


def test_a_table_of_delta_is_its_rows_of_today(lake: Path, tmp_path: Path) -> None:
    rows = moments(WHOLE)
    write_deltalake(str(lake), rows.slice(0, 7), partition_by=["transaction_currency"])
    write_deltalake(str(lake), rows.slice(7), mode="append")
    assert same(read(lake), one_file(rows, tmp_path))
    DeltaTable(str(lake)).delete("user_id = 'bob'")
    without = rows.filter(pa.compute.not_equal(rows["user_id"], "bob"))
    assert len(list(lake.rglob("*.parquet"))) > len(DeltaTable(str(lake)).file_uris())
    assert same(read(lake), one_file(without, tmp_path))
    assert same(read(f"{lake}@1"), one_file(rows, tmp_path))
    assert same(read(f"{lake}@0"), one_file(rows.slice(0, 7), tmp_path))
    with pytest.raises(FileFormatError, match=r"lake has no version 9: its latest is 2$"):
        read(f"{lake}@9")
    DeltaTable(str(lake)).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    with pytest.raises(FileFormatError, match=r"lake@1 has lost .*\.parquet: files of former versions go where"):
        read(f"{lake}@1")


def test_files_of_a_table_are_not_read_past_it(lake: Path) -> None:
    table = lake / "table"
    write_deltalake(str(table), moments(WHOLE), partition_by=["transaction_currency"])
    inside = next(table.rglob("*.parquet"))
    for address in (f"{table}/*/*.parquet", table / "transaction_currency=USD", inside):
        with pytest.raises(FileFormatError, match="is inside the table of Delta"):
            read(address)
    with pytest.raises(FileFormatError, match="holds a table of Delta"):
        read(lake)


def test_one_version_is_read_in_all_passes(lake: Path) -> None:
    rows = moments(WHOLE)
    write_deltalake(str(lake), rows)
    source = TransactionSource(str(lake), RATES)
    before = list(source.batches("a pass"))
    write_deltalake(str(lake), rows.slice(0, 3), mode="overwrite")
    after = list(source.batches("a second"))
    assert sum(part.rows for part in after) == len(rows)
    assert all(same(one, other) for one, other in zip(before, after, strict=True))


def test_a_column_that_came_later_is_missing_before(lake: Path, tmp_path: Path) -> None:
    rows = moments(WHOLE)
    write_deltalake(str(lake), rows.slice(0, 4).drop_columns(["transaction_currency"]))
    write_deltalake(str(lake), rows.slice(4), mode="append", schema_mode="merge")
    nulls = pa.array([None] * 4 + rows["transaction_currency"].to_pylist()[4:])
    place = rows.column_names.index("transaction_currency")
    pq.write_table(rows.set_column(place, "transaction_currency", nulls), tmp_path / "whole.parquet")
    said = []
    for path in (lake, tmp_path / "whole.parquet"):
        with pytest.raises(InvalidDataError) as refused:
            read(path)
        said.append((refused.value.count, {problem.problem for problem in refused.value.every}))
    assert said[0] == said[1]
    assert said[0][0] == 4


def test_an_empty_table_has_no_rows(lake: Path) -> None:
    DeltaTable.create(str(lake), moments(WHOLE).schema)
    assert read(lake).rows == 0
    with pytest.raises(FileFormatError, match="has no rows"):
        sort_by_customer(lake, lake.parent / "out.parquet")


def test_rows_deleted_by_a_vector_are_left_out(lake: Path, tmp_path: Path) -> None:
    rows = moments(WHOLE)
    write_deltalake(str(lake), rows)
    log = lake / "_delta_log" / f"{0:020}.json"
    added = next(json.loads(line)["add"] for line in log.read_text(encoding="utf-8").splitlines() if '"add"' in line)
    content = struct.pack("<I", 1681511377) + BitMap64([1, 4]).serialize()  # the format of Delta's protocol
    vector = {
        "storageType": "i",
        "pathOrInlineDv": encode_z85(content + bytes(-len(content) % 4)),
        "sizeInBytes": len(content),
        "cardinality": 2,
    }
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    actions = [
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}},
        {"remove": {"path": added["path"], "deletionTimestamp": 1, "dataChange": True}},
        {"add": {**added, "deletionVector": vector}},
    ]
    (log.parent / f"{1:020}.json").write_text("\n".join(map(json.dumps, actions)), encoding="utf-8")
    kept = [place for place in range(len(rows)) if place not in {1, 4}]
    assert same(read(lake), one_file(rows.take(kept), tmp_path))
    assert same(read(f"{lake}@0"), one_file(rows, tmp_path))
    assert sort_by_customer(lake, tmp_path / "out.parquet") == len(kept)


def encode_z85(content: bytes) -> str:
    signs = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    numbers = [int.from_bytes(content[first : first + 4], "big") for first in range(0, len(content), 4)]
    return "".join(signs[number // 85**power % 85] for number in numbers for power in (4, 3, 2, 1, 0))


def test_columns_by_other_names_are_refused(lake: Path) -> None:
    write_deltalake(str(lake), moments(WHOLE))
    log = lake / "_delta_log" / f"{1:020}.json"
    log.write_text(json.dumps({"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}), encoding="utf-8")
    with pytest.raises(FileFormatError, match=r"columnMapping|cannot be read as a table of Delta"):
        read(lake)


@pytest.mark.parametrize("has_one", [False, True])
def test_variants_are_refused_where_a_column_has_them(has_one: bool, lake: Path, tmp_path: Path) -> None:
    rows = moments(WHOLE)
    write_deltalake(str(lake), rows)
    log = lake / "_delta_log" / f"{0:020}.json"
    (metadata,) = (each["metaData"] for each in map(json.loads, log.read_text().splitlines()) if "metaData" in each)
    schema = json.loads(metadata["schemaString"])
    schema["fields"] += [{"name": "note", "type": "variant", "nullable": True, "metadata": {}}] if has_one else []
    features = {"readerFeatures": ["variantType"], "writerFeatures": ["variantType"]}
    actions = [
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}},
        {"metaData": {**metadata, "schemaString": json.dumps(schema)}},
    ]
    (log.parent / f"{1:020}.json").write_text("\n".join(map(json.dumps, actions)), encoding="utf-8")
    if not has_one:
        assert same(read(lake), one_file(rows, tmp_path))
        return
    with pytest.raises(FileFormatError, match=r"is a table of Delta with variantType, which is not read here"):
        read(lake)


def test_sorting_a_table_keeps_all_columns(lake: Path, tmp_path: Path) -> None:
    rows = moments(WHOLE)
    write_deltalake(str(lake), rows, partition_by=["transaction_currency"])
    assert sort_by_customer(lake, tmp_path / "out.parquet") == len(rows)
    assert set(pq.read_schema(tmp_path / "out.parquet").names) == set(rows.column_names)
    assert same(read(tmp_path / "out.parquet"), one_file(rows, tmp_path))


# Iceberg


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    uri, warehouse = f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/warehouse"
    monkeypatch.setenv("PYICEBERG_CATALOG__BANK__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__BANK__URI", uri)
    monkeypatch.setenv("PYICEBERG_CATALOG__BANK__WAREHOUSE", warehouse)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())  # it is read once, at the import
    made = SqlCatalog("bank", uri=uri, warehouse=warehouse)
    made.create_namespace("lake")
    return made


def test_a_table_of_iceberg_is_its_rows_of_today(catalog: Catalog, tmp_path: Path) -> None:
    rows = moments(WHOLE)
    table = catalog.create_table("lake.rows", rows.schema)
    table.append(rows.slice(0, 6))
    first = table.current_snapshot()
    table.append(rows.slice(6))
    assert same(read("iceberg://bank/lake.rows"), one_file(rows, tmp_path))
    table.delete("user_id = 'bob'")
    without = rows.filter(pa.compute.not_equal(rows["user_id"], "bob"))
    assert same(read("iceberg://bank/lake.rows"), one_file(without, tmp_path))
    assert first is not None
    assert same(read(f"iceberg://bank/lake.rows@{first.snapshot_id}"), one_file(rows.slice(0, 6), tmp_path))
    file = table.metadata_location.removeprefix("file://")
    assert same(read(file), one_file(without, tmp_path))
    assert same(read(f"file://{file}"), one_file(without, tmp_path))
    assert sort_by_customer(Path("iceberg://bank/lake.rows"), tmp_path / "out.parquet") == len(without)


def test_columns_of_iceberg_have_their_names_of_today(catalog: Catalog, tmp_path: Path) -> None:
    rows = moments(WHOLE)
    table = catalog.create_table("lake.rows", rows.append_column("net", [[1.0] * len(rows)]).schema)
    table.append(rows.append_column("net", [[1.0] * len(rows)]))
    first = table.current_snapshot()
    for former, name in (("transaction_amount", "gross"), ("net", "transaction_amount")):
        with table.update_schema() as change:
            change.rename_column(former, name)
    net = rows.set_column(rows.column_names.index("transaction_amount"), "transaction_amount", [[1.0] * len(rows)])
    assert same(read("iceberg://bank/lake.rows"), one_file(net, tmp_path))
    assert first is not None
    assert same(read(f"iceberg://bank/lake.rows@{first.snapshot_id}"), one_file(rows, tmp_path))


def test_a_table_of_iceberg_is_not_read_as_a_folder(catalog: Catalog, tmp_path: Path) -> None:
    table = catalog.create_table("lake.rows", moments(WHOLE).schema)
    table.append(moments(WHOLE))
    folder = Path(table.location().removeprefix("file://"))
    for address in (folder, folder / "data", f"{folder}/data/*.parquet", tmp_path / "warehouse"):
        with pytest.raises(FileFormatError, match="has files of a table of Iceberg"):
            read(address)


def test_what_is_no_table_of_the_catalog(catalog: Catalog, tmp_path: Path) -> None:
    for address in ("iceberg://bank/lake.none", "iceberg://none/lake.rows", "iceberg://bank/lake.none@3"):
        with pytest.raises(FileFormatError, match="cannot be read as a table of Iceberg"):
            read(address)
    with pytest.raises(ConfigError, match=r"must be iceberg://CATALOG/NAMESPACE\.TABLE"):
        read("iceberg://bank")
    catalog.create_table("lake.empty", moments(WHOLE).schema)
    assert read("iceberg://bank/lake.empty").rows == 0
    with pytest.raises(FileFormatError, match=r"^iceberg://bank/lake.empty has no rows"):
        sort_by_customer(Path("iceberg://bank/lake.empty"), tmp_path / "out.parquet")


# Object stores


@pytest.fixture
def memory() -> Any:
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def test_an_object_store_is_read_as_a_folder_is(memory: Any, lake: Path, expected: Histories) -> None:
    write_partitions(WHOLE, lake, "transaction_currency")
    memory.put(str(lake), "/bank/rows", recursive=True)
    assert same(read("memory://bank/rows"), expected)
    assert same(read("memory://bank/rows/*/*.parquet"), expected)
    assert same(read(f"file://{lake}"), expected)
    with memory.open("/bank/rows/_temporary/a.parquet", "wb") as file:
        pq.write_table(WHOLE, file)
    assert same(read("memory://bank/rows"), expected)


def test_a_file_of_a_store_is_closed_when_it_was_read(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries fetch ahead: what was left open printed of tasks that were destroyed, at the end of a command."""
    opened: list[Any] = []
    open_file = MemoryFileSystem.open

    def opening(*given: Any, **named: Any) -> Any:
        opened.append(kept := Kept(open_file(*given, **named)))
        return kept

    with memory.open("/bank/rows/a.parquet", "wb") as file:
        pq.write_table(WHOLE, file)
    monkeypatch.setattr(MemoryFileSystem, "open", opening)
    read("memory://bank/rows")
    assert opened
    assert all(file.times_closed == 1 for file in opened)


class Kept:
    """A file that counts how often it was closed."""

    def __init__(self, file: Any) -> None:
        self.file, self.times_closed = file, 0

    def close(self) -> None:
        self.times_closed += 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_an_object_that_changes_between_two_passes_is_refused(memory: Any) -> None:
    with memory.open("/bank/rows.parquet", "wb") as file:
        pq.write_table(WHOLE, file)
    source = TransactionSource("memory://bank/rows.parquet", RATES)
    list(source.batches("a pass"))
    with memory.open("/bank/rows.parquet", "wb") as file:
        pq.write_table(WHOLE.slice(1), file)
    with pytest.raises(FileFormatError, match=r"memory://bank/rows\.parquet was changed while it was read"):
        list(source.batches("a second"))


def test_tables_in_a_store_are_not_read_as_folders(memory: Any, lake: Path) -> None:
    write_deltalake(str(lake), moments(WHOLE))
    memory.put(str(lake), "/bank/table", recursive=True)
    with pytest.raises(FileFormatError, match=r"is inside the table of Delta|cannot be read as a table of Delta"):
        read("memory://bank/table")
    with pytest.raises(FileFormatError, match="holds a table of Delta"):
        read("memory://bank")


def test_what_a_store_does_not_have(memory: Any) -> None:
    with pytest.raises(FileFormatError, match="memory://bank/none does not exist"):
        read("memory://bank/none")
    with pytest.raises(ConfigError, match=r"s3://bank/rows: .*s3fs"):
        read("s3://bank/rows")
    with pytest.raises(FileFormatError, match="has no scheme that fsspec knows"):
        read("nowhere://bank/rows")
    with pytest.raises(ConfigError, match="must not have a password") as refused:
        read("ftp://me:secret@bank/rows")
    assert "secret" not in str(refused.value)


class StoreDownError(Exception):
    """As libraries of stores have them: no OSError."""


@pytest.mark.parametrize("step", ["exists", "isdir", "find", "glob", "info", "_open", "read"])
def test_a_store_that_does_not_answer_is_named(step: str, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked of it: whether there is a table, what lies in a folder, or the rows themselves."""
    with memory.open("/bank/rows/a.parquet", "wb") as file:
        pq.write_table(WHOLE, file)

    def down(*_: object, **__: object) -> None:
        raise StoreDownError("no route to the store")

    if step == "read":
        monkeypatch.setattr(MemoryFile, "read", down)
    else:
        monkeypatch.setattr(MemoryFileSystem, step, down)
    address = "memory://bank/rows/*.parquet" if step == "glob" else "memory://bank/rows"
    with pytest.raises(FileFormatError, match=r"^memory://bank/.* cannot be read: StoreDownError: no route to"):
        read(address)


def test_a_store_that_refuses_is_one_line(
    memory: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its library logs a traceback as well, which Python prints where nobody handles it, and its words have lines."""

    def down(*_: object, **__: object) -> None:
        logging.getLogger("fsspec.memory").error("out of retries")
        raise StoreDownError("no key\nRequestId: 1\n")

    monkeypatch.setattr(MemoryFileSystem, "exists", down)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with pytest.raises(FileFormatError) as refused:
        read("memory://bank/rows")
    assert str(refused.value) == "memory://bank/rows cannot be read: StoreDownError: no key RequestId: 1"
    assert capfd.readouterr().err == ""


def test_a_column_that_is_missing_is_named_before_anything_is_read(memory: Any) -> None:
    with memory.open("/bank/rows.parquet", "wb") as file:
        pq.write_table(WHOLE.drop_columns(["user_id"]), file)
    with pytest.raises(FileFormatError, match="user_id"):
        require_columns("memory://bank/rows.parquet", RATES)
