"""The rows of one call: valid rows are stored, and each invalid one is named, so that it prevents no other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from fivefold.domain.errors import InvalidDataError, Problem

Result = TypeVar("Result")
Row = TypeVar("Row")

MOST_REFUSED: Final = 1_000
"""The most rows of one request that are refused by name; if there are more, nothing of the request is stored."""
MOST_ATTEMPTS: Final = 8
"""The most attempts: each finds problems that the one before could not, such as two transactions of one number.
"""


@dataclass(frozen=True)
class AcceptedRows(Generic[Result]):
    """The result of a request's rows.

    Attributes:
        result: the result of the accepted rows.
        refused: how many rows were not accepted.
        problems: the problems of the refused rows, in the order of the rows.
    """

    result: Result
    refused: int = 0
    problems: tuple[Problem, ...] = ()


def accept_valid_rows(
    rows: Sequence[Row], take: Callable[[Sequence[Row]], Result], *, atomic: bool
) -> AcceptedRows[Result]:
    """Store the valid rows of a request; with *atomic*, all rows or none.

    Args:
        rows: all rows.
        take: stores rows in one transaction, or raises InvalidDataError, which names the invalid ones.
        atomic: whether nothing is stored if any row is invalid.

    Raises:
        InvalidDataError: nothing was stored: every row is invalid, or more than `MOST_REFUSED`, or too many attempts
            found new problems.
    """
    if atomic:
        return AcceptedRows(take(rows))
    result, problems_by_row = accept_rows(
        len(rows),
        lambda places: take(rows if places is None else [rows[place] for place in places]),
        most_refused=MOST_REFUSED,
        most_attempts=MOST_ATTEMPTS,
    )
    problems = [problem for _, row_problems in sorted(problems_by_row.items()) for problem in row_problems]
    if result is None:
        raise InvalidDataError(problems)
    return AcceptedRows(result, len(problems_by_row), tuple(problems))


def accept_rows(
    count: int,
    take: Callable[[Sequence[int] | None], Result],
    *,
    most_refused: int | None = None,
    most_attempts: int | None = None,
) -> tuple[Result | None, dict[int, list[Problem]]]:
    """Store the valid rows; return the result (None if no row is valid), and the problems of the others by place.

    Args:
        count: how many rows there are.
        take: stores the rows at some places, None for all; or raises InvalidDataError, whose rows count among these.
        most_refused: the most refused rows; with more, nothing is stored.
        most_attempts: the most attempts; if the last one fails too, nothing is stored.

    Raises:
        InvalidDataError: it names no row, or a limit is exceeded.
    """
    places: Sequence[int] = range(count)
    problems_by_row: dict[int, list[Problem]] = {}
    attempts = 0
    while places:
        attempts += 1
        try:
            return take(None if len(places) == count else places), problems_by_row
        except InvalidDataError as error:
            row_problems: dict[int, list[Problem]] = {}
            for problem in error.every:
                place = places[problem.row]
                row_problems.setdefault(place, []).append(replace(problem, row=place))
            if not row_problems:
                raise
            problems_by_row |= row_problems
            if attempts == most_attempts or (most_refused is not None and len(problems_by_row) > most_refused):
                raise InvalidDataError([problem for each in problems_by_row.values() for problem in each]) from None
            places = [place for place in places if place not in row_problems]
    return None, problems_by_row
