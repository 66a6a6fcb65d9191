"""What is wrong with rows is marked in passing, then named where it is asked for."""

import polars as pl
import pytest

from fivefold.risk.facts.linked import LINKED_ENTITY, TIME, UNREADABLE
from fivefold.risk.facts.row_errors import LONGEST_SHOWN, Check, find_problems, with_problems

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
