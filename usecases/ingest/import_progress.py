"""How far imports are, as people of the organisation see it; an import goes on by its own note on the disk."""

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
    """An import of a file: what its rows are, and what became of them so far.

    Attributes:
        content: what the rows are, such as transactions.
        updated_us: when a part of it was done last.
        finished_us: when it was read to its end; None while it goes on, and where it was stopped.
        new: rows that were new.
        changed: rows that changed something.
        same: rows that said what was known.
        refused: rows that could not be taken.
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
    """Note how far an import is: under its source, as long as it is not finished.

    Args:
        context: whose it is. The time of the note is that of this machine, whatever moment the import is of.
        source: names the file as it is, with what it is imported as.
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
