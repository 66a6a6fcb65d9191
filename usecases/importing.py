"""Files into the platform, part by part. A row that cannot be taken is set aside; none is taken twice."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal

import polars as pl
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from domain.clock import now_microseconds
from domain.errors import Problem
from domain.files import replacing
from features.text_files import ColumnMap, suffix_of_name
from store.entities import type_named
from usecases import import_rows
from usecases.actors import Actor
from usecases.import_parts import (
    ImportPart,
    RefusedRows,
    format_of,
    named,
    parts,
    refused_path,
    refused_rows,
)
from usecases.ingest_bulk import add_screenings, put_records, put_tags
from usecases.ingest_checks import FIELDS
from usecases.ingest_entities import put_entities, put_owners
from usecases.ingest_transactions import add_transactions
from usecases.sound_rows import take_sound

ROWS = {"entities": 5_000, "transactions": 50_000}
"""Rows in a part, which is one transaction of the database; of everything else as many as of entities."""
MOST_TOLD = 1000
"""Problems of one import that are kept to be told; the file of refused rows has them all."""

Counts = tuple[int, int, int]
Take = Callable[[pl.DataFrame], Counts]


@dataclass(frozen=True)
class Progress:
    """How far an import is: rows of the file that were read, what became of them so far, and which were refused.

    Attributes:
        rows: read and done with.
        new: of them, how many were new.
        changed: how many changed something.
        same: how many said what was known.
        refused: how many could not be taken.
        finished: the file is read to its end.
        refused_path: the file of those refused; None where there is none.
        problems: the first of what is wrong, rows numbered as people count them.
    """

    rows: int
    new: int
    changed: int
    same: int
    refused: int = 0
    finished: bool = False
    refused_path: Path | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class ImportFile:
    """What is imported, and how.

    Attributes:
        path: Parquet, CSV or JSON lines; CSV and JSON lines perhaps gzipped.
        notes: folder in which it is kept how far it is: an import that was stopped goes on there.
        names: what its columns are called here.
        refused: the file of refused rows; beside the import where it is None.
    """

    path: Path
    notes: Path
    names: ColumnMap = field(default_factory=ColumnMap)
    refused: Path | None = None


def _ignore(_: Progress) -> None:
    pass


def import_entities(
    engine: Engine,
    actor: Actor,
    type_name: str,
    file: ImportFile,
    told: Callable[[Progress], None] = _ignore,
    clock: Callable[[], int] = now_microseconds,
) -> Progress:
    """Take entities: `entity_id` (or `user_id`), attributes, perhaps `owner_id` and `owner_type`.

    Args:
        engine: the database.
        actor: whose organisation it is for.
        type_name: of the entities.
        file: what is imported.
        told: hears of each part.
        clock: the present.

    Raises:
        LayoutError: the file cannot be read, a column is missing, or is no field of the type.
    """
    with Session(engine) as session:
        fields = FIELDS.validate_json(type_named(session, actor.organisation_id, type_name).fields)

    def take(part: pl.DataFrame) -> Counts:
        rows = import_rows.entity_rows(part, fields, type_name, str(file.path))
        taken = put_entities(engine, actor, type_name, rows, clock())
        return taken.new, taken.changed, taken.same

    return _import(engine, actor, ("entities", type_name), file, told, take)


def import_owners(
    engine: Engine,
    actor: Actor,
    type_name: str,
    file: ImportFile,
    told: Callable[[Progress], None] = _ignore,
    clock: Callable[[], int] = now_microseconds,
) -> Progress:
    """Take owners: `entity_id`, `owner_id`, perhaps `owner_type`, `from`, `until`; else as `import_entities`."""

    def take(part: pl.DataFrame) -> Counts:
        taken = put_owners(engine, actor, type_name, import_rows.owners_rows(part, type_name, str(file.path)), clock())
        return taken.new, taken.changed, taken.same

    return _import(engine, actor, ("owners", type_name), file, told, take)


def import_transactions(
    engine: Engine,
    actor: Actor,
    type_name: str,
    file: ImportFile,
    told: Callable[[Progress], None] = _ignore,
    clock: Callable[[], int] = now_microseconds,
) -> Progress:
    """Take transactions of entities that are there, as `add_transactions` does; the rest as for `import_entities`."""
    text = suffix_of_name(file.path) == ".csv"

    def take(part: pl.DataFrame) -> Counts:
        taken = add_transactions(engine, actor, part, type_name, text=text, now_us=clock(), most_named=None)
        return taken.new, taken.changed + taken.corrections, taken.repeated

    return _import(engine, actor, ("transactions", type_name), file, told, take)


def import_tags(
    engine: Engine,
    actor: Actor,
    type_name: str,
    file: ImportFile,
    told: Callable[[Progress], None] = _ignore,
    clock: Callable[[], int] = now_microseconds,
) -> Progress:
    """Take tags: `entity_id`, `tag`, perhaps `from` and `until`; the rest as for `import_entities`."""

    def take(part: pl.DataFrame) -> Counts:
        taken = put_tags(engine, actor, type_name, import_rows.tag_rows(part, str(file.path)), clock())
        return taken.new, taken.changed, taken.same

    return _import(engine, actor, ("tags", type_name), file, told, take)


def import_screenings(
    engine: Engine,
    actor: Actor,
    type_name: str,
    file: ImportFile,
    told: Callable[[Progress], None] = _ignore,
    clock: Callable[[], int] = now_microseconds,
) -> Progress:
    """Take screenings: `entity_id`, `screening`, `found`, `at`; the rest as for `import_entities`."""

    def take(part: pl.DataFrame) -> Counts:
        taken = add_screenings(engine, actor, type_name, import_rows.screening_rows(part, str(file.path)), clock())
        return taken.new, taken.changed, taken.same

    return _import(engine, actor, ("screenings", type_name), file, told, take)


def import_cases(
    engine: Engine,
    actor: Actor,
    type_name: str,
    file: ImportFile,
    told: Callable[[Progress], None] = _ignore,
    clock: Callable[[], int] = now_microseconds,
) -> Progress:
    """Take cases: `entity_id`, `number`, `opened`, perhaps `closed`, `outcome`, `status` and the type's own fields."""
    return _import_records("case", engine, actor, type_name, file, told, clock)


def import_alerts(
    engine: Engine,
    actor: Actor,
    type_name: str,
    file: ImportFile,
    told: Callable[[Progress], None] = _ignore,
    clock: Callable[[], int] = now_microseconds,
) -> Progress:
    """Take alerts, in the columns of `import_cases`."""
    return _import_records("alert", engine, actor, type_name, file, told, clock)


def _import_records(
    kind: Literal["case", "alert"],
    engine: Engine,
    actor: Actor,
    type_name: str,
    file: ImportFile,
    told: Callable[[Progress], None],
    clock: Callable[[], int],
) -> Progress:
    with Session(engine) as session:
        fields = FIELDS.validate_json(type_named(session, actor.organisation_id, type_name).case_fields)

    def take(part: pl.DataFrame) -> Counts:
        rows = import_rows.record_rows(part, fields, str(file.path))
        taken = put_records(engine, actor, type_name, rows, kind, clock())
        return taken.new, taken.changed, taken.same

    return _import(engine, actor, (f"{kind}s", type_name), file, told, take)


def _import(
    engine: Engine,
    actor: Actor,
    what: tuple[str, str],
    file: ImportFile,
    told: Callable[[Progress], None],
    take: Take,
) -> Progress:
    path = file.path
    format_of(path)
    note = _note(engine, actor, what, file)
    done, refused = _begun(note, file)
    _keep(note, done, refused)  # so that one which is stopped goes on with the same file of refused rows
    told(done)
    for part in parts(path, ROWS.get(what[0], ROWS["entities"]), done.rows):
        rows = named(part.rows, file.names, path)
        taken, problems = take_sound(len(rows), partial(_take_some, rows, take))
        if problems or part.torn_rows:
            refused.add(*refused_rows(part, problems))
            done = replace(done, problems=_told(done, part, problems), refused_path=refused.path)
        new, changed, same = (
            before + now for before, now in zip((done.new, done.changed, done.same), taken or (0, 0, 0), strict=True)
        )
        done = replace(
            done,
            rows=done.rows + len(part),
            new=new,
            changed=changed,
            same=same,
            refused=done.refused + len(problems) + len(part.torn_rows),
        )
        _keep(note, done, refused)
        told(done)
    note.unlink(missing_ok=True)
    done = replace(done, finished=True)
    told(done)
    return done


def _take_some(rows: pl.DataFrame, take: Take, places: Sequence[int] | None) -> Counts:
    return take(rows if places is None else rows[places])


def _told(done: Progress, part: ImportPart, problems: dict[int, list[Problem]]) -> tuple[Problem, ...]:
    """Keep the first problems, rows numbered as people count them."""
    more = [replace(one, row=part.numbers[place]) for place, found in problems.items() for one in found]
    more += [row.as_problem() for row in part.torn_rows]
    return (*done.problems, *sorted(more, key=lambda problem: problem.row))[:MOST_TOLD]


def _note(engine: Engine, actor: Actor, what: Sequence[str], file: ImportFile) -> Path:
    """Name the note of how far an import is: of this file as it is now, into this database."""
    found = file.path.stat()
    where = [engine.url.render_as_string(hide_password=True), actor.organisation_id, *what, str(file.path.absolute())]
    how = sorted(file.names.ours.items())
    name = sha256(json.dumps([*where, found.st_size, found.st_mtime_ns, how]).encode()).hexdigest()[:16]
    file.notes.mkdir(parents=True, exist_ok=True)
    return file.notes / f"import-{name}.json"


def _begun(note: Path, file: ImportFile) -> tuple[Progress, RefusedRows]:
    """Read how far an import is; a new one is at its beginning, and its file of refused rows has a name of its own."""
    if not note.exists():
        return Progress(0, 0, 0, 0), RefusedRows(refused_path(file.path, file.refused), file.path)
    kept = json.loads(note.read_text(encoding="utf-8"))
    refused = RefusedRows(Path(kept["refused_path"]), file.path, kept["refused_bytes"])
    problems = tuple(Problem(**problem) for problem in kept["problems"])
    counts = {name: kept[name] for name in ("rows", "new", "changed", "same", "refused")}
    return Progress(**counts, refused_path=refused.path if kept["refused"] else None, problems=problems), refused


def _keep(note: Path, done: Progress, refused: RefusedRows) -> None:
    counts = {name: getattr(done, name) for name in ("rows", "new", "changed", "same", "refused")}
    kept = {
        **counts,
        "problems": [vars(problem) for problem in done.problems],
        "refused_path": str(refused.path.absolute()),
        "refused_bytes": refused.size,
    }
    with replacing(note) as unfinished:
        unfinished.write_text(json.dumps(kept), encoding="utf-8")
