"""A portfolio from files: entities, and whatever is linked to them, as `fivefold rules` takes them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from cli.terminal import load_model, warn
from domain.clock import from_microseconds
from domain.errors import ConfigError, LayoutError
from domain.money import RateTable, ecb_rates
from domain.rate_files import read_rates
from risk.engine.reads import simple_inputs_of
from risk.facts.fields import entities_from_rows
from risk.facts.lists import NamedList
from risk.facts.portfolio import ENTITY, Portfolio
from risk.facts.reading import refuse_link
from risk.facts.records import KNOWN_AT
from risk.facts.transactions import CONTRADICTS
from risk.language.fields import FieldType
from risk.language.inputs import IndicatorInput, ValueInput
from risk.language.ruleset import Ruleset

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
    """

    entities: Path
    transactions: Path | None = None
    cases: Path | None = None
    alerts: Path | None = None
    tags: Path | None = None
    screenings: Path | None = None
    base: str = "EUR"
    rates: Path | None = None


def read_frame(path: Path) -> pl.DataFrame:
    """Read a table from Parquet, CSV, JSON or JSON lines; everything in CSV is text until a ruleset says more.

    LayoutError where it cannot be read or a row does not say whose it is; ConfigError where the suffix is none of
    these.
    """
    frame = read_linked(path)
    nameless = frame[ENTITY].null_count()
    if nameless:
        raise LayoutError(f"{path} has {nameless:,} rows without {ENTITY}; every row must say whose it is")
    return frame


def read_linked(path: Path) -> pl.DataFrame:
    """Read a table as `read_frame` does; rows that do not say whose they are have a null."""
    suffix = _suffix(path)
    try:
        if suffix == ".parquet":
            frame = pl.read_parquet(path)
        elif suffix == ".csv":
            frame = pl.read_csv(path, infer_schema=False)
        else:
            frame = pl.read_json(path) if suffix == ".json" else pl.read_ndjson(path)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise LayoutError(f"{path} cannot be read: {error}") from None
    return _with_entity(frame, path)


def _suffix(path: Path) -> str:
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path} must end in {', '.join(SUFFIXES)}")
    if not path.exists():
        raise ConfigError(f"there is no file {path}")
    return path.suffix.lower()


def read_entities(path: Path, *rulesets: Ruleset) -> pl.DataFrame:
    """Read entities; in JSON a value may be of any type, and one of a wrong type fails its own entity alone.

    A field is of the type that the first of the *rulesets* declares.
    """
    suffix = _suffix(path)
    if suffix in {".parquet", ".csv"}:
        frame = read_linked(path)
        return frame[_with_names(frame[ENTITY].to_list(), path)]
    read = [{ENTITY: row.get("user_id"), **row} for row in _json_rows(path, lines=suffix != ".json")]
    rows = [read[number] for number in _with_names([row[ENTITY] for row in read], path)]
    there = {name for row in rows for name in row}
    dated: dict[str, FieldType] = {KNOWN_AT: "date"} if KNOWN_AT in there else {}
    declared = {name: form for ruleset in reversed(rulesets) for name, form in ruleset.fields.items()}
    fields = {name: form for name, form in declared.items() if name in there}
    return entities_from_rows(rows, {**fields, **dated})


def _json_rows(path: Path, *, lines: bool) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        rows = list(_json_lines(text, path)) if lines else json.loads(text)
    except (UnicodeDecodeError, ValueError) as error:
        raise LayoutError(f"{path} cannot be read: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise LayoutError(f"{path} must hold objects, one for each entity")
    return rows


def _json_lines(text: str, path: Path) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), 1):
        try:
            yield from [json.loads(line)] if line.strip() else []
        except ValueError as error:
            raise LayoutError(f"{path}, line {number}, cannot be read: {error}") from None


def _with_entity(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    owner = next((name for name in (ENTITY, "user_id") if name in frame.columns), None)
    if owner is None:
        raise LayoutError(f"{path} has no column {ENTITY} (or user_id); it has {', '.join(frame.columns)}")
    refuse_link(str(path), owner, frame.schema[owner])
    named = frame.rename({owner: ENTITY}).with_columns(pl.col(ENTITY).cast(pl.String))
    return named.with_columns(pl.when(pl.col(ENTITY) != "").then(pl.col(ENTITY)).alias(ENTITY))


def _with_names(names: Sequence[Any], path: Path) -> list[int]:
    """Number the rows that have an identifier, and warn of the others; LayoutError where none has one."""
    named = [number for number, name in enumerate(names) if name not in {None, ""}]
    if names and not named:
        raise LayoutError(f"{path} has no row with an {ENTITY}; every row must have one")
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
    rulesets: Sequence[Ruleset],
    lists: Mapping[str, NamedList],
    as_of: int,
    model: str | None,
    name: str,
) -> Portfolio:
    """Read everything that any of the rulesets reads; indicators and the value are computed from the transactions."""
    rates = _rates(files, as_of)
    parts = {
        part: None if path is None else read_linked(path)
        for part, path in (
            ("transactions", files.transactions),
            ("cases", files.cases),
            ("alerts", files.alerts),
            ("tags", files.tags),
            ("screenings", files.screenings),
        )
    }
    if parts["transactions"] is not None:
        parts["transactions"] = without_repeats(parts["transactions"])
    indicators, values = _value_side(files, rulesets, rates, as_of, model, name)
    return Portfolio(
        read_entities(files.entities, *rulesets), rates, **parts, indicators=indicators, values=values, lists=lists
    )


def _rates(files: PortfolioFiles, as_of: int) -> RateTable:
    if not re.fullmatch("[A-Z]{3}", files.base):
        raise ConfigError(f"--base is {files.base!r}; it must be three capital letters, ISO 4217, such as EUR")
    day: date = from_microseconds(as_of).date()
    return read_rates(files.rates, files.base, day) if files.rates else ecb_rates(files.base, day)


def _value_side(
    files: PortfolioFiles, rulesets: Sequence[Ruleset], rates: RateTable, as_of: int, model: str | None, name: str
) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    kinds = {type(made): ruleset.name for ruleset in reversed(rulesets) for made in simple_inputs_of(ruleset)}
    wants_indicators, wants_value = IndicatorInput in kinds, ValueInput in kinds
    if not (wants_indicators or wants_value):
        return None, None
    if files.transactions is None:
        reader = kinds.get(IndicatorInput) or kinds[ValueInput]
        raise ConfigError(
            f"ruleset {reader} reads indicators or the value, which are computed from --transactions; none are given"
        )
    from features.sources import read_histories  # noqa: PLC0415 (heavy to import)
    from risk.facts.catalogue import indicator_frame, value_frame  # noqa: PLC0415 (as above)

    indicators = indicator_frame(read_histories(files.transactions, rates), as_of) if wants_indicators else None
    if not wants_value:
        return indicators, None
    found = load_model(model, name)
    return indicators, value_frame(found, read_histories(files.transactions, found.rates), as_of)
