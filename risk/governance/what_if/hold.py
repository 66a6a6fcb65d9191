"""What holds a level that the rules alone would not give now: an override, the cooldown, or a floor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

from fivefold.risk.engine.levels import (
    HELD_FLOOR,
    MAY_MOVE_DOWN_ON,
    OVERRIDDEN,
    RAISED,
    RULES_LEVEL,
    WITHHELD,
)

HeldBy = Literal["override", "ended override", "cooldown", "floor"]
"""What holds a level.

ENDED OVERRIDE: it gave the level, which is yet to be computed without it. FLOOR: one that held before and is unknown
now, or one above the override.
"""


@dataclass(frozen=True)
class LevelHold:
    """What holds a level, and until when; `until` is in microseconds, and None where no end is known."""

    by: HeldBy
    until: int | None


def hold_of(outcomes: pl.DataFrame, overrides: pl.DataFrame | None) -> LevelHold | None:
    """Tell what holds the level of one assessment; None where the level is what the rules say.

    Args:
        outcomes: its one row.
        overrides: the override that it was given, as `assess_inputs` takes it.
    """
    row: Mapping[str, Any] = outcomes.row(0, named=True)
    if row[OVERRIDDEN]:
        assert overrides is not None, "without one nothing is overridden"
        return LevelHold("floor", None) if row[RAISED] else LevelHold("override", overrides["until"][0])
    if row[WITHHELD] is None:
        return None
    return LevelHold("floor" if (row[HELD_FLOOR] or 0) >= row[RULES_LEVEL] else "cooldown", row[MAY_MOVE_DOWN_ON])


_SENTENCES: Final[Mapping[HeldBy, str]] = {
    "override": "An override holds {level}{until}; what the rules say shows when it ends.",
    "ended override": "An override gave {level}, and has ended.",
    "cooldown": "The cooldown holds {level}{until}.",
    "floor": "A floor holds {level}{until}.",
}


def hold_sentence(level: str, by: HeldBy, day: str | None) -> str:
    """Say what holds a level, and until which day.

    >>> hold_sentence("medium", "cooldown", "2026-12-26"), hold_sentence("high", "floor", None)
    ('The cooldown holds medium until 2026-12-26.', 'A floor holds high.')
    """
    return _SENTENCES[by].format(level=level, until="" if day is None else f" until {day}")
