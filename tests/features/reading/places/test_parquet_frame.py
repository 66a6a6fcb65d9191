"""Files and folders of Parquet as frames of Polars: those that `score` reads, and its words where they differ."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from fivefold.domain.errors import FileFormatError
from tests.features.oracle.equality import scan_parquet

ROWS = pl.DataFrame({"user_id": ["a", "b"], "amount": [1.0, 2.0]})


def written(frame: pl.DataFrame | pa.Table, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(frame if isinstance(frame, pa.Table) else frame.to_arrow(), path)
    return path


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return written(ROWS, tmp_path / "lake" / "p0.parquet").parent


def test_hidden_files_others_and_links_are_not_read_as_rows(lake: Path) -> None:
    for name in ("_temporary/0/p1.parquet", ".p1.parquet", "_p1.parquet"):
        written(ROWS, lake / name)
    (lake / ".p0.parquet.crc").write_text("crc")
    (lake / "p2.parquet").symlink_to(lake / "p0.parquet")
    assert scan_parquet(lake).collect().equals(ROWS)


def test_what_is_of_a_table_is_refused_with_a_remedy_that_does_not_need_tables(tmp_path: Path) -> None:
    table, iceberg = tmp_path / "lakes" / "table", tmp_path / "iceberg"
    write_deltalake(str(table), ROWS, partition_by=["user_id"])
    written(ROWS, iceberg / "data" / "p0.parquet")
    (iceberg / "metadata").mkdir()
    (iceberg / "metadata" / "v1.metadata.json").touch()
    refusals = {
        table: "is a table of Delta",
        table / "user_id=a": f"is inside the table of Delta {table}",
        table.parent: f"holds a table of Delta, {table}",
        iceberg: "has files of a table of Iceberg, of which some may be deleted",
        iceberg / "data": "has files of a table of Iceberg, of which some may be deleted",
    }
    remedy = "files alone are read here: write the rows of the table into a file of Parquet first"
    for path, problem in refusals.items():
        with pytest.raises(FileFormatError) as refusal:
            scan_parquet(path)
        assert str(refusal.value) == f"{path} {problem}; {remedy}"


def test_the_names_of_folders_are_columns_that_the_rows_must_not_contradict(lake: Path) -> None:
    written(ROWS.drop("user_id"), lake.parent / "parts" / "user_id=c" / "p.parquet")
    assert scan_parquet(lake.parent / "parts").collect().rows() == [(1.0, "c"), (2.0, "c")]
    contrary = written(ROWS, lake.parent / "contrary" / "user_id=a" / "p.parquet")
    with pytest.raises(FileFormatError, match=r"p\.parquet has rows whose user_id is not 'a'"):
        scan_parquet(contrary)


def test_a_column_that_one_file_lacks_is_refused_where_it_is_read(lake: Path) -> None:
    written(ROWS.with_columns(note=pl.lit("x")), lake / "p1.parquet")
    with pytest.raises(FileFormatError, match=r"p0\.parquet has no column note, which .*p1\.parquet has"):
        scan_parquet(lake)
    assert scan_parquet(lake, lambda _: ROWS.columns).collect().equals(pl.concat([ROWS, ROWS]))


def test_columns_in_another_order_and_other_widths_are_joined(lake: Path) -> None:
    moments = [[1_500], [1_500_000_001]]
    for number, (kind, unit) in enumerate(((pa.int32(), "ms"), (pa.int64(), "ns"))):
        table = pa.table({"n": pa.array([number], kind), "at": pa.array(moments[number], pa.timestamp(unit))})
        written(table.select(["n", "at"] if number else ["at", "n"]), lake.parent / "widths" / f"p{number}.parquet")
    rows = scan_parquet(lake.parent / "widths").collect()
    assert rows.select("n", pl.col("at").cast(pl.Int64)).rows() == [(0, 1_500_000_000), (1, 1_500_000_001)]


def test_types_that_cannot_be_joined_are_refused_by_the_file(lake: Path) -> None:
    written(ROWS.with_columns(amount=pl.lit("x")), lake / "p1.parquet")
    with pytest.raises(FileFormatError, match=r"p1\.parquet has the column amount as .*, and .*p0\.parquet as double"):
        scan_parquet(lake)


def test_a_file_that_is_not_parquet_is_named(lake: Path) -> None:
    (lake / "p1.parquet").write_text("no")
    with pytest.raises(FileFormatError, match=r"p1\.parquet cannot be read as Parquet"):
        scan_parquet(lake)


def test_slices_of_files_of_several_forms_are_the_rows_of_the_whole(lake: Path) -> None:
    """Files that follow each other and are alike are one scan; one that must be cast, or has other moments, is not."""
    pieces = [
        ("a", {"n": pa.array([0, 1, 2])}),
        ("a", {"n": pa.array([3, 4])}),
        ("a", {"n": pa.array([], pa.int64())}),
        ("b", {"n": pa.array([5.0, 6.0])}),
        ("b", {"n": pa.array([7.0])}),
    ]
    for number, (owner, columns) in enumerate(pieces):
        written(pa.table(columns), lake.parent / "forms" / f"user_id={owner}" / f"p{number}.parquet")
    whole = scan_parquet(lake.parent / "forms").collect()
    assert whole.rows() == [(float(number), "a" if number < 5 else "b") for number in range(8)]
    for first in range(10):
        assert scan_parquet(lake.parent / "forms", first=first).collect().equals(whole[first:])
        for count in range(10):
            assert scan_parquet(lake.parent / "forms", first=first, count=count).collect().equals(whole[first:][:count])


def test_files_that_are_alike_are_one_scan_without_those_that_have_no_row_of_the_slice(lake: Path) -> None:
    for number in range(1, 5):
        written(ROWS, lake / f"p{number}.parquet")
    assert scan_parquet(lake).explain().count("SCAN") == 1
    plan = scan_parquet(lake, first=5, count=2).explain()
    assert plan.count("SCAN") == 1
    assert [number for number in range(5) if f"p{number}.parquet" in plan] == [2, 3]


def test_of_all_slices_the_one_with_the_first_row_of_a_file_compares_it_with_its_folder(lake: Path) -> None:
    contrary = written(ROWS, lake.parent / "contrary" / "user_id=b" / "p.parquet").parent.parent
    assert scan_parquet(contrary, first=1).collect().rows() == [("b", 2.0)]
    assert scan_parquet(contrary, count=0).collect().is_empty()
    with pytest.raises(FileFormatError, match=r"p\.parquet has rows whose user_id is not 'b'"):
        scan_parquet(contrary, count=1)


@pytest.mark.parametrize(
    ("value", "other", "problem"),
    [
        (pa.scalar(2**53 + 1), pa.scalar(1.0), "Integer value 9007199254740993 not in range"),
        (pa.scalar([2**53 + 1]), pa.scalar([1.0]), "Integer value 9007199254740993 not in range"),
        (pa.scalar(253_402_214_400, pa.timestamp("s")), pa.scalar(1, pa.timestamp("ns")), "out of bounds timestamp"),
        (pa.scalar(2**64 - 1, pa.uint64()), pa.scalar(1), "Integer value 18446744073709551615 not in range"),
    ],
)
def test_a_value_that_does_not_fit_the_type_of_all_files_is_refused_by_the_file(
    lake: Path, value: pa.Scalar, other: pa.Scalar, problem: str
) -> None:
    for number, each in enumerate((other, value)):
        written(pa.table({"value": pa.array([each])}), lake.parent / "values" / f"p{number}.parquet")
    with pytest.raises(FileFormatError, match=rf"p1\.parquet: all files of a folder .*: .*{problem}[^\n]*$"):
        scan_parquet(lake.parent / "values").collect()
