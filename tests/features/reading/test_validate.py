"""Validation: every problem is named, and no row is dropped."""

import random
from datetime import date, datetime
from math import inf, nan
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import FileFormatError, InvalidDataError, Problem
from fivefold.domain.money import Rate, RateTable, base_only
from fivefold.features import schema as c
from fivefold.features.reading.frames import histories_in_memory
from fivefold.features.reading.sources import read_histories
from fivefold.features.reading.validate import TransactionReader
from tests.features.oracle.equality import same
from tests.features.oracle.events import history_of, microseconds
from tests.features.oracle.strategies import AS_OFS, RATES, Row, ledgers, row

HALF_A_PAIR = "\ud800"
NOT_TEXT: list[Any] = [5, 1.5, True, [], {}, b"a", date(2024, 6, 30), HALF_A_PAIR]
NOT_NUMBERS: list[Any] = [None, ..., "5", "", True, False, [], {}, b"5", 1j, nan, inf, -inf, float("1e400")]
TOO_LARGE: list[Any] = [2**70, -(2**70), 10**400, 1.000001e15, -1.000001e15, 10**15 + 1]
NOT_TIMES: list[Any] = [None, ..., "", "soon", "2024-02-30", "1899-12-31", "10000-01-01", datetime(2024, 6, 30)]  # noqa: DTZ001 (any)
BAD: list[tuple[str, list[Any], str]] = [
    (c.USER_ID, [None, ..., "", *NOT_TEXT], "text that is not empty"),
    (c.TRANSACTION_ID, NOT_TEXT, "text that is not empty"),
    (c.STATE, ["DONE", " SUCCEEDED", "SUCCESS"], "SUCCEEDED, COMPLETED, PENDING, FAILED, REJECTED, CANCELLED"),
    (c.STATE, NOT_TEXT, ""),
    (c.CURRENCY, [None, ..., "", "eur", " EUR", "EURO", "XXX"], "EUR, GBP, JPY, USD"),
    (c.CURRENCY, NOT_TEXT, ""),
    (c.CATEGORY, [None, ..., "", "api", "APP", "WEB "], "API, WEB"),
    (c.CATEGORY, NOT_TEXT, ""),
    (c.BALANCE, [*NOT_NUMBERS, *TOO_LARGE], "a finite number of at most 1e+15 either way"),
    (c.AMOUNT, [*NOT_NUMBERS, *TOO_LARGE], "a finite number of at most 1e+15 either way"),
    (c.CREATED, [*NOT_TIMES, *NOT_TEXT], "an ISO 8601 date or time such as 2024-06-30, "),
    (c.DATE, [*NOT_TIMES, *NOT_TEXT], "years 1900 to 9999"),
]
CASES = [(field, value, allowed) for field, values, allowed in BAD for value in values]


def refused(rows: Any, rates: RateTable = RATES) -> InvalidDataError:
    with pytest.raises(InvalidDataError) as caught:
        histories_in_memory(rows, TransactionReader(rates))  # as of a request
    return caught.value


@pytest.mark.parametrize(("field", "value", "allowed"), CASES, ids=repr)
def test_every_bad_value_of_every_field_is_named(field: str, value: Any, allowed: str) -> None:
    error = refused([row(), row(**{field: value}), row()])
    (problem,) = error.problems
    assert (problem.row, problem.field, error.count) == (1, field, 1)
    assert allowed in problem.allowed
    assert problem.problem.startswith("is ")
    assert str(problem) in str(error)
    assert str(error).isascii() or str(error).isprintable()


@pytest.mark.parametrize("field", [*c.REQUIRED])
def test_a_value_that_is_bad_in_every_row_is_named_in_every_row(field: str) -> None:
    error = refused([row(**{field: ...}), row(**{field: []})])
    assert [(problem.row, problem.field) for problem in error.problems] == [(0, field), (1, field)]


@given(ledgers(AS_OFS[0]), st.lists(st.tuples(st.integers(0, 24), st.sampled_from(CASES)), min_size=1, max_size=30))
def test_all_problems_are_collected(ledger: list[Row], changes: list[tuple[int, tuple[str, Any, str]]]) -> None:
    ledger = [*ledger, row()]
    wanted = set()
    for at, (field, value, _) in changes:
        place = at % len(ledger)
        ledger[place] = {name: old for name, old in ledger[place].items() if name != field}
        ledger[place] |= {} if value is ... else {field: value}
        wanted.add((place, field))
    error = refused(ledger)
    found = [(problem.row, problem.field) for problem in error.problems]
    assert set(found) == wanted
    assert len(found) == error.count == len(wanted)
    assert [place for place, _ in found] == sorted(place for place, _ in wanted)


def test_the_first_hundred_are_listed_in_row_order_and_all_are_counted() -> None:
    ledger = [row(**{c.BALANCE: nan} if number % 2 else {c.DATE: "soon", c.CATEGORY: "APP"}) for number in range(200)]
    error = refused(ledger)
    assert error.count == 300
    assert len(error.problems) == 100
    assert [problem.row for problem in error.problems] == [n for n in range(67) for _ in range(1 + (n % 2 == 0))][:100]
    lines = str(error).splitlines()
    assert lines[0] == "Data not valid: 300 problems (rows count from 0)"
    assert [line.partition(": ")[0] for line in lines[1:]] == [
        "rows 0, 2, 4 and 97 more",
        "rows 0, 2, 4 and 97 more",
        "rows 1, 3, 5 and 97 more",
    ]


def test_an_unknown_currency_lists_the_known_ones() -> None:
    error = refused([row(transaction_currency="XAU")])
    assert error.problems == (Problem(0, "transaction_currency", "is 'XAU'", "EUR, GBP, JPY, USD"),)
    only = refused([row(transaction_currency="USD")], base_only("CZK", date(1998, 10, 2)))
    assert only.problems[0].allowed == "CZK"


@pytest.mark.parametrize("rows", [[5], [None], ["text"], [[]], [row(), 5, row()], {"user_id": "a"}, ("ab", "cd")])
def test_what_is_no_object_is_named(rows: Any) -> None:
    error = refused(rows)
    assert {problem.field for problem in error.problems} == {"row"}
    assert error.count == sum(not isinstance(taken, dict) for taken in rows)
    assert error.problems[0].allowed == "an object with the fields of a transaction"


def test_good_values_beside_bad_ones_are_not_blamed() -> None:
    users = ["Ä", 5, "日本", HALF_A_PAIR, "a"]
    numbers = [2**70, 1, np.int64(2), np.float32(0.5), 2.5]
    rows = [row(user_id=user, user_balance=number) for user, number in zip(users, numbers, strict=True)]
    found = {(problem.row, problem.field) for problem in refused(rows).problems}
    assert found == {(1, "user_id"), (3, "user_id"), (0, "user_balance")}


def test_objects_and_numbers_of_other_libraries_are_taken() -> None:
    rows = [MappingProxyType(row(user_balance=np.int64(2), transaction_amount=np.float32(0.5))), row()]
    assert same(
        read_histories(rows, RATES), read_histories([row(user_balance=2, transaction_amount=0.5), row()], RATES)
    )


def test_an_empty_object_misses_every_required_field() -> None:
    error = refused([{}])
    assert sorted(problem.field for problem in error.problems) == sorted(c.REQUIRED)
    assert {problem.problem for problem in error.problems} == {"is missing"}


def test_no_rows_are_no_customers() -> None:
    histories = read_histories([], RATES)
    assert (histories.customers, histories.rows, histories.base) == (0, 0, "EUR")


@pytest.mark.parametrize("missing", [name for name in c.REQUIRED if name not in c.ABSENT])
def test_a_missing_column_is_named_with_those_that_are_there(missing: str) -> None:
    table = pa.Table.from_pylist([row()]).drop_columns([missing])
    with pytest.raises(FileFormatError, match=f"has no column {missing}; it has .*needed are user_id, .*may be there"):
        read_histories(table, RATES)
    with pytest.raises(FileFormatError, match=f"has no column {missing}; it has"):
        read_histories(table.slice(0, 0), RATES)


@pytest.mark.parametrize("twice", c.COLUMNS)
def test_a_column_that_is_there_twice_is_named(twice: str) -> None:
    table = pa.Table.from_pylist([row(transaction_id="t")])
    with pytest.raises(FileFormatError, match=f"has more than one column {twice}"):
        read_histories(table.append_column(twice, table[twice]), RATES)


@pytest.mark.parametrize("missing", c.ABSENT)
def test_a_table_may_lack_what_a_file_may_lack(missing: str, tmp_path: Path) -> None:
    table = pa.Table.from_pylist([row(), row()]).drop_columns([missing])
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    assert same(read_histories(table, RATES), read_histories(tmp_path / "rows.parquet", RATES))


@pytest.mark.parametrize("missing", c.OPTIONAL)
def test_optional_columns_may_be_missing(missing: str) -> None:
    table = pa.Table.from_pylist([row(transaction_id="t")] * 2).drop_columns([missing])
    assert read_histories(table, RATES).rows == (2 if missing == c.TRANSACTION_ID else 1)


def test_other_columns_are_ignored() -> None:
    rows = [row(note=[1, {"x": None}], iban=5), row(note=HALF_A_PAIR)]
    assert same(read_histories(rows, RATES), read_histories([row(), row()], RATES))


@pytest.mark.parametrize("word", ["{}", "lower", "title"])
@pytest.mark.parametrize(
    ("state", "deposit", "withdrawal", "zero"),
    [
        ("SUCCEEDED", c.DEPOSIT, c.WITHDRAWAL, c.NOTHING),
        ("COMPLETED", c.DEPOSIT, c.WITHDRAWAL, c.NOTHING),
        ("PENDING", *[c.PENDING_ROW] * 3),
        ("FAILED", *[c.FAILED_ROW] * 3),
        ("REJECTED", *[c.FAILED_ROW] * 3),
        ("CANCELLED", *[c.FAILED_ROW] * 3),
        ("EXPIRED", *[c.FAILED_ROW] * 3),
        ("REVERSED", *[c.FAILED_ROW] * 3),
    ],
)
def test_state_and_sign_say_what_a_row_is(state: str, deposit: int, withdrawal: int, zero: int, word: str) -> None:
    said = word.format(state) if "{" in word else getattr(state, word)()
    for amount, kind in ((0.01, deposit), (-0.01, withdrawal), (0.0, zero), (-0.0, zero), (0, zero)):
        assert read_histories([row(transaction_state=said, transaction_amount=amount)], RATES).kind.tolist() == [kind]


@pytest.mark.parametrize("state", [None, "", ...])
def test_without_a_state_the_row_is_settled(state: Any) -> None:
    rows = [row(transaction_state=state, transaction_amount=amount) for amount in (5.0, 0.0, -5.0)]
    assert read_histories(rows, RATES).kind.tolist() == [c.DEPOSIT, c.NOTHING, c.WITHDRAWAL]


@given(ledgers(AS_OFS[0], identified=False))
def test_money_is_converted_at_the_rates_of_the_table(ledger: list[Row]) -> None:
    histories = read_histories(ledger, RATES)
    for c_, user in enumerate(histories.user_ids.to_pylist()):
        rows = slice(histories.offsets[c_], histories.offsets[c_ + 1])
        wanted = history_of(ledger, user, 1 << 62, RATES)
        assert histories.amount[rows].tolist() == [event.amount for event in wanted]
        assert histories.balance[rows].tolist() == [event.balance for event in wanted]


def test_an_amount_that_a_small_rate_rounds_to_nothing_is_still_a_deposit() -> None:
    tiny = RateTable("EUR", date(2024, 1, 1), {"VND": Rate(1e-320, date(2024, 1, 1))}, "tests")
    histories = read_histories([row(transaction_currency="VND", transaction_amount=1e-5)], tiny)
    assert histories.amount.tolist() == [0.0]
    assert histories.kind.tolist() == [c.DEPOSIT]


@given(ledgers(AS_OFS[0]), st.randoms(use_true_random=False))
def test_no_row_is_dropped(ledger: list[Row], chance: random.Random) -> None:
    histories = read_histories(chance.sample(ledger, len(ledger)), RATES)
    assert histories.rows == len(ledger)
    assert sorted(histories.user_ids.to_pylist()) == sorted({taken["user_id"] for taken in ledger})


def test_rows_are_numbered_from_where_the_caller_says() -> None:
    table = pa.Table.from_pylist([row(), row(user_category="APP")])
    with pytest.raises(InvalidDataError, match="row 1002: user_category is 'APP'") as caught:
        TransactionReader(RATES, source="part.parquet").histories(table, first_row=1000)
    assert caught.value.source == "part.parquet"
    assert "1 problem in part.parquet (rows count from 1)" in str(caught.value)


def dictionary(indices: list[int], values: list[str | None]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int8()), pa.array(values))


def test_a_dictionary_that_repeats_itself_is_one_customer() -> None:
    table = pa.Table.from_pylist([row(), row()]).set_column(0, "user_id", dictionary([0, 1], ["ann", "ann"]))
    assert same(read_histories(table, RATES), read_histories([row(), row()], RATES))


def test_nothing_in_a_dictionary_is_a_missing_value() -> None:
    table = pa.Table.from_pylist([row(), row()]).set_column(0, "user_id", dictionary([0, 1], ["ann", None]))
    assert refused(table).problems == (Problem(1, "user_id", "is missing", "text that is not empty"),)


def refused_at(door: TransactionReader, *rows: Row) -> list[tuple[int, str, str]]:
    try:
        door.histories(pa.Table.from_pylist(list(rows)))
    except InvalidDataError as error:
        return [(problem.row, problem.field, problem.problem) for problem in error.problems]
    return []


def test_a_time_after_the_latest_is_refused_where_there_is_one() -> None:
    latest = TransactionReader(RATES, latest=microseconds("2024-06-30"))
    now, later = row(transaction_date="2024-06-30"), row(transaction_date="2024-06-30T00:00:00.000001")
    assert refused_at(latest, now, later, row(transaction_date="2024-06-30T02:00+02:00")) == [
        (1, c.DATE, "is in the future")
    ]
    assert refused_at(latest, row(user_created="2024-07-01", transaction_date="2024-06-30")) == [
        (0, c.CREATED, "is in the future")
    ]
    assert refused_at(TransactionReader(RATES), row(transaction_date="9999-12-31", user_created="9999-12-31")) == []


def test_an_account_made_after_its_first_transaction_is_refused_where_that_is_checked() -> None:
    door = TransactionReader(RATES, created_slack_us=DAY_US)
    first, later = row(transaction_date="2024-01-10"), row(transaction_date="2024-03-01", user_created="2024-01-11")
    after = row(transaction_date="2024-03-01", user_created="2024-01-11T00:00:00.000001")
    other = row(user_id="bob", transaction_date="2024-03-01", user_created="2024-03-02")
    assert refused_at(door, later, first, other) == []
    assert refused_at(door, after, first, other) == [(0, c.CREATED, "is after the user's first transaction")]
    assert refused_at(TransactionReader(RATES), after, first) == []
    assert door.histories(pa.Table.from_pylist([first]).slice(0, 0)).rows == 0


@pytest.mark.parametrize("bad", [{"transaction_date": "soon"}, {"user_id": None}, {"user_id": ""}])
def test_a_row_whose_time_or_customer_is_unknown_makes_no_account_late(bad: Row) -> None:
    door = TransactionReader(RATES, created_slack_us=0)
    unknown = row(transaction_date="1999-01-01", user_created="1999-01-01") | bad
    assert [field for _, field, _ in refused_at(door, row(), unknown, row(user_id="bob"))] == [*bad]
    assert [field for _, field, _ in refused_at(door, row(user_created="1999-01-01"), row() | bad)] == [*bad]
