"""Read one file of a portfolio as a table: any format, our column names, an entity in every row, torn rows marked."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from gzip import BadGzipFile
from pathlib import Path
from typing import Any

import polars as pl

from fivefold.domain.errors import ConfigError, FileFormatError, InvalidDataError, problem_lines
from fivefold.domain.text import columns_text, count_text, why_unreadable
from fivefold.features.reading.csv_file import csv_frame, csv_parts, torn_frame
from fivefold.features.reading.json_lines import JsonLine, TwiceError, json_lines, once
from fivefold.features.reading.places.parquet_frame import unchanged_parquet
from fivefold.features.reading.text_files import (
    GZIP,
    SUFFIXES,
    TornRow,
    is_gzipped,
    open_text,
    suffix_of_name,
    torn_problems,
    unchanged,
    workbook_hint,
)
from fivefold.features.schema import TRANSACTION_ID
from fivefold.risk.compiler.analysis import Analysed
from fivefold.risk.facts.groups.links import FROM, TO, TYPE
from fivefold.risk.facts.portfolio import ENTITY, NOT_KNOWN, NOT_READ, error_of
from fivefold.risk.facts.reading import entities_from_rows, refuse_link
from fivefold.risk.facts.records import KNOWN_AT
from fivefold.risk.facts.transactions import CONTRADICTS
from fivefold.risk.language.fields import FieldType

SHOWN = 5
"""How many rows or identifiers a warning names."""

Warn = Callable[[str], None]
"""Called with a warning; the command line prints it at once, before further work."""


def _unchanged(frame: pl.DataFrame) -> pl.DataFrame:
    return frame


@dataclass(frozen=True)
class TableFile:
    """A file of a portfolio.

    Attributes:
        path: Parquet, CSV, JSON or JSON lines, text perhaps gzipped; everything in CSV is text.
        warn: called with the warnings about its rows.
        rename: renames its columns to ours.
        reads: the columns to read, by our names; None for all. Some files of a folder may have further ones.
    """

    path: Path
    warn: Warn
    rename: Callable[[pl.DataFrame], pl.DataFrame] = _unchanged
    reads: Collection[str] | None = None


def read_frame(file: TableFile) -> pl.DataFrame:
    """Read a table; FileFormatError if it cannot be read, a line is torn or a row has no entity.

    ConfigError if the file is missing or has another format.
    """
    frame = read_linked(file)
    if NOT_READ in frame.columns:
        raise FileFormatError("; ".join(frame[NOT_READ].drop_nulls().head(SHOWN)))
    return _refuse_nameless(frame, file.path)


def read_labels(file: TableFile) -> tuple[pl.DataFrame, pl.Series]:
    """Read labels as `read_frame` does; return them, and the entities of torn lines, null where a line names none."""
    frame = read_linked(file)
    if NOT_READ not in frame.columns:
        return _refuse_nameless(frame, file.path), pl.Series([], dtype=pl.String)
    torn = pl.col(NOT_READ).is_not_null()
    return _refuse_nameless(frame.filter(~torn).drop(NOT_READ), file.path), frame.filter(torn)[ENTITY]


def _refuse_nameless(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    nameless = frame[ENTITY].null_count()
    if nameless:
        raise FileFormatError(
            f"{path} has {count_text(nameless, 'row')} without {ENTITY}; every row must say whose it is"
        )
    return frame


def read_linked(file: TableFile) -> pl.DataFrame:
    """Read a table as `read_frame` does, but the entity of a row may be null.

    A torn line of CSV or JSON lines becomes a row with the reason in `NOT_READ` and only its entity, if the line has
    one; a warning names it.
    """
    suffix, path = _suffix(file.path), file.path
    with _refusals(path):
        if suffix == ".parquet":
            frame = _read_parquet(file)
        elif suffix == ".csv":
            return _read_csv(file)
        elif suffix == ".json":
            with unchanged(path), open_text(path) as text:
                content = text.read()
            _refuse_names_twice(content)  # Polars would take the first, and other readers the last
            frame = pl.read_json(content.encode())
        else:
            return _read_json_lines(file)
    return _with_entity(frame, file)


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Raise FileFormatError in place of the error of a library that cannot read a file."""
    try:
        yield
    except TwiceError as error:
        raise error.of_file(path) from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError, EOFError, BadGzipFile) as error:
        raise FileFormatError(f"{path} cannot be read: {error}") from None


def _refuse_names_twice(content: str) -> None:
    """Raise TwiceError if a JSON object has a name twice; the reader reports other faults."""
    try:
        json.loads(content, object_pairs_hook=once)
    except TwiceError:
        raise
    except (ValueError, RecursionError):
        return


def _read_parquet(file: TableFile, first: int = 0, count: int | None = None) -> pl.DataFrame:
    def reads(theirs: Sequence[str]) -> list[str]:
        ours = _our_names(file, theirs)
        return [name for name in theirs if file.reads is None or ours[name] in file.reads]

    with unchanged_parquet(file.path, reads, first, count) as rows:
        return rows.collect()


def read_slice(file: TableFile, first: int, rows: int) -> pl.DataFrame:
    """Read *rows* rows of Parquet from the number *first* on, as `read_linked` reads all; 0 for the columns alone."""
    _suffix(file.path)
    with _refusals(file.path):
        frame = _read_parquet(file, first, rows)
    return _with_entity(frame, file)


def read_links(file: TableFile) -> pl.DataFrame:
    """Read links as `read_linked` does, with `from` as the entity; `from` and `to` may be null."""

    def renamed(frame: pl.DataFrame) -> pl.DataFrame:
        ours = file.rename(frame)
        missing = [name for name in (TYPE, FROM, TO) if name not in ours.columns]
        if missing:
            raise FileFormatError(f"{file.path} has no column {', '.join(missing)}; {columns_text(ours.columns)}")
        return ours.rename({FROM: ENTITY})

    return read_linked(replace(file, rename=renamed)).rename({ENTITY: FROM})


def _read_csv(file: TableFile) -> pl.DataFrame:
    parts = list(csv_parts(file.path, our_names=lambda theirs: [*_our_names(file, theirs).values()]))
    sound = _with_entity(pl.concat([csv_frame(part.table, file.path) for part in parts]), file)
    rows = [row for part in parts for row in part.torn]
    if not rows:
        return sound
    torn = _with_entity(pl.concat([torn_frame(part, file.path) for part in parts]), file)
    width = len(parts[0].table.column_names)
    place = torn.columns.index(ENTITY)
    # If a line ends too early, its last field is possibly cut, and would name another entity.
    has_entity = [place < len(row.fields) - (len(row.fields) < width) for row in rows]
    entities = [name if legible else None for name, legible in zip(torn[ENTITY], has_entity, strict=True)]
    return pl.concat([sound, _torn_rows(rows, entities, file)], how="diagonal")


def _read_json_lines(file: TableFile) -> pl.DataFrame:
    lines = list(json_lines(file.path, finite=True))
    torn = [line.torn for line in lines if line.torn is not None]
    if torn and len(torn) == len(lines):  # no row shows the columns
        raise InvalidDataError(torn_problems(torn, str(file.path)), len(torn), str(file.path))
    content = "\n".join(line.text for line in lines if line.torn is None)
    sound = _with_entity(pl.read_ndjson(content.encode(), infer_schema_length=None), file)
    return pl.concat([sound, _torn_lines(lines, file)], how="diagonal")


def _torn_lines(lines: Sequence[JsonLine], file: TableFile) -> pl.DataFrame:
    """Return the torn lines as rows marked unreadable, and warn of them."""
    ours = _our_names(file, (name for line in lines for name in line.values))
    owner = next((name for name in (ENTITY, "user_id") if name in ours.values()), ENTITY)
    torn = [line for line in lines if line.torn is not None]
    entities = [next((value for name, value in line.values.items() if ours[name] == owner), None) for line in torn]
    return _torn_rows(
        [line.torn for line in torn if line.torn], [str(name) if name else None for name in entities], file
    )


def _torn_rows(rows: Sequence[TornRow], entities: Sequence[str | None], file: TableFile) -> pl.DataFrame:
    """Return torn rows as rows marked unreadable, each with its entity, and warn of them."""
    path = file.path
    if rows:
        fails = "fails the entity that it names" if len(rows) == 1 else "fail the entities that they name"
        first = " (the header is row 1)" if suffix_of_name(path) == ".csv" else ""
        file.warn(f"{count_text(len(rows), 'row')} of {path} cannot be read, and {fails}{first}:")
    for line in problem_lines([row.as_problem() for row in rows]):
        file.warn(line)
    reasons = [f"row {row.row} of {path.name} {row.problem}; allowed: {row.allowed}" for row in rows]
    schema = {ENTITY: pl.String, NOT_READ: pl.String} if rows else {ENTITY: pl.String}
    return pl.DataFrame({ENTITY: list(entities), NOT_READ: reasons} if rows else {}, schema=schema)


def _suffix(path: Path) -> str:
    """Return the suffix of a file's format; a folder has Parquet. ConfigError if it is unknown, or the file missing."""
    suffix = ".parquet" if path.is_dir() else suffix_of_name(path)
    if suffix not in SUFFIXES or (suffix == ".parquet" and is_gzipped(path)):
        raise ConfigError(f"{path} must end in {', '.join(SUFFIXES)} (text also with {GZIP}){workbook_hint(path)}")
    if not path.exists():
        raise ConfigError(f"there is no file {path}")
    return suffix


def read_entities(file: TableFile, *rulesets: Analysed[Any]) -> pl.DataFrame:
    """Read entities; a JSON value may be of any type, and a value of a wrong type fails its own entity alone.

    A field has the type that the first of *rulesets* with this field declares.
    """
    suffix = _suffix(file.path)
    if suffix in {".parquet", ".csv"}:
        frame = read_linked(file)
        return _with_errors(frame[_named_rows(frame[ENTITY].to_list(), file)])
    unread = pl.DataFrame(schema={ENTITY: pl.String})
    if suffix == ".json":
        objects = _json_rows(file.path)
    else:
        lines = list(json_lines(file.path))
        objects = [dict(line.values) for line in lines if line.torn is None]
        unread = _torn_lines(lines, file)
    ours = _our_names(file, (name for row in objects for name in row))
    renamed = [{ours[name]: value for name, value in row.items()} for row in objects]
    linked = [{ENTITY: row.get("user_id"), **row} for row in renamed]
    rows = [linked[number] for number in _named_rows([row[ENTITY] for row in linked], file)]
    names = {name for row in rows for name in row}
    dated: dict[str, FieldType] = {KNOWN_AT: "date"} if KNOWN_AT in names else {}
    declared = {name: form for each in reversed(rulesets) for name, form in each.definition.fields.items()}
    fields = {name: form for name, form in declared.items() if name in names}
    entities = entities_from_rows(rows, {**fields, **dated})
    return _with_errors(pl.concat([entities, unread.drop_nulls(ENTITY)], how="diagonal"))


def _with_errors(entities: pl.DataFrame) -> pl.DataFrame:
    """Replace every field of an unreadable row by an error."""
    if NOT_READ not in entities.columns:
        return entities
    unread = pl.col(NOT_READ)
    own = {ENTITY, NOT_READ, KNOWN_AT, *(error_of(name) for name in entities.columns)}
    names = [name for name in entities.columns if name not in own]
    reason = pl.when(unread.is_not_null()).then(pl.format("{}{}", pl.lit(NOT_KNOWN), unread))
    marked = entities.with_columns(
        pl.coalesce(reason, *({error_of(name)} & {*entities.columns})).alias(error_of(name)) for name in names
    )
    if KNOWN_AT in entities.columns:  # the unreadable row is possibly the latest of its entity
        marked = marked.with_columns(pl.coalesce(unread, KNOWN_AT).alias(KNOWN_AT))
    return marked.drop(NOT_READ)


def _our_names(file: TableFile, theirs: Iterable[str]) -> dict[str, str]:
    """Return our name of each of their columns."""
    names = list(dict.fromkeys(theirs))
    return dict(zip(names, file.rename(pl.DataFrame(schema=dict.fromkeys(names, pl.String))).columns, strict=True))


def _json_rows(path: Path) -> list[dict[str, Any]]:
    try:
        with _refusals(path), unchanged(path), open_text(path) as file:
            rows = json.load(file, object_pairs_hook=once)
    except (ValueError, RecursionError, EOFError, BadGzipFile) as error:
        raise FileFormatError(f"{path} cannot be read: {why_unreadable(error)}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FileFormatError(f"{path} must hold objects, one for each entity")
    return rows


def _with_entity(theirs: pl.DataFrame, file: TableFile) -> pl.DataFrame:
    """Rename the columns, and cast the entity to text; null where it is empty."""
    frame = file.rename(theirs)
    owner = next((name for name in (ENTITY, "user_id") if name in frame.columns), None)
    if owner is None:
        raise FileFormatError(f"{file.path} has no column {ENTITY} (or user_id); {columns_text(frame.columns)}")
    refuse_link(str(file.path), owner, frame.schema[owner])
    linked = frame.rename({owner: ENTITY}).with_columns(pl.col(ENTITY).cast(pl.String))
    return linked.with_columns(pl.when(pl.col(ENTITY) != "").then(pl.col(ENTITY)).alias(ENTITY))


def _named_rows(names: Sequence[Any], file: TableFile) -> list[int]:
    """Return the numbers of rows with an identifier, and warn of the others; FileFormatError if none has one."""
    numbers = [number for number, name in enumerate(names) if name not in {None, ""}]
    if names and not numbers:
        raise FileFormatError(f"{file.path} has no row with an {ENTITY}; every row must have one")
    if len(numbers) < len(names):
        nameless = sorted(set(range(len(names))).difference(numbers))
        more = ", ..." if len(nameless) > SHOWN else ""
        examples = ", ".join(str(number + 1) for number in nameless[:SHOWN]) + more
        file.warn(
            f"{len(nameless):,} of the {len(names):,} entities of {file.path} have no {ENTITY}, and are not assessed: "
            f"{examples} (the first is 1)"
        )
    return numbers


def without_repeats(transactions: pl.DataFrame, row_numbers: str = "") -> pl.DataFrame:
    """Drop exact repeats of rows with a transaction_id.

    Rows of one entity with the same transaction_id and other content stay, marked with the columns in which they
    differ: they fail their entity. The column *row_numbers* is not compared.
    """
    if TRANSACTION_ID not in transactions.columns:
        return transactions
    has_id, owner = pl.col(TRANSACTION_ID).cast(pl.String).fill_null("") != "", [ENTITY, TRANSACTION_ID]
    distinct = transactions.filter(~has_id | pl.struct(pl.exclude(row_numbers)).is_first_distinct())
    twice = distinct.filter(has_id & pl.struct(owner).is_duplicated())
    if twice.is_empty():
        return distinct
    others = [name for name in twice.columns if name not in {*owner, row_numbers}]
    differing = [pl.when(pl.col(name).n_unique() > 1).then(pl.lit(name)) for name in others]
    names = twice.group_by(owner).agg(pl.concat_str(differing, separator=", ", ignore_nulls=True).alias(CONTRADICTS))
    return distinct.join(names, on=owner, how="left", maintain_order="left", nulls_equal=True)
