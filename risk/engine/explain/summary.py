"""The arithmetic of an assessment in one line: the sum, what raised, withheld or overrode the level."""

from collections.abc import Mapping, Sequence
from typing import Any

from fivefold.domain.clock import day_text
from fivefold.risk.engine.assessments import STATUS, Status
from fivefold.risk.engine.explain.outcomes import RuleOutcome
from fivefold.risk.engine.levels import (
    HELD_FLOOR,
    HELD_HARD_FLOOR,
    LEVEL,
    MAY_MOVE_DOWN_ON,
    OVERRIDDEN,
    RAISED,
    RULES_LEVEL,
    WITHHELD,
)
from fivefold.risk.engine.program import FLOOR, HARD_FLOOR, TOTAL_LEVEL

NAMED = (TOTAL_LEVEL, FLOOR, LEVEL, RULES_LEVEL, WITHHELD)
"""The columns of level numbers; a summary has the names of these levels."""

Row = Mapping[str, Any]


def summary_line(
    rules: Sequence[RuleOutcome],
    score: str,
    row: Row,
    names: Mapping[str, str],
    failed: Sequence[str],
) -> str:
    """Write the line.

    Args:
        rules: what each rule gave.
        score: the total as it is shown, with the exact one behind it where that is another.
        row: the entity's outcomes.
        names: of the levels in the columns of `NAMED`; empty where there is none.
        failed: where the assessment failed.
    """
    if row[STATUS] == Status.NOT_APPLICABLE:
        return f"The ruleset does not apply, so it gives no level{_override(row, names)}"
    line = f"Score {score.replace('-', '−')}: {_sum(rules)}; {_verdict(rules, row, names, failed)}"
    if row[WITHHELD]:
        by = "a floor that is unknown now" if row[HELD_FLOOR] >= row[RULES_LEVEL] else "the cooldown"
        line += f"; held at {_title(names[RULES_LEVEL])} until {day_text(row[MAY_MOVE_DOWN_ON])} by {by}"
    return line + _override(row, names)


def _sum(rules: Sequence[RuleOutcome]) -> str:
    """Write the sum as people write sums: 20 + 15 − 5, each with the title of its rule."""
    terms = [terms for outcome in rules if (terms := outcome.case_outcome.terms)[0]]
    if not terms:
        return "no rule gave points"
    return " ".join([terms[0][0], *[later for _, later in terms[1:]]])


def _verdict(rules: Sequence[RuleOutcome], row: Row, names: Mapping[str, str], failed: Sequence[str]) -> str:
    if row[STATUS] == Status.UNDETERMINED:  # what of it is unknown is named apart: not everybody may know the predicate
        return f"it is unknown whether the ruleset applies: {_standing(rules, row, names)}"
    if row[STATUS] == Status.FAILED:
        return f"failed in {', '.join(failed)}: {_standing(rules, row, names)}"
    if row[STATUS] == Status.UNCLASSIFIED:
        return f"unclassified, as no tier owns this score: {_standing(rules, row, names)}"
    level = _title(names[TOTAL_LEVEL])
    if row[FLOOR] <= row[TOTAL_LEVEL]:
        return level
    return f"{level}, raised to {_title(names[FLOOR])} by the floor of {_floor_by(rules, names)}"


def _standing(rules: Sequence[RuleOutcome], row: Row, names: Mapping[str, str]) -> str:
    """Say what holds where the rules could not be answered in full: a floor may raise, and nothing lowers."""
    if not names[RULES_LEVEL]:
        return "there is no level yet"
    level = _title(names[RULES_LEVEL])
    if names[FLOOR] == names[RULES_LEVEL]:
        return f"{level} by the floor of {_floor_by(rules, names)}"
    if row[OVERRIDDEN]:
        return "nothing lowers what the rules say"
    return f"nothing lowers the level, so {level} stays"


def _floor_by(rules: Sequence[RuleOutcome], names: Mapping[str, str]) -> str:
    return next((outcome.title for outcome in rules if outcome.floor and outcome.floor == names[FLOOR]), "")


def _override(row: Row, names: Mapping[str, str]) -> str:
    if not row[OVERRIDDEN]:
        return ""
    floor = f", which {_raising_floor(row)} raised" if row[RAISED] else ""
    return f"; {_title(names[LEVEL])} by an override{floor}, the rules say {_title(names[RULES_LEVEL]) or 'nothing'}"


def _raising_floor(row: Row) -> str:
    """Name the floor that an override may not go below: one that is triggered, or one that held before."""
    if row[HARD_FLOOR] == row[HELD_HARD_FLOOR]:
        return "a floor"
    return "a floor that is unknown now" if row[STATUS] == Status.ASSESSED else "the floor held until now"


def _title(level: str) -> str:
    return level[:1].upper() + level[1:]
