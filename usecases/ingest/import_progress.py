"""The progress of imports for people of the organisation; an import itself continues by its own note on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fivefold.domain.clock import now_microseconds
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.monitoring.operations import imports_of, unfinished_import
from fivefold.store.tables.operations import ImportRow
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context


@schema("Import")
@dataclass(frozen=True, kw_only=True)
class ImportLine:
    """An import of a file: the kind of its rows, and their results so far.

    Attributes:
        content: the kind of the rows, such as transactions.
        updated_us: when its last part was done.
        finished_us: when it was read to its end; None while it runs, and if it was interrupted.
        new: rows that were new.
        changed: rows that changed something.
        same: rows that were already known.
        refused: rows that were invalid.
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


def note_import(context: Context, source: str, about: Mapping[str, str], counts: Mapping[str, int]) -> None:
    """Record the progress of an import: under its source, until it is finished.

    Args:
        context: of its organisation. The time of the record is this machine's, whatever the import's own time.
        source: names the file's content and the kind of import.
        about: `content`, `entity_type` and `file`.
        counts: `rows`, `new`, `changed`, `same` and `refused`; and `finished`, 1 once the file is read to its end.
    """
    now = now_microseconds()
    with context.writing() as session:
        row = unfinished_import(session, context.organisation_id, source)
        if row is None:
            row = ImportRow(organisation_id=context.organisation_id, source=source, started_us=now, **about)
            session.add(row)
        for name in ("rows", "new", "changed", "same", "refused"):
            setattr(row, name, counts[name])
        row.updated_us, row.finished_us = now, now if counts["finished"] else None


def _line(row: ImportRow) -> ImportLine:
    """Describe an import."""
    return ImportLine(
        id=row.id,
        content=row.content,
        entity_type=row.entity_type,
        file=row.file,
        started_us=row.started_us,
        updated_us=row.updated_us,
        finished_us=row.finished_us,
        rows=row.rows,
        new=row.new,
        changed=row.changed,
        same=row.same,
        refused=row.refused,
    )
