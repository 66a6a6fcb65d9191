"""Errors as they are stored and shown: their kind and our own words, without the database's words about a row."""

from types import TracebackType
from typing import Final

from sqlalchemy.exc import DBAPIError

from fivefold.domain.errors import ConfigError, FivefoldError, InvalidDataError, StoreError

MOST_CHARACTERS: Final = 1_000
_OURS: Final = "fivefold."
_FIELDS_NAMED: Final = 5


def failure_text(error: BaseException) -> str:
    """Write an error so that it can be stored and shown.

    An error that fivefold raises on purpose keeps its message; for invalid rows only the fields. Any other error is
    named by its kind and place: a database's message has customers' values, with the row that it refused, and so may
    any library's.

    >>> failure_text(ValueError("'Ana Silva' is no number"))
    'ValueError'
    """
    kind = type(error).__name__
    if isinstance(error, InvalidDataError):
        fields = sorted({problem.field for problem in error.problems})
        more = " and others" if len(fields) > _FIELDS_NAMED else ""
        return f"{kind}: {error.count} in {', '.join(fields[:_FIELDS_NAMED])}{more}"[:MOST_CHARACTERS]
    if isinstance(error, FivefoldError):
        return f"{kind}: {error}"[:MOST_CHARACTERS]
    driver_name = _driver_name(error.orig) if isinstance(error, DBAPIError) else ""
    place = _place(error.__traceback__)
    return f"{kind}{driver_name}{f' in {place}' if place else ''}"[:MOST_CHARACTERS]


def cause_text(error: BaseException) -> str:
    """Write why a round of a worker failed: what an operator can mend in our words; another error by its kind alone."""
    return str(error) if isinstance(error, StoreError | ConfigError) else type(error).__name__


def _driver_name(error: BaseException | None) -> str:
    """Return the driver's name of the error, such as UniqueViolation or SQLITE_CONSTRAINT_NOTNULL.

    Its message names values.
    """
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return f" ({name})"


def _place(traceback: TracebackType | None) -> str:
    """Name our function in which an error was raised last; empty if it was raised in none."""
    place = ""
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.startswith(_OURS):
            place = f"{module.removeprefix(_OURS)}.{traceback.tb_frame.f_code.co_name}"
        traceback = traceback.tb_next
    return place
