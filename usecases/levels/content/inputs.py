"""The inputs of assessments as they are stored, with everything else that replays an assessment to the byte.

A layout holds once what many assessments share: the ruleset, the keys of its inputs, their types, the currency, the
versions of lists. An assessment names its layout by a hash, and stores only values.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import msgspec
import polars as pl

from fivefold.domain.canonical import canonical_json
from fivefold.risk.engine.assessments import VERSIONS, Assessments
from fivefold.risk.engine.levels import from_text
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.store.levels.layouts import layout_name

_LETTERS: Mapping[str, Any] = {
    "b": pl.Boolean,
    "f": pl.Float64,
    "i": pl.Int64,
    "l": pl.List(pl.String),
    "s": pl.String,
}
"""The letter that stands for the type of an input's column."""
_JSON = msgspec.json.Encoder()


class StoredInputs(NamedTuple):
    """The recorded inputs of one assessment.

    Attributes:
        inputs: JSON. Keys: `previous` (level, when it was entered and, where floors held, those: floor, hard floor,
            since when they are unknown; or null), `override` (level and end, or null), `layout` (the name of the
            layout), `inputs` (values in the order of the layout).
        layout: what assessments share, canonical JSON. Keys: `ruleset` (the hash of its content), `inputs` (their
            keys), `types` (a letter for each), `base` (the currency), `lists` (the moment at which the version of each
            list began).
    """

    inputs: str
    layout: str


def stored_inputs(
    assessments: Assessments, before: Mapping[int, Mapping[str, Any]], overrides: Mapping[int, Mapping[str, Any]]
) -> list[StoredInputs]:
    """Return the recorded inputs of each assessment."""
    columns = assessments.inputs[[name for name in assessments.inputs.columns if name not in {ENTITY, AS_OF}]]
    layouts = [
        _layout(assessments, columns, {name: one.since for name, one in used.items()}) for used in assessments.versions
    ]
    names = [layout_name(layout) for layout in layouts]
    values = columns.iter_rows() if columns.width else repeat(())
    stored = []
    for (text, version), row in zip(assessments.outcomes[[ENTITY, VERSIONS]].iter_rows(), values, strict=False):
        entity = int(text)
        previous, override = _held_before(before.get(entity)), _pair(overrides.get(entity), "level", "until_us")
        content = _JSON.encode({"previous": previous, "override": override, "layout": names[version], "inputs": row})
        stored.append(StoredInputs(content.decode(), layouts[version]))
    return stored


def _layout(assessments: Assessments, columns: pl.DataFrame, lists: Mapping[str, int]) -> str:
    return canonical_json(
        {
            "ruleset": assessments.program.ruleset.content_hash,
            "inputs": columns.columns,
            "types": types_of(columns),
            "base": assessments.base,
            "lists": lists,
        }
    )


def with_layout(own: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Join the recorded inputs of an assessment: its own part and its layout, `inputs` by their keys."""
    return {**own, **shared, "inputs": dict(zip(shared["inputs"], own["inputs"], strict=True))}


def types_of(columns: pl.DataFrame) -> str:
    """Return the types of columns, a letter for each, in their order."""
    letters = {str(kind): letter for letter, kind in _LETTERS.items()}
    return "".join(letters[str(kind)] for kind in columns.dtypes)


def _held_before(row: Mapping[str, Any] | None) -> Sequence[Any] | None:
    pair: list[Any] | None = _pair(row, "rules_level", "entered_us")
    if pair is None or row is None or not row["floor"]:
        return pair
    return [*pair, row["floor"], row["hard_floor"], row["floors_lost"]]


def _pair(row: Mapping[str, Any] | None, level: str, moment: str) -> list[int | None] | None:
    return None if row is None or row[level] is None else [row[level], row[moment]]


def previous_of(values: list[Any] | None, entity: str) -> pl.DataFrame | None:
    """Return the recorded previous level as the frame that the engine reads; None if there was none."""
    if values is None:
        return None
    level, entered, *floors = values
    floor, hard_floor, lost = floors or (0, 0, None)
    row = {ENTITY: entity, "level": level, "entered": entered, "floor": floor, "hard_floor": hard_floor}
    schema = {ENTITY: pl.String, **dict.fromkeys(("level", "entered", "floor", "hard_floor"), pl.Int64)}
    return pl.DataFrame([row], schema=schema).with_columns(from_text(pl.Series([lost], dtype=pl.String)))


def override_of(values: list[int | None] | None, entity: str) -> pl.DataFrame | None:
    """Return the recorded override as the frame that the engine reads; None if there was none."""
    if values is None:
        return None
    schema = {ENTITY: pl.String, "level": pl.Int64, "until": pl.Int64}
    return pl.DataFrame([(entity, *values)], schema=schema, orient="row")


def inputs_frame(recorded_inputs: Mapping[str, Any], as_of_us: int, entity: str) -> pl.DataFrame:
    """Rebuild the frame of one row that the engine read, from `inputs` by their keys and their `types`."""
    names = list(recorded_inputs["inputs"])
    schema = {name: _LETTERS[letter] for name, letter in zip(names, recorded_inputs["types"], strict=True)}
    moment = pl.DataFrame({ENTITY: [entity], AS_OF: [as_of_us]}, schema={ENTITY: pl.String, AS_OF: pl.Int64})
    values = (
        pl.DataFrame([[recorded_inputs["inputs"][name]] for name in names], schema=schema, strict=True)
        if names
        else moment
    )
    return moment.hstack(values) if names else moment


def read_inputs(content: str, as_of_us: int, entity: str) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Read recorded inputs that are stored by their keys: return the frame of one row, and everything recorded."""
    recorded_inputs = json.loads(content)
    return inputs_frame(recorded_inputs, as_of_us, entity), recorded_inputs
