"""What is wrong with rows is suspected cheaply, then named exactly."""

import polars as pl
import pytest

from risk.facts.problems import LONGEST_SHOWN, Check, find_problems, suspected
from risk.facts.source import LINK, TIME

ROWS = pl.LazyFrame({LINK: ["a", "b"], TIME: [1, None], "size": ["x" * 60, None], "sure": [True, True]})
LONG = Check("size", "size", pl.col("size").str.len_chars() > 40, "short text")
MISSING = Check("size", None, pl.col("size").is_null())
NEVER = Check("sure", "sure", ~pl.col("sure"))


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ([], []),
        ([NEVER], []),
        ([NEVER, LONG, MISSING], [LONG, MISSING]),
        ([Check("sure", None, NEVER.wrong, maybe=pl.lit(True))], [0]),
    ],
)
def test_checks_that_may_have_found_something_are_suspected(checks: list[Check], expected: list[Check | int]) -> None:
    assert suspected(ROWS, checks) == [checks[one] if isinstance(one, int) else one for one in expected]


def test_nothing_is_suspected_of_no_rows() -> None:
    assert suspected(ROWS.clear(), [LONG, MISSING]) == []


def test_problems_are_named_with_the_value_and_what_is_allowed() -> None:
    assert find_problems(ROWS, [LONG, MISSING]).rows() == [
        ("a", 1, "size", f"size is {'x' * LONGEST_SHOWN}; allowed: short text"),
        ("b", None, None, "size is missing"),
    ]
