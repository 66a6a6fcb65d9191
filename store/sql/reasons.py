"""Errors as they are stored and shown, in our own words: a database's messages have roles, hosts, customers' values."""

import os
import re
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Final

import psycopg
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from fivefold.domain.errors import ConfigError, FivefoldError, InvalidDataError, StoreError

MOST_CHARACTERS: Final = 1_000
_OURS: Final = "fivefold."
_FIELDS_NAMED: Final = 5
READ_ONLY: Final = "the database can only be read, and not written"
_OUT_OF_REACH: Final = "the database cannot be reached"
_BUSY: Final = "another program wrote to the database for longer than the limit"
_OF_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_CANTOPEN: _OUT_OF_REACH,
    sqlite3.SQLITE_IOERR: "the database's file cannot be read or written: its disk fails, or the file may not grow",
    sqlite3.SQLITE_FULL: "the disk of the database's file is full, or the file may not grow",
    sqlite3.SQLITE_READONLY: "the database's file can only be read, and not written",
}
"""Our texts for SQLite's errors after which a retry may succeed."""
_DAMAGE: Final = "the database's file is damaged: "
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_LOCK_NOT_AVAILABLE: Final = "55P03"
_OF_POSTGRESQL: Final = {
    "25006": READ_ONLY,
    "25P03": "the database ended a transaction that did nothing for longer than its limit",
    "28000": "the database does not let this role in",
    "28P01": "the database does not take the password",
    "3D000": "the database's server has no database of that name",
    "40001": "the database undid this because another transaction changed the same",
    "40P01": "the database undid this because it and another transaction waited for each other",
    "42501": "the role of the database lacks a right that is needed here",
    "53100": "the disk of the database is full",
    "53200": "the database is out of memory",
    "53300": "the database has no connection left",
    _LOCK_NOT_AVAILABLE: "another transaction held a lock of the database for longer than the limit",
    "57014": "the database broke off a statement that took longer than its limit, or that an operator ended",
    "57P03": "the database does not take connections yet, or any more",
}
"""Our texts for PostgreSQL's errors that say more than that it is out of reach."""
_AT_CONNECT: Final = (
    (r"too many clients|too many connections|remaining connection slots|no more connections allowed", "53300"),
    (r"the database system is |is not currently accepting connections", "57P03"),
    (r'database "[^"]*" does not exist', "3D000"),
    (r"password authentication failed|no password supplied", "28P01"),
    (r'role "[^"]*" does not exist|authentication failed|pg_hba\.conf|not permitted to log in', "28000"),
    (r"permission denied for database", "28000"),
)
"""The codes of errors while connecting, which arrive without a code, by a pattern of the server's message."""
_WITHOUT_CONNECTION: Final = {"53300", "57P03"}


def reason_of(error: BaseException | None) -> str | None:
    """Return why the database is out of reach for now; None for an error of the statement or the schema.

    The error is SQLAlchemy's, or the driver's.
    """
    if isinstance(error, PoolTimeout):
        return _OUT_OF_REACH
    if isinstance(error, DBAPIError):
        error = error.orig
    if isinstance(error, sqlite3.Error):
        return _OF_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    if not isinstance(error, psycopg.Error):
        return None
    default = _OUT_OF_REACH if isinstance(error, psycopg.OperationalError) else None
    return _OF_POSTGRESQL.get(error.sqlstate or _code_at_connect(str(error)), default)


def file_in_question(error: BaseException | None, url: URL) -> str:
    """Return a colon and SQLite's file, or why it cannot be used; empty for a lock, and on a server.

    Callers over HTTP never see the text after the colon.
    """
    if isinstance(error, DBAPIError):
        error = error.orig
    if not isinstance(error, sqlite3.Error) or is_locked(error) or not url.database:
        return ""
    file = Path(url.database).absolute()
    return f": {_fault_of(file) or file}"


def note_damage(error: BaseException, url: URL) -> None:
    """Add a note to the error of a damaged page of SQLite's file: the file, and the remedy.

    The type of the error stays: waiting does not help, and other pages can still be read and written.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    if (
        damage_noted(error) is None
        and isinstance(cause, sqlite3.Error)
        and getattr(cause, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
    ):
        place = Path(url.database or "").absolute()
        advice = "put a backup of it back, as docs/operations.md says"
        error.add_note(f"{_DAMAGE}{place}: {cause}; {advice}")


def damage_noted(error: BaseException) -> str | None:
    """Return the note of `note_damage`, which has no data of a request; None without one."""
    return next((note for note in getattr(error, "__notes__", ()) if note.startswith(_DAMAGE)), None)


def is_locked(error: BaseException | None) -> bool:
    """Return whether another transaction held a lock for longer than the limit; *error* as in `reason_of`."""
    if isinstance(error, DBAPIError):
        error = error.orig
    if isinstance(error, sqlite3.Error):
        return _OF_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF) == _BUSY
    return isinstance(error, psycopg.Error) and error.sqlstate == _LOCK_NOT_AVAILABLE


def did_no_work(error: BaseException | None) -> bool:
    """Return whether no connection was made, so that the attempt took none of the database's time.

    The error is a StoreError, SQLAlchemy's or the driver's.
    """
    if isinstance(error, StoreError):
        error = error.__cause__
    if isinstance(error, OperationalError):
        if error.statement is None:  # nothing was asked yet
            return True
        error = error.orig
    if isinstance(error, psycopg.Error):  # a pooler connects at the first statement only
        return (error.sqlstate or _code_at_connect(str(error))) in _WITHOUT_CONNECTION
    return isinstance(error, PoolTimeout)


def is_of_whole_database(error: StoreError) -> bool:
    """Return whether any other call would fail now too: no connection was made, or the error is of SQLite's one file.

    A server's lock, right or time limit may concern a few rows alone.
    """
    cause = error.__cause__
    return isinstance(cause.orig if isinstance(cause, DBAPIError) else cause, sqlite3.Error) or did_no_work(error)


def _code_at_connect(message: str) -> str:
    return next((code for pattern, code in _AT_CONNECT if re.search(pattern, message)), "")


def _fault_of(file: Path) -> str:
    """Return why this account cannot use SQLite's file, with a path; empty if no obstacle is found."""
    if file.parent.exists() and not _allowed(file.parent, os.X_OK):
        return f"this account may not look into {file.parent}"
    if file.is_dir():
        return f"{file} is a folder"
    for place in (file, file.parent):  # SQLite keeps files beside it
        if not _allowed(place, os.F_OK):
            continue
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            return f"{place} is on a file system that can only be read"
        for right, what in ((os.R_OK, "read"), (os.W_OK, "write to")):
            if not _allowed(place, right):
                return f"this account may not {what} {place}"
    return ""


def _allowed(place: Path, right: int) -> bool:
    return os.access(place, right, effective_ids=True)


def failure_text(error: BaseException) -> str:
    """Write an error so that it can be stored and shown.

    An error that fivefold raises on purpose keeps its message; for invalid rows only the fields. Any other error is
    named by its kind and place: a database's message has customers' values, those of the row that it refused, and so
    may any library's.

    >>> failure_text(ValueError("'Ana Silva' is not a number"))
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
    """Write why a worker's round failed: in our words if an operator can mend it, otherwise the kind of error alone."""
    if isinstance(error, StoreError | ConfigError):
        return str(error)
    return damage_noted(error) or type(error).__name__


def _driver_name(error: BaseException | None) -> str:
    """Return the driver's name of the error, such as UniqueViolation or SQLITE_CONSTRAINT_NOTNULL.

    Its message names values.
    """
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return f" ({name})"


def _place(traceback: TracebackType | None) -> str:
    """Return the name of the innermost function of ours in a traceback; empty without one."""
    place = ""
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.startswith(_OURS):
            place = f"{module.removeprefix(_OURS)}.{traceback.tb_frame.f_code.co_name}"
        traceback = traceback.tb_next
    return place
