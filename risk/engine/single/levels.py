"""One entity's status and level over time, as plain values: the counterpart of `risk.engine.levels` for a row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fivefold.risk.compiler.plain_conditions import Row
from fivefold.risk.engine.assessments import COMPUTED, STATUS, Status
from fivefold.risk.engine.levels import (
    ENTERED,
    FLOOR_HELD_UNTIL,
    FLOOR_LOST,
    HARD_FLOOR_LOST,
    HELD_FLOOR,
    HELD_HARD_FLOOR,
    LEVEL,
    MAY_MOVE_DOWN_ON,
    OVERRIDDEN,
    RAISED,
    RULES_LEVEL,
    WITHHELD,
)
from fivefold.risk.engine.program import APPLIES, FAILED, FLOOR, HARD_FLOOR, TOTAL_LEVEL, UNDETERMINED
from fivefold.risk.engine.single.rules import SingleProgram
from fivefold.risk.facts.portfolio import AS_OF
from fivefold.risk.language.quantities import Duration


@dataclass(frozen=True, kw_only=True)
class PriorLevel:
    """An entity's level and floors held until now; moments are in microseconds.

    Attributes:
        level: the rules level, from 1; None for none.
        entered: the moment at which the level was entered.
        floor: the floors that held, of all rules and of hard ones; None if none is known.
        lost: for both, by level from the second on, since when a floor rests on unknown facts; None for none.
        override: the level that people set.
        until: the end of the override.
    """

    level: int | None = None
    entered: int | None = None
    floor: tuple[int | None, int | None] | None = None
    lost: tuple[list[int | None] | None, list[int | None] | None] = (None, None)
    override: int | None = None
    until: int | None = None


NOBODY = PriorLevel()


@dataclass(frozen=True)
class _Floor:
    """A floor that holds: its level, 0 for none; since when levels rest on unknown facts; and its end."""

    level: int
    lost: list[int | None] | None = None
    end: int | None = None


def assess_row(single: SingleProgram, row: Row, before: PriorLevel) -> dict[str, Any]:
    """Assess an entity by its row of inputs; return the values of `Assessments.outcomes` by their columns."""
    outcome = single.run(row)
    applies, total_level = outcome[APPLIES], outcome[TOTAL_LEVEL]
    is_in_full = not (outcome[FAILED] or outcome[UNDETERMINED])
    if not applies:
        outcome[FLOOR] = outcome[HARD_FLOOR] = 0
    held_before = before.level if applies else None
    computed = None
    if applies and is_in_full and total_level is not None:
        computed = max(total_level, outcome[FLOOR])
    elif applies:
        computed = _greatest(held_before, outcome[FLOOR] or None)
    floor, hard_floor = _Floor(outcome[FLOOR]), _Floor(outcome[HARD_FLOOR])
    if before.floor is not None:
        floor, hard_floor = _floors(single, row, outcome, before, keeps=not is_in_full)
    return {
        STATUS: _status(outcome).value,
        COMPUTED: computed,
        **_levels(single.program.ruleset.cooldown, row[AS_OF], computed, before, floor, hard_floor, held_before),
        HELD_FLOOR: floor.level,
        HELD_HARD_FLOOR: hard_floor.level,
        FLOOR_LOST: floor.lost,
        HARD_FLOOR_LOST: hard_floor.lost,
        FLOOR_HELD_UNTIL: _least(floor.end, hard_floor.end),
        **outcome,
    }


def _status(outcome: Mapping[str, Any]) -> Status:
    if not outcome[APPLIES]:
        return Status.NOT_APPLICABLE
    if outcome[UNDETERMINED]:
        return Status.UNDETERMINED
    if outcome[FAILED]:
        return Status.FAILED
    return Status.UNCLASSIFIED if outcome[TOTAL_LEVEL] is None else Status.ASSESSED


def _floors(
    single: SingleProgram, row: Row, outcome: Mapping[str, Any], before: PriorLevel, *, keeps: bool
) -> tuple[_Floor, _Floor]:
    """Keep the floors that were held before; see `risk.engine.levels.floor_stages`."""
    assert before.floor is not None
    ruleset, as_of = single.program.ruleset, row[AS_OF]
    kinds = zip((FLOOR, HARD_FLOOR), single.possible_floors(row), before.floor, before.lost, strict=True)
    floors = []
    for name, possible, previous, lost in kinds:
        triggered: int = outcome[name]
        highest, since = triggered, []
        for number in range(2, len(ruleset.levels) + 1):
            lost_at = lost[number - 2] if outcome[APPLIES] and lost is not None and number - 2 < len(lost) else None
            is_missing = outcome[APPLIES] and (previous or 0) >= number > triggered
            from_then = as_of if lost_at is None else lost_at
            ends = _after(ruleset.cooldown, from_then)
            waits = is_missing and not keeps and possible >= number and ends is not None and as_of < ends
            if waits or (is_missing and keeps):
                highest = number
            since.append(from_then if waits else lost_at if is_missing and keeps else None)
        end = None
        if not keeps and highest > triggered:
            end = _after(ruleset.cooldown, since[highest - 2])
        floors.append(_Floor(highest, since if any(one is not None for one in since) else None, end))
    return floors[0], floors[1]


def _levels(
    cooldown: Duration | None,
    as_of: int,
    computed: int | None,
    before: PriorLevel,
    floor: _Floor,
    hard_floor: _Floor,
    held_before: int | None,
) -> dict[str, Any]:
    """Update the level; see `risk.engine.levels.level_stages`."""
    entered_before = None if held_before is None else before.entered
    target = _greatest(computed, floor.level or None)
    waits_until = _after(cooldown, entered_before)
    waits = (
        target is not None
        and held_before is not None
        and target < held_before
        and waits_until is not None
        and as_of < waits_until
    )
    stays = target is None or target == held_before or waits
    level, entered = (held_before, entered_before) if stays else (target, as_of)
    is_overridden = before.override is not None and (before.until is None or as_of < before.until)
    withheld = computed if computed is not None and level is not None and computed < level else None
    may_move = None
    if level is not None and level > 1:
        by_floor = floor.level >= level and withheld is not None
        may_move = _greatest(_after(cooldown, entered), floor.end if by_floor else None)
    return {
        LEVEL: _greatest(before.override, hard_floor.level) if is_overridden else level,
        RULES_LEVEL: level,
        ENTERED: entered,
        MAY_MOVE_DOWN_ON: may_move,
        WITHHELD: withheld,
        OVERRIDDEN: is_overridden,
        RAISED: is_overridden and before.override is not None and before.override < hard_floor.level,
    }


def _after(cooldown: Duration | None, moment: int | None) -> int | None:
    return moment if cooldown is None or moment is None else cooldown.moment_after(moment)


def _greatest(*numbers: int | None) -> int | None:
    return max((number for number in numbers if number is not None), default=None)


def _least(*numbers: int | None) -> int | None:
    return min((number for number in numbers if number is not None), default=None)
