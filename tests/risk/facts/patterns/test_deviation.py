"""Deviation from the declared volume and purpose: planted, nearly planted, and as slow references say."""

from collections.abc import Sequence
from fractions import Fraction
from math import inf, isnan, nan
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.risk.facts.patterns.deviation import months_of
from fivefold.risk.language.quantities import parse_duration
from tests.risk.facts.patterns.making import (
    NOTHING,
    NOW,
    UNKNOWN,
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

VOLUME = {"pattern": "volume-deviation", "expected_monthly": "turnover", "factor": 3, "over": "1 month"}
PURPOSE = {
    "pattern": "purpose-deviation",
    "transaction_field": "purpose",
    "declared": "purposes",
    "share": "25%",
    "over": "30 days",
}
IN_JUNE = NOW - 3 * DAY_US


def volume(facts: list[Fact], declared: float | None, **changed: Any) -> Answer:
    return answer(facts, {**VOLUME, **changed}, turnover=pl.Series([declared], dtype=pl.Float64))


def purpose(facts: list[Fact], declared: Sequence[str | None] | None, **changed: Any) -> Answer:
    return answer(facts, {**PURPOSE, **changed}, purposes=pl.Series([declared], dtype=pl.List(pl.String)))


def turnover(**changed: Any) -> list[Fact]:
    """3,000 in June, of which the last 500 have *changed*."""
    return [fact(1_500, 20), fact(-1_000, 10), fact(-500, 3, **changed)]


def test_three_times_what_was_declared_is_found() -> None:
    assert volume(turnover(), 1_000) == (3.0, IN_JUNE)


def test_a_cent_too_much_declared_is_not() -> None:
    assert volume(turnover(), 1_000.01) == NOTHING


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": 49_999},
        {"amount": None},
        {"state": "failed"},
        {"state": "pending"},
        {"entity": "b"},
        {"time": NOW + 1},
        {"time": NOW - 30 * DAY_US},
    ],
)
def test_a_near_miss_in_volume_is_not(changed: dict[str, Any]) -> None:
    """June, the month before NOW, has 30 days."""
    assert volume(turnover(**changed), 1_000) == NOTHING


@pytest.mark.parametrize("declared", [None, nan, inf, 0, 0.001, -1_000])
def test_nothing_declared_is_unknown(declared: float | None) -> None:
    assert volume(turnover(), declared) == UNKNOWN


@pytest.mark.parametrize(("declared", "paid"), [(1.1, 3.3), (1.15, 3.45)])
def test_declared_cents_are_exact(declared: float, paid: float) -> None:
    """As floats, 1.1 × 100 × 3 is 330.00000000000006, more than 330 cents, and 1.15 × 100 is 114.99999999999999."""
    assert volume([fact(paid, 3)], declared)[0] == 3.0


def test_a_customer_without_transactions_deviates_from_nothing() -> None:
    assert volume([], 1_000) == NOTHING


def test_what_was_declared_is_for_as_long_as_the_window() -> None:
    assert volume(turnover(), 500, over="2 months") == (3.0, IN_JUNE)
    assert volume([fact(36_000, 3)], 1_000, over="1 year")[0] == 3.0


@pytest.mark.parametrize(
    ("over", "days"), [("1 hour", Fraction(1, 24)), ("30 days", 30), ("1 month", None), ("2 years", None)]
)
def test_months(over: str, days: Fraction | None) -> None:
    mean = Fraction("365.2425") / 12
    months = {"1 month": Fraction(1), "2 years": Fraction(24)}
    assert months_of(parse_duration(over)) == (months[over] if days is None else days / mean)


def test_the_largest_volumes_do_not_overflow() -> None:
    largest = 99_999_999_999_999_900
    assert volume([fact(1, 3, amount=largest)] * 200, 2e13, factor=9_999.99)[0] == pytest.approx(10_000)
    assert volume([fact(1, 3)], 999_999_999_999_999.0, factor=1_000_000, over="90000 days") == NOTHING


def test_among_ordinary_customers_the_planted_volume_stands_out() -> None:
    declared = pl.Series([1_000_000.0] * CUSTOMERS + [1_000.0])
    assert found_among(turnover(), VOLUME, turnover=declared) == {"planted"}


def spending(**changed: Any) -> list[Fact]:
    """A quarter of the turnover for gambling, which has *changed*."""
    return [fact(600, 20, purpose="salary"), fact(-150, 10, purpose="rent"), fact(-250, 3, purpose="bets") | changed]


def test_a_quarter_outside_the_purpose_is_found() -> None:
    assert purpose(spending(), ["salary", "rent"]) == (25.0, IN_JUNE)


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": 24_999},
        {"amount": None},
        {"purpose": "rent"},
        {"purpose": None},
        {"state": "failed"},
        {"state": "pending"},
        {"entity": "b"},
        {"time": NOW + 1},
        {"time": NOW - 30 * DAY_US},
    ],
)
def test_a_near_miss_in_purpose_is_not(changed: dict[str, Any]) -> None:
    assert purpose(spending(**changed), ["salary", "rent"]) == NOTHING


@pytest.mark.parametrize("declared", [None, [], [None]])
def test_no_purpose_declared_is_unknown(declared: list[str | None] | None) -> None:
    assert purpose(spending(), declared) == UNKNOWN


def test_an_unknown_purpose_is_on_neither_side() -> None:
    assert purpose([*spending(), fact(-99_000, 2)], ["salary", "rent"]) == (25.0, IN_JUNE)


def test_one_word_may_be_declared_as_text() -> None:
    declared = {"purposes": pl.Series(["salary", None, "salary"], dtype=pl.String)}
    people_of = people([("a", NOW), ("a", NOW), ("b", NOW)], **declared)
    assert answers(people_of, spending(), PURPOSE) == [(40.0, IN_JUNE), UNKNOWN, NOTHING]


def test_a_word_declared_twice_counts_once() -> None:
    assert purpose(spending(), ["salary", "salary", "rent", "rent"])[0] == 25.0


def test_among_ordinary_customers_the_planted_purpose_stands_out() -> None:
    declared = pl.Series([["payments"]] * CUSTOMERS + [["salary", "rent"]])
    assert found_among(spending(), PURPOSE, purposes=declared) == {"planted"}


def reference_of_volume(facts: list[Fact], entity: str, as_of: int, declared: float | None, factor: Fraction) -> Answer:
    if declared is None or isnan(declared) or declared <= 0:
        return UNKNOWN
    seen = [made for made in facts_of(facts, entity, as_of, as_of - 4 * DAY_US) if made["amount"]]
    times = Fraction(sum(made["amount"] for made in seen)) / (Fraction(str(declared)) * 100 * 4 * 12)
    times *= Fraction("365.2425")
    return (float(times), seen[-1]["time"]) if seen and times >= factor else NOTHING


volumes = st.sampled_from([30.44, 250.1, 90.0, 601.3, None, nan, -1.0, 0.0])


@given(
    facts_in(st.sampled_from([0, 4, 4.01, 40, -4, -8.02])),
    st.lists(st.tuples(st.tuples(st.sampled_from("ab"), st.just(NOW)), volumes), min_size=1, max_size=4),
    st.sampled_from(["0.01", "1", "1.25", "2"]),
)
def test_volume_is_what_the_reference_says(
    facts: list[Fact], rows: list[tuple[tuple[str, int], float | None]], factor: str
) -> None:
    declared = pl.Series([value for _, value in rows], dtype=pl.Float64)
    written = {**VOLUME, "factor": float(factor), "over": "4 days"}
    found = answers(people([row for row, _ in rows], turnover=declared), facts, written)
    expected = [reference_of_volume(facts, *row, value, Fraction(factor)) for row, value in rows]
    assert [latest for _, latest in found] == [latest for _, latest in expected]
    for (number, _), (right, _) in zip(found, expected, strict=True):
        assert number == (None if right is None else pytest.approx(right, rel=1e-14))


def reference_of_purpose(
    facts: list[Fact], entity: str, as_of: int, declared: list[str] | None, share: Fraction
) -> Answer:
    if not declared:
        return UNKNOWN
    seen = [made for made in facts_of(facts, entity, as_of, as_of - 4 * DAY_US) if made["amount"] and made["purpose"]]
    outside = [made for made in seen if made["purpose"] not in declared]
    if not outside:
        return NOTHING
    percent = Fraction(100 * sum(made["amount"] for made in outside), sum(made["amount"] for made in seen))
    return (float(percent), outside[-1]["time"]) if percent >= share else NOTHING


words = st.sampled_from([["w"], ["x", "y"], ["y", "y", "other"], ["w", "x", "z"], [], None])


@given(
    facts_in(st.sampled_from([0, 1, 2, -1, -5])),
    rows_of_people.flatmap(lambda rows: st.tuples(st.just(rows), st.lists(words, min_size=5, max_size=5))),
    st.sampled_from(["0.5%", "33.33%", "50%", "100%"]),
)
def test_purpose_is_what_the_reference_says(
    facts: list[Fact], given_rows: tuple[list[tuple[str, int]], list[list[str] | None]], share: str
) -> None:
    rows, declared = given_rows[0], given_rows[1][: len(given_rows[0])]
    entities = people(rows, purposes=pl.Series(declared, dtype=pl.List(pl.String)))
    part = Fraction(share.removesuffix("%"))
    expected = [reference_of_purpose(facts, *row, value, part) for row, value in zip(rows, declared, strict=True)]
    assert answers(entities, facts, {**PURPOSE, "share": share, "over": "4 days"}) == expected
