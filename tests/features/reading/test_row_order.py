"""The one order of rows, and repeats of a transaction."""

import random
import re
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.errors import InvalidDataError
from fivefold.features.reading.sources import read_histories, stream_histories
from tests.features.oracle.equality import by_user
from tests.features.oracle.events import history_of
from tests.features.oracle.strategies import AS_OFS, RATES, Row, ledgers, row

NEVER = 1 << 62


def balances(ledger: list[Row]) -> list[float]:
    return read_histories(ledger, RATES).balance.tolist()


@given(ledgers(AS_OFS[0]))
def test_the_order_is_that_of_the_interface(ledger: list[Row]) -> None:
    """The oracle sorts with Python's own sort, by the words of the interface."""
    histories = read_histories(ledger, RATES)
    for c, user in enumerate(histories.user_ids.to_pylist()):
        rows = slice(histories.offsets[c], histories.offsets[c + 1])
        wanted = history_of(ledger, user, NEVER, RATES)
        assert histories.time[rows].tolist() == [event.time for event in wanted]
        assert histories.amount[rows].tolist() == [event.amount for event in wanted]
        assert histories.balance[rows].tolist() == [event.balance for event in wanted]
        assert histories.created[rows].tolist() == [event.created for event in wanted]
        assert histories.currency[rows].tolist() == [RATES.codes.index(event.currency) for event in wanted]
        assert histories.category[rows].tolist() == [("API", "WEB").index(event.category) for event in wanted]


def test_ties_order_by_identifier_as_numbers_do() -> None:
    identifiers = ["10", "9", "b", "100", "aa", None, "2"]
    ledger = [row(transaction_id=text, user_balance=float(place)) for place, text in enumerate(identifiers)]
    assert balances(ledger) == [6.0, 1.0, 2.0, 0.0, 4.0, 3.0, 5.0]  # 2 9 b 10 aa 100 and last the one without


def test_identifiers_order_only_ties() -> None:
    early = row(transaction_id="9", transaction_date="2024-01-01", user_balance=1.0)
    late = row(transaction_id="1", transaction_date="2024-01-02", user_balance=2.0)
    assert balances([late, early]) == [1.0, 2.0]


@pytest.mark.parametrize(
    "ordered",
    [
        [{"transaction_amount": 2.0}, {"transaction_amount": 1.0}, {"transaction_amount": -5.0}],
        [{"user_balance": -1.0}, {"user_balance": 0.0}, {"user_balance": 3.0}],
        [{"transaction_state": "SUCCEEDED"}, {"transaction_state": "PENDING"}, {"transaction_state": "FAILED"}],
        [{"transaction_currency": "EUR"}, {"transaction_currency": "GBP"}, {"transaction_currency": "USD"}],
        [{"user_category": "API"}, {"user_category": "WEB"}],
        [{"user_created": "2020-01-01"}, {"user_created": "2021-01-01"}],
        [{"transaction_amount": 9.0, "user_balance": 5.0}, {"transaction_amount": 8.0, "user_balance": 1.0}],
        [{"user_balance": 1.0, "transaction_state": "FAILED"}, {"user_balance": 2.0}],
    ],
    ids=lambda ordered: "-".join(ordered[0]),
)
def test_ties_without_identifier_order_by_what_the_rows_say(ordered: list[Row]) -> None:
    wanted = [by_user(read_histories([row(**changes)], RATES))["ann"][0] for changes in ordered]
    for turn in range(len(ordered)):
        ledger = [row(**changes) for changes in ordered[turn:] + ordered[:turn]]
        assert by_user(read_histories(ledger, RATES)) == {"ann": wanted}


def test_without_identifiers_repeats_stay() -> None:
    assert balances([row(), row(), row()]) == [120.5] * 3
    assert balances([row(transaction_id=None), row(transaction_id="")] * 2) == [120.5] * 4


def test_exact_repeats_of_an_identifier_are_taken_once() -> None:
    assert balances([row(transaction_id="t"), row(transaction_id="u"), row(transaction_id="t")]) == [120.5] * 2


def test_the_same_identifier_of_two_customers_is_two_transactions() -> None:
    assert balances([row(transaction_id="t"), row(transaction_id="t", user_id="bob", user_balance=1.0)]) == [120.5, 1.0]


@pytest.mark.parametrize(
    "other",
    [
        {"transaction_amount": 20.51},
        {"user_balance": 0.0},
        {"transaction_state": "PENDING"},
        {"transaction_currency": "USD"},
        {"user_category": "API"},
        {"user_created": "2023-01-16"},
        {"transaction_date": "2024-06-01T12:00:00.000001"},
        {"transaction_date": "2024-06-02"},
    ],
    ids=str,
)
def test_an_identifier_with_other_values_is_an_error_that_names_both_rows(other: Row) -> None:
    ledger = [row(transaction_id="s"), row(transaction_id="t"), row(transaction_id="t", **other)]
    with pytest.raises(InvalidDataError) as caught:
        read_histories(ledger, RATES)
    (problem,) = caught.value.problems
    assert (problem.field, problem.allowed) == ("transaction_id", "one row for each transaction, or exact repeats")
    assert problem.row in {1, 2}
    assert problem.problem == f"'t' stands in row {3 - problem.row} with other values"


@pytest.mark.parametrize("other", [{"transaction_state": None}, {"transaction_state": "completed"}])
def test_words_for_the_same_thing_are_no_other_values(other: Row) -> None:
    assert balances([row(transaction_id="t"), row(transaction_id="t", **other)]) == [120.5]


def test_a_microsecond_in_a_far_year_is_another_value() -> None:
    """A double has no room for it."""
    far = [row(transaction_id="t", transaction_date=f"9999-01-01T00:00:00.00000{digit}") for digit in (1, 2)]
    with pytest.raises(InvalidDataError, match="with other values"):
        read_histories(far, RATES)


def test_bad_values_are_not_blamed_on_the_identifier_as_well() -> None:
    ledger = [
        row(transaction_id="t"),
        row(transaction_id="t", user_id=...),
        row(transaction_id="t", user_balance="much"),
        row(transaction_id="t", transaction_date="soon"),
    ]
    with pytest.raises(InvalidDataError) as caught:
        read_histories(ledger, RATES)
    assert [problem.field for problem in caught.value.problems] == ["user_id", "user_balance", "transaction_date"]


@given(ledgers(AS_OFS[0], identified=True), st.data(), st.randoms(use_true_random=False))
def test_only_exact_repeats_are_left_out(ledger: list[Row], data: st.DataObject, chance: random.Random) -> None:
    known = [taken for taken in ledger if taken["transaction_id"] is not None]
    again = data.draw(st.lists(st.sampled_from(known), max_size=8)) if known else []
    histories = read_histories(chance.sample(ledger + again, len(ledger) + len(again)), RATES)
    assert histories.rows == len(ledger)
    assert by_user(histories) == by_user(read_histories(ledger, RATES))


@given(ledgers(AS_OFS[0]))
def test_customers_come_in_order_of_first_appearance(ledger: list[Row]) -> None:
    wanted = list(dict.fromkeys(taken["user_id"] for taken in ledger))
    assert read_histories(ledger, RATES).user_ids.to_pylist() == wanted


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("rows.csv", (3, 4)),
        ("gaps.csv", (4, 6)),
        ("rows.jsonl", (2, 3)),
        ("gaps.jsonl", (3, 5)),
        ("rows.parquet", (2, 3)),
    ],
)
def test_both_rows_of_a_contradiction_are_named_by_their_numbers_in_the_file(
    name: str, numbers: tuple[int, int], tmp_path: Path
) -> None:
    """As an editor shows them: the header of CSV counts, and so do empty lines."""
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    rows = pl.DataFrame(
        {
            "user_id": ["a", "b", "b", "c"],
            "transaction_id": ["1", "2", "2", "3"],
            "transaction_amount": [1.0, 1.0, 3.0, 3.0],
            "user_balance": 1.0,
            "transaction_date": moment,
        }
    )
    path = tmp_path / name
    if path.suffix == ".parquet":
        rows.write_parquet(path)
    else:
        text = rows.with_columns(transaction_date=pl.lit("2024-01-01"))
        lines = (text.write_csv() if path.suffix == ".csv" else text.write_ndjson()).splitlines()
        first = lines.index(next(line for line in lines if line.startswith(("b,", '{"user_id":"b"'))))
        if "gaps" in name:
            lines[first : first + 2] = ["", lines[first], "", lines[first + 1]]
        path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InvalidDataError) as refusal:
        list(stream_histories(path, RATES))
    row, other = re.findall(r"row (\d+)", str(refusal.value).splitlines()[-1])
    assert sorted((int(row), int(other))) == sorted(numbers), str(refusal.value)
