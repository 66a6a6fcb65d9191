"""Errors of any kind, for where one must not hold up or end others."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from polars.exceptions import PanicException

UNEXPECTED_ERRORS = (Exception, PanicException)
"""Polars has an error that is no subclass of Exception: uncaught, it would end a thread unseen."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def do_each(items: Iterable[Item], do: Callable[[Item], Result]) -> list[Result]:
    """Do each item, and return the results; one that fails, as others have locked it, holds up none behind it.

    The first error is raised after all others had their turn.
    """
    results: list[Result] = []
    errors: list[BaseException] = []
    for item in items:
        try:
            results.append(do(item))
        except UNEXPECTED_ERRORS as error:  # it is raised below
            errors.append(error)
    if errors:
        raise errors[0]
    return results
