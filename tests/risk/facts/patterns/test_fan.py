"""Fan-in and fan-out: planted, nearly planted, and as a slow reference says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from tests.risk.facts.patterns.making import (
    HOUR_US,
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
from tests.risk.facts.patterns.noise import CUSTOMERS, found_among

IN = {"pattern": "fan-in", "at_least": 5, "over": "7 days"}
OUT = {**IN, "pattern": "fan-out"}


def planted(sign: int = 1, **changed: Any) -> list[Fact]:
    """Five counterparties in a week, the last with *changed*."""
    made = [fact(sign * 100, 6 - i, counterparty_id=f"c{i}") for i in range(5)]
    return [*made[:4], {**made[4], **changed}]


def test_money_from_five_is_a_fan_in() -> None:
    assert answer(planted(), IN) == (5.0, NOW - 2 * DAY_US)
    assert answer(planted(), OUT) == NOTHING


def test_money_to_five_is_a_fan_out() -> None:
    assert answer(planted(-1), OUT) == (5.0, NOW - 2 * DAY_US)
    assert answer(planted(-1), IN) == NOTHING


@pytest.mark.parametrize(
    "changed",
    [
        {"counterparty_id": "c0"},
        {"direction": "withdrawal"},
        {"direction": None},
        {"state": "failed"},
        {"state": "pending"},
        {"entity": "b"},
        {"time": NOW - 7 * DAY_US},
        {"time": NOW + 1},
    ],
)
def test_a_near_miss_is_not(changed: dict[str, Any]) -> None:
    assert answer(planted(**changed), IN) == NOTHING


def test_a_payer_who_is_not_known_may_be_another_one() -> None:
    unknown = planted(counterparty_id=None)
    assert answer(unknown, IN) == (None, None)
    assert answer(unknown, {**IN, "at_least": 4})[0] == 4.0
    assert answer(unknown, {**IN, "at_least": 6}) == NOTHING


@pytest.mark.parametrize("time", [NOW, NOW - 7 * DAY_US + 1])
def test_both_ends_of_the_window(time: int) -> None:
    assert answer(planted(time=time), IN)[0] == 5.0


def test_the_window_is_a_day_where_none_is_written() -> None:
    hours = [{**made, "time": NOW - i * HOUR_US} for i, made in enumerate(planted())]
    daily = {"pattern": "fan-in", "at_least": 5}
    assert answer(hours, daily)[0] == 5.0
    assert answer(planted(), daily) == NOTHING


def test_another_field_may_name_the_counterparty() -> None:
    named = [{**made, "purpose": made["counterparty_id"], "counterparty_id": None} for made in planted()]
    assert answer(named, IN) == (None, None), "who paid is not known"
    assert answer(named, {**IN, "counterparty": "purpose"})[0] == 5.0


def test_among_ordinary_customers_the_planted_one_stands_out() -> None:
    before = found_among([], IN)
    assert found_among(planted(), IN) - before == {"planted"}
    assert len(before) < CUSTOMERS / 10


def reference(facts: list[Fact], entity: str, as_of: int, way: str, at_least: int) -> Answer:
    seen = facts_of(facts, entity, as_of, as_of - 4 * DAY_US)
    of_way = [made for made in seen if made["direction"] == way]
    fan = [made for made in of_way if made["counterparty_id"] is not None]
    different = {made["counterparty_id"] for made in fan}
    if len(different) < at_least <= len(different) + len(of_way) - len(fan):
        return None, None
    return (float(len(different)), fan[-1]["time"]) if len(different) >= at_least else NOTHING


@given(
    facts_in(st.sampled_from([5, -5])),
    rows_of_people,
    st.sampled_from([("fan-in", "deposit"), ("fan-out", "withdrawal")]),
    st.integers(1, 4),
)
def test_it_is_what_the_reference_says(
    facts: list[Fact], rows: list[tuple[str, int]], way: tuple[str, str], at_least: int
) -> None:
    written = {"pattern": way[0], "at_least": at_least, "over": "4 days"}
    assert answers(people(rows), facts, written) == [reference(facts, *row, way[1], at_least) for row in rows]
