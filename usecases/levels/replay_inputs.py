"""What an assessment was made from, as it is kept beside it: enough to make it again, to the byte."""

import json
from collections.abc import Mapping
from itertools import repeat
from typing import Any

import polars as pl

from fivefold.risk.engine.assessments import VERSIONS, Assessments
from fivefold.risk.engine.lost_floors import from_text
from fivefold.risk.facts.portfolio import AS_OF, ENTITY

_LETTERS: Mapping[str, Any] = {
    "b": pl.Boolean,
    "f": pl.Float64,
    "i": pl.Int64,
    "l": pl.List(pl.String),
    "s": pl.String,
}
"""How the type of an input's column is written."""


def kept_inputs(
    found: Assessments, before: Mapping[int, Mapping[str, Any]], overrides: Mapping[int, Mapping[str, Any]]
) -> list[str]:
    """Write for each assessment what it was made from, as JSON.

    Keys: `inputs` (by the key of each input), `types` (a letter for each, in their order), `previous` (level, when it
    was entered and, where floors held, those: floor, hard floor, since when they are unknown; or null), `override`
    (level and end, or null), `base` (the currency), `lists` (the version of each list, by when it began).
    """
    columns = found.inputs.drop(ENTITY, AS_OF)
    types = types_of(columns)
    rest = [
        json.dumps({"base": found.base, "lists": {name: one.since for name, one in used.items()}, "types": types})
        for used in found.versions
    ]
    inputs = columns.select(pl.struct(pl.all()).struct.json_encode()).to_series() if columns.width else repeat("{}")
    kept = []
    for (name, version), values in zip(found.outcomes.select(ENTITY, VERSIONS).iter_rows(), inputs, strict=False):
        entity = int(name)
        said = json.dumps(
            {
                "previous": _held_before(before.get(entity)),
                "override": _pair(overrides.get(entity), "level", "until_us"),
            }
        )[:-1]
        kept.append(f'{said}, "inputs": {values}, {rest[version][1:]}')
    return kept


def types_of(columns: pl.DataFrame) -> str:
    """Write the types of columns, a letter for each, in their order."""
    letters = {str(kind): letter for letter, kind in _LETTERS.items()}
    return "".join(letters[str(kind)] for kind in columns.dtypes)


def _held_before(row: Mapping[str, Any] | None) -> list[Any] | None:
    pair: list[Any] | None = _pair(row, "rules_level", "entered_us")
    if pair is None or row is None or not row["floor"]:
        return pair
    return [*pair, row["floor"], row["hard_floor"], row["floors_lost"]]


def previous_of(held: list[Any] | None, entity: str) -> pl.DataFrame | None:
    """Give what was held before, as it was kept, in the frame that the engine reads; None for nothing."""
    if held is None:
        return None
    level, entered, *floors = held
    floor, hard_floor, lost = floors or (0, 0, None)
    row = {ENTITY: entity, "level": level, "entered": entered, "floor": floor, "hard_floor": hard_floor}
    schema = {ENTITY: pl.String, **dict.fromkeys(("level", "entered", "floor", "hard_floor"), pl.Int64)}
    return pl.DataFrame([row], schema=schema).with_columns(from_text(pl.Series([lost], dtype=pl.String)))


def _pair(row: Mapping[str, Any] | None, level: str, moment: str) -> list[int | None] | None:
    return None if row is None or row[level] is None else [row[level], row[moment]]


def read_inputs(content: str, as_of_us: int, entity: str) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Read what was kept: the frame of one row that the engine was given, and everything else."""
    kept = json.loads(content)
    names = list(kept["inputs"])
    schema = {name: _LETTERS[letter] for name, letter in zip(names, kept["types"], strict=True)}
    moment = pl.DataFrame({ENTITY: [entity], AS_OF: [as_of_us]}, schema={ENTITY: pl.String, AS_OF: pl.Int64})
    values = pl.DataFrame([[kept["inputs"][name]] for name in names], schema=schema, strict=True) if names else moment
    return (moment.hstack(values) if names else moment), kept
