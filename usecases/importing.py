"""Files into the platform, part by part: each part is taken whole or not at all, and none is taken twice."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from domain.clock import now_microseconds
from domain.errors import ConfigError, DataNotValid, LayoutError, Problem
from domain.files import replacing
from risk.facts.fields import read_field
from risk.language.fields import FieldType, Kind, kind_of
from store.entities import type_named
from usecases.actors import Actor
from usecases.ingest_checks import FIELDS, EntityRow, allowed_values
from usecases.ingest_entities import put_entities
from usecases.ingest_transactions import add_transactions

SUFFIXES = (".parquet", ".csv", ".jsonl", ".ndjson")
ROWS = {"entities": 5_000, "transactions": 50_000}
"""Rows in a part, which is one transaction of the database."""
NAMES = ("entity_id", "user_id")
OWNER, OWNER_TYPE = "owner_id", "owner_type"


@dataclass(frozen=True)
class Progress:
    """How far an import is: rows of the file that were read and are stored, and what became of them so far."""

    rows: int
    new: int
    changed: int
    same: int
    finished: bool = False


def import_entities(
    engine: Engine,
    actor: Actor,
    type_name: str,
    path: Path,
    notes: Path,
    told: Callable[[Progress], None] = lambda _: None,
    clock: Callable[[], int] = now_microseconds,
) -> Progress:
    """Take entities from Parquet, CSV or JSON lines: `entity_id` (or `user_id`), attributes, perhaps `owner_id`.

    Args:
        engine: the database.
        actor: whose organisation it is for.
        type_name: of the entities.
        path: the file. Beside the attributes it may have `owner_type`, their own type where it has not.
        notes: folder in which it is kept how far it is: an import that was stopped goes on there.
        told: is told after each part.
        clock: the present.

    Raises:
        LayoutError: a column is missing, or is no field of the type.
        DataNotValid: rows that cannot be taken, numbered from the beginning of the file; the parts before are stored.
    """
    with Session(engine) as session:
        fields = FIELDS.validate_json(type_named(session, actor.organisation_id, type_name).fields)

    def take(part: pl.DataFrame) -> tuple[int, int, int]:
        taken = put_entities(engine, actor, type_name, _rows_of(part, fields, type_name, path), clock())
        return taken.new, taken.changed, taken.same

    return _import(engine, actor, ("entities", type_name), path, notes, told, take)


def import_transactions(
    engine: Engine,
    actor: Actor,
    type_name: str,
    path: Path,
    notes: Path,
    told: Callable[[Progress], None] = lambda _: None,
    clock: Callable[[], int] = now_microseconds,
) -> Progress:
    """Take transactions of entities that are there, as `add_transactions` does; the rest as for `import_entities`."""
    text = path.suffix.lower() == ".csv"

    def take(part: pl.DataFrame) -> tuple[int, int, int]:
        taken = add_transactions(engine, actor, part, type_name, text=text, now_us=clock())
        return taken.new, taken.changed, taken.repeated

    return _import(engine, actor, ("transactions", type_name), path, notes, told, take)


def _import(
    engine: Engine,
    actor: Actor,
    what: tuple[str, str],
    path: Path,
    notes: Path,
    told: Callable[[Progress], None],
    take: Callable[[pl.DataFrame], tuple[int, int, int]],
) -> Progress:
    note = _note(engine, actor, what, path, notes)
    done = Progress(**json.loads(note.read_text())) if note.exists() else Progress(0, 0, 0, 0)
    told(done)
    for part in parts(path, ROWS[what[0]], done.rows):
        try:
            new, changed, same = take(part)
        except DataNotValid as error:
            raise _numbered(error, done.rows, path) from None
        done = Progress(done.rows + len(part), done.new + new, done.changed + changed, done.same + same)
        with replacing(note) as unfinished:
            unfinished.write_text(json.dumps(vars(done)))
        told(done)
    note.unlink(missing_ok=True)
    done = replace(done, finished=True)
    told(done)
    return done


def _note(engine: Engine, actor: Actor, what: tuple[str, str], path: Path, notes: Path) -> Path:
    """Name the note of how far an import is: of this file as it is now, into this database."""
    found = path.stat()
    where = [engine.url.render_as_string(hide_password=True), actor.organisation_id, *what, str(path.absolute())]
    name = sha256(json.dumps([*where, found.st_size, found.st_mtime_ns]).encode()).hexdigest()[:16]
    notes.mkdir(parents=True, exist_ok=True)
    return notes / f"import-{name}.json"


def _numbered(error: DataNotValid, first: int, path: Path) -> DataNotValid:
    problems = [Problem(one.row + first, one.field, one.problem, one.allowed) for one in error.problems]
    return DataNotValid(problems, error.count, str(path))


def parts(path: Path, size: int, skip: int = 0) -> Iterator[pl.DataFrame]:
    """Read a file in parts of so many rows, without those to be skipped; everything in CSV is text."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{path} ends in {path.suffix!r}; it must end in {', '.join(SUFFIXES)}")
    try:
        if suffix == ".parquet":
            lazy = pl.scan_parquet(path)
        elif suffix == ".csv":
            lazy = pl.scan_csv(path, infer_schema=False)
        else:
            lazy = pl.scan_ndjson(path, infer_schema_length=None)
        for part in lazy.slice(skip).collect_batches(chunk_size=size, maintain_order=True):
            yield from part.iter_slices(size)
    except pl.exceptions.PolarsError as error:
        raise LayoutError(f"{path} cannot be read: {error}") from None


def _rows_of(part: pl.DataFrame, fields: Mapping[str, FieldType], type_name: str, path: Path) -> list[EntityRow]:
    name = next((name for name in NAMES if name in part.columns), None)
    if name is None:
        raise LayoutError(f"{path} has no column {' or '.join(NAMES)}; it has {', '.join(part.columns)}")
    given = [column for column in part.columns if column not in {name, OWNER, OWNER_TYPE}]
    strange = [column for column in given if column not in fields]
    if strange:
        known = ", ".join(fields) or "none"
        raise LayoutError(
            f"{path} has {', '.join(strange)}, which are no fields of {type_name}; its fields are {known}"
        )
    columns = {column: _values(part[column], fields[column]) for column in given}
    owners = _owners(part, type_name)
    ids = part[name].cast(pl.String).to_list()
    return [
        EntityRow(
            ids[number] or "",
            {column: values[number] for column, values in columns.items() if values[number] is not None},
            owners[number],
        )
        for number in range(len(part))
    ]


def _owners(part: pl.DataFrame, type_name: str) -> list[tuple[str, str] | None]:
    if OWNER not in part.columns:
        return [None] * len(part)
    types = part[OWNER_TYPE].fill_null(type_name) if OWNER_TYPE in part.columns else [type_name] * len(part)
    names = part[OWNER].cast(pl.String).to_list()
    return [None if not name else (kind, name) for kind, name in zip(types, names, strict=True)]


def _values(column: pl.Series, declared: FieldType) -> list[Any]:
    """Read a column as the engine will, into values as JSON has them; DataNotValid where one is not right."""
    values, wrong = read_field(column, declared)
    if wrong is not None:
        bad = [(row, text) for row, text in enumerate(wrong.to_list()) if text is not None]
        raise DataNotValid(
            [Problem(row, column.name, f"is {text!r}", allowed_values(declared)) for row, text in bad], len(bad)
        )
    if kind_of(declared) is Kind.MOMENT:
        return values.cast(pl.Datetime("us")).dt.to_string("iso:strict").to_list()
    return values.to_list()
