"""Levels over time against a slow, obvious reference, and against the traps that such engines fall into."""

from dataclasses import dataclass

import polars as pl
import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, from_microseconds, parse_moment, to_microseconds
from fivefold.risk.language.quantities import Duration
from tests.risk.engine.reference.level import Computed, HeldFloor, Override, Standing, Step, next_level, next_levels

DAY = DAY_US
START = parse_moment("2024-01-31")
MONTH = Duration(30, "day")
levels = st.integers(1, 6)
moments = st.integers(START, START + 400 * DAY)
cooldowns = st.none() | st.builds(Duration, st.integers(1, 90), st.just("day")) | st.just(Duration(2, "month"))
overrides = st.none() | st.builds(Override, levels, st.none() | moments)
computed_levels = st.builds(Computed, levels, st.just(0))


@st.composite
def standings_with_floors(draw: st.DrawFn) -> Standing:
    level = draw(levels)
    held = []
    for _ in range(2):
        floor = draw(st.integers(0, held[0].level if held else level))
        since = st.none() | st.sampled_from([START, START + 20 * DAY, START + 100 * DAY])
        held.append(
            HeldFloor(floor, tuple(draw(st.lists(since, min_size=5, max_size=5)) if draw(st.booleans()) else ()))
        )
    return Standing(level, draw(moments), *held)


@st.composite
def computed_with_floors(draw: st.DrawFn) -> Computed:
    floor, possible = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    hard, possible_hard = draw(st.integers(0, floor)), draw(st.integers(0, possible))
    level = draw(st.none() | levels)
    level = None if level is None else max(level, floor)
    return Computed(level, hard, floor, possible_hard, possible, draw(st.booleans()))


standings = st.none() | st.builds(Standing, levels, moments)


def end_of(cooldown: Duration | None, entered: int) -> int:
    if cooldown is None:
        return entered
    if cooldown.unit == "month":
        return to_microseconds(from_microseconds(entered) + relativedelta(months=cooldown.count))
    return entered + cooldown.count * DAY


def held_floor(
    before: HeldFloor,
    now: int,
    possible: int,
    keeps: bool,
    cooldown: Duration | None,
    as_of: int,
) -> tuple[HeldFloor, int | None]:
    """Give the floor that holds, and until when the highest does that is unknown."""
    held, lost, until = now, [None] * 5, None
    for level in range(now + 1, before.level + 1) if before.level else ():
        if level < 2:
            continue
        since = before.lost[level - 2] if before.lost else None
        if keeps:
            held, lost[level - 2], until = level, since, None
        elif possible >= level and as_of < end_of(cooldown, as_of if since is None else since):
            held, lost[level - 2] = level, as_of if since is None else since
            until = end_of(cooldown, lost[level - 2] or 0)
    return HeldFloor(held, tuple(lost) if any(one is not None for one in lost) else ()), until


def reference(
    previous: Standing | None, computed: Computed, cooldown: Duration | None, override: Override | None, as_of: int
) -> Step:
    before = previous or Standing(1, as_of)
    certain = (computed.keeps_floors, cooldown, as_of)
    floor, until = held_floor(before.floor, computed.floor, computed.possible_floor, *certain)
    hard, hard_until = held_floor(before.hard_floor, computed.hard_floor, computed.possible_hard_floor, *certain)
    asked = max(computed.level or 0, floor.level)
    level, entered = (previous.level, previous.entered) if previous else (None, None)
    if asked and (level is None or asked > level or (asked < level and as_of >= end_of(cooldown, entered or 0))):
        level, entered = asked, as_of
    rules = None if level is None else Standing(level, entered or 0, floor, hard)
    withheld = computed.level if level and computed.level and computed.level < level else None
    may = end_of(cooldown, rules.entered) if rules is not None and rules.level > 1 else None
    if may is not None and withheld and floor.level >= (level or 0) and until is not None:
        may = max(may, until)
    live = override is not None and (override.until is None or as_of < override.until)
    ends = min((one for one in (until, hard_until) if one is not None), default=None)
    if live:
        assert override is not None
        raised = override.level < hard.level
        return Step(max(override.level, hard.level), rules, may, withheld, True, raised, ends)
    return Step(level, rules, may, withheld, False, False, ends)


@given(standings_with_floors(), computed_with_floors(), cooldowns, overrides, moments)
def test_floors_move_as_the_reference_says(
    previous: Standing, computed: Computed, cooldown: Duration | None, override: Override | None, as_of: int
) -> None:
    assert next_level(previous, computed, cooldown, override, as_of) == reference(
        previous, computed, cooldown, override, as_of
    )


@given(standings, computed_levels, cooldowns, overrides, moments)
def test_one_entity_moves_as_the_reference_says(
    previous: Standing | None, computed: Computed, cooldown: Duration | None, override: Override | None, as_of: int
) -> None:
    assert next_level(previous, computed, cooldown, override, as_of) == reference(
        previous, computed, cooldown, override, as_of
    )


ROW_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(("previous_level", "previous_floor", "previous_hard_floor"), pl.Int8),
    **dict.fromkeys(("previous_floor_lost", "previous_hard_floor_lost"), pl.List(pl.Int64)),
    **dict.fromkeys(("computed", "floor", "hard_floor", "possible_floor", "possible_hard_floor"), pl.Int8),
    "override_level": pl.Int8,
    "keeps_floors": pl.Boolean,
    **dict.fromkeys(("previous_entered", "override_until", "as_of"), pl.Int64),
}


def row_of(previous: Standing | None, computed: Computed, override: Override | None, as_of: int) -> dict[str, object]:
    return {
        "previous_level": previous.level if previous else None,
        "previous_entered": previous.entered if previous else None,
        "previous_floor": previous.floor.level if previous else None,
        "previous_hard_floor": previous.hard_floor.level if previous else None,
        "previous_floor_lost": previous.floor.lost if previous else None,
        "previous_hard_floor_lost": previous.hard_floor.lost if previous else None,
        "computed": computed.level,
        "floor": computed.floor,
        "hard_floor": computed.hard_floor,
        "possible_floor": computed.possible_floor,
        "possible_hard_floor": computed.possible_hard_floor,
        "keeps_floors": computed.keeps_floors,
        "override_level": override.level if override else None,
        "override_until": override.until if override else None,
        "as_of": as_of,
    }


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
    step = next_level(None, Computed(3, hard_floor=3, floor=3), None, Override(1), START)
    assert (step.level, step.overridden, step.override_raised_by_floor) == (3, True, True)


def test_an_assessment_without_an_answer_moves_nothing() -> None:
    held = Standing(4, START)
    assert next_level(held, Computed(None), None, None, START + 900 * DAY).rules == held
    assert next_level(None, Computed(None), MONTH, None, START).level is None


@given(
    st.lists(
        st.tuples(st.none() | standings_with_floors(), computed_with_floors(), overrides, moments),
        min_size=1,
        max_size=8,
    ),
    cooldowns,
)
def test_a_portfolio_moves_as_each_of_its_entities_does(
    rows: list[tuple[Standing | None, Computed, Override | None, int]], cooldown: Duration | None
) -> None:
    frame = pl.DataFrame([row_of(*row) for row in rows], schema=ROW_SCHEMA)
    together = next_levels(frame, cooldown, 6)
    alone = [next_level(previous, computed, cooldown, override, as_of) for previous, computed, override, as_of in rows]
    assert together["level"].to_list() == [step.level for step in alone]
    assert together["may_move_down_on"].to_list() == [step.may_move_down_on for step in alone]
    assert together["floor_held_until"].to_list() == [step.floor_held_until for step in alone]


HIGH = HeldFloor(4)


def test_a_hard_floor_holds_while_the_rules_cannot_be_answered_however_long_that_takes() -> None:
    """An override to low, and the field that the floor rests on is unreadable: it stays critical."""
    held = Standing(4, START, HIGH, HIGH)
    step = next_level(held, Computed(4, keeps_floors=True), MONTH, Override(1), START + 900 * DAY)
    assert (step.level, step.rules, step.override_raised_by_floor) == (4, held, True)
    gone = next_level(step.rules, Computed(1), MONTH, Override(1), START + 901 * DAY)
    assert (gone.level, gone.override_raised_by_floor) == (1, False)


def test_a_floor_that_is_lost_to_the_unknown_goes_a_cooldown_after_it_was_lost() -> None:
    """Not at once, though the level was entered long ago."""
    held, lost = Standing(4, START, HIGH, HIGH), START + 400 * DAY
    unknown = Computed(1, possible_hard_floor=4, possible_floor=4)
    step = next_level(held, unknown, MONTH, Override(1), lost)
    assert (step.level, step.withheld, step.may_move_down_on) == (4, 1, lost + 30 * DAY)
    assert step.floor_held_until == lost + 30 * DAY
    again = next_level(step.rules, unknown, MONTH, None, lost + 30 * DAY - 1)
    assert (again.level, again.may_move_down_on) == (4, lost + 30 * DAY)
    after = next_level(again.rules, unknown, MONTH, Override(1), lost + 30 * DAY)
    assert (after.level, after.rules, after.withheld) == (1, Standing(1, lost + 30 * DAY), None)
    assert next_level(after.rules, unknown, MONTH, None, lost + 31 * DAY).level == 1  # lost once, gone for good


def test_a_floor_that_comes_back_in_time_was_never_lost() -> None:
    held, lost = Standing(4, START, HIGH, HIGH), START + 400 * DAY
    unknown = Computed(1, possible_hard_floor=4, possible_floor=4)
    first = next_level(held, unknown, MONTH, None, lost)
    back = next_level(first.rules, Computed(4, 4, 4), MONTH, None, lost + 3 * DAY)
    assert back.rules == held
    later = next_level(back.rules, unknown, MONTH, None, lost + 20 * DAY)
    assert later.floor_held_until == lost + 50 * DAY


def test_each_floor_that_is_lost_has_its_own_time() -> None:
    """The higher one is lost first, the lower one on the tenth day; they go thirty days after that, each."""
    held, lost = Standing(4, START, HIGH), START + 400 * DAY
    first = next_level(held, Computed(2, floor=2, possible_floor=4), MONTH, None, lost)
    second = next_level(first.rules, Computed(1, possible_floor=4), MONTH, None, lost + 10 * DAY)
    third = next_level(second.rules, Computed(1, possible_floor=4), MONTH, None, lost + 30 * DAY)
    assert (second.level, third.level, third.floor_held_until) == (4, 2, lost + 40 * DAY)


def test_a_failure_neither_begins_nor_ends_the_time_of_a_floor_that_is_unknown() -> None:
    held, lost = Standing(4, START, HIGH), START + 400 * DAY
    unknown, failed = Computed(1, possible_floor=4), Computed(4, keeps_floors=True)
    first = next_level(held, unknown, MONTH, None, lost)
    second = next_level(first.rules, failed, MONTH, None, lost + 40 * DAY)
    assert (second.level, second.floor_held_until) == (4, None)
    assert next_level(second.rules, unknown, MONTH, None, lost + 41 * DAY).level == 1


def test_without_a_cooldown_a_floor_that_is_unknown_goes_at_once() -> None:
    unknown = Computed(1, possible_hard_floor=4, possible_floor=4)
    assert next_level(Standing(4, START, HIGH, HIGH), unknown, None, None, START + DAY).level == 1


@pytest.mark.parametrize("until", [None, START + DAY])
def test_a_live_override_holds_whatever_the_rules_say(until: int | None) -> None:
    step = next_level(Standing(1, START), Computed(4), MONTH, Override(2, until), START)
    assert (step.level, step.rules) == (2, Standing(4, START))
