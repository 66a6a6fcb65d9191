"""The error tree, and the message that names bad rows."""

import inspect

import pytest

from domain import errors
from domain.errors import DataNotValid, FivefoldError, Problem


def problem(row: int) -> Problem:
    return Problem(row, "user_balance", "is nan", "a finite number")


def test_every_error_is_in_the_tree_and_in_its_picture() -> None:
    found = [thing for _, thing in inspect.getmembers(errors, inspect.isclass) if issubclass(thing, Exception)]
    for error in found:
        assert issubclass(error, FivefoldError)
        assert error.__name__ in (errors.__doc__ or "")
        assert error.__doc__


def test_all_problems_are_in_the_message_up_to_a_hundred() -> None:
    error = DataNotValid([problem(row) for row in range(100)])
    assert str(error).count("\n") == 100
    assert "more" not in str(error)


def test_problems_beyond_a_hundred_are_counted() -> None:
    error = DataNotValid([problem(row) for row in reversed(range(150))], count=1000, source="a.csv")
    assert [found.row for found in error.problems] == list(range(100))
    assert str(error).startswith("Data not valid: 1000 problems in a.csv (the header is row 1)\n")
    assert str(error).endswith("\n... and 850 more")


def test_equal_problems_of_a_file_are_one_line() -> None:
    equal = [Problem(row, "user_balance", "is missing", "a number") for row in range(2000)]
    text = str(DataNotValid([*equal, Problem(7, "user_id", "is missing", "text")], source="rows.csv.gz"))
    assert text.splitlines()[1:] == [
        "rows 2, 3, 4 and 1,997 more: user_balance is missing; allowed: a number",
        "row 9: user_id is missing; allowed: text",
    ]


def test_very_many_kinds_of_problems_are_counted() -> None:
    text = str(DataNotValid([Problem(row, "a", f"is {row}", "a number") for row in range(150)], source="rows.parquet"))
    assert text.splitlines()[1] == "row 1: a is 0; allowed: a number"
    assert text.splitlines()[-1] == "... and 50 kinds of problems more"


@pytest.mark.parametrize(("count", "word"), [(1, "1 problem "), (2, "2 problems ")])
def test_one_problem_is_not_many(count: int, word: str) -> None:
    assert word in str(DataNotValid([problem(row) for row in range(count)]))


def test_problems_of_one_row_keep_their_order() -> None:
    first, second = Problem(1, "b", "is missing", "text"), Problem(1, "a", "is missing", "text")
    assert DataNotValid([first, problem(0), second]).problems == (problem(0), first, second)
