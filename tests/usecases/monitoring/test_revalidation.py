"""Each trigger with its figure and its limit: reached at the limit's far side, unknown where nothing was measured."""

from dataclasses import replace
from typing import Any

import pytest

from fivefold.domain.clock import DAY_US
from fivefold.models.drift import SHIFTED
from fivefold.risk.governance.validate.verdicts import Floors
from fivefold.usecases.monitoring.measure_shapes import MEASURED, TOO_FEW, Caught, Drift, Group, Measure, Ranked
from fivefold.usecases.monitoring.override_measures import OverrideFigures
from fivefold.usecases.monitoring.revalidation import (  # fmt: skip
    AGE,
    CHANGE,
    DRIFT,
    GINI,
    GUIDE,
    MISSES,
    NOT_REACHED,
    OVERRIDES,
    REACHED,
    TRIGGERS,
    UNKNOWN,
    Trigger,
    measured_triggers,
    still_measured,
    triggers_now,
    worst,
)

FEW = Measure(3, TOO_FEW)
NONE = OverrideFigures(0, 0, 0, 0, 0, 0, 0.0, 0, 0.0, 10, None, 50)


def measure(estimate: float, spread: float = 0.0) -> Measure:
    return Measure(60, MEASURED, estimate, estimate - spread, estimate + spread)


def group(gini: Measure = FEW, missed: Measure = FEW, index: float | None = None, **more: Any) -> Group:
    ranked = Ranked(100, 60, 0, 0, gini)
    caught = Caught(("medium", "high"), 60, FEW, missed, 1.0, 0, 0, 0)
    drift = Drift(index, "", 900, more.pop("ended", 900))
    return Group(more.get("ruleset"), more.get("version"), ranked, caught, (), drift, {})


def found(name: str, *groups: Group, overrides: OverrideFigures = NONE) -> Trigger:
    (trigger,) = [each for each in measured_triggers(groups or [group()], overrides) if each.name == name]
    return trigger


@pytest.mark.parametrize(("gini", "answer"), [(0.5999, REACHED), (0.60, NOT_REACHED), (0.9, NOT_REACHED)])
def test_gini_below_the_alarm(gini: float, answer: str) -> None:
    trigger = found(GINI, group(gini=measure(gini)))
    assert (trigger.answer, trigger.figure, trigger.limit, trigger.source) == (answer, gini, 0.60, GUIDE)
    assert trigger.limit == Floors().recalibrate


@pytest.mark.parametrize(("missed", "answer"), [(0.2001, REACHED), (0.20, NOT_REACHED)])
def test_more_misses_than_the_guide_lets_pass(missed: float, answer: str) -> None:
    trigger = found(MISSES, group(missed=measure(missed)))
    assert (trigger.answer, trigger.figure, trigger.limit, trigger.source) == (answer, missed, 0.20, GUIDE)


def test_what_may_be_chance_is_told() -> None:
    assert found(GINI, group(gini=measure(0.55, 0.1))).sure is False
    assert found(GINI, group(gini=measure(0.55, 0.02))).sure is True
    assert found(MISSES, group(missed=measure(0.25, 0.1))).sure is False


@pytest.mark.parametrize(("index", "answer"), [(SHIFTED, REACHED), (0.2499, NOT_REACHED), (None, UNKNOWN)])
def test_levels_that_shifted(index: float | None, answer: str) -> None:
    trigger = found(DRIFT, group(index=index))
    assert (trigger.answer, trigger.figure, trigger.limit) == (answer, index, SHIFTED)


def test_too_few_are_unknown_and_not_well() -> None:
    for name in (GINI, MISSES):
        trigger = found(name)
        assert (trigger.answer, trigger.figure) == (UNKNOWN, None)


@pytest.mark.parametrize(("downward", "answer"), [(5, NOT_REACHED), (6, REACHED)])
def test_more_overrides_than_the_cap(downward: int, answer: str) -> None:
    figures = replace(NONE, downward=downward, downward_share=downward / 50)
    trigger = found(OVERRIDES, overrides=figures)
    assert (trigger.answer, trigger.figure, trigger.limit) == (answer, downward / 50, 0.1)
    assert "10 %" in trigger.rule


def test_without_a_portfolio_nothing_is_said_of_overrides() -> None:
    assert found(OVERRIDES, overrides=replace(NONE, downward_share=None)).answer == UNKNOWN


def test_a_version_by_which_nobody_stands_any_more_asks_for_nothing() -> None:
    groups = [
        group(gini=measure(0.7)),
        group(gini=measure(0.1), ruleset="retail", version=1, ended=0),
        group(gini=measure(0.2), ruleset="retail", version=2, ended=1),
    ]
    made = [trigger for trigger in measured_triggers(groups, NONE) if trigger.name == GINI]
    assert [(trigger.about, trigger.answer) for trigger in made] == [("overall", NOT_REACHED), ("retail 2", REACHED)]
    assert worst(made, GINI) is True
    assert worst(made[:1], GINI) is False
    assert worst(made, MISSES) is None


@pytest.mark.parametrize(("age_us", "answer"), [(365 * DAY_US, NOT_REACHED), (365 * DAY_US + 1, REACHED)])
def test_a_validation_holds_for_a_year(age_us: int, answer: str) -> None:
    age, _ = triggers_now(0, 0, age_us)
    assert (age.name, age.answer, age.limit) == (AGE, answer, 365)
    assert age.figure == age_us / DAY_US


def test_what_was_never_validated_is_to_be() -> None:
    age, _ = triggers_now(None, 0, 9)
    assert (age.answer, age.figure) == (REACHED, None)


@pytest.mark.parametrize(("changes", "answer"), [(0, NOT_REACHED), (1, REACHED)])
def test_an_open_change(changes: int, answer: str) -> None:
    _, change = triggers_now(0, changes, 1)
    assert (change.name, change.answer, change.figure) == (CHANGE, answer, changes)


def test_what_was_measured_holds_until_the_next_validation() -> None:
    made = [*measured_triggers([group(gini=measure(0.1))], NONE), *triggers_now(None, 3, 9)]
    assert {trigger.name for trigger in made} == set(TRIGGERS)
    kept = still_measured({"triggers": [vars(trigger) for trigger in made]})
    assert kept == [trigger for trigger in made if trigger.name not in {AGE, CHANGE}]
