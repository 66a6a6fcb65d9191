"""Errors of any kind, for where one must not hold up or end others."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from polars.exceptions import PanicException

from fivefold.domain.errors import StoreError
from fivefold.store.sql.reasons import is_of_whole_database

UNEXPECTED_ERRORS = (Exception, PanicException)
"""Polars has an error that does not inherit from Exception: uncaught, it would end a thread unseen."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def do_each(items: Iterable[Item], do: Callable[[Item], Result]) -> list[Result]:
    """Do each item, and return the results; one that fails, as others have locked it, holds up none behind it.

    The first error is raised after all others had their turn. One of the whole database is raised at once: each item
    would wait for it as long again, and a worker that is asked to end would go on.
    """
    results: list[Result] = []
    errors: list[BaseException] = []
    for item in items:
        try:
            results.append(do(item))
        except UNEXPECTED_ERRORS as error:  # it is raised below
            if isinstance(error, StoreError) and is_of_whole_database(error):
                raise
            errors.append(error)
    if errors:
        raise errors[0]
    return results
