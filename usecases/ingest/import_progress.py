"""The progress of imports: for people of the organisation, and for interrupted imports, which continue from it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.domain.text import count_text
from fivefold.store.accounts.organisation import lock_organisation
from fivefold.store.monitoring.operations import imports_of, locked_import, unfinished_import
from fivefold.store.sql.clocks import clock_of
from fivefold.store.tables.operations import ImportRow
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context

COUNTS: Final = ("rows", "new", "changed", "same", "refused")
"""The counts of an import's rows."""


@dataclass(frozen=True, kw_only=True)
class ImportState:
    """The stored state of an import.

    Attributes:
        number: the number of its record.
        started_us: when it was begun.
        rows: how many rows of the file, from its start, were stored or refused.
        refused_path: the absolute path of the file of refused rows; None until a row is refused, and once it is gone.
        refused_bytes: the bytes of that file that belong to these rows; 0 without a file.
    """

    number: int
    started_us: int
    rows: int
    new: int
    changed: int
    same: int
    refused: int
    refused_path: Path | None
    refused_bytes: int


@schema("Import")
@dataclass(frozen=True, kw_only=True)
class ImportLine:
    """An import of a file: the kind of its rows, and their results so far.

    Attributes:
        content: the kind of the rows, such as transactions.
        updated_us: when its last part was done.
        finished_us: when it was read to its end; None while it runs, and if it was interrupted.
        new: how many rows were new.
        changed: how many rows changed something.
        same: how many rows were already known.
        refused: how many rows were invalid.
    """

    id: int
    content: str
    entity_type: str
    file: str
    started_us: Annotated[Moment, shown_as("started_at")]
    updated_us: Annotated[Moment, shown_as("updated_at")]
    finished_us: Annotated[Moment | None, shown_as("finished_at")]
    rows: int
    new: int
    changed: int
    same: int
    refused: int


def list_imports(context: Context, part: Part = WHOLE) -> Page[ImportLine]:
    """List the organisation's imports, the newest first."""
    with context.reading() as session:
        return imports_of(session, context.organisation_id, part).map(_line)


def begin_import(context: Context, source: str, about: Mapping[str, str]) -> ImportState:
    """Continue the unfinished import of a source, or begin a new one.

    Args:
        context: the context of its organisation; the record's times are by the database's clock, not the context's.
        source: names the file's content and the kind of import.
        about: `content`, `entity_type` and `file`.
    """
    of = context.organisation_id
    with context.writing() as session:
        now = clock_of(context.engine).now_us()
        lock_organisation(session, of)  # of two that begin at once, the second finds the record of the first
        row = unfinished_import(session, of, source)
        if row is None:
            row = ImportRow(organisation_id=of, source=source, started_us=now, updated_us=now, **about)
            for name in COUNTS:
                setattr(row, name, 0)
            session.add(row)
        if not _has_refused_rows(row):
            row.refused_path, row.refused_bytes = None, 0
        session.flush()
        counts = {name: getattr(row, name) for name in COUNTS}
        path = None if row.refused_path is None else Path(row.refused_path)
        size = row.refused_bytes or 0
        return ImportState(number=row.id, started_us=row.started_us, refused_path=path, refused_bytes=size, **counts)


def _has_refused_rows(row: ImportRow) -> bool:
    """Check whether an import wrote refused rows to a file that still has all of them.

    A path without bytes does not count: another import may have made that file since.
    """
    if row.refused_path is None or not row.refused_bytes:
        return False
    path = Path(row.refused_path)
    return path.is_file() and path.stat().st_size >= row.refused_bytes


@contextmanager
def import_part(context: Context, before: ImportState) -> Iterator[tuple[Context, Callable[[ImportState], None]]]:
    """Open the transaction of a part, which also moves the import on: both are stored, or neither.

    Yields:
        The context in which to store the rows, and a function that notes the state after the part.

    Raises:
        ConflictError: another process continues the import since, or a restored database does not have it.
    """
    with context.writing() as session:
        row = _locked(session, before)
        if row.finished_us is not None or row.rows != before.rows:
            raise ConflictError(
                f"{row.file} is imported by another process too, which has stored {count_text(row.rows, 'row')} of it;"
                " nothing is stored twice, and the same command goes on if that one stops"
            )

        def note(after: ImportState) -> None:
            for name in (*COUNTS, "refused_bytes"):
                setattr(row, name, getattr(after, name))
            row.refused_path = None if after.refused_path is None else str(after.refused_path)
            row.updated_us = clock_of(context.engine).now_us()

        yield replace(context, transaction=session), note


def finish_import(context: Context, state: ImportState) -> None:
    """Record that an import's file was read to its end."""
    with context.writing() as session:
        row = _locked(session, state)
        row.updated_us = row.finished_us = clock_of(context.engine).now_us()


def forget_import(context: Context, state: ImportState) -> None:
    """Remove the record of an import whose file was refused before any of its rows; otherwise it stays unfinished."""
    with context.writing() as session:
        row = locked_import(session, state.number, state.started_us)
        if row is not None and not row.rows:
            session.delete(row)


def _locked(session: Session, state: ImportState) -> ImportRow:
    """Read an import, and lock it; ConflictError if the database was restored to a copy from before its start."""
    row = locked_import(session, state.number, state.started_us)
    if row is None:
        raise ConflictError(
            "the database no longer has this import: it was restored to an earlier copy, so rows may be missing; the"
            " same command imports the file again, and stores no row twice"
        )
    return row


def _line(row: ImportRow) -> ImportLine:
    """Describe an import."""
    return row_as(ImportLine, row)
