"""Rows of one call: those that can be taken are, each of the others is named. One bad row costs no other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from fivefold.domain.errors import InvalidDataError, Problem

Result = TypeVar("Result")
Row = TypeVar("Row")

MOST_REFUSED: Final = 1_000
"""So many rows of one request are refused by name; where there are more, nothing of it is taken."""
MOST_ATTEMPTS: Final = 8
"""Each attempt finds what the one before could not see yet, such as a second transaction of the same number."""


@dataclass(frozen=True)
class AcceptedRows(Generic[Result]):
    """What became of the rows of a request.

    Attributes:
        made: of those that were taken.
        refused: how many were not.
        problems: what is wrong with these, in row order.
    """

    result: Result
    refused: int = 0
    problems: tuple[Problem, ...] = ()


def accept_valid_rows(
    rows: Sequence[Row], take: Callable[[Sequence[Row]], Result], *, atomic: bool
) -> AcceptedRows[Result]:
    """Take the rows of a request without those that cannot be taken; *atomic*: all of them, or none.

    Args:
        rows: all of them.
        take: takes rows in one transaction, or raises InvalidDataError, which names those that it cannot take.
        atomic: nothing is taken where anything is wrong.

    Raises:
        InvalidDataError: nothing was taken: every row is wrong, or more than `MOST_REFUSED`.
    """
    if atomic:
        return AcceptedRows(take(rows))
    result, refused = accept_rows(
        len(rows),
        lambda places: take(rows if places is None else [rows[place] for place in places]),
        most_refused=MOST_REFUSED,
        most_attempts=MOST_ATTEMPTS,
    )
    problems = [problem for _, row_problems in sorted(refused.items()) for problem in row_problems]
    if result is None:
        raise InvalidDataError(problems)
    return AcceptedRows(result, len(refused), tuple(problems))


def accept_rows(
    count: int,
    take: Callable[[Sequence[int] | None], Result],
    *,
    most_refused: int | None = None,
    most_attempts: int | None = None,
) -> tuple[Result | None, dict[int, list[Problem]]]:
    """Take rows without those that cannot be taken; None where none can. Give the others by their places.

    Args:
        count: how many there are.
        take: takes those of some places, None for all; or raises InvalidDataError, with the places among these.
        most_refused: beyond so many nothing is taken.
        most_attempts: after so many nothing is taken.

    Raises:
        InvalidDataError: it names no row, or the bounds are passed.
    """
    places: Sequence[int] = range(count)
    refused: dict[int, list[Problem]] = {}
    attempts = 0
    while places:
        attempts += 1
        try:
            return take(None if len(places) == count else places), refused
        except InvalidDataError as error:
            row_problems: dict[int, list[Problem]] = {}
            for problem in error.every:
                place = places[problem.row]
                row_problems.setdefault(place, []).append(replace(problem, row=place))
            if not row_problems:
                raise
            refused |= row_problems
            if attempts == most_attempts or (most_refused is not None and len(refused) > most_refused):
                raise InvalidDataError([problem for each in refused.values() for problem in each]) from None
            places = [place for place in places if place not in row_problems]
    return None, refused
