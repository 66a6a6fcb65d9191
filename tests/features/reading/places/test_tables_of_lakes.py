"""A table of Delta or of Iceberg is its rows of today, or of the version that is named."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import FileScanTask
from pyiceberg.utils.config import Config
from pyroaring import BitMap64

from fivefold.domain.errors import ConfigError, FileFormatError, InvalidDataError
from fivefold.features.reading.places.stores import open_parquet
from fivefold.features.reading.places.table_formats import _IcebergPart
from fivefold.features.reading.sort_file import sort_by_customer
from fivefold.training.data import TransactionSource
from tests.features.oracle.equality import same
from tests.features.oracle.strategies import RATES
from tests.features.reading.places.lakes import WHOLE, moments, one_file, read


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


def test_a_column_whose_only_value_was_deleted_lacks_values(catalog: Catalog, tmp_path: Path) -> None:
    """The table counts the missing values of a file with the rows that a file of deletes takes out of it."""
    table = catalog.create_table("lake.rows", pa.schema({"kept": pa.string(), "few": pa.string()}))
    table.append(pa.table({"kept": ["a", "b"], "few": pa.array([None, "x"])}))
    (part,) = open_parquet(Path("iceberg://bank/lake.rows")).parts
    assert not part.lacks_values("few")
    deletes = tmp_path / "deletes.parquet"
    pq.write_table(pa.table({"file_path": [part.label], "pos": [1]}), deletes)
    file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES, file_path=str(deletes), file_format=FileFormat.PARQUET
    )
    assert isinstance(part, _IcebergPart)
    with_deletes = replace(part, task=FileScanTask(part.task.file, {file}))
    assert with_deletes.lacks_values("few")
    assert not with_deletes.lacks_values("kept")


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
