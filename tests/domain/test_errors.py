"""The error tree, and the message that names bad rows."""

import inspect

import pytest

from fivefold.domain import errors
from fivefold.domain.errors import FivefoldError, InvalidDataError, Problem, ProblemKind, problem_lines

NUMBER, TIME = "allowed: a finite number", "allowed: an ISO 8601 date"
COMMA = "; these have a decimal comma, which must be a point"
DAY = "; these have the year last, which must be first: 2024-06-30"


def problem(row: int) -> Problem:
    return Problem(row, "user_balance", "is nan", "a finite number")


def test_every_error_is_in_the_tree_and_in_its_picture() -> None:
    found = [thing for _, thing in inspect.getmembers(errors, inspect.isclass) if issubclass(thing, Exception)]
    for error in found:
        assert issubclass(error, FivefoldError)
        assert error.__name__ in (errors.__doc__ or "")
        assert error.__doc__


def test_problems_of_rows_in_memory_are_one_line_for_each_kind_too() -> None:
    error = InvalidDataError([problem(row) for row in range(100)])
    assert str(error).splitlines() == [
        "Data not valid: 100 problems (rows count from 0)",
        f"rows 0, 1, 2 and 97 more: user_balance is nan; {NUMBER}",
    ]


def test_problems_beyond_a_hundred_are_counted() -> None:
    error = InvalidDataError([problem(row) for row in reversed(range(150))], count=1000, source="a.csv")
    assert [found.row for found in error.problems] == list(range(100))
    assert str(error).startswith("Data not valid: 1000 problems in a.csv (the header is row 1)\n")
    assert str(error).endswith("\n... and 850 more")


def test_equal_problems_of_a_file_are_one_line() -> None:
    equal = [Problem(row, "user_balance", "is missing", "a number") for row in range(2000)]
    text = str(InvalidDataError([*equal, Problem(7, "user_id", "is missing", "text")], source="rows.csv.gz"))
    assert text.splitlines()[1:] == [
        "rows 2, 3, 4 and 1,997 more: user_balance is missing; allowed: a number",
        "row 9: user_id is missing; allowed: text",
    ]


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (["'1719748800'", "'1719748801'"], "seconds"),
        (["1719748800", "1719748801"], "seconds"),
        (["1719748800.0"], "seconds"),
        (["'1719748800000'", "'1719748801999'"], "milliseconds"),
        (["1719748800.25", "'1719748801.5'"], "seconds"),
        (["'1719748800000000'"], "microseconds"),
        (["1719748800000000000"], "nanoseconds"),
        (["'1719748800'", "'1719748800000'"], ""),
        (["'20240630'"], ""),
        (["'2024063012'", "'1999123123'"], ""),
        (["2024063012"], ""),
        (["'20240630120000'"], ""),
    ],
)
def test_numbers_since_1970_are_pointed_out_with_the_date_that_they_mean(values: list[str], unit: str) -> None:
    problems = [Problem(row, "transaction_date", f"is {value}", "an ISO 8601 date") for row, value in enumerate(values)]
    (line,) = str(InvalidDataError(problems, source="rows.csv")).splitlines()[1:]
    hint = f"; these seem to be {unit} since 1970-01-01, which must be dates: the first is 2024-06-30T12:00:00Z"
    assert line.partition(TIME)[2] == (hint if unit else "")


@pytest.mark.parametrize(("values", "told"), [(["1.0", "27.0"], True), (["1.0", "1.5"], False), (["'1.0'"], False)])
def test_identifiers_that_a_table_keeps_as_floats_are_pointed_out(values: list[str], told: bool) -> None:
    problems = [Problem(row, "user_id", f"is {value}", "text that is not empty") for row, value in enumerate(values)]
    (line,) = problem_lines(problems)
    assert line.endswith("; make them whole numbers or text") is told


def test_problems_of_one_kind_are_one_line_whatever_their_values() -> None:
    """A spreadsheet saved in German: not one number and not one date of it can be read."""
    amounts = [Problem(row, "amount", f"is '-1446,{row}'", "a finite number") for row in range(150)]
    days = [Problem(row, "date", f"is '{row % 28 + 1}.10.2024'", "an ISO 8601 date") for row in range(150)]
    missing = [Problem(151, "amount", "is missing", "a finite number")]
    text = str(InvalidDataError([*amounts, *days, *missing], source="rows.csv"))
    assert text.splitlines() == [
        "Data not valid: 301 problems in rows.csv (the header is row 1)",
        f"rows 2, 3, 4 and 147 more: amount is '-1446,0', '-1446,1', '-1446,2' and others; {NUMBER}{COMMA}",
        f"rows 2, 3, 4 and 147 more: date is '1.10.2024', '2.10.2024', '3.10.2024' and others; {TIME}{DAY}",
        "row 153: amount is missing; allowed: a finite number",
    ]


@pytest.mark.parametrize(
    "value", ["'abc'", "nan", "-1e+300", "'it''s'", "'xxxxx...", '"it\'s"', "datetime.date(1, 1, 1)"]
)
def test_what_is_said_after_a_value_is_kept(value: str) -> None:
    (line,) = problem_lines(
        [
            Problem(2, "a", f"is {value}: there is no such one", "one"),
            Problem(3, "a", "is 'b': there is no such one", "one"),
        ]
    )
    assert line == f"rows 2, 3: a is {value}, 'b': there is no such one; allowed: one"


def test_braces_of_a_problem_that_names_no_value_are_kept() -> None:
    (line,) = problem_lines([Problem(2, "a", "has {0} and {", "one")])
    assert line == "row 2: a has {0} and {; allowed: one"


def test_problems_that_were_only_counted_are_of_their_line() -> None:
    kind = ProblemKind("a", "is ", "", "a number")
    error = InvalidDataError([Problem(0, "a", "is 'x'", "a number")], 2_000_001, "rows.csv", {kind: 2_000_000})
    assert str(error).splitlines()[1:] == ["rows 2 and 2,000,000 more: a is 'x'; allowed: a number"]


def test_very_many_kinds_of_problems_are_counted() -> None:
    text = str(
        InvalidDataError([Problem(row, f"a{row}", "is 0", "a number") for row in range(150)], source="rows.parquet")
    )
    assert text.splitlines()[1] == "row 1: a0 is 0; allowed: a number"
    assert text.splitlines()[-1] == "... and 50 kinds of problems more"


@pytest.mark.parametrize(("count", "word"), [(1, "1 problem "), (2, "2 problems ")])
def test_one_problem_is_not_many(count: int, word: str) -> None:
    assert word in str(InvalidDataError([problem(row) for row in range(count)]))


def test_problems_of_one_row_keep_their_order() -> None:
    first, second = Problem(1, "b", "is missing", "text"), Problem(1, "a", "is missing", "text")
    assert InvalidDataError([first, problem(0), second]).problems == (problem(0), first, second)


def test_commas_between_thousands_are_pointed_out() -> None:
    amounts = [Problem(row, "amount", f"is '1,82{row}.74'", "a finite number") for row in range(2)]
    (line,) = problem_lines(amounts)[-1:]
    assert str(line).endswith(f"{NUMBER}; these have commas between thousands, which must be left out")
