"""A portfolio from files: entities, and whatever is linked to them, as `fivefold rules` takes them."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from gzip import BadGzipFile
from pathlib import Path
from typing import Any

import polars as pl

from fivefold.cli.portfolio.columns import PortfolioColumns
from fivefold.cli.portfolio.values import ValueSide
from fivefold.cli.terminal import warn
from fivefold.domain.clock import from_microseconds
from fivefold.domain.errors import ConfigError, FileFormatError, problem_lines
from fivefold.domain.money import RateTable, ecb_rates
from fivefold.domain.number_text import count_text
from fivefold.domain.rate_files import read_rates
from fivefold.features.reading.csv_file import csv_frame, csv_parts, torn_frame
from fivefold.features.reading.json_lines import JsonLine, json_lines
from fivefold.features.reading.text_files import GZIP, TornRow, is_gzipped, open_text, suffix_of_name
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.facts.fields import entities_from_rows
from fivefold.risk.facts.lists import NamedList
from fivefold.risk.facts.portfolio import ENTITY, NOT_KNOWN, NOT_READ, Portfolio, error_of
from fivefold.risk.facts.reading import refuse_link
from fivefold.risk.facts.records import KNOWN_AT
from fivefold.risk.facts.transactions import CONTRADICTS
from fivefold.risk.language.fields import FieldType

SUFFIXES = (".parquet", ".csv", ".json", ".jsonl", ".ndjson")
SHOWN = 5
"""How many rows a warning names."""


@dataclass(frozen=True)
class PortfolioFiles:
    """Where a portfolio's parts are; None for a part that there is none of.

    Attributes:
        entities: `entity_id` (or `user_id`) and the ruleset's fields.
        transactions: rows as the API names them, and the ruleset's own fields.
        cases: `entity_id`, `opened`, `closed`, `outcome`.
        alerts: the same for alerts.
        tags: `entity_id`, `tag`, perhaps `from` and `until`.
        screenings: `entity_id`, `screening`, `found`, perhaps `at`.
        base: the currency that money is in.
        rates: the operator's own table of rates; the ECB's where there is none.
        names: what the columns of the files are called here.
    """

    entities: Path
    transactions: Path | None = None
    cases: Path | None = None
    alerts: Path | None = None
    tags: Path | None = None
    screenings: Path | None = None
    base: str = "EUR"
    rates: Path | None = None
    names: PortfolioColumns = field(default_factory=PortfolioColumns)

    def rename(self, part: str) -> "Rename":
        """Give what brings the table of a part under our names."""
        return lambda frame: self.names.rename(part, frame, str(getattr(self, part, part)))


Rename = Callable[[pl.DataFrame], pl.DataFrame]


def _as_it_is(frame: pl.DataFrame) -> pl.DataFrame:
    return frame


def read_frame(path: Path, rename: Rename = _as_it_is) -> pl.DataFrame:
    """Read a table from Parquet, CSV, JSON or JSON lines, text perhaps gzipped; everything in CSV is text.

    FileFormatError where it cannot be read, a line is torn or a row names no entity; ConfigError where the file
    is of another format.
    """
    frame = read_linked(path, rename)
    if NOT_READ in frame.columns:
        raise FileFormatError("; ".join(frame[NOT_READ].drop_nulls().head(SHOWN)))
    return _refuse_nameless(frame, path)


def read_labels(path: Path, rename: Rename = _as_it_is) -> tuple[pl.DataFrame, pl.Series]:
    """Read labels as `read_frame` does; of torn lines whom they name, null where they name nobody."""
    frame = read_linked(path, rename)
    if NOT_READ not in frame.columns:
        return _refuse_nameless(frame, path), pl.Series([], dtype=pl.String)
    torn = pl.col(NOT_READ).is_not_null()
    return _refuse_nameless(frame.filter(~torn).drop(NOT_READ), path), frame.filter(torn)[ENTITY]


def _refuse_nameless(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    nameless = frame[ENTITY].null_count()
    if nameless:
        raise FileFormatError(
            f"{path} has {count_text(nameless, 'row')} without {ENTITY}; every row must say whose it is"
        )
    return frame


def read_linked(path: Path, rename: Rename = _as_it_is) -> pl.DataFrame:
    """Read a table as `read_frame` does; rows that do not say whose they are have a null.

    A torn line of CSV or JSON lines is a row of which only the entity is known, where it says that, with the reason in
    `NOT_READ`; a warning names it.
    """
    suffix = _suffix(path)
    try:
        if suffix == ".parquet":
            frame = pl.read_parquet(path)
        elif suffix == ".csv":
            return _read_csv(path, rename)
        elif suffix == ".json":
            with open_text(path) as file:
                frame = pl.read_json(file.read().encode())
        else:
            return _read_json_lines(path, rename)
    except (pl.exceptions.PolarsError, UnicodeDecodeError, EOFError, BadGzipFile) as error:
        raise FileFormatError(f"{path} cannot be read: {error}") from None
    return _with_entity(rename(frame), path)


def _read_csv(path: Path, rename: Rename) -> pl.DataFrame:
    parts = list(csv_parts(path))
    sound = _with_entity(rename(pl.concat([csv_frame(part.table, path) for part in parts])), path)
    rows = [row for part in parts for row in part.torn]
    if not rows:
        return sound
    torn = _with_entity(rename(pl.concat([torn_frame(part, path) for part in parts])), path)
    many = len(parts[0].table.column_names)
    place = torn.columns.index(ENTITY)
    # Where a line ends too early, its last field may have been cut: it would name another entity.
    said = [place < len(row.fields) - (len(row.fields) < many) for row in rows]
    whose = [name if legible else None for name, legible in zip(torn[ENTITY], said, strict=True)]
    return pl.concat([sound, _marked(rows, whose, path)], how="diagonal")


def _read_json_lines(path: Path, rename: Rename) -> pl.DataFrame:
    lines = list(json_lines(path, finite=True))
    content = "\n".join(line.text for line in lines if line.torn is None)
    sound = _with_entity(rename(pl.read_ndjson(content.encode(), infer_schema_length=None)), path)
    return pl.concat([sound, _torn_lines(lines, path, rename)], how="diagonal")


def _torn_lines(lines: Sequence[JsonLine], path: Path, rename: Rename) -> pl.DataFrame:
    """Give the torn lines among these as rows that cannot be read, and warn of them."""
    torn = [line for line in lines if line.torn is not None]
    names = list(dict.fromkeys(name for line in lines for name in line.values))
    ours = dict(zip(names, rename(pl.DataFrame(schema=dict.fromkeys(names, pl.String))).columns, strict=True))
    owner = next((name for name in (ENTITY, "user_id") if name in ours.values()), ENTITY)
    said = [next((value for name, value in line.values.items() if ours[name] == owner), None) for line in torn]
    return _marked([line.torn for line in torn if line.torn], [str(name) if name else None for name in said], path)


def _marked(rows: Sequence[TornRow], whose: Sequence[str | None], path: Path) -> pl.DataFrame:
    """Give torn rows as rows that cannot be read, of the entities that they name, and warn of them."""
    if rows:
        fails = "fails the entity that it names" if len(rows) == 1 else "fail the entities that they name"
        warn(f"{count_text(len(rows), 'row')} of {path} cannot be read, and {fails}{_first(path)}:")
    for line in problem_lines([row.as_problem() for row in rows]):
        warn(line)
    words = [f"row {row.row} of {path.name} {row.problem}; allowed: {row.allowed}" for row in rows]
    schema = {ENTITY: pl.String, NOT_READ: pl.String} if rows else {ENTITY: pl.String}
    return pl.DataFrame({ENTITY: list(whose), NOT_READ: words} if rows else {}, schema=schema)


def _first(path: Path) -> str:
    return " (the header is row 1)" if suffix_of_name(path) == ".csv" else ""


def _suffix(path: Path) -> str:
    suffix = suffix_of_name(path)
    if suffix not in SUFFIXES or (suffix == ".parquet" and is_gzipped(path)):
        raise ConfigError(f"{path} must end in {', '.join(SUFFIXES)} (text also with {GZIP})")
    if not path.exists():
        raise ConfigError(f"there is no file {path}")
    return suffix


def read_entities(path: Path, *rulesets: AnalysedRuleset, rename: Rename = _as_it_is) -> pl.DataFrame:
    """Read entities; in JSON a value may be of any type, and one of a wrong type fails its own entity alone.

    A field is of the type that the first of the *rulesets* declares.
    """
    suffix = _suffix(path)
    if suffix in {".parquet", ".csv"}:
        frame = read_linked(path, rename)
        return _with_errors(frame[_with_names(frame[ENTITY].to_list(), path)])
    unread = pl.DataFrame(schema={ENTITY: pl.String})
    if suffix == ".json":
        read = _json_rows(path)
    else:
        lines = list(json_lines(path))
        read = [dict(line.values) for line in lines if line.torn is None]
        unread = _torn_lines(lines, path, rename)
    read = [{ENTITY: row.get("user_id"), **row} for row in _renamed(read, rename)]
    rows = [read[number] for number in _with_names([row[ENTITY] for row in read], path)]
    there = {name for row in rows for name in row}
    dated: dict[str, FieldType] = {KNOWN_AT: "date"} if KNOWN_AT in there else {}
    declared = {name: form for each in reversed(rulesets) for name, form in each.ruleset.fields.items()}
    fields = {name: form for name, form in declared.items() if name in there}
    entities = entities_from_rows(rows, {**fields, **dated})
    return _with_errors(pl.concat([entities, unread.drop_nulls(ENTITY)], how="diagonal"))


def _with_errors(entities: pl.DataFrame) -> pl.DataFrame:
    """Make everything an error that is asked of an entity whose row could not be read."""
    if NOT_READ not in entities.columns:
        return entities
    unread = pl.col(NOT_READ)
    own = {ENTITY, NOT_READ, KNOWN_AT, *(error_of(name) for name in entities.columns)}
    names = [name for name in entities.columns if name not in own]
    reason = pl.when(unread.is_not_null()).then(pl.format("{}{}", pl.lit(NOT_KNOWN), unread))
    marked = entities.with_columns(
        pl.coalesce(reason, *({error_of(name)} & {*entities.columns})).alias(error_of(name)) for name in names
    )
    if KNOWN_AT in entities.columns:  # it may be the latest row of its entity
        marked = marked.with_columns(pl.coalesce(unread, KNOWN_AT).alias(KNOWN_AT))
    return marked.drop(NOT_READ)


def _renamed(rows: list[dict[str, Any]], rename: Rename) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    ours = rename(pl.DataFrame(schema=dict.fromkeys(names, pl.String))).columns
    own = dict(zip(names, ours, strict=True))
    return [{own[name]: value for name, value in row.items()} for row in rows]


def _json_rows(path: Path) -> list[dict[str, Any]]:
    try:
        with open_text(path) as file:
            rows = json.load(file)
    except (UnicodeDecodeError, ValueError, EOFError, BadGzipFile) as error:
        raise FileFormatError(f"{path} cannot be read: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FileFormatError(f"{path} must hold objects, one for each entity")
    return rows


def _with_entity(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    owner = next((name for name in (ENTITY, "user_id") if name in frame.columns), None)
    if owner is None:
        raise FileFormatError(f"{path} has no column {ENTITY} (or user_id); it has {', '.join(frame.columns)}")
    refuse_link(str(path), owner, frame.schema[owner])
    named = frame.rename({owner: ENTITY}).with_columns(pl.col(ENTITY).cast(pl.String))
    return named.with_columns(pl.when(pl.col(ENTITY) != "").then(pl.col(ENTITY)).alias(ENTITY))


def _with_names(names: Sequence[Any], path: Path) -> list[int]:
    """Number the rows that have an identifier, and warn of the others; FileFormatError where none has one."""
    named = [number for number, name in enumerate(names) if name not in {None, ""}]
    if names and not named:
        raise FileFormatError(f"{path} has no row with an {ENTITY}; every row must have one")
    if len(named) < len(names):
        nameless = sorted(set(range(len(names))).difference(named))
        shown = ", ".join(str(number + 1) for number in nameless[:SHOWN]) + (", ..." if len(nameless) > SHOWN else "")
        warn(
            f"{len(nameless):,} of the {len(names):,} entities of {path} have no {ENTITY}, and are not assessed: "
            f"{shown} (the first is 1)"
        )
    return named


def without_repeats(transactions: pl.DataFrame) -> pl.DataFrame:
    """Take out rows that repeat a row with a transaction_id to the letter, as the value side does.

    Rows of one entity with the same transaction_id that say different things stay, marked as what fails their entity.
    """
    if "transaction_id" not in transactions.columns:
        return transactions
    named = pl.col("transaction_id").cast(pl.String).fill_null("") != ""
    kept = transactions.filter(~named | pl.struct(pl.all()).is_first_distinct())
    twice = kept.select(named & pl.struct(ENTITY, "transaction_id").is_duplicated()).to_series()
    return kept.with_columns(twice.alias(CONTRADICTS)) if twice.any() else kept


def read_portfolio(
    files: PortfolioFiles,
    rulesets: Sequence[AnalysedRuleset],
    lists: Mapping[str, NamedList],
    as_of: int,
    model: str | None,
    name: str,
) -> Portfolio:
    """Read everything that any of the rulesets reads; indicators and the value are computed from the transactions."""
    rates = _rates(files, as_of)
    parts = {
        part: None if path is None else read_linked(path, files.rename(part))
        for part, path in (
            ("transactions", files.transactions),
            ("cases", files.cases),
            ("alerts", files.alerts),
            ("tags", files.tags),
            ("screenings", files.screenings),
        )
    }
    entities = read_entities(files.entities, *rulesets, rename=files.rename("entities"))
    files.names.refuse_unused()
    if parts["transactions"] is not None:
        parts["transactions"] = without_repeats(parts["transactions"])
    value_side = ValueSide(rulesets, rates, as_of, model, name)
    indicators, values = value_side.frames(files.transactions, parts["transactions"])
    return Portfolio(entities, rates, **parts, indicators=indicators, values=values, lists=lists)


def _rates(files: PortfolioFiles, as_of: int) -> RateTable:
    if not re.fullmatch("[A-Z]{3}", files.base):
        raise ConfigError(f"--base is {files.base!r}; it must be three capital letters, ISO 4217, such as EUR")
    day: date = from_microseconds(as_of).date()
    return read_rates(files.rates, files.base, day) if files.rates else ecb_rates(files.base, day)
