"""Rows of one call: those that can be taken are, each of the others is named. One bad row costs no other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from fivefold.domain.errors import DataNotValid, Problem

Made = TypeVar("Made")
Row = TypeVar("Row")

MOST_REFUSED: Final = 1_000
"""So many rows of one request are refused by name; where there are more, nothing of it is taken."""
MOST_ATTEMPTS: Final = 8
"""Each attempt finds what the one before could not see yet, such as a second transaction of the same number."""


@dataclass(frozen=True)
class TakenInPart(Generic[Made]):
    """What became of the rows of a request.

    Attributes:
        made: of those that were taken.
        refused: how many were not.
        problems: what is wrong with these, in row order.
    """

    made: Made
    refused: int = 0
    problems: tuple[Problem, ...] = ()


def take_in_part(rows: Sequence[Row], take: Callable[[Sequence[Row]], Made], *, atomic: bool) -> TakenInPart[Made]:
    """Take the rows of a request without those that cannot be taken; *atomic*: all of them, or none.

    Args:
        rows: all of them.
        take: takes rows in one transaction, or raises DataNotValid, which names those that it cannot take.
        atomic: nothing is taken where anything is wrong.

    Raises:
        DataNotValid: nothing was taken: every row is wrong, or more than `MOST_REFUSED`.
    """
    if atomic:
        return TakenInPart(take(rows))
    made, refused = take_sound(
        len(rows),
        lambda places: take(rows if places is None else [rows[place] for place in places]),
        most_refused=MOST_REFUSED,
        most_attempts=MOST_ATTEMPTS,
    )
    problems = [problem for _, found in sorted(refused.items()) for problem in found]
    if made is None:
        raise DataNotValid(problems)
    return TakenInPart(made, len(refused), tuple(problems))


def take_sound(
    count: int,
    take: Callable[[Sequence[int] | None], Made],
    *,
    most_refused: int | None = None,
    most_attempts: int | None = None,
) -> tuple[Made | None, dict[int, list[Problem]]]:
    """Take rows without those that cannot be taken; None where none can. Give the others by their places.

    Args:
        count: how many there are.
        take: takes those of some places, None for all; or raises DataNotValid, with the places among these.
        most_refused: beyond so many nothing is taken.
        most_attempts: after so many nothing is taken.

    Raises:
        DataNotValid: it names no row, or the bounds are passed.
    """
    places: Sequence[int] = range(count)
    refused: dict[int, list[Problem]] = {}
    attempts = 0
    while places:
        attempts += 1
        try:
            return take(None if len(places) == count else places), refused
        except DataNotValid as error:
            found: dict[int, list[Problem]] = {}
            for problem in error.every:
                place = places[problem.row]
                found.setdefault(place, []).append(replace(problem, row=place))
            if not found:
                raise
            refused |= found
            if attempts == most_attempts or (most_refused is not None and len(refused) > most_refused):
                raise DataNotValid([problem for each in refused.values() for problem in each]) from None
            places = [place for place in places if place not in found]
    return None, refused
