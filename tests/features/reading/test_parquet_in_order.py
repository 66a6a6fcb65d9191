"""Parquet in one pass over its columns: the histories, indicators and refusals of the general readers, bit for bit."""

from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import FileFormatError, FivefoldError, InvalidDataError
from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.indicator_matrix import indicator_matrix
from fivefold.features.reading import sources
from fivefold.features.reading.sources import stream_histories
from fivefold.features.reading.validate import TransactionReader
from tests.depth import examples, some
from tests.features.oracle.equality import same
from tests.features.oracle.strategies import AS_OFS, RATES, Row, ledgers, row
from tests.features.reading.test_in_order import BAD, ORDERS, by_time, readers
from tests.features.reading.test_tables import arrow

Cast = Callable[[pa.Array], pa.Array]


def moments(kind: pa.DataType) -> Cast:
    """Times as a typed column; what the type cannot hold is cut off."""
    zone = getattr(kind, "tz", None)
    return lambda texts: texts.cast(pa.timestamp("us")).cast(pa.timestamp("us", zone)).cast(kind, safe=False)


def numbers(kind: pa.DataType) -> Cast:
    return lambda money: money.cast(kind, safe=False)


def as_it_is(column: pa.Array) -> pa.Array:
    return column


TIMES: dict[str, Cast] = {
    "text": as_it_is,
    "ms": moments(pa.timestamp("ms")),
    "us": moments(pa.timestamp("us")),
    "ns": moments(pa.timestamp("ns")),
    "us UTC": moments(pa.timestamp("us", "UTC")),
    "ms Kathmandu": moments(pa.timestamp("ms", "Asia/Kathmandu")),
    "days": moments(pa.date32()),
}
MONEY: dict[str, Cast] = {
    "float64": as_it_is,
    "float32": numbers(pa.float32()),
    "int64": numbers(pa.int64()),
    "int32": numbers(pa.int32()),
    "decimal": lambda money: pa.array([None if one is None else f"{one:.2f}" for one in money.to_pylist()]).cast(
        pa.decimal128(19, 2)
    ),
}
WORDS: dict[str, Cast] = {
    "text": as_it_is,
    "large text": lambda texts: texts.cast(pa.large_string()),
    "dictionary": lambda texts: texts.dictionary_encode(),
    "small dictionary": lambda texts: texts.cast(pa.dictionary(pa.int8(), pa.string())),
}
IDENTIFIERS: dict[str, Cast] = {
    "text": as_it_is,
    "numbers": lambda texts: pa.array([None if not one else int(one) for one in texts.to_pylist()], pa.int64()),
    "dictionary": lambda texts: texts.dictionary_encode(),
}
EMPTY_GROUP = "empty"


class Form(NamedTuple):
    """How a table is written as Parquet.

    Attributes:
        times, money, words, identifiers: the types of its columns.
        groups: the row groups of a file have so many rows; an empty one stands before them where it is negative.
        cuts: where files begin.
        batch: rows that are read at once.
        falls_back: a dictionary of a column chunk ends after a word or two, and the other words stand in plain pages.
        coded: columns are written with dictionaries.
        sorts: the file is small enough to be sorted in memory.
    """

    times: str = "us"
    money: str = "float64"
    words: str = "text"
    identifiers: str = "text"
    groups: int = 1000
    cuts: tuple[int, ...] = ()
    batch: int = 1000
    falls_back: bool = False
    coded: bool = True
    sorts: bool = False


FORMS = st.builds(
    Form,
    times=st.sampled_from([*TIMES]),
    money=st.sampled_from([*MONEY]),
    words=st.sampled_from([*WORDS]),
    identifiers=st.sampled_from([*IDENTIFIERS]),
    groups=st.sampled_from([1, 2, 3, 7, 1000, -2, -1000]),
    cuts=st.lists(st.integers(0, 25), max_size=3).map(tuple),
    batch=st.sampled_from([1, 2, 5, 9, 1000]),
    falls_back=st.booleans(),
    coded=st.booleans(),
    sorts=st.booleans(),
)


def typed(rows: list[Row], form: Form) -> pa.Table:
    table = arrow(rows)
    casts = dict.fromkeys((c.DATE, c.CREATED), TIMES[form.times])
    casts |= dict.fromkeys((c.AMOUNT, c.BALANCE), MONEY[form.money])
    casts |= dict.fromkeys((c.USER_ID, c.STATE, c.CURRENCY, c.CATEGORY), WORDS[form.words])
    casts[c.TRANSACTION_ID] = IDENTIFIERS[form.identifiers]
    return pa.table({name: casts[name](table[name].combine_chunks()) for name in table.column_names})


def write(table: pa.Table, form: Form, folder: Path) -> Path:
    """Write files that begin at the cuts; two cuts at one place leave a file without rows between them."""
    bounds = [0, *sorted(min(cut, table.num_rows) for cut in form.cuts), table.num_rows]
    how: dict[str, Any] = {"use_dictionary": form.coded}
    if form.falls_back:
        how |= {"dictionary_pagesize_limit": 4, "data_page_size": 16, "write_batch_size": 2}
    for number, (first, last) in enumerate(pairwise(bounds)):
        with pq.ParquetWriter(folder / f"{number:03}.parquet", table.schema, **how) as writer:
            if form.groups < 0:
                writer.write_table(table.slice(0, 0))
            if last > first:
                writer.write_table(table.slice(first, last - first), row_group_size=abs(form.groups))
    return folder


SELDOM: st.SearchStrategy[list[Any]] = st.just([]) | st.just([]) | st.just([])
"""Before what one pass leaves to the general readers: otherwise hardly a table would be read in one."""

Outcome = tuple[list[Histories], str]


def outcome(folder: Path, which: str, **limits: Any) -> Outcome:
    """Give the parts that come before an error, and the error."""
    parts: list[Histories] = []
    with readers(which):
        try:
            parts.extend(stream_histories(folder, RATES, **limits))  # which keeps those before an error
        except InvalidDataError as error:
            return parts, f"{error}{error.every}{error.count}"
        except FivefoldError as error:
            return parts, str(error)
    return parts, ""


def agreed(table: pa.Table, form: Form, folder: Path, **limits: Any) -> Outcome:
    """Give what Parquet holds, which is the same in one pass and by the general readers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "ROWS_A_BATCH", form.batch)
        patch.setattr(sources, "PARQUET_ROWS_SORTED", 1000 if form.sorts else -1)
        write(table, form, folder)
        general, refusal = outcome(folder, "general", **limits)
        ours, ours_refusal = outcome(folder, "compiled", **limits)
    assert ours_refusal == refusal
    assert len(ours) == len(general)
    for one, other in zip(general, ours, strict=True):
        assert same(one, other)
        assert one.absent == other.absent
        assert repr(one.unknown_from) == repr(other.unknown_from)
        (values, seen), (ours_values, ours_seen) = (indicator_matrix(each, AS_OFS[0]) for each in (one, other))
        assert values.tobytes() == ours_values.tobytes()
        assert seen.tobytes() == ours_seen.tobytes()
    return general, refusal


@settings(max_examples=examples(150))
@given(
    ledger=ledgers(AS_OFS[0]),
    order=st.sampled_from(["by time", "by time", "by time", "grouped", "as they come"]),
    again=SELDOM | st.lists(st.integers(0, 24), max_size=2),
    differs=st.booleans(),
    bad=SELDOM | st.lists(st.tuples(st.integers(0, 24), st.sampled_from(BAD)), max_size=2),
    lacks=st.sets(st.sampled_from([*c.ABSENT, *c.OPTIONAL]), max_size=3),
    limits=st.sampled_from(
        [
            {},
            {},
            {"latest": AS_OFS[0]},
            {"latest": AS_OFS[0] + 30 * DAY_US},
            {"absent": (c.BALANCE,)},
            {"absent": c.ABSENT},
            {"nullable": True},
        ]
    ),
    form=FORMS,
)
@example([row(), row(), row(user_id="bob")], "by time", [], False, [], set(), {}, Form(groups=1))
@example([row(), row(), row(user_id="bob")], "by time", [], False, [], set(), {}, Form(groups=-1, cuts=(0, 2, 2)))
def test_one_pass_is_as_the_general_readers_have_it(
    ledger: list[Row],
    order: str,
    again: list[int],
    differs: bool,
    bad: list[tuple[int, tuple[str, Any]]],
    lacks: set[str],
    limits: dict[str, Any],
    form: Form,
) -> None:
    rows = [*ledger, row()]
    rows += [rows[place % len(rows)] | ({"user_balance": 7.0} if differs else {}) for place in again]
    rows = [dict(taken) for taken in ORDERS[order](rows)]
    for place, (field, value) in bad:
        if field not in {c.AMOUNT, c.BALANCE} or value is None or form.money.startswith("float"):
            rows[place % len(rows)][field] = value  # other types of money have no NaN
    table = typed(rows, form).drop_columns([*lacks]).append_column("note", pa.array(range(len(rows))))
    with TemporaryDirectory() as folder:
        agreed(table, form, Path(folder), **limits)


def in_one_pass(table: pa.Table, form: Form, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Tell whether Parquet needs no general reader."""
    read, found = TransactionReader._in_order, []

    def noted(reader: TransactionReader, rows: pa.Table) -> Histories | None:
        found.append(read(reader, rows))
        return found[-1]

    with monkeypatch.context() as patch:
        patch.setattr(TransactionReader, "_in_order", noted)
        agreed(table, form, folder)
    return bool(found) and all(each is not None for each in found)


MANY = by_time(
    [
        row(user_id=user, transaction_date=f"2024-06-{day:02}", transaction_id=str(day), transaction_currency=currency)
        for user in ("ann", "bob", "cid")
        for day, currency in enumerate(("EUR", "USD", "JPY", "GBP", "EUR", "USD"), start=1)
    ]
)


@pytest.mark.parametrize(
    "form",
    [
        *(Form(times=name) for name in TIMES),
        *(Form(money=name) for name in MONEY),
        *(Form(words=name) for name in WORDS),
        Form(identifiers="numbers"),
        Form(groups=4),
        Form(groups=-4),
        Form(groups=1),
        Form(cuts=(4, 4, 9)),
        Form(batch=4, cuts=(7,)),
        Form(falls_back=True),
        Form(falls_back=True, groups=5),
        Form(coded=False),
    ],
    ids=str,
)
def test_parquet_in_order_takes_one_pass_in_every_form(
    form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the property above would compare the general readers with themselves."""
    rows = [taken | {"transaction_amount": 20.0, "user_balance": 120.0} for taken in MANY]
    assert in_one_pass(typed(rows, form), form, tmp_path, monkeypatch)


def test_a_dictionary_of_a_column_chunk_does_fall_back(tmp_path: Path) -> None:
    write(typed(MANY, Form()), Form(falls_back=True), tmp_path)
    chunk = pq.ParquetFile(tmp_path / "000.parquet").metadata.row_group(0).column(0)
    assert {"PLAIN", "RLE_DICTIONARY"} <= set(chunk.encodings)
    assert chunk.has_dictionary_page


GROUPS = Form(groups=4, batch=6, cuts=(9,))
"""Customers of six rows are cut by row groups, tables and a file."""
REFUSED: list[tuple[str, Any, str]] = [
    (c.USER_ID, None, "user_id is missing"),
    (c.USER_ID, "", "user_id is empty"),
    (c.STATE, "DONE", "transaction_state is 'DONE'"),
    (c.CURRENCY, "XXX", "transaction_currency is 'XXX'"),
    (c.CURRENCY, None, "transaction_currency is missing"),
    (c.CATEGORY, "APP", "user_category is 'APP'"),
    (c.CATEGORY, None, "user_category is missing"),
    (c.BALANCE, float("nan"), "user_balance is nan"),
    (c.BALANCE, None, "user_balance is missing"),
    (c.AMOUNT, 1.1e15, "transaction_amount is 1100000000000000.0"),
    (c.AMOUNT, float("-inf"), "transaction_amount is -inf"),
    (c.AMOUNT, None, "transaction_amount is missing"),
    (c.DATE, "1899-12-31T23:59:59", "transaction_date is 1899-12-31T23:59:59"),
    (c.DATE, None, "transaction_date is missing"),
    (c.CREATED, None, "user_created is missing"),
]


# The step shares no divisor with the numbers of places and of values: each of them is tried at quick depth, too.
@pytest.mark.parametrize(("place", "refused"), some(list(product([0, 3, 4, 5, 8, 9, 17], REFUSED)), 4))
def test_a_value_that_is_refused_is_named_with_its_row_and_column(
    place: int, refused: tuple[str, Any, str], tmp_path: Path
) -> None:
    field, value, problem = refused
    rows = [dict(taken) for taken in MANY]
    rows[place][field] = value
    _, refusal = agreed(typed(rows, GROUPS), GROUPS, tmp_path)
    assert f"row {place + 1}: {problem}" in refusal
    assert str(tmp_path) in refusal


def test_several_bad_rows_are_named_in_one_refusal(tmp_path: Path) -> None:
    rows = [dict(taken) for taken in MANY]
    rows[2][c.BALANCE], rows[10][c.CURRENCY], rows[17][c.DATE] = None, "XXX", None
    parts, refusal = agreed(typed(rows, GROUPS), GROUPS, tmp_path)
    assert not parts
    for named in ("row 3: user_balance", "row 11: transaction_currency", "row 18: transaction_date"):
        assert named in refusal


@pytest.mark.parametrize("form", [Form(), GROUPS, Form(groups=1), Form(cuts=(6, 12)), Form(batch=1)], ids=str)
def test_a_customer_who_comes_again_later_is_refused(form: Form, tmp_path: Path) -> None:
    rows = [*MANY, row(user_id="ann", transaction_date="2024-06-20")]
    _, refusal = agreed(typed(rows, form), form, tmp_path)
    assert "the rows of customer 'ann' are not adjacent" in refusal
    assert f"fivefold sort {tmp_path} --output grouped.parquet" in refusal


@pytest.mark.parametrize("first", [2, 3, 4, 7, 8, 10])
def test_rows_out_of_order_are_put_in_order(first: int, tmp_path: Path) -> None:
    """Within a row group, and where one ends: after rows 4, 8, 9 and 13."""
    rows = [*MANY]
    rows[first], rows[first + 1] = rows[first + 1], rows[first]
    parts, refusal = agreed(typed(rows, GROUPS), GROUPS, tmp_path)
    assert not refusal
    assert np.concatenate([part.time for part in parts]).tolist() == [
        each for _ in range(3) for each in parts[0].time[:6].tolist()
    ]


@pytest.mark.parametrize(("first", "second"), [(0, 1), (0, 5), (3, 4), (6, 11), (8, 9)])
def test_an_exact_repeat_is_left_out_and_another_is_refused(first: int, second: int, tmp_path: Path) -> None:
    rows = [dict(taken) for taken in MANY]
    rows[second] = dict(rows[first])
    (tmp_path / "repeat").mkdir()
    parts, refusal = agreed(typed(rows, GROUPS), GROUPS, tmp_path / "repeat")
    assert not refusal
    assert sum(part.rows for part in parts) == len(rows) - 1
    rows[second][c.BALANCE] = 1.0
    (tmp_path / "other").mkdir()
    _, refusal = agreed(typed(rows, GROUPS), GROUPS, tmp_path / "other")
    assert f"transaction_id '{first % 6 + 1}' stands in row" in refusal
    assert "with other values" in refusal


def test_a_transaction_id_of_two_customers_is_no_repeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {taken["transaction_id"] for taken in MANY[:6]} == {taken["transaction_id"] for taken in MANY[6:12]}
    assert in_one_pass(typed(MANY, GROUPS), GROUPS, tmp_path, monkeypatch)


def test_money_is_converted_by_its_currency(tmp_path: Path) -> None:
    rows = [row(user_id=code, transaction_currency=code, transaction_amount=-0.0) for code in ("EUR", "USD", "JPY")]
    rows += [taken | {"transaction_amount": 10.0, "transaction_date": "2024-06-02"} for taken in rows]
    parts, refusal = agreed(typed(by_time(rows), Form(groups=2)), Form(groups=2), tmp_path)
    assert not refusal
    amounts = np.concatenate([part.amount for part in parts])
    assert amounts.tolist() == [0.0, 10.0, 0.0, 10.0 * 0.9341, 0.0, 10.0 * 0.0058]
    assert not np.signbit(amounts).any()


def test_a_moment_of_nanoseconds_is_rounded_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = typed([row(), row(transaction_date="2024-06-02")], Form(times="ns"))
    later = pa.array([1_717_200_000_000_000_001, 1_717_200_000_000_001_001], pa.timestamp("ns"))
    table = table.set_column(table.column_names.index(c.DATE), c.DATE, later)
    assert in_one_pass(table, Form(times="ns"), tmp_path, monkeypatch)
    (part,), _ = agreed(table, Form(times="ns"), tmp_path)
    assert part.time.tolist() == [1_717_200_000_000_001, 1_717_200_000_000_002]


@pytest.mark.parametrize("place", [0, 5, 11, 17])
def test_a_moment_in_the_future_is_refused(place: int, tmp_path: Path) -> None:
    rows = [dict(taken) for taken in MANY]
    rows[place][c.DATE] = "2024-07-01"
    rows = by_time(rows)
    row_of_it = next(number for number, taken in enumerate(rows, start=1) if taken[c.DATE] == "2024-07-01")
    _, refusal = agreed(typed(rows, GROUPS), GROUPS, tmp_path, latest=AS_OFS[0])
    assert f"row {row_of_it}: transaction_date is in the future" in refusal


@pytest.mark.parametrize("form", [Form(cuts=(0, 0)), Form(cuts=(18,)), Form(groups=-5, cuts=(6, 6, 6))], ids=str)
def test_files_and_row_groups_without_rows_change_nothing(
    form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_one_pass(typed(MANY, form), form, tmp_path, monkeypatch)
    files = [pq.ParquetFile(path).metadata for path in sorted(tmp_path.iterdir())]
    groups = [file.row_group(number).num_rows for file in files for number in range(file.num_row_groups)]
    assert 0 in [*groups, *(file.num_rows for file in files)]


def test_a_file_without_rows_has_no_customers(tmp_path: Path) -> None:
    assert agreed(typed([], Form(groups=-1)), Form(groups=-1), tmp_path) == ([], "")


def test_a_file_that_is_cut_off_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PARQUET_ROWS_SORTED", -1)
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 4)
    write(typed(MANY, Form()), Form(cuts=(12,)), tmp_path)
    parts = stream_histories(tmp_path, RATES)
    assert next(parts).user_ids.to_pylist() == ["ann"]
    second = tmp_path / "001.parquet"
    second.write_bytes(second.read_bytes()[:-200])
    with pytest.raises(FileFormatError, match=r"001\.parquet cannot be read as Parquet"):
        list(parts)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PARQUET_ROWS_SORTED", -1)
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 4)
    write(typed(MANY, Form()), Form(cuts=(12,)), tmp_path)
    parts = stream_histories(tmp_path, RATES)
    assert next(parts).user_ids.to_pylist() == ["ann"]
    pq.write_table(typed(MANY[12:-1], Form()), tmp_path / "001.parquet")
    with pytest.raises(FileFormatError, match="was changed while it was read"):
        list(parts)


def test_a_page_that_is_damaged_is_refused(tmp_path: Path) -> None:
    table = typed([*MANY, *(row(user_id=f"u{place}", user_balance=place**0.5) for place in range(500))], Form())
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=[c.USER_ID])
    column = table.column_names.index(c.BALANCE)
    chunk = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0).column(column)
    whole = bytearray((tmp_path / "a.parquet").read_bytes())
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    whole[middle : middle + 40] = bytes(40)
    (tmp_path / "a.parquet").write_bytes(whole)
    (general, refusal), (ours, ours_refusal) = (outcome(tmp_path, which) for which in ("general", "compiled"))
    assert general == ours == []
    assert "cannot be read as Parquet" in refusal
    assert ours_refusal == refusal
