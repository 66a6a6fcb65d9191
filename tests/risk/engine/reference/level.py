"""One entity's level over time in plain objects: the engine's frames, one row at a time."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from fivefold.risk.engine.levels import (
    ENTERED,
    FLOOR_HELD_UNTIL,
    FLOOR_LOST,
    HARD_FLOOR_LOST,
    HELD_FLOOR,
    HELD_HARD_FLOOR,
    KEEPS_FLOORS,
    LEVEL,
    LEVELS,
    MAY_MOVE_DOWN_ON,
    OVERRIDDEN,
    POSSIBLE_FLOOR,
    POSSIBLE_HARD_FLOOR,
    PREVIOUS,
    RAISED,
    RULES_LEVEL,
    WITHHELD,
    floor_stages,
    level_stages,
)
from fivefold.risk.language.quantities import Duration

_SCHEMA: dict[str, Any] = {
    **PREVIOUS,
    "computed": pl.Int8,
    "floor": pl.Int8,
    "hard_floor": pl.Int8,
    POSSIBLE_FLOOR: pl.Int8,
    POSSIBLE_HARD_FLOOR: pl.Int8,
    KEEPS_FLOORS: pl.Boolean,
    "override_level": pl.Int8,
    "override_until": pl.Int64,
    "as_of": pl.Int64,
}


@dataclass(frozen=True)
class HeldFloor:
    """The floor that holds.

    Attributes:
        level: from 1; 0 for none.
        lost: since when a floor rests on what is unknown, microseconds, for each level from the second on; None where
            none does. Empty where nothing is unknown.
    """

    level: int = 0
    lost: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Standing:
    """A rules level, and since when it is held.

    Attributes:
        level: from 1.
        entered: when it was entered, microseconds; computing the same level again does not change it.
        floor: the highest floor that holds.
        hard_floor: the highest one that no override may go below.
    """

    level: int
    entered: int
    floor: HeldFloor = field(default_factory=HeldFloor)
    hard_floor: HeldFloor = field(default_factory=HeldFloor)


@dataclass(frozen=True)
class Computed:
    """What the rules say now.

    Attributes:
        level: from 1; None where an assessment failed with nothing to hold on to.
        hard_floor: the highest triggered floor that no override may go below; 0 for none.
        floor: the highest triggered floor of all; 0 for none.
        possible_hard_floor: the highest one that may be triggered by what is unknown; 0 for none.
        possible_floor: the same of all floors.
        keeps_floors: the rules could not be answered in full, so no floor is let go of.
    """

    level: int | None
    hard_floor: int = 0
    floor: int = 0
    possible_hard_floor: int = 0
    possible_floor: int = 0
    keeps_floors: bool = False


@dataclass(frozen=True)
class Override:
    """A level that people set.

    Attributes:
        level: from 1.
        until: it ends at this very moment, microseconds; None where it has no end.
    """

    level: int
    until: int | None = None


@dataclass(frozen=True)
class Step:
    """The answer.

    Attributes:
        level: what holds: the override's level while one is live, otherwise the rules level.
        rules: the rules level and since when it is held, with the floors; None where there is no level yet.
        may_move_down_on: from when a lower rules level would be entered, microseconds; None at the lowest level.
        withheld: the lower level that the cooldown, or a floor that is unknown, withholds; None where nothing does.
        overridden: an override is live.
        override_raised_by_floor: it says less than a floor that holds, which wins.
        floor_held_until: when the next floor is let go of that rests on what is unknown; None where none does.
    """

    level: int | None
    rules: Standing | None
    may_move_down_on: int | None
    withheld: int | None
    overridden: bool
    override_raised_by_floor: bool
    floor_held_until: int | None = None


def next_levels(frame: pl.DataFrame, cooldown: Duration | None, levels: int) -> pl.DataFrame:
    """Move a whole portfolio on, as the engine does: the columns of `LEVELS`, one row for each entity.

    Args:
        frame: the columns of `PREVIOUS` (null where there was none), computed (null where there is none), floor and
            hard_floor (0 for none), what they may come to (`POSSIBLE_FLOOR`, `POSSIBLE_HARD_FLOOR`), `KEEPS_FLOORS`,
            override_level (null for none) and override_until (null for no end), as_of.
        cooldown: the least time at a level before a lower one is entered; None for none.
        levels: how many there are.
    """
    plan = frame.lazy()
    for stage in (*floor_stages(cooldown, levels), *level_stages(cooldown)):
        plan = plan.with_columns(stage)
    return plan.select(LEVELS).collect()


def next_level(
    previous: Standing | None,
    computed: Computed,
    cooldown: Duration | None,
    override: Override | None,
    as_of: int,
    levels: int = 6,
) -> Step:
    """Move one entity on; a batch of one."""
    row = {
        "previous_level": previous.level if previous else None,
        "previous_entered": previous.entered if previous else None,
        "previous_floor": previous.floor.level if previous else None,
        "previous_hard_floor": previous.hard_floor.level if previous else None,
        "previous_floor_lost": list(previous.floor.lost) if previous else None,
        "previous_hard_floor_lost": list(previous.hard_floor.lost) if previous else None,
        "computed": computed.level,
        "floor": computed.floor,
        "hard_floor": computed.hard_floor,
        POSSIBLE_FLOOR: computed.possible_floor,
        POSSIBLE_HARD_FLOOR: computed.possible_hard_floor,
        KEEPS_FLOORS: computed.keeps_floors,
        "override_level": override.level if override else None,
        "override_until": override.until if override else None,
        "as_of": as_of,
    }
    made = next_levels(pl.DataFrame([row], schema=_SCHEMA), cooldown, levels).row(0, named=True)
    rules = None
    if made[RULES_LEVEL] is not None:
        floor = HeldFloor(made[HELD_FLOOR], tuple(made[FLOOR_LOST] or ()))
        hard_floor = HeldFloor(made[HELD_HARD_FLOOR], tuple(made[HARD_FLOOR_LOST] or ()))
        rules = Standing(made[RULES_LEVEL], made[ENTERED], floor, hard_floor)
    held = (made[MAY_MOVE_DOWN_ON], made[WITHHELD], made[OVERRIDDEN], made[RAISED], made[FLOOR_HELD_UNTIL])
    return Step(made[LEVEL], rules, *held)
