"""What is wrong with rows is marked in passing, then named where it is asked for."""

from datetime import date

import polars as pl
import pytest

from fivefold.domain.money import ecb_rates
from fivefold.risk.facts.linked import LINKED_ENTITY, TIME, UNREADABLE
from fivefold.risk.facts.row_errors import LONGEST_SHOWN, Check, find_problems, with_problems
from fivefold.risk.facts.transactions import prepare

ROWS = pl.LazyFrame({LINKED_ENTITY: ["a", "b"], TIME: [1, 2], "size": ["x" * 60, None]})
LONG = Check("size", "size", pl.col("size").str.len_chars() > 40, "short text")
MISSING = Check("size", None, pl.col("size").is_null())


@pytest.mark.parametrize(
    ("checks", "times", "spoilt"),
    [
        ([], [1, 2], [False, False]),
        ([LONG], [1, 2], [True, False]),
        ([MISSING], [1, None], [False, True]),
        ([LONG, MISSING], [1, None], [True, True]),
    ],
)
def test_a_row_that_cannot_be_used_loses_its_time(checks: list[Check], times: list[int], spoilt: list[bool]) -> None:
    made = with_problems(ROWS, checks).collect()
    assert made[TIME].to_list() == times
    assert made[UNREADABLE].to_list() == spoilt


def test_problems_are_named_with_the_value_and_what_is_allowed() -> None:
    assert find_problems(ROWS, [LONG, MISSING]).rows() == [
        ("a", 1, "size", f"size is {'x' * LONGEST_SHOWN}; allowed: short text"),
        ("b", 2, None, "size is missing"),
    ]


def test_no_rows_have_no_problems() -> None:
    assert find_problems(ROWS.clear(), [LONG, MISSING]).is_empty()


def test_rows_in_many_chunks_have_the_problems_of_one() -> None:
    """As Parquet of many row groups is read: Polars 2.1 panicked."""
    rows = pl.DataFrame(
        {
            "entity_id": [f"customer-with-a-long-name-{number % 50}" for number in range(1_000)],
            "transaction_id": [f"transaction-{number}" for number in range(1_000)],
            "transaction_amount": [float(number) for number in range(1_000)],
            "transaction_currency": ["EUR" if number % 37 else "NOT A CURRENCY AT ALL" for number in range(1_000)],
            "transaction_date": ["2024-11-05" if number % 41 else "some day, long ago" for number in range(1_000)],
        }
    )
    chunks = pl.concat([rows[first : first + 10] for first in range(0, len(rows), 10)], rechunk=False)
    rates = ecb_rates("EUR", date(2024, 12, 1))
    whole, split = (prepare(each, rates, {}).find_problems() for each in (rows, chunks))
    assert len(whole) > 40
    assert split.equals(whole)
