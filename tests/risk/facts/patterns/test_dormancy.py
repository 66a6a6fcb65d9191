"""Dormant then active: planted, nearly planted, and as a slow reference says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from tests.risk.facts.patterns.making import (
    NOTHING,
    NOW,
    Answer,
    Fact,
    answer,
    answers,
    fact,
    facts_in,
    facts_of,
    people,
    rows_of_people,
)
from tests.risk.facts.patterns.noise import found_among

WRITTEN = {"pattern": "dormant-then-active", "dormant": "180 days", "active": "30 days", "at_least": 4}


def planted(**changed: Any) -> list[Fact]:
    """Four transactions after a sleep of 180 days to the microsecond, the first of them with *changed*."""
    return [fact(10, 400), fact(-5, 200), fact(900, 20) | changed, fact(-800, 15), fact(700, 9), fact(-600, 4)]


def test_a_busy_month_after_a_long_sleep_is_found() -> None:
    assert answer(planted(), WRITTEN) == (4.0, NOW - 4 * DAY_US)


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "failed"},
        {"state": "pending"},
        {"entity": "b"},
        {"time": NOW - 20 * DAY_US - 1},
        {"time": NOW - 30 * DAY_US},
        {"time": NOW + 1},
    ],
)
def test_a_near_miss_is_not(changed: dict[str, Any]) -> None:
    assert answer(planted(**changed), WRITTEN) == NOTHING


def test_a_sleeper_that_failed_to_pay_still_slept() -> None:
    assert answer([*planted(), fact(-5, 100, state="failed")], WRITTEN)[0] == 4.0


def test_a_new_account_did_not_sleep() -> None:
    assert answer(planted()[2:], WRITTEN) == NOTHING


def test_calendar_months() -> None:
    written = {**WRITTEN, "dormant": "6 months", "active": "1 month"}
    assert answer(planted(), written) == NOTHING
    assert answer([fact(10, 205), *planted()[2:]], written)[0] == 4.0


def test_among_ordinary_customers_the_planted_one_stands_out() -> None:
    before = found_among([], WRITTEN)
    assert found_among(planted(), WRITTEN) - before == {"planted"}
    assert len(before) < 3


def reference(facts: list[Fact], entity: str, as_of: int, at_least: int) -> Answer:
    seen = facts_of(facts, entity, as_of)
    active = [made for made in seen if made["time"] > as_of - 3 * DAY_US]
    before = [made for made in seen if made["time"] <= as_of - 3 * DAY_US]
    slept = active and before and active[0]["time"] - before[-1]["time"] >= 2 * DAY_US
    return (float(len(active)), active[-1]["time"]) if slept and len(active) >= at_least else NOTHING


@given(facts_in(st.sampled_from([5, -5]), sizes=(2, 4, 9)), rows_of_people, st.integers(1, 3))
def test_it_is_what_the_reference_says(facts: list[Fact], rows: list[tuple[str, int]], at_least: int) -> None:
    written = {"pattern": "dormant-then-active", "dormant": "2 days", "active": "3 days", "at_least": at_least}
    assert answers(people(rows), facts, written) == [reference(facts, *row, at_least) for row in rows]
