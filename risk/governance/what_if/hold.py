"""Finds what holds a level that the rules alone would not give now: an override, the cooldown, or a floor."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

from fivefold.risk.engine.assessments import STATUS, Status
from fivefold.risk.engine.levels import (
    FLOOR_LOST,
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

HeldBy = Literal["override", "ended override", "cooldown", "ended cooldown", "floor", "ended floor", "rules"]
"""What holds a level.

ENDED: it held the level, which is yet to be computed without it. FLOOR: one that held before and is unknown now, or one
above the override. RULES: the level by the rules without floors that will have ended by then.
"""


@dataclass(frozen=True)
class LevelHold:
    """What holds a level, and until when.

    Attributes:
        by: what holds the level.
        level: the level that would hold without the holds above.
        until: the end, in microseconds; None if it is not known.
    """

    by: HeldBy
    level: str
    until: int | None

    @property
    def has_ended(self) -> bool:
        """Whether it held the level, and no longer does."""
        return self.by in _ENDED.values()

    def at(self, now: int) -> "LevelHold":
        """Return the hold at a later moment: after its end it has ended."""
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
    """Find what holds the level of one assessment, each above the next; empty if the rules alone give it.

    A floor that is both above an override and beneath it occurs twice: the lower one stays once the override has ended.

    Args:
        outcomes: the one row of the assessment.
        overrides: its override, in the form of `assess_inputs`.
        levels: the names of levels.
        cooldown: the cooldown of the ruleset.
    """
    row: Mapping[str, Any] = outcomes.row(0, named=True)
    floors = _Floors(outcomes, cooldown)
    holds: list[LevelHold] = []
    if row[OVERRIDDEN]:
        assert overrides is not None, "without one nothing is overridden"
        override = overrides["level"][0]
        if row[RAISED]:
            holds += (LevelHold("floor", levels[floor - 1], until) for floor, until in floors.above(override))
        holds.append(LevelHold("override", levels[override - 1], overrides["until"][0]))
    if row[WITHHELD] is not None:
        number, until = row[RULES_LEVEL], row[MAY_MOVE_DOWN_ON]
        holds.append(LevelHold("floor" if floors.hold(number, until) else "cooldown", levels[number - 1], until))
        then = floors.highest_after(until, row[WITHHELD])
        if then < (row[HELD_FLOOR] or 0):
            holds.append(LevelHold("rules", levels[then - 1], None))
    return tuple(holds)


class _Floors:
    """The floors of one assessment, and when each ends.

    The end of a triggered floor is unknown, and so is that of every floor while an assessment is not in full.
    """

    def __init__(self, outcomes: pl.DataFrame, cooldown: Duration | None) -> None:
        self._outcomes, self._cooldown = outcomes, cooldown
        self._held_floor, self._hard = outcomes[HELD_FLOOR][0] or 0, outcomes[HELD_HARD_FLOOR][0] or 0
        self._are_kept = outcomes[STATUS][0] != Status.ASSESSED.value

    def above(self, override: int) -> Iterator[tuple[int, int | None]]:
        """Yield the floors above an override, the highest first, with their ends: each ends after those above it."""
        last = None
        for number in range(self._hard, override, -1):
            until = self._end(HARD_FLOOR_LOST, number)
            if until is None or until != last:
                yield number, until
            if until is None:
                return
            last = until

    def hold(self, level: int, until: int) -> bool:
        """Check whether a floor, not only the cooldown, holds a level until then."""
        ends = self._end(FLOOR_LOST, level)
        return self._held_floor >= level and (ends is None or ends >= until)

    def highest_after(self, moment: int, computed: int) -> int:
        """Return the highest floor above `computed` that ends after a moment; otherwise `computed`."""
        for number in range(self._held_floor, computed, -1):
            ends = self._end(FLOOR_LOST, number)
            if ends is None or ends > moment:
                return number
        return computed

    def _end(self, lost: str, level: int) -> int | None:
        if self._are_kept:
            return None
        since = pl.col(lost).list.get(level - 2, null_on_oob=True)
        ends: int | None = self._outcomes.select(after(self._cooldown, since))[0, 0]
        return ends


_SENTENCES: Final[Mapping[HeldBy, str]] = {
    "override": "An override holds {level}{until}.",
    "ended override": "An override gave {level}, and has ended.",
    "cooldown": "The cooldown holds {level}{until}.",
    "ended cooldown": "The cooldown held {level}, and has ended.",
    "floor": "A floor holds {level}{until}.",
    "ended floor": "A floor held {level}, and has ended.",
    "rules": "Once the floor has ended, the rules say {level}.",
}


def holds_sentence(holds: Sequence[tuple[str, HeldBy, str | None]]) -> str:
    """Write what holds a level, and what would hold beneath it: each level, the reason, and the day until which.

    >>> holds_sentence([("low", "override", "2026-11-30"), ("high", "cooldown", "2026-12-06")])
    'An override holds low until 2026-11-30. Beneath it: The cooldown holds high until 2026-12-06.'
    """
    return " Beneath it: ".join(
        _SENTENCES[by].format(level=level, until="" if day is None else f" until {day}") for level, by, day in holds
    )
