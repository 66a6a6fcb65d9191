"""Levels over time: up at once, down after the cooldown, with a live override above both. A pure function.

The rules level and its cooldown continue beneath an override, which neither restarts nor skips the cooldown. Floors
outlast missing facts. All floors hold while an assessment could not be made in full. A floor that is unknown holds for
a cooldown from the moment at which it became unknown.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cache

import polars as pl

from fivefold.risk.language.quantities import Duration

LEVEL, RULES_LEVEL, ENTERED, MAY_MOVE_DOWN_ON, WITHHELD, OVERRIDDEN, RAISED = (
    "level",
    "rules_level",
    "entered",
    "may_move_down_on",
    "withheld",
    "overridden",
    "override_raised_by_floor",
)

HELD_FLOOR, HELD_HARD_FLOOR, FLOOR_LOST, HARD_FLOOR_LOST, FLOOR_HELD_UNTIL = (
    "held_floor",
    "held_hard_floor",
    "floor_lost",
    "hard_floor_lost",
    "floor_held_until",
)

FLOORS = (HELD_FLOOR, HELD_HARD_FLOOR, FLOOR_LOST, HARD_FLOOR_LOST, FLOOR_HELD_UNTIL)
"""The columns of floors: those that hold, and since when they rest on unknown facts."""

LEVELS = (LEVEL, RULES_LEVEL, ENTERED, MAY_MOVE_DOWN_ON, WITHHELD, OVERRIDDEN, RAISED, *FLOORS)
"""The columns of levels.

`level` is the level that holds: the override's while one is live, otherwise the rules level; null without one.
`rules_level` is held since `entered`, with `FLOORS`. `may_move_down_on` is the moment from which time no longer
withholds a lower rules level: the end of the cooldown, or of an unknown floor that withholds one; null at the lowest.
It is set for every status, beneath an override, and also after that moment. `withheld` is the lower level that the
cooldown, or an unknown floor, withholds; null if nothing does. `overridden`: whether an override is live;
`override_raised_by_floor`: whether a floor above it holds, and wins. Moments are microseconds.
"""

MOMENTS = pl.List(pl.Int64)
"""For each level from the second on, since when a floor there rests on unknown facts; null if none does."""

PREVIOUS = {
    "previous_level": pl.Int8,
    "previous_entered": pl.Int64,
    "previous_floor": pl.Int8,
    "previous_hard_floor": pl.Int8,
    "previous_floor_lost": MOMENTS,
    "previous_hard_floor_lost": MOMENTS,
}
"""The columns of the level and the floors held until now."""

POSSIBLE_FLOOR, POSSIBLE_HARD_FLOOR, KEEPS_FLOORS = "possible_floor", "possible_hard_floor", "keeps_floors"
"""The columns of the floors that unknown facts may trigger, and of rows where every held floor stays."""


@cache
def level_stages(cooldown: Duration | None) -> tuple[list[pl.Expr], ...]:
    """Return the expressions after those of floors, step by step: the rules level, then the level that holds."""
    previous, computed, as_of = pl.col("previous_level"), pl.col("computed"), pl.col("as_of")
    target = pl.max_horizontal(computed, pl.when(pl.col(HELD_FLOOR) > 0).then(HELD_FLOOR))
    waits = ((target < previous) & (as_of < after(cooldown, pl.col("previous_entered")))).fill_null(False)
    stays = target.is_null() | (target == previous).fill_null(False) | waits
    override, floor = pl.col("override_level"), pl.col(HELD_HARD_FLOOR)
    level_ends = after(cooldown, pl.col(ENTERED))
    by_floor = (pl.col(HELD_FLOOR) >= pl.col(RULES_LEVEL)) & pl.col(WITHHELD).is_not_null()
    floor_ends = pl.when(by_floor).then(_FLOOR_ENDS)
    return (
        [
            pl.when(stays).then(previous).otherwise(target).alias(RULES_LEVEL),
            pl.when(stays).then(pl.col("previous_entered")).otherwise(as_of).alias(ENTERED),
            _live().alias(OVERRIDDEN),
        ],
        [
            pl.when(computed < pl.col(RULES_LEVEL)).then(computed).alias(WITHHELD),
            pl.when(OVERRIDDEN).then(pl.max_horizontal(override, floor)).otherwise(RULES_LEVEL).alias(LEVEL),
            (pl.col(OVERRIDDEN) & (override < floor)).fill_null(False).alias(RAISED),
        ],
        [
            pl.when(pl.col(RULES_LEVEL) > 1).then(pl.max_horizontal(level_ends, floor_ends)).alias(MAY_MOVE_DOWN_ON),
        ],
    )


_FLOOR_ENDS = "@floor ends"
"""The column of the moment at which the highest unknown floor ends."""


@cache
def settled_floors() -> tuple[list[pl.Expr], ...]:
    """Return the expressions for rows without earlier floors: a triggered floor holds."""
    nothing = pl.lit(None, MOMENTS)
    return (
        [
            pl.col("floor").alias(HELD_FLOOR),
            pl.col("hard_floor").alias(HELD_HARD_FLOOR),
            nothing.alias(FLOOR_LOST),
            nothing.alias(HARD_FLOOR_LOST),
            pl.lit(None, pl.Int64).alias(FLOOR_HELD_UNTIL),
            pl.lit(None, pl.Int64).alias(_FLOOR_ENDS),
        ],
    )


@cache
def floor_stages(cooldown: Duration | None, levels: int) -> tuple[list[pl.Expr], ...]:
    """Return the expressions for rows with earlier floors, step by step.

    A floor holds if it is triggered; if it held and the rules could not be evaluated in full; and, until the cooldown
    has passed since it was lost, if it held and unknown facts may trigger it.
    """
    hard = _Floor("hard_floor", HELD_HARD_FLOOR, HARD_FLOOR_LOST, possible=POSSIBLE_HARD_FLOOR, end="@hard floor ends")
    kinds = (_Floor("floor", HELD_FLOOR, FLOOR_LOST, possible=POSSIBLE_FLOOR, end=_FLOOR_ENDS), hard)
    numbers = range(2, levels + 1)
    return (
        [expression for kind in kinds for expression in kind.lost_columns(cooldown, numbers)],
        [expression for kind in kinds for expression in kind.held_columns(numbers)],
        [expression for kind in kinds for expression in kind.end_columns(cooldown, numbers)],
        [pl.min_horizontal(kind.end for kind in kinds).alias(FLOOR_HELD_UNTIL)],
    )


@dataclass(frozen=True)
class _Floor:
    """A kind of floor: the columns of triggered floors, held ones, the moments of loss, and possible ones."""

    triggered: str
    held_name: str
    lost_name: str
    _: KW_ONLY
    possible: str
    end: str

    def lost_columns(self, cooldown: Duration | None, numbers: Sequence[int]) -> list[pl.Expr]:
        """Return for each level whether a floor that is not triggered holds, and since when it is unknown."""
        expressions = []
        for number in numbers:
            held_before = pl.col(f"previous_{self.triggered}").fill_null(0) >= number
            missing = held_before & (pl.col(self.triggered) < number)
            before = pl.col(f"previous_{self.lost_name}").list.get(number - 2, null_on_oob=True)
            since = pl.coalesce(before, "as_of")
            in_time = pl.col("as_of") < after(cooldown, since)
            waits = missing & ~pl.col(KEEPS_FLOORS) & (pl.col(self.possible) >= number) & in_time
            keeps = missing & pl.col(KEEPS_FLOORS)
            expressions += [
                (keeps | waits).alias(self._holds(number)),
                pl.when(waits).then(since).when(keeps).then(before).alias(self._since(number)),
            ]
        return expressions

    def held_columns(self, numbers: Sequence[int]) -> list[pl.Expr]:
        highest = [pl.when(self._holds(number)).then(pl.lit(number, pl.Int8)) for number in numbers]
        moments = [pl.col(self._since(number)) for number in numbers]
        any_lost = pl.any_horizontal([moment.is_not_null() for moment in moments])
        return [
            pl.max_horizontal(self.triggered, *highest).alias(self.held_name),
            pl.when(any_lost).then(pl.concat_list(moments)).alias(self.lost_name),
        ]

    def end_columns(self, cooldown: Duration | None, numbers: Sequence[int]) -> list[pl.Expr]:
        top = [
            pl.when(pl.col(self.held_name) == number).then(after(cooldown, pl.col(self._since(number))))
            for number in numbers
        ]
        waits = ~pl.col(KEEPS_FLOORS) & (pl.col(self.held_name) > pl.col(self.triggered))
        return [pl.when(waits).then(pl.coalesce(top)).alias(self.end)]

    def _holds(self, number: int) -> str:
        return f"@{self.triggered} {number} holds"

    def _since(self, number: int) -> str:
        return f"@{self.triggered} {number} since"


def after(cooldown: Duration | None, moment: pl.Expr) -> pl.Expr:
    """Return the moment at which a cooldown that began at *moment* has passed."""
    return moment if cooldown is None else cooldown.after(moment)


def _live() -> pl.Expr:
    """True where there is an override that has not expired."""
    until = pl.col("override_until")
    return pl.col("override_level").is_not_null() & (until.is_null() | (pl.col("as_of") < until))


FLOORS_LOST = "floors_lost"
"""The column of `as_text`; null if no floor rests on unknown facts."""

_KEPT = {"floor": FLOOR_LOST, "hard_floor": HARD_FLOOR_LOST}


def as_text() -> pl.Expr:
    """Write the two columns of moments as JSON: `{"floor": [...], "hard_floor": [...]}`, microseconds or null."""
    any_lost = pl.any_horizontal(pl.col(column).is_not_null() for column in _KEPT.values())
    text = pl.struct(pl.col(column).alias(name) for name, column in _KEPT.items()).struct.json_encode()
    return pl.when(any_lost).then(text).alias(FLOORS_LOST)


def from_text(texts: pl.Series) -> list[pl.Series]:
    """Read the columns `floor_lost` and `hard_floor_lost` from texts of `as_text`.

    Raises:
        polars.exceptions.ComputeError: a text was not written by `as_text`.
    """
    if texts.null_count() == len(texts):
        nothing = pl.Series([None], dtype=MOMENTS).new_from_index(0, len(texts))
        return [nothing.alias(column) for column in _KEPT.values()]
    filled = texts.cast(pl.String).fill_null("{}")
    decoded = filled.str.json_decode(pl.Struct(dict.fromkeys(_KEPT, MOMENTS)))
    return [decoded.struct.field(name).alias(column) for name, column in _KEPT.items()]
