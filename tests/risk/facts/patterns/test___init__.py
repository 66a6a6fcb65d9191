"""What holds of every pattern: its form, and whose facts it sees, and when."""

from typing import Any, get_args

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.risk.facts.patterns import _FINDERS
from fivefold.risk.language.patterns import Pattern
from tests.risk.facts.patterns.making import NOW, Answer, Fact, answers, facts_in, moments, people, rows_of_people

EASY: list[dict[str, Any]] = [
    {"pattern": "structuring", "threshold": 20, "margin": "60%", "round_to": 1, "at_least": 2, "over": "8 days"},
    {"pattern": "velocity", "more_than": 1, "counterparties": 1, "over": "8 days"},
    {"pattern": "pass-through", "within": "2 days", "share": "20%", "minimum": 1, "over": "8 days"},
    {"pattern": "volume-deviation", "expected_monthly": "turnover", "factor": 1, "over": "8 days"},
    {
        "pattern": "purpose-deviation",
        "transaction_field": "purpose",
        "declared": "purposes",
        "share": "10%",
        "over": "8 days",
    },
    {"pattern": "dormant-then-active", "dormant": "2 days", "active": "3 days", "at_least": 1},
    {"pattern": "fan-in", "at_least": 1, "over": "8 days"},
    {"pattern": "fan-out", "at_least": 1, "over": "8 days"},
]
"""Each so easily found that made-up facts often show it."""

every_pattern = pytest.mark.parametrize("written", EASY, ids=lambda written: str(written["pattern"]))
some_facts = facts_in(st.sampled_from([5, 9, 12, 20, -3, -8, -15]))


def seen(rows: list[tuple[str, int]], facts: list[Fact], written: dict[str, Any]) -> list[Answer]:
    declared = {"turnover": pl.Series([10.0] * len(rows)), "purposes": pl.Series([["x"]] * len(rows))}
    return answers(people(rows, **declared), facts, written)


def test_every_pattern_of_the_language_has_its_finder() -> None:
    assert set(_FINDERS) == set(get_args(get_args(Pattern)[0]))
    assert {written["pattern"] for written in EASY} == {
        word for form in _FINDERS for word in get_args(form.model_fields["pattern"].annotation)
    }


@every_pattern
@given(facts=some_facts, rows=rows_of_people, later=st.lists(st.integers(1, 3 * DAY_US), max_size=10))
def test_nothing_after_as_of_is_seen(
    written: dict[str, Any], facts: list[Fact], rows: list[tuple[str, int]], later: list[int]
) -> None:
    last = max(as_of for _, as_of in rows)
    after = [{**made, "time": last + wait} for made, wait in zip(facts, later, strict=False)]
    assert seen(rows, [*facts, *after], written) == seen(rows, facts, written)


@every_pattern
@given(facts=some_facts, rows=rows_of_people)
def test_each_row_is_as_if_it_were_alone(
    written: dict[str, Any], facts: list[Fact], rows: list[tuple[str, int]]
) -> None:
    alone = [seen([row], [made for made in facts if made["entity"] == row[0]], written)[0] for row in rows]
    assert seen(rows, facts, written) == alone


@every_pattern
@given(facts=some_facts, rows=rows_of_people, shuffle=st.randoms(use_true_random=False))
def test_the_order_of_transactions_is_irrelevant(
    written: dict[str, Any], facts: list[Fact], rows: list[tuple[str, int]], shuffle: Any
) -> None:
    mixed = [*facts]
    shuffle.shuffle(mixed)
    assert seen(rows, mixed, written) == seen(rows, facts, written)


@every_pattern
@given(facts=some_facts, rows=rows_of_people, wait=moments)
def test_time_has_no_origin(written: dict[str, Any], facts: list[Fact], rows: list[tuple[str, int]], wait: int) -> None:
    shift = wait - NOW
    moved = seen(
        [(name, as_of + shift) for name, as_of in rows],
        [{**made, "time": made["time"] + shift} for made in facts],
        written,
    )
    still = seen(rows, facts, written)
    assert moved == [(number, None if latest is None else latest + shift) for number, latest in still]


@every_pattern
def test_nobody_and_nothing(written: dict[str, Any]) -> None:
    assert seen([("a", NOW), ("b", NOW)], [], written) == [(0.0, None)] * 2
    assert (
        answers(
            people([], turnover=pl.Series([], dtype=pl.Float64), purposes=pl.Series([], dtype=pl.List(pl.String))),
            [],
            written,
        )
        == []
    )
