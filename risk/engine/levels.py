"""Levels over time: up at once, down after the cooldown, and a live override above it all. A pure function.

The rules level and its cooldown live on beneath an override: it neither restarts the cooldown nor lets it be skipped.
"""

from dataclasses import dataclass
from functools import cache

import polars as pl

from risk.language.durations import Duration

LEVEL, RULES_LEVEL, ENTERED, MAY_MOVE_DOWN_ON, WITHHELD, OVERRIDDEN, RAISED = (
    "level",
    "rules_level",
    "entered",
    "may_move_down_on",
    "withheld",
    "overridden",
    "override_raised_by_floor",
)

LEVELS = (LEVEL, RULES_LEVEL, ENTERED, MAY_MOVE_DOWN_ON, WITHHELD, OVERRIDDEN, RAISED)
"""The columns of what `next_levels` gives."""

_SCHEMA = {
    "previous_level": pl.Int8,
    "previous_entered": pl.Int64,
    "computed": pl.Int8,
    "hard_floor": pl.Int8,
    "override_level": pl.Int8,
    "override_until": pl.Int64,
    "as_of": pl.Int64,
}


@dataclass(frozen=True)
class Standing:
    """A rules level, and since when it is held.

    Attributes:
        level: from 1.
        entered: when it was entered, microseconds; computing the same level again does not change it.
    """

    level: int
    entered: int


@dataclass(frozen=True)
class Computed:
    """What the rules say now.

    Attributes:
        level: from 1; None where an assessment failed with nothing to hold on to.
        hard_floor: the highest triggered floor that no override may go below; 0 for none.
    """

    level: int | None
    hard_floor: int = 0


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
        rules: the rules level and since when it is held; None where there is none yet.
        may_move_down_on: from when a lower rules level would be entered, microseconds; None at the lowest level.
        withheld: the lower level that the cooldown withholds; None where it withholds nothing.
        overridden: an override is live.
        override_raised_by_floor: it says less than a live floor, which holds instead.
    """

    level: int | None
    rules: Standing | None
    may_move_down_on: int | None
    withheld: int | None
    overridden: bool
    override_raised_by_floor: bool


def next_levels(frame: pl.DataFrame, cooldown: Duration | None) -> pl.DataFrame:
    """Move a whole portfolio on: one row for each entity.

    Args:
        frame: previous_level and previous_entered (null where there was none), computed (null where there is none),
            hard_floor (0 for none), override_level (null for none) and override_until (null for no end), as_of.
        cooldown: the least time at a level before a lower one is entered; None for none.

    Returns:
        The fields of `Step` as columns; `rules_level` and `entered` for its rules.
    """
    made = frame.lazy()
    for stage in level_stages(cooldown):
        made = made.with_columns(stage)
    return made.select(LEVELS).collect()


@cache
def level_stages(cooldown: Duration | None) -> tuple[list[pl.Expr], list[pl.Expr]]:
    """Give the expressions of `next_levels`, in two steps: the rules level, then what holds."""
    previous, computed, as_of = pl.col("previous_level"), pl.col("computed"), pl.col("as_of")
    lower = computed < previous
    withheld = (lower & (as_of < _after(cooldown, pl.col("previous_entered")))).fill_null(False)
    stays = computed.is_null() | (computed == previous).fill_null(False) | withheld
    override, floor = pl.col("override_level"), pl.col("hard_floor")
    return [
        pl.when(stays).then(previous).otherwise(computed).alias(RULES_LEVEL),
        pl.when(stays).then(pl.col("previous_entered")).otherwise(as_of).alias(ENTERED),
        pl.when(withheld).then(computed).alias(WITHHELD),
        _live().alias(OVERRIDDEN),
    ], [
        pl.when(OVERRIDDEN).then(pl.max_horizontal(override, floor)).otherwise(RULES_LEVEL).alias(LEVEL),
        pl.when(pl.col(RULES_LEVEL) > 1).then(_after(cooldown, pl.col(ENTERED))).alias(MAY_MOVE_DOWN_ON),
        (pl.col(OVERRIDDEN) & (override < floor)).fill_null(False).alias(RAISED),
    ]


def _after(cooldown: Duration | None, moment: pl.Expr) -> pl.Expr:
    return moment if cooldown is None else cooldown.after(moment)


def _live() -> pl.Expr:
    """Tell where an override is live: there is one, and the instant of its expiry is not reached."""
    until = pl.col("override_until")
    return pl.col("override_level").is_not_null() & (until.is_null() | (pl.col("as_of") < until))


def next_level(
    previous: Standing | None, computed: Computed, cooldown: Duration | None, override: Override | None, as_of: int
) -> Step:
    """Move one entity on; a batch of one.

    >>> day = 86_400_000_000
    >>> step = next_level(Standing(3, 0), Computed(1), Duration(30, "day"), None, 29 * day)
    >>> step.level, step.withheld, step.may_move_down_on // day
    (3, 1, 30)
    """
    row = {
        "previous_level": previous.level if previous else None,
        "previous_entered": previous.entered if previous else None,
        "computed": computed.level,
        "hard_floor": computed.hard_floor,
        "override_level": override.level if override else None,
        "override_until": override.until if override else None,
        "as_of": as_of,
    }
    made = next_levels(pl.DataFrame([row], schema=_SCHEMA), cooldown).row(0, named=True)
    rules = None if made[RULES_LEVEL] is None else Standing(made[RULES_LEVEL], made[ENTERED])
    return Step(made[LEVEL], rules, made[MAY_MOVE_DOWN_ON], made[WITHHELD], made[OVERRIDDEN], made[RAISED])
