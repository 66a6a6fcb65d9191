"""Rows of one call: those that are right are taken, the others are named by their places, within bounds."""

from collections.abc import Callable, Sequence

import pytest

from fivefold.domain.errors import InvalidDataError, Problem
from fivefold.usecases.shared.row_results import MOST_ATTEMPTS, MOST_REFUSED, accept_rows, accept_valid_rows

Take = Callable[[Sequence[int]], list[int]]


def refusing(*rounds: set[int]) -> Take:
    """Refuse values in rounds: a value of a later round is seen once those of earlier ones are gone."""

    def take(rows: Sequence[int]) -> list[int]:
        for bad in rounds:
            found = [Problem(place, "value", f"is {row}", "another") for place, row in enumerate(rows) if row in bad]
            if found:
                raise InvalidDataError(found)
        return list(rows)

    return take


def test_what_shows_only_after_other_rows_are_gone_is_found_too() -> None:
    taken = accept_valid_rows(range(10), refusing({3, 7}, {0}, {9}), atomic=False)
    assert (taken.result, taken.refused) == ([1, 2, 4, 5, 6, 8], 4)
    assert [(problem.row, problem.problem) for problem in taken.problems] == [
        (0, "is 0"),
        (3, "is 3"),
        (7, "is 7"),
        (9, "is 9"),
    ]


def test_all_or_nothing() -> None:
    with pytest.raises(InvalidDataError, match="row 3"):
        accept_valid_rows(range(10), refusing({3}), atomic=True)


ONE_BY_ONE = refusing(*({row} for row in range(MOST_ATTEMPTS)))


@pytest.mark.parametrize("take", [refusing(set(range(2_000))), refusing(set(range(MOST_REFUSED + 1))), ONE_BY_ONE])
def test_beyond_the_bounds_nothing_is_taken(take: Take) -> None:
    with pytest.raises(InvalidDataError) as refused:
        accept_valid_rows(range(2_000), take, atomic=False)
    assert refused.value.problems[0].row == 0


def test_an_error_that_names_no_row_is_one_of_the_call() -> None:
    def take(_: object) -> None:
        raise InvalidDataError([], 5)

    with pytest.raises(InvalidDataError):
        accept_rows(3, take)
