"""Import of files, part by part. An invalid row is set aside; no row is stored twice."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal

import polars as pl

from fivefold.domain.errors import FileFormatError, Problem
from fivefold.features.histories import AmountChecks
from fivefold.features.reading.text_files import ColumnMap
from fivefold.models.reach import SimilarNames, doubts_of_amounts
from fivefold.risk.facts.transactions import amount_checks_of
from fivefold.risk.language.fields import FieldType
from fivefold.store.ingest.entities import type_named
from fivefold.usecases.ingest import file_rows as import_rows
from fivefold.usecases.ingest.bulk_facts import add_screenings, put_records, put_tags
from fivefold.usecases.ingest.entities import RowCounts, put_entities, put_owners
from fivefold.usecases.ingest.file_parts import (
    ImportPart,
    RefusedRows,
    format_of,
    parts,
    refused_rows,
    renamed_columns,
    require_refused_format,
)
from fivefold.usecases.ingest.import_progress import (
    COUNTS,
    ImportState,
    begin_import,
    finish_import,
    forget_import,
    import_part,
)
from fivefold.usecases.ingest.links import put_links
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import FIELDS
from fivefold.usecases.shared.row_results import accept_rows
from fivefold.usecases.shared.transaction_columns import OWNERS

ROWS = {"entities": 5_000, "transactions": 50_000}
"""Rows in a part, which is one database transaction; other kinds have as many as entities."""
MOST_PROBLEMS = 1000
"""Problems of one import that are kept in memory; the file of refused rows has them all."""

Take = Callable[[Context, pl.DataFrame], RowCounts]
"""Stores rows of a part, in the transaction of the context."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of an import: the rows read so far, their results, and the refused ones.

    Attributes:
        rows: how many were read and finished.
        new: how many of them were new.
        changed: how many changed something.
        same: how many were already known.
        refused: how many were invalid.
        without_from: how many new ones have no first moment, and begin when they are stored; since the import was
            begun or continued.
        finished: whether the file was read to its end.
        doubts: warnings about new identifiers that look like others, and about amounts; since the import was begun or
            continued.
        refused_path: the file of refused rows; None if there is none, or the one of an interrupted import is gone.
        problems: the first problems since it was begun or continued, with rows numbered as people count them.
    """

    rows: int
    new: int
    changed: int
    same: int
    refused: int = 0
    without_from: int = 0
    finished: bool = False
    doubts: tuple[str, ...] = ()
    refused_path: Path | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class ImportFile:
    """The file of an import, and its options.

    Attributes:
        path: Parquet, CSV or JSON lines; CSV and JSON lines perhaps gzipped.
        names: our names of its columns.
        refused: the file of refused rows; None for one beside the import.
    """

    path: Path
    names: ColumnMap = field(default_factory=ColumnMap)
    refused: Path | None = None


def _ignore(_: Progress) -> None:
    pass


@dataclass(frozen=True)
class _Source:
    """The context of an import: the organisation's, the type of the entities, and the file."""

    context: Context
    type_name: str
    path: Path

    def declared(self, what: Literal["fields", "case_fields", "transaction_fields"]) -> Mapping[str, FieldType]:
        """Read the fields that the type of the entities declares."""
        with self.context.reading() as session:
            return FIELDS.validate_python(
                getattr(type_named(session, self.context.organisation_id, self.type_name), what)
            )


def _entities(source: _Source) -> Take:
    fields = source.declared("fields")

    def take(context: Context, part: pl.DataFrame) -> RowCounts:
        rows = import_rows.read_entity_rows(part, fields, source.type_name, str(source.path))
        return put_entities(context, source.type_name, rows, from_file=True)

    return take


def _owners(source: _Source) -> Take:
    def take(context: Context, part: pl.DataFrame) -> RowCounts:
        rows = import_rows.read_owner_rows(part, source.type_name, str(source.path))
        return put_owners(context, source.type_name, rows)

    return take


def _transactions(source: _Source) -> Take:
    fields = source.declared("transaction_fields")

    def take(context: Context, part: pl.DataFrame) -> RowCounts:
        import_rows.refuse_misspelt_transactions(part, fields, str(source.path))
        rows = import_rows.transaction_rows(part, fields)
        counts = add_transactions(context, rows, source.type_name, text=True, most_named=None, from_file=True)
        owner = next((name for name in OWNERS if name in part.columns), "")
        checks = amount_checks_of(part, owner)
        return RowCounts(counts.new, counts.changed + counts.corrections, counts.repeated, amount_checks=checks)

    return take


def _tags(source: _Source) -> Take:
    def take(context: Context, part: pl.DataFrame) -> RowCounts:
        rows = import_rows.read_tag_rows(part, str(source.path))
        return put_tags(context, source.type_name, rows)

    return take


def _screenings(source: _Source) -> Take:
    def take(context: Context, part: pl.DataFrame) -> RowCounts:
        rows = import_rows.read_screening_rows(part, str(source.path))
        return add_screenings(context, source.type_name, rows)

    return take


def _records(kind: Literal["case", "alert"], source: _Source) -> Take:
    fields = source.declared("case_fields")

    def take(context: Context, part: pl.DataFrame) -> RowCounts:
        rows = import_rows.read_record_rows(part, fields, str(source.path))
        return put_records(context, source.type_name, rows, kind)

    return take


def _links(source: _Source) -> Take:
    def take(context: Context, part: pl.DataFrame) -> RowCounts:
        rows = import_rows.read_link_rows(part, str(source.path))
        return put_links(context, source.type_name, rows, from_file=True)

    return take


TABLES: Mapping[str, Callable[[_Source], Take]] = {
    "entities": _entities,
    "owners": _owners,
    "transactions": _transactions,
    "tags": _tags,
    "screenings": _screenings,
    "links": _links,
    "cases": partial(_records, "case"),
    "alerts": partial(_records, "alert"),
}
"""The tables that can be imported, and how a part of each is stored. `docs/platform.md` names their columns."""


def import_table(
    context: Context, table: str, type_name: str, file: ImportFile, report: Callable[[Progress], None] = _ignore
) -> Progress:
    """Import a file part by part, each part in a transaction of its own.

    Args:
        context: who imports it, for their organisation.
        table: the kind of the rows, one of TABLES.
        type_name: the type of the entities.
        file: the file.
        report: called after each part.

    Raises:
        FileFormatError: the file cannot be read, a column is missing, or is not a field of the type.
    """
    take = TABLES[table](_Source(context, type_name, file.path))
    return _import(context, (table, type_name), file, report, take)


def _import(
    context: Context, what: tuple[str, str], file: ImportFile, report: Callable[[Progress], None], take: Take
) -> Progress:
    """Import the parts of a file from the stored position on; each moves the position in its own transaction."""
    path = file.path
    format_of(path)
    about = {"content": what[0], "entity_type": what[1], "file": path.name}
    if file.refused is not None:
        require_refused_format(path, file.refused)
    state = begin_import(context, _source_name(what, file), about)
    try:
        return _import_from(context, what, file, report, take, state)
    except FileFormatError:
        forget_import(context, state)
        raise


def _import_from(
    context: Context,
    what: tuple[str, str],
    file: ImportFile,
    report: Callable[[Progress], None],
    take: Take,
    state: ImportState,
) -> Progress:
    path = file.path
    refused_rows_file = RefusedRows(path, file.refused, state.refused_path, state.refused_bytes)
    progress = Progress(**{name: getattr(state, name) for name in COUNTS}, refused_path=state.refused_path)
    report(progress)
    names, amount_checks = SimilarNames(what[1]), AmountChecks()
    for part in parts(path, ROWS.get(what[0], ROWS["entities"]), progress.rows, file.names):
        rows = renamed_columns(part.rows, file.names, path)
        with refused_rows_file.stored_together(), import_part(context, state) as (inside, note):
            row_counts, problems = accept_rows(len(rows), partial(_take_some, inside, rows, take))
            if problems or part.torn_rows:
                refused_rows_file.add(*refused_rows(part, problems))
                progress = replace(
                    progress, problems=_first_problems(progress, part, problems), refused_path=refused_rows_file.path
                )
            counts = row_counts or RowCounts(0, 0, 0)
            state = replace(
                state,
                rows=state.rows + len(part),
                new=state.new + counts.new,
                changed=state.changed + counts.changed,
                same=state.same + counts.same,
                refused=state.refused + len(problems) + len(part.torn_rows),
                refused_path=refused_rows_file.path and refused_rows_file.path.absolute(),
                refused_bytes=refused_rows_file.size,
            )
            note(state)
        stored_counts = {name: getattr(state, name) for name in COUNTS}
        progress = replace(progress, **stored_counts, without_from=progress.without_from + counts.without_from)
        names.add(pl.Series(counts.names, dtype=pl.String))
        amount_checks = AmountChecks.joined((amount_checks, counts.amount_checks))
        report(progress)
    finish_import(context, state)
    doubts = (*([names.text] if names.text else []), *doubts_of_amounts(amount_checks))
    progress = replace(progress, finished=True, doubts=doubts)
    report(progress)
    return progress


def _take_some(context: Context, rows: pl.DataFrame, take: Take, places: Sequence[int] | None) -> RowCounts:
    """Store the rows at some places, None for all; if one is invalid, the transaction is as it was before."""
    with context.writing() as session, session.begin_nested():
        return take(context, rows if places is None else rows[places])


def _first_problems(progress: Progress, part: ImportPart, problems: dict[int, list[Problem]]) -> tuple[Problem, ...]:
    """Keep the first problems, with rows numbered as people count them."""
    more = [replace(one, row=part.numbers[place]) for place, row_problems in problems.items() for one in row_problems]
    more += [row.as_problem() for row in part.torn_rows]
    return (*progress.problems, *sorted(more, key=lambda problem: problem.row))[:MOST_PROBLEMS]


def _source_name(what: Sequence[str], file: ImportFile) -> str:
    """Return the name of an import's source: this file as it is now, imported as these rows."""
    status = file.path.stat()
    parts_of_name = [
        *what,
        str(file.path.absolute()),
        status.st_size,
        status.st_mtime_ns,
        sorted(file.names.ours.items()),
    ]
    return sha256(json.dumps(parts_of_name).encode()).hexdigest()[:16]
