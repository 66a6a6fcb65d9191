"""Velocity: planted, nearly planted, and as a slow reference says."""

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

WRITTEN = {"pattern": "velocity", "more_than": 50, "counterparties": 10, "over": "30 days"}
START = NOW - 10 * DAY_US
UNKNOWN: Answer = (None, None)


def planted(count: int = 51, across: int = 10, **changed: Any) -> list[Fact]:
    """Payments over less than a day across so many counterparties, the first with *changed*."""
    made = [fact(-20, time=START + 1000 * i, counterparty_id=f"c{i % across}") for i in range(count)]
    return [{**made[0], **changed}, *made[1:]]


def test_fifty_one_in_a_day_across_ten_are_found() -> None:
    assert answer(planted(), WRITTEN) == (51.0, START + 50_000)


def test_a_day_over_midnight_is_a_day() -> None:
    halves = [*planted(26), *[{**made, "time": made["time"] + 23 * DAY_US // 24} for made in planted(25)]]
    assert answer(halves, WRITTEN)[0] == 51.0


def test_fifty_are_not_more_than_fifty() -> None:
    assert answer(planted(50), WRITTEN) == NOTHING


def test_nine_counterparties_are_too_few() -> None:
    assert answer(planted(60, across=9), WRITTEN) == NOTHING


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "failed"},
        {"state": "pending"},
        {"entity": "b"},
        {"time": START + 50_000 - DAY_US},
        {"time": NOW + 1},
        {"time": NOW - 30 * DAY_US},
    ],
)
def test_a_near_miss_is_not(changed: dict[str, Any]) -> None:
    assert answer(planted(**changed), WRITTEN) == NOTHING


def test_a_microsecond_less_than_a_day_is_within_it() -> None:
    assert answer(planted(time=START + 50_000 - DAY_US + 1), WRITTEN)[0] == 51.0


def test_an_unknown_counterparty_is_a_transaction_and_no_counterparty() -> None:
    ten = planted(51, across=10)
    unknown = [{**made, "counterparty_id": None} if made["counterparty_id"] == "c3" else made for made in ten]
    assert answer(unknown, {**WRITTEN, "counterparties": 9})[0] == 51.0
    assert answer(unknown, WRITTEN) == UNKNOWN, "five of them may be the tenth"
    assert answer(unknown, {**WRITTEN, "counterparties": 15}) == NOTHING, "five unknown ones make fourteen at the most"


@pytest.mark.parametrize("count", [50, 51])
def test_a_burst_whose_counterparties_are_not_known_is_unknown(count: int) -> None:
    unknown = [{**made, "counterparty_id": None} for made in planted(count)]
    assert answer(unknown, WRITTEN) == (UNKNOWN if count > 50 else NOTHING)
    assert answer([*unknown, *planted(60)], WRITTEN)[0] == 60.0 + count, "what is known is found"


def test_a_busier_day_of_few_counterparties_is_not_counted() -> None:
    few = [fact(-1, 3, counterparty_id="c1") for _ in range(80)]
    assert answer([*planted(), *few], WRITTEN) == (51.0, START + 50_000)


def test_the_largest_is_told_and_the_latest_dated() -> None:
    later = [{**made, "time": made["time"] + 5 * DAY_US} for made in planted(52)]
    assert answer([*planted(60), *later], WRITTEN) == (60.0, START + 5 * DAY_US + 51_000)


def test_among_ordinary_customers_the_planted_one_stands_out() -> None:
    assert found_among([], WRITTEN) == set()
    assert found_among(planted(), WRITTEN) == {"planted"}


def reference(facts: list[Fact], entity: str, as_of: int, *, more_than: int, least: int) -> Answer:
    seen = facts_of(facts, entity, as_of, as_of - 5 * DAY_US)
    best, may_be = NOTHING, False
    for end in (made["time"] for made in seen):
        day = [made for made in seen if end - DAY_US < made["time"] <= end]
        different = {made["counterparty_id"] for made in day} - {None}
        if len(day) > more_than and len(different) >= least:
            best = (max(best[0] or 0.0, float(len(day))), end)
        lacking = sum(made["counterparty_id"] is None for made in day)
        may_be |= len(day) > more_than and len(different) + lacking >= least
    return UNKNOWN if may_be and best == NOTHING else best


@given(facts_in(st.sampled_from([5, -5])), rows_of_people, st.integers(1, 4), st.integers(1, 4))
def test_it_is_what_the_reference_says(
    facts: list[Fact], rows: list[tuple[str, int]], more_than: int, least: int
) -> None:
    written = {"pattern": "velocity", "more_than": more_than, "counterparties": least, "over": "5 days"}
    expected = [reference(facts, *row, more_than=more_than, least=least) for row in rows]
    assert answers(people(rows), facts, written) == expected
