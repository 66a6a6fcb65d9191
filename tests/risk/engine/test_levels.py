"""Levels over time against a slow, obvious reference, and against the traps that such engines fall into."""

from dataclasses import dataclass

import polars as pl
import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from domain.clock import DAY_US, from_microseconds, parse_moment, to_microseconds
from risk.engine.levels import Computed, Override, Standing, Step, next_level, next_levels
from risk.language.durations import Duration

DAY = DAY_US
START = parse_moment("2024-01-31")
MONTH = Duration(30, "day")
levels = st.integers(1, 6)
moments = st.integers(START, START + 400 * DAY)
cooldowns = st.none() | st.builds(Duration, st.integers(1, 90), st.just("day")) | st.just(Duration(2, "month"))
standings = st.none() | st.builds(Standing, levels, moments)
overrides = st.none() | st.builds(Override, levels, st.none() | moments)
computed_levels = st.builds(Computed, st.none() | levels, st.integers(0, 6))


def end_of(cooldown: Duration | None, entered: int) -> int:
    if cooldown is None:
        return entered
    if cooldown.unit == "month":
        return to_microseconds(from_microseconds(entered) + relativedelta(months=cooldown.count))
    return entered + cooldown.count * DAY


def reference(
    previous: Standing | None, computed: Computed, cooldown: Duration | None, override: Override | None, as_of: int
) -> Step:
    rules, withheld = previous, None
    if computed.level is not None:
        if previous is None or computed.level > previous.level:
            rules = Standing(computed.level, as_of)
        elif computed.level < previous.level:
            if as_of >= end_of(cooldown, previous.entered):
                rules = Standing(computed.level, as_of)
            else:
                withheld = computed.level
    may = end_of(cooldown, rules.entered) if rules is not None and rules.level > 1 else None
    live = override is not None and (override.until is None or as_of < override.until)
    if live:
        assert override is not None
        raised = override.level < computed.hard_floor
        return Step(
            max(override.level, computed.hard_floor),
            rules,
            may,
            withheld,
            overridden=True,
            override_raised_by_floor=raised,
        )
    level = None if rules is None else rules.level
    return Step(level, rules, may, withheld, overridden=False, override_raised_by_floor=False)


@given(standings, computed_levels, cooldowns, overrides, moments)
def test_one_entity_moves_as_the_reference_says(
    previous: Standing | None, computed: Computed, cooldown: Duration | None, override: Override | None, as_of: int
) -> None:
    assert next_level(previous, computed, cooldown, override, as_of) == reference(
        previous, computed, cooldown, override, as_of
    )


@dataclass(frozen=True)
class Event:
    after_days: int
    computed: int


events = st.lists(st.builds(Event, st.integers(0, 40), levels), min_size=1, max_size=12)


@given(events, st.lists(st.none() | st.builds(Override, levels, st.none() | moments), min_size=12, max_size=12))
def test_overrides_never_change_what_the_rules_do_beneath(history: list[Event], live: list[Override | None]) -> None:
    """Neither restarts the cooldown nor launders a level: with and without overrides the rules level is the same."""
    bare = covered = None
    as_of = START
    for event, override in zip(history, live, strict=False):
        as_of += event.after_days * DAY
        bare = next_level(bare, Computed(event.computed), MONTH, None, as_of).rules
        covered = next_level(covered, Computed(event.computed), MONTH, override, as_of).rules
        assert bare == covered


@given(events, st.integers(0, 11), st.integers(1, 20))
def test_computing_the_same_level_again_never_restarts_the_cooldown(history: list[Event], at: int, times: int) -> None:
    """However often it is computed in between, a level is left on the same day."""

    def run(repeats: int) -> list[tuple[int, Standing | None]]:
        standing, as_of, seen = None, START, []
        for number, event in enumerate(history):
            as_of += event.after_days * DAY
            for _ in range(repeats if number == at else 1):
                standing = next_level(standing, Computed(event.computed), MONTH, None, as_of).rules
            seen.append((as_of, standing))
        return seen

    assert run(1) == run(times)


@given(events)
def test_up_is_at_once_and_down_never_before_the_cooldown(history: list[Event]) -> None:
    standing, as_of = None, START
    for event in history:
        as_of += event.after_days * DAY
        step = next_level(standing, Computed(event.computed), MONTH, None, as_of)
        assert step.rules is not None
        assert step.level is not None
        assert step.level >= event.computed
        if standing is not None and step.level < standing.level:
            assert as_of >= standing.entered + 30 * DAY
        assert (step.withheld is not None) == (step.level > event.computed)
        standing = step.rules


@given(standings, computed_levels, st.builds(Override, levels, moments))
def test_at_the_instant_of_its_expiry_an_override_is_over(
    previous: Standing | None, computed: Computed, override: Override
) -> None:
    assert override.until is not None
    assert not next_level(previous, computed, MONTH, override, override.until).overridden
    assert next_level(previous, computed, MONTH, override, override.until - 1).overridden


def test_a_level_may_move_down_at_the_very_end_of_its_cooldown() -> None:
    held = Standing(3, START)
    before = next_level(held, Computed(1), MONTH, None, START + 30 * DAY - 1)
    assert (before.level, before.withheld, before.may_move_down_on) == (3, 1, START + 30 * DAY)
    after = next_level(held, Computed(1), MONTH, None, START + 30 * DAY)
    assert (after.level, after.withheld, after.rules) == (1, None, Standing(1, START + 30 * DAY))


def test_a_cooldown_of_a_month_from_the_31st_ends_on_the_last_day_of_a_short_month() -> None:
    step = next_level(Standing(2, START), Computed(1), Duration(1, "month"), None, START)
    assert step.may_move_down_on == parse_moment("2024-02-29")


def test_an_override_does_not_go_below_a_hard_floor_and_says_so() -> None:
    step = next_level(None, Computed(3, hard_floor=3), None, Override(1), START)
    assert (step.level, step.overridden, step.override_raised_by_floor) == (3, True, True)


def test_an_assessment_without_an_answer_moves_nothing() -> None:
    held = Standing(4, START)
    assert next_level(held, Computed(None), None, None, START + 900 * DAY).rules == held
    assert next_level(None, Computed(None), MONTH, None, START).level is None


@given(st.lists(st.tuples(standings, computed_levels, overrides, moments), min_size=1, max_size=8), cooldowns)
def test_a_portfolio_moves_as_each_of_its_entities_does(
    rows: list[tuple[Standing | None, Computed, Override | None, int]], cooldown: Duration | None
) -> None:
    frame = pl.DataFrame(
        [
            {
                "previous_level": previous.level if previous else None,
                "previous_entered": previous.entered if previous else None,
                "computed": computed.level,
                "hard_floor": computed.hard_floor,
                "override_level": override.level if override else None,
                "override_until": override.until if override else None,
                "as_of": as_of,
            }
            for previous, computed, override, as_of in rows
        ],
        schema_overrides={
            **dict.fromkeys(("previous_level", "computed", "hard_floor", "override_level"), pl.Int8),
            **dict.fromkeys(("previous_entered", "override_until", "as_of"), pl.Int64),
        },
    )
    together = next_levels(frame, cooldown)
    alone = [next_level(previous, computed, cooldown, override, as_of) for previous, computed, override, as_of in rows]
    assert together["level"].to_list() == [step.level for step in alone]
    assert together["may_move_down_on"].to_list() == [step.may_move_down_on for step in alone]


@pytest.mark.parametrize("until", [None, START + DAY])
def test_a_live_override_holds_whatever_the_rules_say(until: int | None) -> None:
    step = next_level(Standing(1, START), Computed(4), MONTH, Override(2, until), START)
    assert (step.level, step.rules) == (2, Standing(4, START))
