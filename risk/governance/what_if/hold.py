"""What holds a level that the rules alone would not give now: an override, the cooldown, or a floor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

from fivefold.risk.engine.assessments import STATUS, Status
from fivefold.risk.engine.levels import (
    HARD_FLOOR_LOST,
    HELD_FLOOR,
    HELD_HARD_FLOOR,
    MAY_MOVE_DOWN_ON,
    OVERRIDDEN,
    RAISED,
    RULES_LEVEL,
    WITHHELD,
    after,
)
from fivefold.risk.language.quantities import Duration

HeldBy = Literal["override", "ended override", "cooldown", "ended cooldown", "floor", "ended floor"]
"""What holds a level.

ENDED: it held the level, which is yet to be computed without it. FLOOR: one that held before and is unknown now, or one
above the override.
"""


@dataclass(frozen=True)
class LevelHold:
    """What holds a level, and until when.

    Attributes:
        by: what holds it.
        level: that would hold without what is above.
        until: microseconds; None where no end is known.
    """

    by: HeldBy
    level: str
    until: int | None

    @property
    def has_ended(self) -> bool:
        """Tell whether it held the level, and does not any more."""
        return self.by in _ENDED.values()

    def at(self, now: int) -> "LevelHold":
        """Give the same at a later moment: once its end is over it has ended."""
        if self.until is None or now < self.until:
            return self
        return LevelHold(_ENDED[self.by], self.level, None)


_ENDED: Final[Mapping[HeldBy, HeldBy]] = {
    "override": "ended override",
    "cooldown": "ended cooldown",
    "floor": "ended floor",
}


def holds_of(
    outcomes: pl.DataFrame, overrides: pl.DataFrame | None, levels: Sequence[str], cooldown: Duration | None
) -> tuple[LevelHold, ...]:
    """Tell what holds the level of one assessment, each above the next; nothing where the rules alone give it.

    Args:
        outcomes: its one row.
        overrides: the override that it was given, as `assess_inputs` takes it.
        levels: the names.
        cooldown: of the ruleset.
    """
    row: Mapping[str, Any] = outcomes.row(0, named=True)
    holds: list[LevelHold] = []
    if row[RAISED]:
        holds.append(LevelHold("floor", levels[row[HELD_HARD_FLOOR] - 1], _floor_ends(outcomes, cooldown)))
    if row[OVERRIDDEN]:
        assert overrides is not None, "without one nothing is overridden"
        holds.append(LevelHold("override", levels[overrides["level"][0] - 1], overrides["until"][0]))
    if row[WITHHELD] is not None:
        by: HeldBy = "floor" if (row[HELD_FLOOR] or 0) >= row[RULES_LEVEL] else "cooldown"
        holds.append(LevelHold(by, levels[row[RULES_LEVEL] - 1], row[MAY_MOVE_DOWN_ON]))
    return tuple(holds)


def _floor_ends(outcomes: pl.DataFrame, cooldown: Duration | None) -> int | None:
    """Tell when the floor above an override ends; None where it is triggered, or the assessment is not in full."""
    if outcomes[STATUS][0] != Status.ASSESSED.value:
        return None
    since = pl.col(HARD_FLOOR_LOST).list.get(pl.col(HELD_HARD_FLOOR).cast(pl.Int64) - 2, null_on_oob=True)
    ends: int | None = outcomes.select(after(cooldown, since))[0, 0]
    return ends


_SENTENCES: Final[Mapping[HeldBy, str]] = {
    "override": "An override holds {level}{until}.",
    "ended override": "An override gave {level}, and has ended.",
    "cooldown": "The cooldown holds {level}{until}.",
    "ended cooldown": "The cooldown held {level}, and has ended.",
    "floor": "A floor holds {level}{until}.",
    "ended floor": "A floor held {level}, and has ended.",
}


def holds_sentence(holds: Sequence[tuple[str, HeldBy, str | None]]) -> str:
    """Say what holds a level, and what would hold beneath it: each level, by what, and until which day.

    >>> holds_sentence([("low", "override", "2026-11-30"), ("high", "cooldown", "2026-12-06")])
    'An override holds low until 2026-11-30. Beneath it: The cooldown holds high until 2026-12-06.'
    """
    return " Beneath it: ".join(
        _SENTENCES[by].format(level=level, until="" if day is None else f" until {day}") for level, by, day in holds
    )
