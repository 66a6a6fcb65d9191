"""Columns that one file of a folder has in another form than the others, and columns without values."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fivefold.domain.errors import InvalidDataError
from fivefold.features import schema as c
from fivefold.features.reading.sort_file import sort_by_customer
from fivefold.features.reading.sources import absent_columns, read_histories
from tests.features.oracle.equality import same, scan_parquet
from tests.features.oracle.strategies import RATES
from tests.features.reading.test_sources import of
from tests.features.reading.test_tables import arrow


def _without(table: pa.Table, column: str) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, pa.nulls(len(table)))


def _as_categories(table: pa.Table, column: str) -> pa.Table:
    texts = table[column].cast(pa.dictionary(pa.int8(), pa.string()))
    return table.set_column(table.column_names.index(column), column, texts)


@pytest.mark.parametrize("users", [("aab", "bcd"), ("aba", "bab")])
@pytest.mark.parametrize("column", [c.STATE, c.CURRENCY, c.CATEGORY, c.CREATED])
def test_a_file_whose_column_has_no_values_and_no_type_is_read_beside_others(
    column: str, users: tuple[str, str], tmp_path: Path
) -> None:
    """Pandas writes such a column where all is None."""
    rows = [*of(users[0]), *of(users[1], **{column: None})]
    whole = tmp_path / "whole.parquet"
    pq.write_table(arrow(rows), whole)
    folder = tmp_path / "lake"
    folder.mkdir()
    pq.write_table(arrow(rows[:3]), folder / "a.parquet")
    pq.write_table(_without(arrow(rows[3:]), column), folder / "b.parquet")
    if column == c.STATE:
        assert same(read_histories(folder, RATES), read_histories(whole, RATES))
        return
    with pytest.raises(InvalidDataError, match=f"{column} is missing"):
        read_histories(folder, RATES)


@pytest.mark.parametrize("users", [("aab", "bcd"), ("aba", "bab")])
@pytest.mark.parametrize("column", [c.USER_ID, c.TRANSACTION_ID, c.CURRENCY, c.CATEGORY, c.STATE])
def test_categories_of_pandas_are_read_beside_text(column: str, users: tuple[str, str], tmp_path: Path) -> None:
    table, folder = arrow([*of(users[0]), *of(users[1])]), tmp_path / "lake"
    folder.mkdir()
    pq.write_table(table, tmp_path / "whole.parquet")
    pq.write_table(table[:3], folder / "a.parquet")
    pq.write_table(_as_categories(table[3:], column), folder / "b.parquet")
    assert same(read_histories(folder, RATES), read_histories(tmp_path / "whole.parquet", RATES))
    assert sort_by_customer(folder, tmp_path / "sorted.parquet") == len(table)
    assert scan_parquet(folder).collect().equals(pl.DataFrame(table))


@pytest.mark.parametrize("files", [1, 2])
def test_categories_of_more_values_than_one_part_of_them_has_room_for_are_sorted(files: int, tmp_path: Path) -> None:
    """Pandas counts up to 127 categories in 8 bits; two files, or two row groups, may have others."""
    table, folder = arrow(of("".join(map(chr, range(0x4E00, 0x4E00 + 200))))), tmp_path / "lake"
    folder.mkdir()
    parts = [_as_categories(each, c.USER_ID) for each in (table[:100], table[100:])]
    if files == 1:
        with pq.ParquetWriter(folder / "a.parquet", parts[0].schema) as writer:
            for part in parts:
                writer.write_table(part)
    else:
        for name, part in zip("ab", parts, strict=True):
            pq.write_table(part, folder / f"{name}.parquet")
    assert sort_by_customer(folder, tmp_path / "sorted.parquet") == len(table)
    assert read_histories(tmp_path / "sorted.parquet", RATES).customers == len(table)


@pytest.mark.parametrize("users", ["aabc", "abac"])
@pytest.mark.parametrize("statistics", [True, False, [c.USER_ID]])
@pytest.mark.parametrize("column", [c.CREATED, c.CATEGORY, c.BALANCE])
def test_a_column_without_values_is_absent_whatever_the_footer_says(
    column: str, statistics: bool | list[str], users: str, tmp_path: Path
) -> None:
    table, path = arrow(of(users)), tmp_path / "rows.parquet"
    place = table.column_names.index(column)
    nothing = table.set_column(place, column, pa.nulls(len(table), table.schema.types[place]))
    pq.write_table(nothing, path, write_statistics=statistics, row_group_size=2)
    assert absent_columns(path) == (column,)
    assert same(read_histories(path, RATES), read_histories(nothing.drop_columns([column]), RATES))


@pytest.mark.parametrize("statistics", [True, False])
def test_a_column_with_one_value_is_not_absent(statistics: bool, tmp_path: Path) -> None:
    rows = [*of("ab", user_category=None), *of("c")]
    pq.write_table(arrow(rows), tmp_path / "a.parquet", write_statistics=statistics, row_group_size=1)
    assert not absent_columns(tmp_path / "a.parquet")
    with pytest.raises(InvalidDataError, match="user_category is missing"):
        read_histories(tmp_path / "a.parquet", RATES)
