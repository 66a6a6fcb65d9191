"""Computes outcomes of entities from their inputs: by queries over columns, or for one entity by plain functions."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from fivefold.risk.engine.assessments import COMPUTED, STATUS, Status
from fivefold.risk.engine.levels import (
    ENTERED,
    FLOOR_HELD_UNTIL,
    FLOOR_LOST,
    HARD_FLOOR_LOST,
    KEEPS_FLOORS,
    LEVELS,
    MAY_MOVE_DOWN_ON,
    MOMENTS,
    OVERRIDDEN,
    PREVIOUS,
    RAISED,
    floor_stages,
    level_stages,
    settled_floors,
)
from fivefold.risk.engine.program import (
    APPLIES,
    FAILED,
    FLOOR,
    HARD_FLOOR,
    TOTAL,
    TOTAL_LEVEL,
    UNDETERMINED,
    Program,
)
from fivefold.risk.engine.single.levels import NOBODY, PriorLevel, assess_row
from fivefold.risk.engine.single.rules import single_program
from fivefold.risk.facts.portfolio import AS_OF, ENTITY

_LEVELS_BEFORE = {"level": "previous_level", "entered": "previous_entered"}
_FLOORS_BEFORE = {"floor": "previous_floor", "hard_floor": "previous_hard_floor"}
_LOST_BEFORE = {FLOOR_LOST: "previous_floor_lost", HARD_FLOOR_LOST: "previous_hard_floor_lost"}
_OVERRIDE = {"override_level": pl.Int8, "override_until": pl.Int64}


def assess_inputs(
    program: Program,
    inputs: pl.DataFrame,
    previous: pl.DataFrame | None = None,
    overrides: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Assess rows with resolved inputs; the columns are those of `Assessments.outcomes`.

    One row is assessed by plain functions, several by queries over columns, with the same results.

    Args:
        program: the compiled ruleset.
        inputs: a column for each input, `entity_id` and `as_of`.
        previous: `entity_id`, `level`, `entered`: the rules levels held until now; without it all entities are new.
            Perhaps `floor` and `hard_floor` (numbers of levels, 0 for none), `floor_lost` and `hard_floor_lost` (as
            `risk.engine.levels.MOMENTS`): the floors that held.
        overrides: `entity_id`, `level`, `until`: the overrides.
    """
    if len(inputs) == 1:
        row = inputs.row(0, named=True)
        before = _before(row[ENTITY], previous, overrides)
        if before is not None and all(value == value for value in row.values()):  # noqa: PLR0124 (NaN is not itself)
            return _frame_of(program, row, assess_row(single_program(program), row, before))
    return assess_columns(program, inputs, previous, overrides)


def assess_columns(
    program: Program,
    inputs: pl.DataFrame,
    previous: pl.DataFrame | None = None,
    overrides: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Assess rows as `assess_inputs` does, but always by queries over columns."""
    ruleset = program.ruleset
    frame, previous_columns = _beside(inputs, previous, _LEVELS_BEFORE | _FLOORS_BEFORE | _LOST_BEFORE, PREVIOUS)
    frame, override_columns = _beside(
        frame, overrides, {"level": "override_level", "until": "override_until"}, _OVERRIDE
    )
    floors_held = previous is not None and "floor" in previous.columns and bool((previous["floor"] > 0).any())
    possible = program.possible_floors(frame) if floors_held else []
    plan = program.plan(frame, ENTITY, AS_OF, *previous_columns, *override_columns, *possible).with_columns(_COMPUTED)
    floors = floor_stages(ruleset.cooldown, len(ruleset.levels)) if floors_held else settled_floors()
    for stage in (*floors, *level_stages(ruleset.cooldown)):
        plan = plan.with_columns(stage)
    outcomes = program.collect(plan, frame)
    return outcomes[[ENTITY, AS_OF, STATUS, COMPUTED, *LEVELS, *program.outputs]]


def _before(entity: str, previous: pl.DataFrame | None, overrides: pl.DataFrame | None) -> PriorLevel | None:
    """Return the level that an entity held until now; None if it occurs twice, which joining the frames refuses."""
    standing, override = _of(entity, previous), _of(entity, overrides)
    if standing is None or override is None:
        return None
    if not standing and not override:
        return NOBODY
    floor = (standing["floor"], standing.get("hard_floor")) if standing.get("floor") is not None else None
    return PriorLevel(
        level=standing.get("level"),
        entered=standing.get("entered"),
        floor=floor,
        lost=(standing.get(FLOOR_LOST), standing.get(HARD_FLOOR_LOST)),
        override=override.get("level"),
        until=override.get("until"),
    )


def _of(entity: str, frame: pl.DataFrame | None) -> Mapping[str, Any] | None:
    """Return the row of an entity, {} if there is none; None if there are several."""
    if frame is None or not len(frame):
        return {}
    if len(frame) > 1:
        frame = frame.filter(pl.col(ENTITY) == entity)
        return None if len(frame) > 1 else _of(entity, frame)
    row = frame.row(0, named=True)
    return row if row[ENTITY] == entity else {}


def _frame_of(program: Program, row: Mapping[str, Any], outcome: Mapping[str, Any]) -> pl.DataFrame:
    """Convert the outcome of one entity to a frame, with the columns of `assess_columns`."""
    names = [ENTITY, AS_OF, STATUS, COMPUTED, *LEVELS, *program.outputs]
    values = {**outcome, ENTITY: row[ENTITY], AS_OF: row[AS_OF]}
    codes = {rule.column: pl.Int64 for rule in program.rules}
    schema = {name: codes.get(name) or _KINDS.get(name, pl.Int8) for name in names}
    return pl.from_dicts([{name: values[name] for name in names}], schema=schema)


_KINDS: Mapping[str, Any] = {
    ENTITY: pl.String,
    STATUS: pl.String,
    **dict.fromkeys((FLOOR_LOST, HARD_FLOOR_LOST), MOMENTS),
    **dict.fromkeys((AS_OF, ENTERED, MAY_MOVE_DOWN_ON, FLOOR_HELD_UNTIL, TOTAL), pl.Int64),
    **dict.fromkeys((OVERRIDDEN, RAISED, APPLIES, UNDETERMINED, FAILED), pl.Boolean),
}
"""The types of columns other than numbers of levels and codes of rules."""


def _beside(
    frame: pl.DataFrame, other: pl.DataFrame | None, names: Mapping[str, str], types: Mapping[Any, Any]
) -> tuple[pl.DataFrame, list[pl.Expr]]:
    """Join a frame about the same entities, if any; return the frame, and the columns to read, null without it."""
    there = {} if other is None else {old: new for old, new in names.items() if old in other.columns}
    columns = [
        pl.col(name) if name in there.values() else pl.lit(None, kind).alias(name) for name, kind in types.items()
    ]
    if other is None:
        return frame, columns
    kinds: dict[Any, Any] = {new: types[new] for new in there.values()}
    renamed = other.select(ENTITY, *there).rename(there).cast(kinds)
    return frame.join(renamed, on=ENTITY, how="left", validate="m:1", maintain_order="left"), columns


def _say(status: Status) -> pl.Expr:
    return pl.lit(status.value)


_STATUS = (
    pl.when(~pl.col(APPLIES))
    .then(_say(Status.NOT_APPLICABLE))
    .when(UNDETERMINED)
    .then(_say(Status.UNDETERMINED))
    .when(FAILED)
    .then(_say(Status.FAILED))
    .when(pl.col(TOTAL_LEVEL).is_null())
    .then(_say(Status.UNCLASSIFIED))
    .otherwise(_say(Status.ASSESSED))
    .alias(STATUS)
)
_IN_FULL = ~pl.col(FAILED) & ~pl.col(UNDETERMINED)

_COMPUTED = (
    _STATUS,
    pl.when(pl.col(APPLIES) & _IN_FULL & pl.col(TOTAL_LEVEL).is_not_null())
    .then(pl.max_horizontal(TOTAL_LEVEL, FLOOR))
    .when(APPLIES)
    .then(pl.max_horizontal(pl.col("previous_level"), pl.when(pl.col(FLOOR) > 0).then(FLOOR)))
    .alias(COMPUTED),
    *(pl.when(APPLIES).then(name).otherwise(pl.lit(0, pl.Int8)).alias(name) for name in (FLOOR, HARD_FLOOR)),
    *(pl.when(APPLIES).then(name).alias(name) for name in PREVIOUS),
    (~_IN_FULL).alias(KEEPS_FLOORS),
)
"""The result of the rules alone: if they could not be evaluated, no level is lowered and no floor dropped."""
