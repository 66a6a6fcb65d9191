"""Streaming Parquet: the same bits with bounded memory, and a customer met twice is refused."""

import json
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fivefold.domain.errors import FileFormatError, InvalidDataError
from fivefold.features import schema as c
from fivefold.features.histories import Histories, concatenate
from fivefold.features.reading import columns, sources, validate
from fivefold.features.reading.frames import count_runs
from fivefold.features.reading.parquet_stream import START
from fivefold.features.reading.sources import (
    SeenCustomers,
    file_reader,
    read_histories,
    stream_from,
    stream_histories,
)
from fivefold.features.reading.text_files import MappedFile
from tests.depth import examples
from tests.features.oracle.equality import same
from tests.features.oracle.strategies import AS_OFS, RATES, Row, ledgers, row
from tests.features.reading.test_tables import arrow, as_csv, grouped, written


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Parquet of these tests is too large to be sorted in memory."""
    monkeypatch.setattr(sources, "PARQUET_ROWS_SORTED", -1)


def lay_out(rows: list[Row], cuts: list[int], folder: Path, row_group_rows: int = 1000) -> Path:
    """Write the rows as Parquet files that begin at the *cuts*."""
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(rows)}), len(rows)]
    for number, (first, last) in enumerate(pairwise(bounds)):
        pq.write_table(arrow(rows[first:last]), folder / f"{number:03}.parquet", row_group_size=row_group_rows)
    return folder


def of(users: str, **changes: object) -> list[Row]:
    """Rows of customers named by single letters, each with another balance."""
    return [row(user_id=user, user_balance=float(place), **changes) for place, user in enumerate(users)]


def streamed(path: Path) -> list[Histories]:
    return list(stream_histories(path, RATES))


@settings(max_examples=examples(60))
@given(ledgers(AS_OFS[0]), st.integers(1, 30), st.lists(st.integers(1, 40), max_size=4), st.integers(1, 9))
@example(of("aaaaaaabbbbbbbbbbbbbbbbbbbbbc"), 2, [3, 9, 10], 3)
def test_streamed_is_in_memory_bitwise(ledger: list[Row], batch: int, cuts: list[int], row_group_rows: int) -> None:
    rows = grouped(ledger) + of("zzz")
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "ROWS_A_BATCH", batch)
        parts = streamed(lay_out(rows, cuts, Path(folder), row_group_rows))
    assert same(concatenate(parts), read_histories(rows, RATES))
    together = [user for part in parts for user in part.user_ids.to_pylist()]
    assert len(together) == len(set(together))


@settings(max_examples=examples(40))
@given(ledgers(AS_OFS[0]), st.integers(1, 30), st.lists(st.integers(1, 40), max_size=4), st.integers(1, 9), st.data())
def test_a_stream_goes_on_from_any_place_as_if_it_had_not_stopped(
    ledger: list[Row], batch: int, cuts: list[int], row_group_rows: int, data: st.DataObject
) -> None:
    rows = grouped(ledger) + of("zzz")
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "ROWS_A_BATCH", batch)
        file = MappedFile(lay_out(rows, cuts, Path(folder), row_group_rows))
        whole = list(stream_from(file, file_reader(file, RATES)))
        done = data.draw(st.integers(0, len(whole)))
        place = whole[done - 1].place if done else START
        seen = [part.hashes for part in whole[:done]]
        rest = list(stream_from(MappedFile(file.path), file_reader(file, RATES), place, seen))
    assert len(rest) == len(whole) - done
    for again, part in zip(rest, whole[done:], strict=True):
        assert same(again.histories, part.histories)
        assert again.hashes.tolist() == part.hashes.tolist()
        assert (again.place.file, again.place.row, again.place.rows) == (
            part.place.file, part.place.row, part.place.rows,
        )  # fmt: skip


def test_a_customer_met_before_the_place_is_refused_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 2)
    file = MappedFile(lay_out(of("aabbccaa"), [3], tmp_path))
    with pytest.raises(FileFormatError, match="customer 'a' are not adjacent"):
        list(stream_from(file, file_reader(file, RATES)))
    parts = stream_from(file, file_reader(file, RATES))
    first, second = next(parts), next(parts)
    with pytest.raises(FileFormatError, match="customer 'a' are not adjacent"):
        list(stream_from(file, file_reader(file, RATES), second.place, [first.hashes, second.hashes]))


def test_bad_rows_after_the_place_have_their_numbers_in_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 4)
    rows = of("aaabbbbcccddddeeee")
    for place in (11, 17):
        rows[place]["user_category"] = f"APP{place}"
    file = MappedFile(lay_out(rows, [6], tmp_path, 5))
    first = next(stream_from(file, file_reader(file, RATES)))
    with pytest.raises(InvalidDataError) as caught:
        list(stream_from(file, file_reader(file, RATES), first.place, [first.hashes]))
    assert [problem.row for problem in caught.value.problems] == [11, 17]


def test_a_stream_comes_in_parts_of_whole_customers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 2)
    parts = streamed(lay_out(of("aabbbbbbbbbccd"), [5, 8], tmp_path))
    assert [part.user_ids.to_pylist() for part in parts] == [["a"], ["b"], ["c"], ["d"]]
    assert [part.rows for part in parts] == [2, 9, 2, 1]


def test_a_batch_is_as_large_as_the_constant_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 10)
    path = lay_out([row(user_id=f"u{n // 3}") for n in range(300)], [], tmp_path)
    sizes = [part.rows for part in streamed(path)]
    assert sum(sizes) == 300
    assert max(sizes) < sources.ROWS_A_BATCH + 3  # and what was held of the customer before


@pytest.mark.parametrize(
    ("users", "batch", "cuts"),
    [
        ("aabbabb", 100, []),  # in one batch
        ("abcbd", 100, []),
        ("abbcca", 2, []),  # in two batches
        ("abbccdda", 3, [4]),  # in two files
        ("abcdefghijklmnoa", 1, [2, 5, 9]),
        ("xaax", 2, [2]),
    ],
)
def test_a_customer_met_twice_is_refused(
    users: str, batch: int, cuts: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "ROWS_A_BATCH", batch)
    path = lay_out(of(users), cuts, tmp_path)
    twice = {"aabbabb": "a", "abcbd": "b"}.get(users, users[-1])
    with pytest.raises(FileFormatError) as caught:
        streamed(path)
    assert f"the rows of customer '{twice}' are not adjacent" in str(caught.value)
    assert f"fivefold sort {path} --output grouped.parquet" in str(caught.value)
    with pytest.raises(FileFormatError, match="not grouped by customer"):
        read_histories(path, RATES)


@settings(max_examples=examples(60))
@given(st.text("abc", min_size=1, max_size=12), st.integers(1, 5), st.lists(st.integers(1, 12), max_size=3))
def test_refused_exactly_when_a_customer_is_met_twice(users: str, batch: int, cuts: list[int]) -> None:
    runs = [user for place, user in enumerate(users) if place == 0 or users[place - 1] != user]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "ROWS_A_BATCH", batch)
        path = lay_out(of(users), cuts, Path(folder))
        if len(runs) == len(set(runs)):
            assert sum(part.rows for part in streamed(path)) == len(users)
        else:
            with pytest.raises(FileFormatError, match="not adjacent"):
                streamed(path)


@given(st.lists(st.lists(st.none() | st.sampled_from("abc"), max_size=6), max_size=4), st.booleans())
def test_runs_of_one_customer_are_counted_over_chunks(chunks: list[list[str | None]], are_coded: bool) -> None:
    users = [user for chunk in chunks for user in chunk]
    column = pa.chunked_array(
        [
            pa.array(chunk, pa.string()).dictionary_encode() if are_coded else pa.array(chunk, pa.string())
            for chunk in chunks
        ],
        pa.dictionary(pa.int32(), pa.string()) if are_coded else pa.string(),
    )
    assert count_runs(column) == sum(place == 0 or users[place - 1] != user for place, user in enumerate(users))


def test_a_dictionary_that_has_a_word_twice_is_no_refusal() -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["a", "a", "b"]))
    SeenCustomers(FileFormatError).add(pa.chunked_array([words]), pa.array(["a", "b"]))


def test_equal_hashes_of_different_customers_are_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 1)
    monkeypatch.setattr(pl.Series, "hash", lambda series: pl.Series([7] * len(series), dtype=pl.UInt64))
    assert sum(part.rows for part in streamed(lay_out(of("aabcc"), [1, 3], tmp_path))) == 5
    with pytest.raises(FileFormatError, match="rows of customer 'b' are not adjacent"):
        streamed(lay_out(of("abbcb"), [1, 3], tmp_path))


def test_bad_rows_of_all_batches_are_named_by_their_place_in_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 4)
    rows = of("aaabbbbcccddddeeee")
    for place in (0, 5, 6, 13, 17):
        rows[place]["user_category"] = f"APP{place}"
    rows[9]["user_id"] = None
    with pytest.raises(InvalidDataError) as caught:
        streamed(lay_out(rows, [6, 11], tmp_path))
    found = [(problem.row, problem.problem) for problem in caught.value.problems]
    wanted = [(place, f"is 'APP{place}'") for place in (0, 5, 6, 13, 17)]
    assert found == sorted([*wanted, (9, "is missing")])
    assert caught.value.count == 6
    assert caught.value.source == str(tmp_path)


def test_many_bad_rows_of_many_batches_list_the_first_hundred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 7)
    rows = [row(user_id=f"u{n:03}", transaction_currency="XXX") for n in range(250)]
    with pytest.raises(InvalidDataError) as caught:
        streamed(lay_out(rows, [100], tmp_path))
    assert caught.value.count == 250
    assert [problem.row for problem in caught.value.problems] == list(range(100))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_in_german_is_two_lines_however_long_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """Every number and every date cannot be read; few of them are kept by name, all of them are counted."""
    for module in (columns, validate):
        monkeypatch.setattr(module, "MOST_NAMED_IN_FILES", 20)
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 7)
    rows = [
        row(user_id=f"u{n:03}", transaction_amount=f"-1446,{n}", transaction_date=f"{n % 28 + 1:02}.10.2024")
        for n in range(250)
    ]
    path = tmp_path / f"german.{suffix}"
    if suffix == "csv":
        pl.DataFrame(rows).write_csv(path, separator=";")
    else:
        pl.DataFrame(rows).write_parquet(path)
    with pytest.raises(InvalidDataError) as caught:
        streamed(path)
    head, *lines = str(caught.value).splitlines()
    assert "500 problems" in head
    assert len(caught.value.every) <= 40
    assert len(lines) == 2
    assert all(" and 247 more: transaction_" in line for line in lines)
    assert "the year last" in lines[0]
    assert "a decimal comma" in lines[1]


def test_nothing_comes_after_the_first_bad_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 1)
    stream = stream_histories(lay_out([*of("ab"), row(user_id="c", user_balance=None), *of("de")], [], tmp_path), RATES)
    assert [next(stream).user_ids.to_pylist(), next(stream).user_ids.to_pylist()] == [["a"], ["b"]]
    with pytest.raises(InvalidDataError, match="row 3: user_balance is missing"):
        next(stream)


def test_only_the_known_columns_are_read(tmp_path: Path) -> None:
    table = arrow(of("ab")).append_column("note", pa.array([[{"user_id": 1}], None]))
    pq.write_table(table.select(table.column_names[::-1]), tmp_path / "a.parquet")
    assert same(read_histories(tmp_path, RATES), read_histories(of("ab"), RATES))


def test_files_of_a_folder_are_read_by_name_however_deep(tmp_path: Path) -> None:
    for number, name in enumerate(("b/2.parquet", "b/1.parquet", "a.parquet/part.parquet")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(arrow(of("xyz"[number])), tmp_path / name)
    written(tmp_path / "_SUCCESS", "")
    assert read_histories(tmp_path, RATES).user_ids.to_pylist() == ["z", "y", "x"]


def test_a_folder_without_parquet_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"is a folder without a file ending in \.parquet"):
        read_histories(tmp_path, RATES)


def test_files_without_rows_are_no_customers(tmp_path: Path) -> None:
    for name in ("a", "b"):
        pq.write_table(arrow([]), tmp_path / f"{name}.parquet")
    assert streamed(tmp_path) == []
    assert read_histories(tmp_path, RATES).customers == 0
    pq.write_table(arrow(of("x")), tmp_path / "aa.parquet")
    assert read_histories(tmp_path, RATES).customers == 1


def test_a_column_that_is_missing_in_all_files_is_named(tmp_path: Path) -> None:
    pq.write_table(arrow(of("ab")).drop_columns(["user_id"]), tmp_path / "a.parquet")
    pq.write_table(arrow(of("cd")).drop_columns(["user_id"]), tmp_path / "b.parquet")
    with pytest.raises(FileFormatError, match=f"{tmp_path} has no column user_id; it has"):
        streamed(tmp_path)


@pytest.mark.parametrize("missing", [[c.STATE], [c.TRANSACTION_ID], [c.STATE, c.TRANSACTION_ID]])
def test_optional_columns_may_be_missing(missing: list[str], tmp_path: Path) -> None:
    rows = of("aab", transaction_state=None)
    pq.write_table(arrow(rows).drop_columns(missing), tmp_path / "a.parquet")
    assert same(read_histories(tmp_path, RATES), read_histories(rows, RATES))


def test_rows_as_dicts_may_lack_and_write_what_their_frame_may() -> None:
    absent = (c.CURRENCY, c.CATEGORY, c.CREATED)
    rows = [{name: value for name, value in each.items() if name not in absent} for each in of("12")]
    numbered = [{**each, c.USER_ID: int(str(each[c.USER_ID])), c.AMOUNT: str(each[c.AMOUNT])} for each in rows]
    assert same(read_histories(numbered, RATES), read_histories(pl.DataFrame(numbered), RATES))
    assert same(read_histories(numbered, RATES), read_histories(rows, RATES)), "as identifiers of JSON"
    assert numbered[0][c.USER_ID] == 1, "the caller's rows are as they were"


def test_a_column_of_wrong_values_alone_is_not_taken_for_absent(tmp_path: Path) -> None:
    rows = of("ab", transaction_id=None)
    for each in rows:
        each[c.BALANCE] = "?"
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    for source in (rows, pd.DataFrame(rows), tmp_path / "rows.json"):
        with pytest.raises(InvalidDataError, match=r"user_balance is '\?'"):
            read_histories(source, RATES, absent=())


def test_exact_numbers_of_rows_as_dicts_are_those_of_their_frame() -> None:
    rows: list[Row] = [{**each, c.AMOUNT: Decimal("1.10")} for each in of("ab")]
    assert same(read_histories(rows, RATES), read_histories(pl.DataFrame(rows), RATES))


def test_a_column_that_is_missing_in_one_file_is_not_made_up(tmp_path: Path) -> None:
    pq.write_table(arrow(of("ab")), tmp_path / "a.parquet")
    pq.write_table(arrow(of("cd")).drop_columns(["user_balance"]), tmp_path / "b.parquet")
    with pytest.raises((FileFormatError, InvalidDataError), match="user_balance"):
        streamed(tmp_path)


def test_a_column_that_is_there_twice_is_named(tmp_path: Path) -> None:
    for twice in (c.USER_ID, c.AMOUNT):
        table = arrow(of("ab"))
        pq.write_table(table.append_column(twice, table[twice]), tmp_path / "a.parquet")
        with pytest.raises(FileFormatError, match=f"has more than one column {twice}"):
            streamed(tmp_path)


@pytest.mark.parametrize("column", [c.USER_ID, c.DATE, c.AMOUNT])
def test_files_that_disagree_in_types_are_refused_in_our_words(column: str, tmp_path: Path) -> None:
    table = arrow(of("ab"))
    other = table.set_column(table.column_names.index(column), column, pa.array([True, False]))
    pq.write_table(table, tmp_path / "a.parquet")
    pq.write_table(other, tmp_path / "b.parquet")
    with pytest.raises(FileFormatError, match="all files of a folder must have their columns in the same types"):
        streamed(tmp_path)


def test_identifiers_of_a_typed_column_are_found_twice_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 1)
    table = arrow(of("abca"))
    numbers = table.set_column(table.column_names.index(c.USER_ID), c.USER_ID, pa.array([7, 8, 9, 7]))
    pq.write_table(numbers, tmp_path / "a.parquet")
    with pytest.raises(FileFormatError, match="rows of customer '7' are not adjacent"):
        streamed(tmp_path)


# Sorted in memory, up to a limit.


@pytest.mark.parametrize("kind", ["rows", "json", "csv", "arrow", "polars", "pandas"])
def test_too_many_ungrouped_rows_are_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = of("aba")
    source = {
        "rows": rows,
        "json": written(tmp_path / "a.json", pl.DataFrame(rows).write_json()),
        "csv": as_csv(rows, tmp_path),
        "arrow": arrow(rows),
        "polars": pl.DataFrame(rows),
        "pandas": pl.DataFrame(rows).to_pandas(),
    }[kind]
    monkeypatch.setattr(c, "ROWS_SORTED_IN_MEMORY", 3)
    assert read_histories(source, RATES).rows == 3
    monkeypatch.setattr(c, "ROWS_SORTED_IN_MEMORY", 2)
    how = "fivefold sort" if kind in ("json", "csv") else "sort the table by user_id"
    with pytest.raises(FileFormatError, match=rf"more than 2 rows that are not grouped by customer; .*: {how}"):
        read_histories(source, RATES)


def test_more_grouped_rows_are_taken_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c, "ROWS_SORTED_IN_MEMORY", 2)
    assert read_histories(arrow(of("aabbb")), RATES).rows == 5


@pytest.mark.parametrize("most_sorted", [-1, 1_000])
@pytest.mark.parametrize("name", [c.USER_ID, c.CURRENCY, c.TRANSACTION_ID])
@pytest.mark.parametrize("nested", [lambda text: [text], lambda text: {"id": text}, lambda _: UUID(int=7)])
def test_lists_structs_and_uuids_for_text_are_refused_by_their_rows(
    nested: Callable[[str], object], name: str, most_sorted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PARQUET_ROWS_SORTED", most_sorted)
    table = arrow(of("aab", transaction_id="7"))
    column = pa.array([nested(text) for text in table[name].to_pylist()])
    pq.write_table(table.set_column(table.column_names.index(name), name, column), tmp_path / "rows.parquet")
    with pytest.raises(InvalidDataError) as refused:
        read_histories(tmp_path / "rows.parquet", RATES)
    assert [(problem.row, problem.field) for problem in refused.value.problems] == [(0, name), (1, name), (2, name)]


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_text_as_differences_is_read(tmp_path: Path, encoding: str) -> None:
    """As DuckDB and Spark write it in the second version of Parquet."""
    (tmp_path / "folder").mkdir()
    table = arrow(of("a") + of("b") + of("b"))
    pq.write_table(table, tmp_path / "plain.parquet")
    pq.write_table(table[:1], tmp_path / "folder" / "plain.parquet")
    encodings = dict.fromkeys([c.USER_ID, c.CURRENCY], encoding)
    for path, rows in ((tmp_path / "rows.parquet", table), (tmp_path / "folder" / "rows.parquet", table[1:])):
        pq.write_table(rows, path, use_dictionary=False, column_encoding=encodings)
    plain = read_histories(tmp_path / "plain.parquet", RATES)
    assert same(plain, read_histories(tmp_path / "rows.parquet", RATES))
    assert same(plain, read_histories(tmp_path / "folder", RATES))


@pytest.mark.parametrize("name", [c.USER_ID, c.TRANSACTION_ID, c.STATE, c.CURRENCY, c.CREATED, c.CATEGORY, c.DATE])
def test_views_of_text_are_read(tmp_path: Path, name: str) -> None:
    """As delta-rs writes them, where rows of a table were deleted."""
    table = arrow(of("a", transaction_id="7"))
    place = table.column_names.index(name)
    text = table[name].cast(pa.string())
    pq.write_table(table.set_column(place, name, text), tmp_path / "plain.parquet")
    views = table.set_column(place, name, text.cast(pa.string_view()))
    pq.write_table(views, tmp_path / "views.parquet")
    assert same(read_histories(tmp_path / "plain.parquet", RATES), read_histories(tmp_path / "views.parquet", RATES))
