"""Pass-through: planted, nearly planted, and as a slow reference says."""

from fractions import Fraction
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

WRITTEN = {
    "pattern": "pass-through",
    "within": "3 days",
    "share": "90%",
    "minimum": 1000,
    "over": "30 days",
}
OUT = NOW - 7 * DAY_US


def planted(**changed: Any) -> list[Fact]:
    """Money in, and nine tenths of it out again three days later to the microsecond, the withdrawal with *changed*."""
    return [fact(5_000, 10), fact(-4_500, 7, **changed)]


def test_money_in_and_out_within_days_is_found() -> None:
    assert answer(planted(), WRITTEN) == (1.0, OUT)


def test_out_in_parts_counts_together() -> None:
    assert answer([fact(5_000, 10), fact(-2_000, 9), fact(-1_500, 8), fact(-1_000, 7)], WRITTEN) == (1.0, OUT)


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": 449_999},
        {"amount": None},
        {"time": OUT + 1},
        {"time": NOW - 10 * DAY_US - 1},
        {"state": "failed"},
        {"state": "pending"},
        {"direction": "deposit"},
        {"direction": None},
        {"entity": "b"},
    ],
)
def test_a_near_miss_is_not(changed: dict[str, Any]) -> None:
    assert answer(planted(**changed), WRITTEN) == NOTHING


def test_out_at_the_moment_of_the_deposit_counts() -> None:
    assert answer(planted(time=NOW - 10 * DAY_US), WRITTEN)[0] == 1.0


def test_what_happens_after_as_of_is_not_seen() -> None:
    assert answer(planted(), WRITTEN, as_of=OUT - 1) == NOTHING
    assert answer(planted(), WRITTEN, as_of=OUT) == (1.0, OUT)


def test_a_deposit_before_the_window_is_not_seen() -> None:
    old = [fact(5_000, 30), fact(-5_000, 29)]
    assert answer(old, WRITTEN) == NOTHING
    assert answer(old, WRITTEN, as_of=NOW - 1)[0] == 1.0


def test_a_deposit_below_the_minimum_takes_no_part() -> None:
    assert answer([fact(999.99, 10), fact(-999.99, 9)], WRITTEN) == NOTHING
    assert answer([fact(1_000, 10), fact(-1_000, 9)], WRITTEN)[0] == 1.0


def test_one_too_few_is_no_pattern() -> None:
    assert answer(planted(), {**WRITTEN, "at_least": 2}) == NOTHING


def test_gathered_and_sent_on_at_once_is_every_deposit() -> None:
    assert answer([fact(5_000, 10), fact(3_000, 9), fact(-8_000, 8)], WRITTEN)[0] == 2.0


def test_what_is_withdrawn_counts_once() -> None:
    assert answer([fact(5_000, 10), fact(5_000, 9), fact(-5_000, 8)], WRITTEN)[0] == 1.0


def test_the_earliest_deposit_that_still_has_time_comes_first() -> None:
    two = [fact(5_000, 10), fact(2_000, 9)]
    assert answer([*two, fact(-2_000, 8)], WRITTEN) == NOTHING
    assert answer([*two, fact(-2_000, 6.5)], WRITTEN)[0] == 1.0


def test_of_deposits_at_one_moment_the_smaller_comes_first() -> None:
    assert answer([fact(5_000, 10), fact(2_000, 10), fact(-2_000, 8)], WRITTEN)[0] == 1.0


def test_calendar_months_end_where_the_month_does() -> None:
    """30 January and the 31st both have until 28 February, at their own hour: the later one can end earlier."""
    deposits = [
        fact(5_000, time=1_675_101_600_000_000),  # 2023-01-30 18:00
        fact(2_000, time=1_675_144_800_000_000),  # 2023-01-31 06:00
    ]
    evening = fact(-7_000, time=1_677_600_000_000_000)  # 2023-02-28 16:00
    written = {**WRITTEN, "within": "1 month", "over": "3 months"}
    assert answer([*deposits, evening], written, as_of=evening["time"]) == (1.0, evening["time"])


def test_the_largest_amounts_do_not_overflow() -> None:
    largest = 99_999_999_999_999_900
    facts = [fact(1, 10, amount=largest), fact(-1, 9, amount=largest // 10 * 9)]
    assert answer(facts, WRITTEN)[0] == 1.0
    assert answer(facts, {**WRITTEN, "share": "90.01%"}) == NOTHING


def test_among_ordinary_customers_the_planted_one_stands_out() -> None:
    written = {**WRITTEN, "minimum": 4_000, "at_least": 3}
    gathered = [made for days in (20, 15, 10) for made in (fact(9_000, days), fact(-8_900, days - 1))]
    before = found_among([], written)
    assert found_among(gathered, written) - before == {"planted"}
    assert len(before) < CUSTOMERS / 4


def reference(facts: list[Fact], entity: str, as_of: int, *, minimum: int, share: Fraction, at_least: int) -> Answer:
    """Withdraw one minor unit at a time."""
    seen = facts_of(facts, entity, as_of, as_of - 6 * DAY_US)
    deposits = sorted(
        (made for made in seen if made["direction"] == "deposit" and made["amount"] >= max(minimum, 1)),
        key=lambda made: (made["time"], made["amount"]),
    )
    out: list[list[int]] = [[] for _ in deposits]
    for withdrawal in (made for made in seen if made["direction"] == "withdrawal"):
        for _ in range(withdrawal["amount"]):
            for deposit, passed in zip(deposits, out, strict=True):
                in_time = deposit["time"] <= withdrawal["time"] <= deposit["time"] + 30 * HOUR_US
                if in_time and len(passed) < deposit["amount"]:
                    passed.append(withdrawal["time"])
                    break
    enough = [passed for deposit, passed in zip(deposits, out, strict=True) if len(passed) >= share * deposit["amount"]]
    return (float(len(enough)), max(passed[-1] for passed in enough)) if len(enough) >= at_least else NOTHING


@given(
    facts_in(st.sampled_from([0.01, 0.03, 0.05, 0.1, 0, -0.01, -0.02, -0.04, -0.06, -0.15])),
    rows_of_people,
    st.sampled_from([0, 3, 5]),
    st.sampled_from(["0.5%", "33.33%", "50%", "90%", "100%"]),
    st.integers(1, 3),
)
def test_it_is_what_the_reference_says(
    facts: list[Fact], rows: list[tuple[str, int]], minimum: int, share: str, at_least: int
) -> None:
    written = {
        "pattern": "pass-through",
        "within": "30 hours",
        "share": share,
        "minimum": minimum / 100,
        "at_least": at_least,
        "over": "6 days",
    }
    part = Fraction(share.removesuffix("%")) / 100
    expected = [reference(facts, *row, minimum=minimum, share=part, at_least=at_least) for row in rows]
    assert answers(people(rows), facts, written) == expected
