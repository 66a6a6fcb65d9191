"""Structuring: planted, nearly planted, and as a slow reference says."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.risk.facts.patterns import find
from fivefold.risk.language.expressions import input_key
from tests.risk.facts.patterns.making import (
    NOTHING,
    NOW,
    UNITS,
    Answer,
    Fact,
    answer,
    answers,
    fact,
    facts_in,
    facts_of,
    pattern_of,
    people,
    prepared,
    rows_of_people,
)
from tests.risk.facts.patterns.noise import CUSTOMERS, found_among

WRITTEN = {"pattern": "structuring", "threshold": 10_000, "margin": "10%", "at_least": 3, "over": "30 days"}
ROUND = {**WRITTEN, "round_to": 1000}


def planted(**changed: Any) -> list[Fact]:
    """Three deposits just below the threshold, the last with *changed*."""
    return [fact(9_500, 20), fact(9_900, 12), fact(9_700, 3, **changed)]


def test_three_deposits_just_below_the_threshold_are_found() -> None:
    assert answer(planted(), WRITTEN) == (3.0, NOW - 3 * DAY_US)


@pytest.mark.parametrize("amount", [900_000, 999_999])
def test_the_margin_itself_and_the_last_cent_count(amount: int) -> None:
    assert answer(planted(amount=amount), WRITTEN)[0] == 3.0


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": 899_999},
        {"amount": 1_000_000},
        {"amount": None},
        {"state": "failed"},
        {"state": "pending"},
        {"direction": "withdrawal"},
        {"direction": None},
        {"entity": "b"},
        {"time": NOW - 30 * DAY_US},
        {"time": NOW + 1},
    ],
)
def test_a_near_miss_is_not(changed: dict[str, Any]) -> None:
    assert answer(planted(**changed), WRITTEN) == NOTHING


@pytest.mark.parametrize("time", [NOW, NOW - 30 * DAY_US + 1])
def test_both_ends_of_the_window(time: int) -> None:
    assert answer(planted(time=time), WRITTEN)[0] == 3.0


def test_round_deposits_count_only_where_it_is_asked_for() -> None:
    deposits = [fact(4_000, 20), fact(4_000, 12), fact(2_000, 3)]
    assert answer(deposits, WRITTEN) == NOTHING
    assert answer(deposits, ROUND) == (3.0, NOW - 3 * DAY_US)


def test_deposits_that_do_not_add_up_to_the_threshold_split_nothing() -> None:
    assert answer([fact(4_000, 20), fact(4_000, 12), fact(1_000, 3)], ROUND) == NOTHING


def test_an_empty_deposit_is_not_round() -> None:
    assert answer([fact(9_500, 20), fact(9_900, 12), fact(0, 3)], ROUND) == NOTHING


def test_a_threshold_between_two_cents_is_exact() -> None:
    written = {**WRITTEN, "threshold": Decimal("10000.005")}
    assert answer(planted(amount=1_000_000), written)[0] == 3.0
    assert answer(planted(amount=1_000_001), written) == NOTHING
    assert answer(planted(amount=900_000), written) == NOTHING


def test_the_largest_amounts_do_not_overflow() -> None:
    huge = {**WRITTEN, "threshold": 999_999_999_999_999, "round_to": 1_000_000, "at_least": 99}
    assert answer([fact(999_999_999_000_000, 2)] * 99, huge)[0] == 99.0


def test_units_of_the_base_currency_count() -> None:
    yen = [fact(95, 20), fact(99, 12), fact(97, 3)]
    pattern = pattern_of(WRITTEN)
    found = find(people([("a", NOW)]), prepared(yen), pattern, 1)
    assert found[input_key(pattern)].to_list() == [3.0]


def test_among_ordinary_customers_the_planted_one_stands_out() -> None:
    before = found_among([], WRITTEN)
    assert found_among(planted(), WRITTEN) - before == {"planted"}
    assert len(before) < CUSTOMERS / 10


def reference(facts: list[Fact], entity: str, as_of: int, *, step: int | None, at_least: int) -> Answer:
    counted = []
    for made in facts_of(facts, entity, as_of, as_of - 3 * DAY_US):
        size = Decimal(made["amount"]) / UNITS
        near = Decimal(900) <= size < 1000
        flat = step is not None and 0 < size < 1000 and size % step == 0
        if made["direction"] == "deposit" and (near or flat):
            counted.append(made)
    enough = len(counted) >= at_least and sum(made["amount"] for made in counted) >= 1000 * UNITS
    return (float(len(counted)), counted[-1]["time"]) if enough else NOTHING


@given(
    facts_in(st.sampled_from([899.99, 900, 950.5, 999.99, 1000, 1000.01, 100, 500, 450, 0, -950, -500])),
    rows_of_people,
    st.sampled_from([None, 50, 500]),
    st.integers(1, 4),
)
def test_it_is_what_the_reference_says(
    facts: list[Fact], rows: list[tuple[str, int]], step: int | None, at_least: int
) -> None:
    written = {"pattern": "structuring", "threshold": 1000, "margin": "10%", "at_least": at_least, "over": "3 days"}
    if step is not None:
        written["round_to"] = step
    expected = [reference(facts, *row, step=step, at_least=at_least) for row in rows]
    assert answers(people(rows), facts, written) == expected
