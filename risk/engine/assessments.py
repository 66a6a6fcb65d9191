"""Assessments: a compiled ruleset, its inputs and its outcomes, one row for each entity."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from enum import StrEnum
from typing import Any, Self

import polars as pl

from fivefold.domain.text import html_table
from fivefold.risk.engine.levels import (
    ENTERED,
    FLOOR_LOST,
    HARD_FLOOR_LOST,
    HELD_FLOOR,
    HELD_HARD_FLOOR,
    KEEPS_FLOORS,
    LEVEL,
    LEVELS,
    MAY_MOVE_DOWN_ON,
    OVERRIDDEN,
    PREVIOUS,
    RAISED,
    RULES_LEVEL,
    WITHHELD,
    as_text,
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
from fivefold.risk.facts.aggregates import quotient
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, ListVersion

STATUS, COMPUTED, VERSIONS = "status", "computed", "list_versions"


class Status(StrEnum):
    """What became of an assessment.

    FAILED: a rule met a value that it could not read, or no column of weights was for this entity. UNCLASSIFIED: no
    tier owns the total. UNDETERMINED: it is unknown whether the ruleset applies to the entity. In all three a triggered
    floor may still raise the level, and nothing lowers it. NOT_APPLICABLE: the ruleset's predicate is false of the
    entity, so it has no level.
    """

    ASSESSED = "assessed"
    FAILED = "failed"
    UNCLASSIFIED = "unclassified"
    UNDETERMINED = "undetermined"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Assessments:
    """The assessments of n entities.

    Attributes:
        program: the compiled ruleset; where lists changed between as-ofs, that of the first of `versions`.
        inputs: n rows: `entity_id`, `as_of`, a column for each input; null where unknown.
        outcomes: n rows: `entity_id`, `as_of`, `status`, the columns of `Program.run` and `risk.engine.levels.LEVELS`,
            `computed` (what the rules alone say now), `list_versions` (a position in *versions*).
        versions: the versions of the lists that were used, by name; several where as-ofs differ.
        base: the currency that money is in.
        moments: n rows: `entity_id`, and when time alone may change each input, as `risk.facts.moments` tells it; None
            where that was not asked for.
    """

    program: Program
    inputs: pl.DataFrame
    outcomes: pl.DataFrame
    _: KW_ONLY
    versions: tuple[Mapping[str, ListVersion], ...]
    base: str
    moments: pl.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.outcomes)

    def where(self, mask: pl.Series) -> Self:
        """Take the assessments of some entities."""
        moments = None if self.moments is None else self.moments.filter(mask)
        return replace(self, inputs=self.inputs.filter(mask), outcomes=self.outcomes.filter(mask), moments=moments)

    def table(self) -> pl.DataFrame:
        """Give one plain row for each entity: level names instead of numbers, points instead of units.

        The score of a failed assessment is what the other rules add up to, and has no level.
        """
        names = dict(enumerate(self.program.ruleset.levels, 1))

        def level_name(column: str, called: str | None = None) -> pl.Expr:
            level = pl.col(column).replace_strict(names, default=None, return_dtype=pl.String)
            return level.alias(called or column)

        return self.outcomes.select(
            pl.col(ENTITY),
            pl.col(AS_OF).cast(pl.Datetime("us", "UTC")),
            level_name(LEVEL),
            pl.col(STATUS),
            pl.when(pl.col(APPLIES))
            .then(quotient(pl.col(TOTAL).cast(pl.Float64), self.program.total.scale))
            .alias("score"),
            pl.when(pl.col(STATUS) == Status.ASSESSED.value).then(level_name(TOTAL_LEVEL)).alias("score_level"),
            level_name(FLOOR, "floor"),
            pl.when(pl.col(APPLIES)).then(self.program.floor_by).alias("floor_by"),
            level_name(RULES_LEVEL, "rules_level"),
            pl.col(ENTERED).cast(pl.Datetime("us", "UTC")),
            pl.col(MAY_MOVE_DOWN_ON).cast(pl.Datetime("us", "UTC")),
            level_name(WITHHELD, "withheld_level"),
            pl.col(OVERRIDDEN, RAISED),
            level_name(HELD_FLOOR, "held_floor"),
            level_name(HELD_HARD_FLOOR, "held_hard_floor"),
            as_text(),
        )

    def _repr_html_(self) -> str:
        """Show them in a notebook: how many are at each level, and the first of them."""
        table = self.table()
        counts = dict(table.group_by("level").len().rows())
        levels = (*reversed(self.program.ruleset.levels), None)
        rows = [[level or "none", f"{counts[level]:,}"] for level in levels if level in counts]
        caption = f"{len(self):,} assessed by {self.program.ruleset.name}"
        return html_table(caption, ["level", "entities"], rows) + table.head(_SHOWN)._repr_html_()

    def position(self, entity: str) -> int | None:
        """Find an entity's row; None where there is none."""
        row = (self.outcomes[ENTITY] == entity).arg_max()
        return row if row is not None and self.outcomes[ENTITY][row] == entity else None


_SHOWN = 10
"""Entities that a notebook shows."""

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
    """Assess rows whose inputs are there already; the columns are those of `Assessments.outcomes`.

    Args:
        program: the compiled ruleset.
        inputs: a column for each input, `entity_id` and `as_of`.
        previous: `entity_id`, `level`, `entered`: the rules levels held until now; everyone is new without it. Perhaps
            `floor` and `hard_floor` (numbers of levels, 0 for none), `floor_lost` and `hard_floor_lost` (as
            `risk.engine.levels.MOMENTS`): the floors that held.
        overrides: `entity_id`, `level`, `until`: the overrides there are.
    """
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


def _beside(
    frame: pl.DataFrame, other: pl.DataFrame | None, names: Mapping[str, str], types: Mapping[Any, Any]
) -> tuple[pl.DataFrame, list[pl.Expr]]:
    """Bring what else is known of the entities beside them; the frame, and the columns to read: nulls without it."""
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
"""What the rules alone ask for: nothing lowers a level, or lets go of a floor, where they could not be answered."""
