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
    assert str(error).startswith("Data not valid: 1000 problems in a.csv (rows count from 0)\n")
    assert str(error).endswith("\n... and 900 more")


@pytest.mark.parametrize(("count", "word"), [(1, "1 problem "), (2, "2 problems ")])
def test_one_problem_is_not_many(count: int, word: str) -> None:
    assert word in str(DataNotValid([problem(row) for row in range(count)]))


def test_problems_of_one_row_keep_their_order() -> None:
    first, second = Problem(1, "b", "is missing", "text"), Problem(1, "a", "is missing", "text")
    assert DataNotValid([first, problem(0), second]).problems == (problem(0), first, second)
