"""Errors as they are kept and shown: their kind and our own words, and nothing that a database says of a row."""

from types import TracebackType
from typing import Final

from sqlalchemy.exc import DBAPIError

from fivefold.domain.errors import FivefoldError, InvalidDataError

MOST_CHARACTERS: Final = 1_000
_OURS: Final = "fivefold."
_FIELDS_NAMED: Final = 5


def failure_text(error: BaseException) -> str:
    """Write an error so that it can be kept and shown.

    What fivefold raises on purpose keeps its words; of rows that cannot be taken the fields alone. Of any other error
    there are the kind and the place: a database names values of customers, with the row that it refused, and so may
    every library.

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
    said = _said_by_database(error.orig) if isinstance(error, DBAPIError) else ""
    place = _place(error.__traceback__)
    return f"{kind}{said}{f' in {place}' if place else ''}"[:MOST_CHARACTERS]


def _said_by_database(error: BaseException | None) -> str:
    """Name what the driver calls it, such as UniqueViolation or SQLITE_CONSTRAINT_NOTNULL; its words name values."""
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return f" ({name})"


def _place(traceback: TracebackType | None) -> str:
    """Name the function of ours in which an error came up last; no text where none was."""
    place = ""
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.startswith(_OURS):
            place = f"{module.removeprefix(_OURS)}.{traceback.tb_frame.f_code.co_name}"
        traceback = traceback.tb_next
    return place
