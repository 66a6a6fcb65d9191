"""When levels must be validated again: each trigger with its figure, its limit, and where the limit comes from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fivefold.domain.clock import DAY_US
from fivefold.models.drift import SHIFTED
from fivefold.risk.governance.validate.verdicts import Floors
from fivefold.usecases.monitoring.measure_shapes import MEASURED, Group, Measure
from fivefold.usecases.monitoring.override_measures import OverrideFigures

OLDEST_DAYS: Final = 365
"""The guide asks for a review each quarter; after a year without one, what was found says nothing of now."""

GUIDE = "Customer Risk Scoring Model Guide for EU Banks 2025"
INDEX = "Siddiqi, Credit Risk Scorecards (2006)"
OWN_CAP = "the organisation's cap on overrides; 10 % in the guide"
OURS = "this platform; the guide asks for a review each quarter"

GINI, MISSES, DRIFT, OVERRIDES, AGE, CHANGE = "gini", "misses", "drift", "overrides", "age", "material change"
TRIGGERS = (GINI, MISSES, DRIFT, OVERRIDES, AGE, CHANGE)

REACHED, NOT_REACHED, UNKNOWN = "reached", "not reached", "unknown"
EVERYTHING = "overall"


@dataclass(frozen=True)
class Trigger:
    """One thing that asks for a revalidation.

    Attributes:
        name: one of `TRIGGERS`.
        about: all rulesets (overall), or one, as `retail 3`.
        figure: what was found; None where nothing could be measured.
        limit: from where on, or below which, it is reached.
        rule: the limit in words.
        source: where the limit comes from.
        answer: reached, not reached, or unknown.
        sure: the whole interval says so; it may be chance otherwise.
    """

    name: str
    about: str
    figure: float | None
    limit: float
    rule: str
    source: str
    answer: str
    sure: bool = True


def measured_triggers(groups: Iterable[Group], overrides: OverrideFigures) -> list[Trigger]:
    """Judge what a validation measured; of versions those by which somebody stood at the end."""
    made: list[Trigger] = []
    floors = Floors()
    for group in groups:
        if group.version is not None and not group.drift.ended:
            continue
        of = EVERYTHING if group.version is None else f"{group.ruleset} {group.version}"
        below = f"a Gini below {floors.recalibrate:.2f}"
        above = f"more than {floors.misses:.0%} of the confirmed below the upper levels"
        shifted = f"a population stability index of {SHIFTED} or more"
        index = group.drift.index
        made += [
            _judged(GINI, of, group.ranked.gini, floors.recalibrate, below),
            _judged(MISSES, of, group.caught.missed, floors.misses, above),
            Trigger(DRIFT, of, index, SHIFTED, shifted, INDEX, _answer(None if index is None else index >= SHIFTED)),
        ]
    return [*made, _overrides(overrides)]


def _judged(name: str, of: str, found: Measure, limit: float, rule: str) -> Trigger:
    if found.answer != MEASURED or found.estimate is None or found.low is None or found.high is None:
        return Trigger(name, of, None, limit, rule, GUIDE, UNKNOWN)
    beyond = [value < limit if name == GINI else value > limit for value in (found.estimate, found.low, found.high)]
    return Trigger(name, of, found.estimate, limit, rule, GUIDE, _answer(beyond[0]), len(set(beyond)) == 1)


def _overrides(found: OverrideFigures) -> Trigger:
    rule = f"more than {found.cap_percent} % of the portfolio overridden downwards"
    beyond = None if found.downward_share is None else found.downward * 100 > found.cap_percent * found.with_level
    limit = found.cap_percent / 100
    return Trigger(OVERRIDES, EVERYTHING, found.downward_share, limit, rule, OWN_CAP, _answer(beyond))


def triggers_now(last_made_us: int | None, open_changes: int, now_us: int) -> list[Trigger]:
    """Judge what needs no measuring: how old the last validation is, and which changes nobody signed off."""
    age = None if last_made_us is None else (now_us - last_made_us) / DAY_US
    old = f"never validated, or last more than {OLDEST_DAYS} days ago"
    changed = "a material change that nobody signed off"
    return [
        Trigger(AGE, EVERYTHING, age, OLDEST_DAYS, old, OURS, _answer(age is None or age > OLDEST_DAYS)),
        Trigger(CHANGE, EVERYTHING, open_changes, 0, changed, GUIDE, _answer(open_changes > 0)),
    ]


def _answer(beyond: bool | None) -> str:
    return UNKNOWN if beyond is None else REACHED if beyond else NOT_REACHED


def still_measured(report: Mapping[str, Any]) -> list[Trigger]:
    """Give the triggers that a validation measured, from its report: these hold until the next one."""
    return [Trigger(**each) for each in report["triggers"] if each["name"] not in {AGE, CHANGE}]


def worst(triggers: Sequence[Trigger], name: str) -> bool | None:
    """Tell whether a trigger is reached by anything that it is about; None where nobody can tell."""
    answers = {trigger.answer for trigger in triggers if trigger.name == name}
    return True if REACHED in answers else False if NOT_REACHED in answers else None
